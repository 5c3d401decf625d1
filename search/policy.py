"""What one search process takes on, and how it answers when that is too much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchPolicy:
    """Limits of the HTTP edge. Sizes are in bytes, times in seconds.

    `max_in_flight` bounds the queries held at once, and so the memory of their bodies (`max_in_flight * max_body`); one
    more is told to come back after `retry_after`. `answer_within` bounds encoding and searching together.
    """

    tenant: str = "default"
    max_upload: int = 10 * 2**20
    max_form_text: int = 64 * 2**10
    max_in_flight: int = 32
    read_within: float = 30.0
    answer_within: float = 15.0
    retry_after: int = 2
    photo_age: int = 60

    @property
    def max_body(self) -> int:
        """The whole request: an upload as a data URL in JSON is a third longer, and a little is text."""
        return self.max_upload * 4 // 3 + 2 * self.max_form_text
