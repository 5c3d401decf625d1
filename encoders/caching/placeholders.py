"""Telling a shop's "no image available" picture from a product's own: it stands on many products that have no more in
common."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem


@dataclass(frozen=True, slots=True)
class PlaceholderPolicy:
    """A picture on `titles` different titles is a placeholder; 0: none ever is. `window` pictures are kept in mind.

    A placeholder comes again and again, so it stays among the last `window` pictures whatever the catalogue's size.
    """

    titles: int = 50
    window: int = 20_000


class Placeholders:
    """Counts the titles of each picture among those seen last."""

    def __init__(self, policy: PlaceholderPolicy) -> None:
        self._policy = policy
        # Titles by their hash, until there are as many as it takes: then None, which is for good while it is in mind.
        self._titles: OrderedDict[str, set[int] | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._titles)

    def check(self, digest: str, title: str) -> None:
        """Raises ImageProblem where the picture is a placeholder, this title counted in."""
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
            f"the same picture stands on {self._policy.titles} products or more, so it does not show this one",
        )

    def _forget(self) -> None:
        while len(self._titles) > self._policy.window:
            self._titles.popitem(last=False)
