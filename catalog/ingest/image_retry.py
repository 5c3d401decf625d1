"""Photos that could not be had, tried again by themselves: the index knows which, and when.

A product whose photo may yet be had waits in its own point: `image_tries` says how often it was tried, `image_retry_at`
when it is tried again. No other list is kept, so a put, a patch or a delete needs to tell nobody.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from catalog.domain.fingerprint import fingerprint
from catalog.domain.image_state import ImageState
from catalog.domain.product import Content, ProductKey
from catalog.domain.state import RETRY_FIELDS, IndexedState, Payload, PendingImageRetry, known_from, retry_payload
from catalog.errors import Unavailable
from catalog.ports import (
    EncodedItem,
    ImageRetryQueue,
    ItemEncoder,
    PreparedItem,
    ProductWrite,
    ProductWriter,
    WriteResult,
)

log = logging.getLogger(__name__)

# After these the same title and images may well give another vector next time: shops often say that a product is
# there before its photo is.
CAN_HEAL = frozenset({ImageState.MISSING, ImageState.UNAVAILABLE})
# These only when somebody allows them, who then puts the product again.
PUT_MAY_HEAL = frozenset({ImageState.BLOCKED})

MINUTE, HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class ImageRetryPolicy:
    """When a photo is tried again: after each of `delays_s` seconds, one after the other, then no more by itself.

    Each is made longer by up to `jitter` of itself, another share for every product, so that the products of a host
    that was away do not come back at once. Every `every_s` seconds a worker looks for up to `page` products that are
    due, and takes them for at least `lease_s`; if it dies they are due again after that. A try counts when it is begun,
    so a photo with which workers die, or that takes longer than the lease, is not tried for ever.
    """

    delays_s: tuple[float, ...] = (30, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, 24 * HOUR)
    jitter: float = 0.2
    every_s: float = 5.0
    lease_s: float = 60.0
    page: int = 32

    def after(self, key: ProductKey, state: ImageState, *, tries: int, now_ms: int) -> PendingImageRetry | None:
        """What waits after the `tries`-th try ended so, `now_ms` since the epoch; None where it cannot heal."""
        if state not in CAN_HEAL | PUT_MAY_HEAL:
            return None
        if state in PUT_MAY_HEAL or tries > len(self.delays_s):
            return PendingImageRetry(tries, None)
        longer = 1 + self.jitter * _share(key, tries)
        return PendingImageRetry(tries, now_ms + round(1000 * self.delays_s[tries - 1] * longer))


@dataclass(frozen=True, slots=True)
class _ClaimedProduct:
    """A product that is taken: what its point says since."""

    key: ProductKey
    known: IndexedState
    payload: Payload
    retry: PendingImageRetry

    @property
    def content(self) -> Content:
        return Content(self.payload["title"], tuple(self.payload["images"]))

    def write(self, retry: PendingImageRetry | None, said: Payload | None = None) -> ProductWrite:
        """A payload-only write: the vectors stay."""
        gone = dict.fromkeys(RETRY_FIELDS) if retry is None else {}
        return ProductWrite(self.key, self.known.revision, {**(said or {}), **gone, **self._becomes(retry)}, None)

    def healed(self, made: EncodedItem) -> ProductWrite:
        """The whole point, with its photo."""
        kept = {name: value for name, value in self.payload.items() if name not in RETRY_FIELDS}
        payload = {**kept, **_said(made.image_state, made.image_reason), **self._becomes(None)}
        return ProductWrite(self.key, self.known.revision, payload, made.vectors)

    def _becomes(self, retry: PendingImageRetry | None) -> Payload:
        return retry_payload(self.known.state, self.known.fingerprint, retry)


class ImageRetrier:
    """Tries photos again when their time has come. Any number of workers may, side by side.

    Every write holds only for the state it was decided on. What moved is left alone: whoever moved it has decided anew,
    or has kept the retry. Raises only Unavailable and Hopeless.
    """

    def __init__(
        self,
        *,
        index: ProductWriter,
        unhealed: ImageRetryQueue,
        encoder: ItemEncoder,
        policy: ImageRetryPolicy = ImageRetryPolicy(),
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`clock` gives seconds since the epoch, `chance` numbers from 0 to 1."""
        self._index = index
        self._unhealed = unhealed
        self._encoder = encoder
        self._policy = policy
        self._clock = clock
        self._chance = chance

    async def run(self) -> None:
        """Rounds until cancelled; after an outage it goes on by itself. Raises Hopeless."""
        away = False
        while True:
            tried = 0
            try:
                tried = await self.round()
                away = False
            except Unavailable as error:
                if not away:
                    log.warning("Photos that could not be had are not tried again until this is over: %s", error)
                away = True
            if tried < self._policy.page:
                await asyncio.sleep(self._policy.every_s)

    async def round(self) -> int:
        """One page of what is due, tried again; how many were."""
        due = await self._unhealed.due(self._now_ms(), limit=self._policy.page)
        cases = await self._claim([_case(payload) for payload in due])
        if not cases:
            return 0
        outcome = await self._write(await self._try(cases))
        if outcome.invalid:
            refused = [case for case in cases if case.key in outcome.invalid]
            await self._index.write([case.write(PendingImageRetry(case.retry.tries, None)) for case in refused])
        return len(cases)

    async def _write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        return await self._index.write(writes)

    async def _claim(self, cases: Sequence[_ClaimedProduct]) -> list[_ClaimedProduct]:
        """Those that are ours for a while. The time is drawn: two that take a product at once must not agree on it.

        What no try can help is given up.
        """
        if not cases:
            return []
        claimed, writes = [], []
        for case in cases:
            if not self._may_try(case):
                writes.append(case.write(PendingImageRetry(case.retry.tries, None)))
                continue
            lease_ms = round(1000 * self._policy.lease_s * (1 + self._chance()))
            write = case.write(PendingImageRetry(case.retry.tries + 1, self._now_ms() + lease_ms))
            writes.append(write)
            claimed.append(_case({**case.payload, **write.payload}))
        outcome = await self._index.write(writes)
        return [case for case in claimed if case.key not in outcome.moved and case.key not in outcome.invalid]

    def _may_try(self, case: _ClaimedProduct) -> bool:
        """Not where the last try was begun and came to no end.

        Nor what the payload does not have whole, such as a photo that was given inline: another put brings it again.
        """
        whole = fingerprint(self._encoder.space, case.content) == case.known.fingerprint
        return whole and case.retry.tries <= len(self._policy.delays_s)

    async def _try(self, cases: Sequence[_ClaimedProduct]) -> list[ProductWrite]:
        prepared = await self._encoder.prepare([case.content for case in cases])
        pairs = list(zip(cases, prepared, strict=True))
        had = [(case, p) for case, p in pairs if p.image_state is ImageState.OK]
        made = await self._encoder.encode([p for _, p in had]) if had else []
        writes = [self._made(case, one) for (case, _), one in zip(had, made, strict=True)]
        return writes + [self._not_had(case, p) for case, p in pairs if p.image_state is not ImageState.OK]

    def _made(self, case: _ClaimedProduct, made: EncodedItem | None) -> ProductWrite:
        if made is None:
            return case.write(None, _said(ImageState.BROKEN, "the encoder gave no finite vector for it"))
        return case.healed(made)

    def _not_had(self, case: _ClaimedProduct, prepared: PreparedItem) -> ProductWrite:
        state = prepared.image_state
        retry = self._policy.after(case.key, state, tries=case.retry.tries, now_ms=self._now_ms())
        return case.write(retry, _said(state, prepared.image_reason))

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _case(payload: Payload) -> _ClaimedProduct:
    known = known_from(payload)
    return _ClaimedProduct(
        ProductKey(payload["tenant"], payload["id"]), known, payload, known.retry or PendingImageRetry(0, None)
    )


def _said(state: ImageState, reason: str) -> Payload:
    return {"image_state": state.value, "image_reason": reason}


def _share(key: ProductKey, tries: int) -> float:
    """A number from 0 to 1 that differs from product to product, and from try to try."""
    name = repr((*key, tries)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=4).digest(), "big") / 2**32
