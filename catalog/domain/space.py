"""Vector spaces. Vectors of different spaces are never compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

FUSED = "fused"
IMAGE = "image"
TITLE = "title"


@dataclass(frozen=True, slots=True)
class Space:
    """Everything that makes two vectors comparable: model, weights, preprocessing and dimensions.

    `vectors` maps each named vector to its dimension. All vectors are float32, L2-normalised and compared by cosine.
    """

    model: str
    revision: str
    preprocessing: str
    vectors: Mapping[str, int]

    @property
    def id(self) -> str:
        """A short name: the model and 8 hex digits of a digest over all fields. It differs if the vectors may."""
        dims = ",".join(f"{name}:{dim}" for name, dim in sorted(self.vectors.items()))
        identity = "\0".join((self.model, self.revision, self.preprocessing, dims))
        slug = "".join(c if c.isalnum() else "-" for c in self.model.lower()).strip("-")
        return f"{slug[:40]}-{blake2b(identity.encode(), digest_size=4).hexdigest()}"
