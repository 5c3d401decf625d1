"""Recognises a shop's "no image available" picture: it belongs to many products with different titles."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem


@dataclass(frozen=True, slots=True)
class PlaceholderPolicy:
    """A picture with `titles` different titles is a placeholder; 0 turns this off. The last `window` pictures count.

    A placeholder occurs so often that it stays among the last `window` pictures, whatever the size of the catalogue.
    """

    titles: int = 50
    window: int = 20_000


class Placeholders:
    """Counts the different titles of each recent picture."""

    def __init__(self, policy: PlaceholderPolicy) -> None:
        self._policy = policy
        # Hashes of titles by picture. None marks a placeholder, which stays one while it is in the window.
        self._titles: OrderedDict[str, set[int] | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._titles)

    def check(self, digest: str, title: str) -> None:
        """Count a picture with a title. Raises ImageProblem if the picture is a placeholder."""
        if not self._policy.titles:
            return
        titles = self._titles.setdefault(digest, set())
        self._titles.move_to_end(digest)
        if titles is not None:
            titles.add(hash(title))
            if len(titles) < self._policy.titles:
                self._forget()
                return
            self._titles[digest] = None
        raise ImageProblem(
            ImageState.PLACEHOLDER,
            f"the same picture belongs to {self._policy.titles} products or more, so it does not show this one",
        )

    def _forget(self) -> None:
        while len(self._titles) > self._policy.window:
            self._titles.popitem(last=False)
