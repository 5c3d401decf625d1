"""Vector spaces: vectors of different spaces are never compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

FUSED = "fused"
IMAGE = "image"
TITLE = "title"


@dataclass(frozen=True, slots=True)
class Space:
    """What makes two vectors comparable: the model, its weights, its preprocessing, the dimensions.

    `vectors` maps each named vector to its dimension; all are float32, L2-normalised, compared by cosine.
    """

    model: str
    revision: str
    preprocessing: str
    vectors: Mapping[str, int]

    @property
    def id(self) -> str:
        """A short name that differs whenever the vectors may: the model and 8 hex digits of everything."""
        dims = ",".join(f"{name}:{dim}" for name, dim in sorted(self.vectors.items()))
        whole = "\0".join((self.model, self.revision, self.preprocessing, dims))
        slug = "".join(c if c.isalnum() else "-" for c in self.model.lower()).strip("-")
        return f"{slug[:40]}-{blake2b(whole.encode(), digest_size=4).hexdigest()}"
