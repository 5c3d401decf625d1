"""What of a product its vectors depend on, as one short name."""

from __future__ import annotations

from catalog.domain.change import digest
from catalog.domain.product import Content
from catalog.domain.space import Space


def fingerprint(space: Space, content: Content) -> str:
    """Equal for equal space, title and image references: what has it already need not be encoded again."""
    return digest([space.id, content.title, content.images])
