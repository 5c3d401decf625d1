"""The delivery semantics, whole: from what is known and what was said to what is to be written. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from catalog.domain.fingerprint import fingerprint
from catalog.domain.product import Content, ProductKey
from catalog.domain.space import Space
from catalog.domain.state import IndexedState, Payload, ProductState, apply, payload_of
from catalog.events.parser import ParsedEvent
from catalog.ingest.image_retry import ImageRetryPolicy
from catalog.ports import EncodedItem, ProductWrite


@dataclass(frozen=True, slots=True)
class InlinePolicy:
    """How much of a photo given as a data: URL is kept in the payload, for showing it again.

    A larger one is encoded like any other, but its point only remembers that it was there.
    """

    max_chars: int = 64_000


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of one product: the state it moves to, and whether its vectors must be made first."""

    key: ProductKey
    known: IndexedState | None
    state: ProductState
    fingerprint: str | None
    encode: Content | None
    event_time: int

    @property
    def stale(self) -> bool:
        """Nothing that was said is news: there is nothing to write."""
        return self.state == (self.known.state if self.known else ProductState())


def decide(key: ProductKey, said: Sequence[ParsedEvent], known: IndexedState | None, space: Space) -> Decision:
    """What the changes of one product, in any order and any number of times, make of what the index knows of it."""
    before = known.state if known else ProductState()
    state = reduce(apply, (p.change for p in said), before)
    mark = known.fingerprint if known else None
    encode = None
    if not state.live:
        mark = None
    elif state.content is not None:
        # Only a put that won brings content; without one, vectors and title stay as they are.
        new = fingerprint(space, state.content)
        without_photo = known is not None and known.retry is not None
        encode = state.content if new != mark or without_photo else None
        mark = new
    return Decision(key, known, state, mark, encode, max(p.record.timestamp for p in said))


def write_of(
    decision: Decision,
    encoded: Mapping[str, EncodedItem],
    inline: InlinePolicy = InlinePolicy(),
    repair: ImageRetryPolicy = ImageRetryPolicy(),
    *,
    now_ms: int,
) -> ProductWrite:
    """The point of a decision, guarded by the state it was decided on.

    `encoded` holds vectors by fingerprint. From `now_ms`, in milliseconds since the epoch, a photo that could not be
    had waits for its next try.
    """
    d = decision
    made = encoded[d.fingerprint] if d.encode is not None and d.fingerprint is not None else None
    if made is not None:
        retry = repair.after(d.key, made.image_state, tries=1, now_ms=now_ms)
    else:
        retry = d.known.retry if d.known and d.state.live else None
    payload = payload_of(d.state, fingerprint=d.fingerprint, event_time=d.event_time, retry=retry)
    if made is not None:
        payload |= {"image_state": made.image_state.value, "image_reason": made.image_reason}
    if d.state.content is not None:
        payload |= _content_payload(d.state.content, inline)
    expect = d.known.revision if d.known else None
    identity: Payload = {"tenant": d.key.tenant, "id": d.key.id}
    if made is not None:
        return ProductWrite(d.key, expect, identity | payload, made.vectors)
    if not d.state.live:
        return ProductWrite(d.key, expect, identity | payload, {})
    return ProductWrite(d.key, expect, payload, None, d.known.held if d.known else None)


def _content_payload(content: Content, inline: InlinePolicy) -> Payload:
    images = [
        url if not url.startswith("data:") or len(url) <= inline.max_chars else f"{url.partition(',')[0][:60]},"
        for url in content.images
    ]
    return {"title": content.title, "images": images}
