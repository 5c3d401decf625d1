"""The main path: records in, written points out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catalog.domain.product import ProductKey
from catalog.domain.record import Record, Reject
from catalog.domain.state import KNOWN_FIELDS, Payload, known_from
from catalog.errors import Unavailable
from catalog.events.parser import ParsedEvent, ParserConfig, parse
from catalog.ingest.batch import IngestBatch
from catalog.ingest.decide import InlinePolicy, decide, write_of
from catalog.ingest.image_retry import ImageRetryPolicy
from catalog.ingest.reject_limit import RejectLimit, RejectMeter
from catalog.ports import ItemEncoder, ProductWrite, ProductWriter, Quarantine, WriteResult


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """The contract of the events, what is kept inline, what may be refused, when photos are tried again.

    `max_rounds` is how often a point may move under our hands. Only another writer of the same product moves a point,
    and it moves it forward: more than a few rounds means that something is broken.

    `remembered` are the products written last, of which a batch that was planned before need not ask: as many as there
    may be in the batches in flight.
    """

    contract: ParserConfig = ParserConfig()
    inline: InlinePolicy = InlinePolicy()
    limit: RejectLimit = RejectLimit()
    repair: ImageRetryPolicy = ImageRetryPolicy()
    max_rounds: int = 20
    remembered: int = 2048


class Ingest:
    """Changes in, written points out, in four steps that may overlap for successive batches.

    Every step may be repeated, and a batch decided while the one before it is in flight is right all the same: a write
    holds only for the state it was decided on, and what has moved is decided again.
    Raises only Unavailable (try the step again later) and Hopeless (stop the worker).
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
        """`clock` gives seconds since the epoch; without one no version is too far ahead.

        The window of refusals and the waits for photos are measured with it too.
        """
        self._index = index
        self._encoder = encoder
        self._quarantine = quarantine
        self._policy = policy
        self._clock = clock
        self._meter = RejectMeter(policy.limit, clock=clock or time.monotonic)
        self._written: dict[ProductKey, tuple[int, Payload]] = {}
        self._writes_made = 0

    async def plan(self, records: Sequence[Record]) -> IngestBatch:
        """Read the records, and decide what each product becomes."""
        batch = IngestBatch(records=len(records))
        now_ms = round(self._clock() * 1000) if self._clock else None
        for record in records:
            match parse(record, self._policy.contract, now_ms=now_ms):
                case Reject() as reject:
                    batch.rejects.append(reject)
                case None:
                    pass
                case ParsedEvent() as parsed:
                    batch.said.setdefault(parsed.change.key, []).append(parsed)
        batch.due.update(batch.said)
        await self._decide(batch)
        return batch

    async def prepare(self, batch: IngestBatch) -> None:
        """Network and CPU: fetch and decode photos, tokenize titles. A photo that cannot be had is a value."""
        wanted = {mark: content for mark, content in batch.wanted().items() if mark not in batch.prepared}
        if wanted:
            batch.prepared.update(zip(wanted, await self._encoder.prepare(list(wanted.values())), strict=True))

    async def encode(self, batch: IngestBatch) -> None:
        """Device: one forward. What gives no finite vector is refused; its neighbours go on."""
        while True:
            # Both do nothing for a batch that comes through the steps in turn; what is decided again may need them.
            await self._decide(batch)
            await self.prepare(batch)
            wanted = batch.wanted()
            if not wanted:
                break
            made = await self._encoder.encode([batch.prepared[mark] for mark in wanted])
            culprits = set()
            for mark, one in zip(wanted, made, strict=True):
                if one is None:
                    culprits.add(mark)
                else:
                    batch.encoded[mark] = one
            self._refuse(batch, culprits)

    async def write(self, batch: IngestBatch) -> None:
        """The index first, then quarantine: once this returns the records may be acknowledged."""
        rounds = 0
        while True:
            self._catch_up(batch)
            await self.encode(batch)
            if not batch.open:
                break
            if rounds == self._policy.max_rounds:
                raise Unavailable(
                    f"{len(batch.open)} products keep changing under our writes; another writer is at them"
                )
            writes = self._writes(batch)
            outcome = await self._index.write(writes)
            self._settle(batch, writes, outcome)
            rounds += bool(outcome.moved)
        if not batch.counted:  # a write may be repeated
            batch.counted = True
            self._meter.count(batch.records, batch.rejects)
        if batch.rejects:
            # Before anything is put: what stops the worker here comes again, whole.
            self._meter.check()
            await self._quarantine.put(batch.rejects)

    def _writes(self, batch: IngestBatch) -> list[ProductWrite]:
        policy, now_ms = self._policy, round((self._clock or time.time)() * 1000)
        return [write_of(d, batch.encoded, policy.inline, policy.repair, now_ms=now_ms) for d in batch.open.values()]

    def _catch_up(self, batch: IngestBatch) -> None:
        """Decide again what the batches before this one have moved since it was planned.

        What they wrote is known without asking. It may be out of date in its turn: the guard tells, and where nothing
        would be left to write, the index is asked.
        """
        for key in list(batch.open):
            made, payload = self._written.get(key, (0, {}))
            if made <= batch.asked:
                continue
            decision = decide(key, batch.said[key], known_from(payload), self._encoder.space)
            if decision.stale:
                batch.again(key)
            else:
                batch.open[key] = decision

    def _settle(self, batch: IngestBatch, writes: Sequence[ProductWrite], outcome: WriteResult) -> None:
        self._writes_made += 1
        for write in writes:
            key = write.key
            self._written.pop(key, None)
            if key in outcome.moved:
                batch.again(key)
            elif key in outcome.invalid:
                batch.refuse_point(key, outcome.invalid[key])
            else:
                # No more than that: a photo may be in the payload itself.
                said = {name: write.payload[name] for name in KNOWN_FIELDS if name in write.payload}
                self._written[key] = self._writes_made, said
                batch.done(key)
        while len(self._written) > self._policy.remembered:
            del self._written[next(iter(self._written))]

    def _refuse(self, batch: IngestBatch, culprits: set[str]) -> None:
        for key, d in list(batch.open.items()):
            if d.encode is not None and d.fingerprint in culprits:
                batch.refuse_content(key, d.encode, "the encoder gave no finite vector for this title and image")

    async def _decide(self, batch: IngestBatch) -> None:
        while batch.due:
            keys = list(batch.due)
            batch.asked = self._writes_made
            known = await self._index.known(keys, whole=[key for key in keys if batch.patched(key)])
            batch.due.clear()
            for key in keys:
                decision = (
                    decide(key, batch.said[key], known.get(key), self._encoder.space) if batch.said[key] else None
                )
                if decision is None or decision.stale:
                    batch.done(key)
                else:
                    batch.open[key] = decision
