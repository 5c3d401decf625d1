"""A product's state in the index: every field is a register that the latest stamp wins.

A put or a delete is the *base* and sets every field. A patch sets only its own fields, and overrides the base unless
it is older. The state after a set of changes therefore depends neither on their order nor on repetition. A patch that
arrives before its put waits in the point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from catalog.domain.change import Change, Patch, Put, VersionStamp, digest
from catalog.domain.product import Attribute, Content

Payload = dict[str, Any]
Fields = Mapping[str, Attribute | None]

OFFER_FIELDS = ("price", "currency", "available")
ATTRIBUTE = "attributes."


@dataclass(frozen=True, slots=True)
class ProductState:
    """The known state of a product. `fields` holds offer and attributes under the names that patches use.

    `content` is set only if a put has just brought it; it is not read back from the index. `live` alone says whether
    searches can find the product.
    """

    base: VersionStamp | None = None
    patched: Mapping[str, VersionStamp] = field(default_factory=dict)
    live: bool = False
    content: Content | None = None
    fields: Fields = field(default_factory=dict)

    @property
    def content_version(self) -> int | None:
        return self.base.version if self.base else None

    @property
    def offer_version(self) -> int | None:
        stamps = [*self.patched.values(), *([self.base] if self.base else [])]
        return max((s.version for s in stamps), default=None)


def apply(state: ProductState, change: Change) -> ProductState:
    """The state after one more change, which may be older than the changes the state already holds."""
    if isinstance(change, Patch):
        return _apply_patch(state, change)
    newest = change.stamp  # computes a digest of the whole put: once only
    if state.base is not None and newest <= state.base:
        return state
    newer_patches = {name: stamp for name, stamp in state.patched.items() if stamp.version >= change.version}
    fields = _put_fields(change) if isinstance(change, Put) else {}
    fields |= {name: state.fields.get(name) for name in newer_patches}
    return ProductState(
        base=newest,
        patched=newer_patches,
        live=isinstance(change, Put),
        content=change.product.content if isinstance(change, Put) else None,
        fields={name: value for name, value in fields.items() if value is not None},
    )


def _apply_patch(state: ProductState, change: Patch) -> ProductState:
    if state.base is not None and change.version < state.base.version:
        return state
    patched, fields = dict(state.patched), dict(state.fields)
    for name, value in change.fields.items():
        stamp = VersionStamp(change.version, 0, digest(value))
        if name in patched and stamp <= patched[name]:
            continue
        patched[name] = stamp
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = value
    return replace(state, patched=patched, fields=fields)


def _put_fields(put: Put) -> dict[str, Attribute | None]:
    offer, attributes = put.product.offer, put.product.attributes
    return {name: getattr(offer, name) for name in OFFER_FIELDS} | {
        ATTRIBUTE + name: value for name, value in attributes.items()
    }


@dataclass(frozen=True, slots=True)
class PendingImageRetry:
    """A photo whose download failed and may succeed later.

    `tries` is the number of attempts so far. `due_at_ms` is the time of the next attempt in milliseconds since the
    epoch; None: no automatic attempt, only with the next put.
    """

    tries: int
    due_at_ms: int | None


@dataclass(frozen=True, slots=True)
class IndexedState:
    """A product as the index holds it: its state, and the fingerprint of the content its vectors were made of.

    `revision` changes with every write; a write succeeds only if the revision is still the expected one. `stored` is
    the stored point, if the caller asked for it. It is opaque to all but the index that read it.
    """

    state: ProductState
    revision: str
    fingerprint: str | None = None
    image_retry: PendingImageRetry | None = None
    stored: object | None = field(default=None, repr=False, compare=False)

    @property
    def waits_for_photo(self) -> bool:
        """Whether the vectors were made without the photo: the next put then encodes the product again."""
        return self.image_retry is not None


# The payload fields that `indexed_state_from` reads: an adapter need fetch no others.
RETRY_FIELDS = ("image_tries", "image_retry_at")
STATE_FIELDS = ("clock", "live", "attributes", *OFFER_FIELDS, "revision", "fingerprint", *RETRY_FIELDS)


def indexed_state_from(payload: Mapping[str, Any]) -> IndexedState:
    """The indexed state of a product, from the payload of its point."""
    clock = payload["clock"]
    fields = {n: payload[n] for n in OFFER_FIELDS if payload.get(n) is not None}
    for name, value in (payload.get("attributes") or {}).items():
        fields[ATTRIBUTE + name] = tuple(value) if isinstance(value, list) else value
    state = ProductState(
        base=_stamp(clock["base"]) if clock["base"] else None,
        patched={name: _stamp(stamp) for name, stamp in clock["patched"].items()},
        live=payload["live"],
        fields=fields,
    )
    tries = payload.get("image_tries")
    image_retry = None if tries is None else PendingImageRetry(tries, payload.get("image_retry_at"))
    return IndexedState(state, payload["revision"], payload.get("fingerprint"), image_retry)


def payload_of(
    state: ProductState, *, fingerprint: str | None, event_time: int, image_retry: PendingImageRetry | None = None
) -> Payload:
    """The payload of a state, without the fields that are written only with new content: title, images, image state.

    `event_time` is the timestamp of the newest record applied, in milliseconds since the epoch.
    """
    attributes = {n.removeprefix(ATTRIBUTE): v for n, v in state.fields.items() if n.startswith(ATTRIBUTE)}
    return {
        "live": state.live,
        "attributes": {n: list(v) if isinstance(v, tuple) else v for n, v in attributes.items()},
        **{name: state.fields.get(name) for name in OFFER_FIELDS},
        "content_version": state.content_version,
        "offer_version": state.offer_version,
        "event_time": event_time,
        "clock": _clock(state),
        "fingerprint": fingerprint,
        **retry_payload(state, fingerprint, image_retry),
    }


def retry_payload(state: ProductState, fingerprint: str | None, image_retry: PendingImageRetry | None) -> Payload:
    """The payload fields that change if only the image retry changes: the retry's own, if any, and the revision.

    The time of the retry is part of the revision, so of two workers that claim the same attempt one gets a conflict.
    """
    if image_retry is None:
        return {"revision": digest([_clock(state), fingerprint])}
    tries, due_at_ms = image_retry.tries, image_retry.due_at_ms
    revision = digest([_clock(state), fingerprint, tries, due_at_ms])
    return {"image_tries": tries, "image_retry_at": due_at_ms, "revision": revision}


def _clock(state: ProductState) -> Payload:
    return {
        "base": list(state.base) if state.base else None,
        "patched": {name: list(stamp) for name, stamp in sorted(state.patched.items())},
    }


def _stamp(parts: list[Any]) -> VersionStamp:
    version, rank, tie = parts
    return VersionStamp(int(version), int(rank), str(tie))
