"""A product's state as the index keeps it: every field is a register that the latest stamp wins.

A put or a delete is the *base*: it speaks for every field. A patch speaks for its fields only, and stays above the base
for as long as it is not older. So the state after any set of changes is the same in whatever order, and however often,
they were applied, and a patch that comes before its put simply waits in the point.
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
    """What is known of a product. `fields` holds offer and attributes by the names patches use.

    `content` is there only where a put brought it just now: it is not read back from the index. Whether the product is
    on the shelf `live` alone tells.
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
    """The state after one more change, which may be older than what the state already holds."""
    if isinstance(change, Patch):
        return _patch(state, change)
    newest = change.stamp  # a digest of all that was said: made once
    if state.base is not None and newest <= state.base:
        return state
    kept = {name: stamp for name, stamp in state.patched.items() if stamp.version >= change.version}
    fields = _put_fields(change) if isinstance(change, Put) else {}
    fields |= {name: state.fields.get(name) for name in kept}
    return ProductState(
        base=newest,
        patched=kept,
        live=isinstance(change, Put),
        content=change.product.content if isinstance(change, Put) else None,
        fields={name: value for name, value in fields.items() if value is not None},
    )


def _patch(state: ProductState, change: Patch) -> ProductState:
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
    """A photo that could not be had and may yet be.

    `tries` is how often it was tried, `at` when to try again in milliseconds since the epoch; None: not by itself.
    """

    tries: int
    at: int | None


@dataclass(frozen=True, slots=True)
class IndexedState:
    """What the index has of a product: its state, and of which content in which space its vectors were made.

    With a `retry` they were made without the photo, and are made again whenever the product is next put. `held` is the
    whole point where it was asked for; it belongs to the index that read it, and nobody else looks inside.
    """

    state: ProductState
    revision: str
    fingerprint: str | None = None
    retry: PendingImageRetry | None = None
    held: object | None = field(default=None, repr=False, compare=False)


# The payload fields that `known_from` reads: an adapter need fetch no others.
RETRY_FIELDS = ("image_tries", "image_retry_at")
KNOWN_FIELDS = ("clock", "live", "attributes", *OFFER_FIELDS, "revision", "fingerprint", *RETRY_FIELDS)


def known_from(payload: Mapping[str, Any]) -> IndexedState:
    """The index's knowledge of a product, from the payload of its point."""
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
    retry = None if tries is None else PendingImageRetry(tries, payload.get("image_retry_at"))
    return IndexedState(state, payload["revision"], payload.get("fingerprint"), retry)


def payload_of(
    state: ProductState, *, fingerprint: str | None, event_time: int, retry: PendingImageRetry | None = None
) -> Payload:
    """The payload of a state, less what travels only with new content: title, images and the image's state.

    `event_time` is the record time of the newest event applied, in milliseconds since the epoch.
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
        **retry_payload(state, fingerprint, retry),
    }


def retry_payload(state: ProductState, fingerprint: str | None, retry: PendingImageRetry | None) -> Payload:
    """The fields of a payload that change when only the retry does: its own, where there is one, and the revision.

    The moment of the retry is part of the revision: of two who would both make the next try one is refused.
    """
    if retry is None:
        return {"revision": digest([_clock(state), fingerprint])}
    revision = digest([_clock(state), fingerprint, retry.tries, retry.at])
    return {"image_tries": retry.tries, "image_retry_at": retry.at, "revision": revision}


def _clock(state: ProductState) -> Payload:
    return {
        "base": list(state.base) if state.base else None,
        "patched": {name: list(stamp) for name, stamp in sorted(state.patched.items())},
    }


def _stamp(parts: list[Any]) -> VersionStamp:
    version, rank, tie = parts
    return VersionStamp(int(version), int(rank), str(tie))
