"""What one search process takes on, and how it answers when that is too much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchPolicy:
    """Limits of the HTTP edge. Sizes are in bytes, times in seconds.

    `max_uploads` images may come with one query; together they are no larger than one body.

    `max_in_flight` requests are worked on at once; `max_waiting` more wait for their turn, at most `wait_within` each,
    and one more than that is told to come back after `retry_after`. `max_held` bounds the bodies of all of them
    together. A request has `read_within` to arrive and the client as long to take its answer; from the one to the
    other go `answer_within` at most.

    `hosts` are the names that the service answers to, none for any; pages of `origins` may ask it from a browser.
    """

    tenant: str = "default"
    max_upload: int = 10 * 2**20
    max_uploads: int = 8
    max_form_text: int = 64 * 2**10
    max_in_flight: int = 32
    max_waiting: int = 64
    wait_within: float = 0.5
    max_held: int = 256 * 2**20
    read_within: float = 30.0
    answer_within: float = 15.0
    retry_after: int = 2
    photo_age: int = 60
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    @property
    def max_body(self) -> int:
        """The whole request: an upload as a data URL in JSON is a third longer, and a little is text."""
        return self.max_upload * 4 // 3 + 2 * self.max_form_text
