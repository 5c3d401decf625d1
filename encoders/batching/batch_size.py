"""How many items go into one forward."""

from __future__ import annotations

FIRST = 16
STEP = 8


class ForwardSize:
    """As many items as lately took `seconds`, at most `most`; fewer after the device had no room, then slowly more."""

    def __init__(self, *, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._room = float(most)
        self._each = seconds / FIRST

    @property
    def now(self) -> int:
        now = max(1, min(int(self._room), round(self._seconds / self._each)))
        # Few different sizes: for each that is new a device makes its kernels ready anew.
        return now - now % STEP if now > STEP else now

    def took(self, items: int, seconds: float) -> None:
        """A forward of so many items took so long. What it costs whatever the size is not blamed on a few items."""
        weight = min(0.5, items / (2 * FIRST))
        self._each += weight * (max(seconds, 1e-9) / items - self._each)
        self._room = min(self._most, self._room * 1.01)

    def too_large(self, items: int) -> None:
        """The device had no memory for so many."""
        self._room = max(1.0, min(self._room, items / 2))
