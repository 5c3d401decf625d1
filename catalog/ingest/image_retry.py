"""Automatic retries of failed photo downloads. The index itself is the queue.

A product whose photo may still arrive waits in its own point: `image_tries` is the number of attempts so far,
`image_retry_at` the time of the next one. There is no other list, so a put, a patch or a delete has nothing to update.
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
from catalog.domain.state import (
    RETRY_FIELDS,
    IndexedState,
    Payload,
    PendingImageRetry,
    indexed_state_from,
    retry_payload,
)
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

# The same title and images may give another vector later: shops often publish a product before its photo.
CAN_HEAL = frozenset({ImageState.MISSING, ImageState.UNAVAILABLE})
# An operator must allow the address first, and then put the product again.
PUT_MAY_HEAL = frozenset({ImageState.BLOCKED})

MINUTE, HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class ImageRetryPolicy:
    """The delays between attempts at a photo, `delays_s` in seconds; after the last one only a put tries again.

    Each delay is lengthened by up to `jitter` of itself. The share differs by product, so that the products of a host
    do not all return at once after an outage. Every `poll_interval_s` a worker claims up to `page_size` due products
    for at least `lease_s`; if it dies, they are due again afterwards. An attempt counts when it begins. So a photo
    that kills workers, or that takes longer than the lease, is not retried for ever.
    """

    delays_s: tuple[float, ...] = (30, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, 24 * HOUR)
    jitter: float = 0.2
    poll_interval_s: float = 5.0
    lease_s: float = 60.0
    page_size: int = 32

    def after(self, key: ProductKey, state: ImageState, *, tries: int, now_ms: int) -> PendingImageRetry | None:
        """The retry to schedule after attempt number `tries` ended in `state`; None if a retry cannot help.

        `now_ms` is in milliseconds since the epoch.
        """
        if state not in CAN_HEAL | PUT_MAY_HEAL:
            return None
        if state in PUT_MAY_HEAL or tries > len(self.delays_s):
            return PendingImageRetry(tries, None)
        factor = 1 + self.jitter * _jitter_share(key, tries)
        return PendingImageRetry(tries, now_ms + round(1000 * self.delays_s[tries - 1] * factor))


@dataclass(frozen=True, slots=True)
class _ClaimedProduct:
    """A due product, as its point describes it."""

    key: ProductKey
    indexed: IndexedState
    payload: Payload
    pending: PendingImageRetry

    @property
    def content(self) -> Content:
        return Content(self.payload["title"], tuple(self.payload["images"]))

    def reschedule(self, pending: PendingImageRetry | None, image_fields: Payload | None = None) -> ProductWrite:
        """A payload-only write that sets the next retry, or none; the vectors stay."""
        cleared = dict.fromkeys(RETRY_FIELDS) if pending is None else {}
        payload = {**(image_fields or {}), **cleared, **self._retry_fields(pending)}
        return ProductWrite(self.key, self.indexed.revision, payload, None)

    def with_photo(self, item: EncodedItem) -> ProductWrite:
        """The whole point, with the vectors of its photo."""
        payload = {name: value for name, value in self.payload.items() if name not in RETRY_FIELDS}
        payload |= {**_image_fields(item.image_state, item.image_reason), **self._retry_fields(None)}
        return ProductWrite(self.key, self.indexed.revision, payload, item.vectors)

    def _retry_fields(self, pending: PendingImageRetry | None) -> Payload:
        return retry_payload(self.indexed.state, self.indexed.fingerprint, pending)


class ImageRetrier:
    """Retries photos that are due. Any number of workers may do so concurrently.

    Every write is a compare-and-set on the revision that was read. A product with a conflict is left alone: the other
    writer has decided it again, or has kept the retry. Raises only Unavailable and FatalError.
    """

    def __init__(
        self,
        *,
        index: ProductWriter,
        retry_queue: ImageRetryQueue,
        encoder: ItemEncoder,
        policy: ImageRetryPolicy = ImageRetryPolicy(),
        clock: Callable[[], float] = time.time,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """`clock` gives seconds since the epoch, `uniform` random numbers from 0 to 1."""
        self._index = index
        self._retry_queue = retry_queue
        self._encoder = encoder
        self._policy = policy
        self._clock = clock
        self._uniform = uniform

    async def run(self) -> None:
        """Runs rounds until cancelled; continues by itself after an outage. Raises FatalError."""
        unavailable = False
        while True:
            retried = 0
            try:
                retried = await self.round()
                unavailable = False
            except Unavailable as error:
                if not unavailable:
                    log.warning("Image retries pause until the service answers: %s", error)
                unavailable = True
            if retried < self._policy.page_size:
                await asyncio.sleep(self._policy.poll_interval_s)

    async def round(self) -> int:
        """Retry one page of due products. Returns their number."""
        due = await self._retry_queue.due(self._now_ms(), limit=self._policy.page_size)
        products = await self._claim([_claimed(payload) for payload in due])
        if not products:
            return 0
        result = await self._write(await self._retry(products))
        if result.invalid:
            refused = [p for p in products if p.key in result.invalid]
            await self._index.write([p.reschedule(PendingImageRetry(p.pending.tries, None)) for p in refused])
        return len(products)

    async def _write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        return await self._index.write(writes)

    async def _claim(self, products: Sequence[_ClaimedProduct]) -> list[_ClaimedProduct]:
        """Take a lease on products, and return those that this worker got.

        The length of a lease is random, so that two workers cannot write equal revisions. Products that no retry can
        help are given up.
        """
        if not products:
            return []
        claimed, writes = [], []
        for product in products:
            if not self._may_retry(product):
                writes.append(product.reschedule(PendingImageRetry(product.pending.tries, None)))
                continue
            lease_ms = round(1000 * self._policy.lease_s * (1 + self._uniform()))
            write = product.reschedule(PendingImageRetry(product.pending.tries + 1, self._now_ms() + lease_ms))
            writes.append(write)
            claimed.append(_claimed({**product.payload, **write.payload}))
        result = await self._index.write(writes)
        return [p for p in claimed if p.key not in result.conflicts and p.key not in result.invalid]

    def _may_retry(self, product: _ClaimedProduct) -> bool:
        """Not if the last allowed attempt began and never ended.

        Nor if the payload is incomplete, such as a truncated inline photo: only another put brings the photo again.
        """
        complete = fingerprint(self._encoder.space, product.content) == product.indexed.fingerprint
        return complete and product.pending.tries <= len(self._policy.delays_s)

    async def _retry(self, products: Sequence[_ClaimedProduct]) -> list[ProductWrite]:
        prepared = await self._encoder.prepare([product.content for product in products])
        pairs = list(zip(products, prepared, strict=True))
        fetched = [(product, p) for product, p in pairs if p.image_state is ImageState.OK]
        items = await self._encoder.encode([p for _, p in fetched]) if fetched else []
        writes = [self._fetched(product, item) for (product, _), item in zip(fetched, items, strict=True)]
        return writes + [self._failed(product, p) for product, p in pairs if p.image_state is not ImageState.OK]

    def _fetched(self, product: _ClaimedProduct, item: EncodedItem | None) -> ProductWrite:
        if item is None:
            fields = _image_fields(ImageState.BROKEN, "the encoder gave no finite vector for it")
            return product.reschedule(None, fields)
        return product.with_photo(item)

    def _failed(self, product: _ClaimedProduct, prepared: PreparedItem) -> ProductWrite:
        state = prepared.image_state
        pending = self._policy.after(product.key, state, tries=product.pending.tries, now_ms=self._now_ms())
        return product.reschedule(pending, _image_fields(state, prepared.image_reason))

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _claimed(payload: Payload) -> _ClaimedProduct:
    indexed = indexed_state_from(payload)
    key = ProductKey(payload["tenant"], payload["id"])
    return _ClaimedProduct(key, indexed, payload, indexed.image_retry or PendingImageRetry(0, None))


def _image_fields(state: ImageState, reason: str) -> Payload:
    return {"image_state": state.value, "image_reason": reason}


def _jitter_share(key: ProductKey, tries: int) -> float:
    """A number from 0 to 1 that differs by product and by attempt."""
    name = repr((*key, tries)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=4).digest(), "big") / 2**32
