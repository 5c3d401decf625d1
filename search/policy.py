"""The limits of one search process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchPolicy:
    """Limits of the HTTP edge. Sizes are in bytes, times in seconds.

    A query carries up to `max_uploads` images of `max_upload` bytes; together they are no larger than `max_body`.

    At most `max_in_flight` requests run at once and `max_waiting` more queue, each for up to `queue_timeout_s`. The
    rest get status 429 with `retry_after`. `max_body_memory` bounds the memory of all request bodies together.
    A client has `read_timeout_s` to send its request and the same time to receive the answer. The answer itself takes
    at most `answer_timeout_s`.

    `hosts` are the accepted host names; empty accepts any. Web pages of `origins` may call the service from a browser.
    Clients may keep a photo for `photo_age`.
    """

    tenant: str = "default"
    max_upload: int = 10 * 2**20
    max_uploads: int = 8
    max_form_text: int = 64 * 2**10
    max_in_flight: int = 32
    max_waiting: int = 64
    queue_timeout_s: float = 0.5
    max_body_memory: int = 256 * 2**20
    read_timeout_s: float = 30.0
    answer_timeout_s: float = 15.0
    retry_after: int = 2
    photo_age: int = 60
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    @property
    def max_body(self) -> int:
        """The largest request body: an upload as a data URL is a third longer, and text is added to it."""
        return self.max_upload * 4 // 3 + 2 * self.max_form_text
