"""The ingest path: records to written points, in four steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catalog.domain.product import ProductKey
from catalog.domain.record import Record, Reject
from catalog.domain.state import STATE_FIELDS, Payload, indexed_state_from
from catalog.errors import Unavailable
from catalog.events.parser import ParsedEvent, ParserConfig, parse
from catalog.ingest.batch import IngestBatch
from catalog.ingest.decide import InlinePolicy, decide, write_of
from catalog.ingest.image_retry import ImageRetryPolicy
from catalog.ingest.reject_limit import RejectLimit, RejectMeter
from catalog.ports import ItemEncoder, ProductWrite, ProductWriter, Quarantine, WriteResult


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """Parser configuration, inline photos, reject limit and image retries.

    `max_rounds` is the number of rounds with conflicts that a write allows. Only another writer of the same product
    causes a conflict, and its write moves the point forward, so more than a few rounds mean a defect.

    `recent_writes` is the number of products whose last write is remembered, so that a batch planned earlier need not
    read them again: at least the products of all batches in flight.
    """

    parser: ParserConfig = ParserConfig()
    inline: InlinePolicy = InlinePolicy()
    reject_limit: RejectLimit = RejectLimit()
    image_retry: ImageRetryPolicy = ImageRetryPolicy()
    max_rounds: int = 20
    recent_writes: int = 2048


class Ingest:
    """Turns records into written points, in four steps that may overlap for successive batches.

    Every step may be repeated. Writes use optimistic concurrency: a write holds only for the revision it was decided
    on, and a conflict is decided again. So a batch may be planned while an earlier one is in flight.
    Raises only Unavailable (retry the step later) and FatalError (stop the worker).
    """

    def __init__(
        self,
        *,
        index: ProductWriter,
        encoder: ItemEncoder,
        quarantine: Quarantine,
        policy: IngestPolicy = IngestPolicy(),
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` gives seconds since the epoch, and also times the reject window and the image retries.

        Without a clock no version is rejected as too far ahead.
        """
        self._index = index
        self._encoder = encoder
        self._quarantine = quarantine
        self._policy = policy
        self._clock = clock
        self._meter = RejectMeter(policy.reject_limit, clock=clock or time.monotonic)
        self._recent_writes: dict[ProductKey, tuple[int, Payload]] = {}
        self._write_epoch = 0

    async def plan(self, records: Sequence[Record]) -> IngestBatch:
        """Parse the records, and decide the next state of each product."""
        batch = IngestBatch(records=len(records))
        now_ms = round(self._clock() * 1000) if self._clock else None
        for record in records:
            match parse(record, self._policy.parser, now_ms=now_ms):
                case Reject() as reject:
                    batch.rejects.append(reject)
                case None:
                    pass
                case ParsedEvent() as event:
                    batch.changes.setdefault(event.change.key, []).append(event)
        batch.undecided.update(batch.changes)
        await self._decide(batch)
        return batch

    async def prepare(self, batch: IngestBatch) -> None:
        """Network and CPU: fetch and decode photos, tokenize titles. A failed photo is a value."""
        contents = {f: content for f, content in batch.contents_to_encode().items() if f not in batch.prepared}
        if contents:
            batch.prepared.update(zip(contents, await self._encoder.prepare(list(contents.values())), strict=True))

    async def encode(self, batch: IngestBatch) -> None:
        """Device: one forward pass. Content without a finite vector is rejected; the rest of the batch continues."""
        while True:
            # Both do nothing on the first pass through the steps; a second decision may need them.
            await self._decide(batch)
            await self.prepare(batch)
            fingerprints = list(batch.contents_to_encode())
            if not fingerprints:
                break
            items = await self._encoder.encode([batch.prepared[fingerprint] for fingerprint in fingerprints])
            culprits = set()
            for fingerprint, item in zip(fingerprints, items, strict=True):
                if item is None:
                    culprits.add(fingerprint)
                else:
                    batch.encoded[fingerprint] = item
            self._refuse(batch, culprits)

    async def write(self, batch: IngestBatch) -> None:
        """Write the index first, then quarantine. When it returns, the records may be acknowledged."""
        rounds = 0
        while True:
            self._rebase(batch)
            await self.encode(batch)
            if not batch.decided:
                break
            if rounds == self._policy.max_rounds:
                raise Unavailable(
                    f"{len(batch.decided)} products still conflict after {rounds} rounds: another writer changes them"
                )
            writes = self._writes(batch)
            result = await self._index.write(writes)
            self._apply_result(batch, writes, result)
            rounds += bool(result.conflicts)
        if not batch.counted:  # a write may be repeated
            batch.counted = True
            self._meter.count(batch.records, batch.rejects)
        if batch.rejects:
            # Before quarantine, because all rejects that stop the worker here are delivered again.
            self._meter.check()
            await self._quarantine.put(batch.rejects)

    def _writes(self, batch: IngestBatch) -> list[ProductWrite]:
        policy, now_ms = self._policy, round((self._clock or time.time)() * 1000)
        return [
            write_of(d, batch.encoded, policy.inline, policy.image_retry, now_ms=now_ms) for d in batch.decided.values()
        ]

    def _rebase(self, batch: IngestBatch) -> None:
        """Decide again the products that earlier batches have written since this one read their states.

        The payload of that write replaces a read. It may be outdated, too: compare-and-set then reports a conflict.
        If the new decision is stale, the index is read, because no write would detect an outdated payload.
        """
        for key in list(batch.decided):
            epoch, payload = self._recent_writes.get(key, (0, {}))
            if epoch <= batch.write_epoch:
                continue
            decision = decide(key, batch.changes[key], indexed_state_from(payload), self._encoder.space)
            if decision.stale:
                batch.redecide(key)
            else:
                batch.decided[key] = decision

    def _apply_result(self, batch: IngestBatch, writes: Sequence[ProductWrite], result: WriteResult) -> None:
        self._write_epoch += 1
        for write in writes:
            key = write.key
            self._recent_writes.pop(key, None)
            if key in result.conflicts:
                batch.redecide(key)
            elif key in result.invalid:
                batch.refuse_point(key, result.invalid[key])
            else:
                # Only the fields of the state: other fields may contain a whole photo.
                state_fields = {name: write.payload[name] for name in STATE_FIELDS if name in write.payload}
                self._recent_writes[key] = self._write_epoch, state_fields
                batch.settle(key)
        while len(self._recent_writes) > self._policy.recent_writes:
            del self._recent_writes[next(iter(self._recent_writes))]

    def _refuse(self, batch: IngestBatch, culprits: set[str]) -> None:
        for key, d in list(batch.decided.items()):
            if d.encode is not None and d.fingerprint in culprits:
                batch.refuse_content(key, d.encode, "the encoder gave no finite vector for this title and image")

    async def _decide(self, batch: IngestBatch) -> None:
        while batch.undecided:
            keys = list(batch.undecided)
            batch.write_epoch = self._write_epoch
            patched = [key for key in keys if batch.only_patches(key)]
            states = await self._index.read_states(keys, with_stored_point=patched)
            batch.undecided.clear()
            for key in keys:
                events = batch.changes[key]
                decision = decide(key, events, states.get(key), self._encoder.space) if events else None
                if decision is None or decision.stale:
                    batch.settle(key)
                else:
                    batch.decided[key] = decision
