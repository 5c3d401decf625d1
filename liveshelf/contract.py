"""Settings to what they add to the contract of the events."""

from __future__ import annotations

from catalog.events import Contract
from liveshelf.settings import Settings


def contract_of(settings: Settings) -> Contract:
    return Contract(tenant=settings.tenant)
