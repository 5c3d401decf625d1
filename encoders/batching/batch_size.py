"""How many items go into one forward pass."""

from __future__ import annotations

FIRST = 16
STEP = 8


class ForwardSize:
    """As many items as recently took `seconds`, at most `max_items`. Out of memory lowers the limit for a while."""

    def __init__(self, *, seconds: float, max_items: int) -> None:
        self._seconds = seconds
        self._max_items = max_items
        self._memory_limit = float(max_items)
        self._seconds_per_item = seconds / FIRST

    @property
    def now(self) -> int:
        size = max(1, min(int(self._memory_limit), round(self._seconds / self._seconds_per_item)))
        # Few different sizes: a device prepares its kernels for each new one.
        return size - size % STEP if size > STEP else size

    def took(self, items: int, seconds: float) -> None:
        """Record the duration of a forward pass. Small ones get less weight: fixed overhead dominates them."""
        weight = min(0.5, items / (2 * FIRST))
        self._seconds_per_item += weight * (max(seconds, 1e-9) / items - self._seconds_per_item)
        self._memory_limit = min(self._max_items, self._memory_limit * 1.01)

    def too_large(self, items: int) -> None:
        """Record that the device had no memory for that many items."""
        self._memory_limit = max(1.0, min(self._memory_limit, items / 2))
