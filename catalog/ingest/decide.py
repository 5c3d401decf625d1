"""The delivery semantics as pure functions: indexed state + changes -> decision -> write."""

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
    """The longest `data:` URL of a photo that the payload stores, in characters.

    A longer one is encoded like any other, but the payload keeps only its beginning.
    """

    max_chars: int = 64_000


@dataclass(frozen=True, slots=True)
class Decision:
    """The next state of one product, and the content to encode first (None: the vectors stay)."""

    key: ProductKey
    indexed: IndexedState | None
    state: ProductState
    fingerprint: str | None
    encode: Content | None
    event_time: int

    @property
    def stale(self) -> bool:
        """Whether the changes alter nothing, so that there is nothing to write."""
        return self.state == (self.indexed.state if self.indexed else ProductState())


def decide(key: ProductKey, events: Sequence[ParsedEvent], indexed: IndexedState | None, space: Space) -> Decision:
    """Apply the events of one product to its indexed state. Neither their order nor repetition matters."""
    before = indexed.state if indexed else ProductState()
    state = reduce(apply, (event.change for event in events), before)
    encoded_fingerprint = indexed.fingerprint if indexed else None
    new_fingerprint, encode = encoded_fingerprint, None
    if not state.live:
        new_fingerprint = None
    elif state.content is not None:
        # Only a winning put brings content. Without one, vectors and title stay as they are.
        new_fingerprint = fingerprint(space, state.content)
        waits_for_photo = indexed is not None and indexed.waits_for_photo
        encode = state.content if new_fingerprint != encoded_fingerprint or waits_for_photo else None
    return Decision(key, indexed, state, new_fingerprint, encode, max(event.record.timestamp for event in events))


def write_of(
    decision: Decision,
    encoded: Mapping[str, EncodedItem],
    inline: InlinePolicy = InlinePolicy(),
    image_retry: ImageRetryPolicy = ImageRetryPolicy(),
    *,
    now_ms: int,
) -> ProductWrite:
    """The compare-and-set write of a decision, against the revision it was decided on.

    `encoded` holds vectors by fingerprint. `now_ms`, in milliseconds since the epoch, starts the delay of the next
    attempt if the photo failed.
    """
    d = decision
    item = encoded[d.fingerprint] if d.encode is not None and d.fingerprint is not None else None
    if item is not None:
        pending = image_retry.after(d.key, item.image_state, tries=1, now_ms=now_ms)
    else:
        pending = d.indexed.image_retry if d.indexed and d.state.live else None
    payload = payload_of(d.state, fingerprint=d.fingerprint, event_time=d.event_time, image_retry=pending)
    if item is not None:
        payload |= {"image_state": item.image_state.value, "image_reason": item.image_reason}
    if d.state.content is not None:
        payload |= _content_payload(d.state.content, inline)
    expected_revision = d.indexed.revision if d.indexed else None
    identity: Payload = {"tenant": d.key.tenant, "id": d.key.id}
    if item is not None:
        return ProductWrite(d.key, expected_revision, identity | payload, item.vectors)
    if not d.state.live:
        return ProductWrite(d.key, expected_revision, identity | payload, {})
    return ProductWrite(d.key, expected_revision, payload, None, d.indexed.stored if d.indexed else None)


def _content_payload(content: Content, inline: InlinePolicy) -> Payload:
    images = [
        url if not url.startswith("data:") or len(url) <= inline.max_chars else f"{url.partition(',')[0][:60]},"
        for url in content.images
    ]
    return {"title": content.title, "images": images}
