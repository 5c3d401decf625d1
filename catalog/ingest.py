"""The main path: records in, written points out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catalog.batch import Batch
from catalog.decide import InlinePolicy, decide, write_of
from catalog.errors import Unavailable
from catalog.events import Contract, Parsed, parse
from catalog.ports import Index, ItemEncoder, Outcome, Quarantine, Write
from catalog.record import Record, Reject
from catalog.rejects import RejectLimit, RejectMeter
from catalog.repair import RepairPolicy


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """The contract of the events, what is kept inline, what may be refused, when photos are tried again.

    `max_rounds` is how often a point may move under our hands.

    Only another writer of the same product moves a point, and it moves it forward: more than a few rounds means that
    something is broken.
    """

    contract: Contract = Contract()
    inline: InlinePolicy = InlinePolicy()
    limit: RejectLimit = RejectLimit()
    repair: RepairPolicy = RepairPolicy()
    max_rounds: int = 20


class Ingest:
    """Changes in, written points out, in four steps that may overlap for successive batches.

    Every step may be repeated, and a batch decided while the one before it is in flight is right all the same: a write
    holds only for the state it was decided on, and what has moved is decided again.
    Raises only Unavailable (try the step again later) and Hopeless (stop the worker).
    """

    def __init__(
        self,
        *,
        index: Index,
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

    async def plan(self, records: Sequence[Record]) -> Batch:
        """Read the records, and decide what each product becomes."""
        batch = Batch(records=len(records))
        now_ms = round(self._clock() * 1000) if self._clock else None
        for record in records:
            match parse(record, self._policy.contract, now_ms=now_ms):
                case Reject() as reject:
                    batch.rejects.append(reject)
                case None:
                    pass
                case Parsed() as parsed:
                    batch.said.setdefault(parsed.change.key, []).append(parsed)
        batch.due.update(batch.said)
        await self._decide(batch)
        return batch

    async def prepare(self, batch: Batch) -> None:
        """Network and CPU: fetch and decode photos, tokenize titles. A photo that cannot be had is a value."""
        wanted = {mark: content for mark, content in batch.wanted().items() if mark not in batch.prepared}
        if wanted:
            batch.prepared.update(zip(wanted, await self._encoder.prepare(list(wanted.values())), strict=True))

    async def encode(self, batch: Batch) -> None:
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

    async def write(self, batch: Batch) -> None:
        """The index first, then quarantine: once this returns the records may be acknowledged."""
        rounds = 0
        while True:
            await self.encode(batch)
            if not batch.open:
                break
            if rounds == self._policy.max_rounds:
                raise Unavailable(
                    f"{len(batch.open)} products keep changing under our writes; another writer is at them"
                )
            outcome = await self._index.write(self._writes(batch))
            self._settle(batch, outcome)
            rounds += bool(outcome.moved)
        if not batch.counted:  # a write may be repeated
            batch.counted = True
            self._meter.count(batch.records, batch.rejects)
        if batch.rejects:
            # Before anything is put: what stops the worker here comes again, whole.
            self._meter.check()
            await self._quarantine.put(batch.rejects)

    def _writes(self, batch: Batch) -> list[Write]:
        policy, now_ms = self._policy, round((self._clock or time.time)() * 1000)
        return [write_of(d, batch.encoded, policy.inline, policy.repair, now_ms=now_ms) for d in batch.open.values()]

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        for key in list(batch.open):
            if key in outcome.moved:
                batch.again(key)
            elif key in outcome.invalid:
                batch.refuse_point(key, outcome.invalid[key])
            else:
                batch.done(key)

    def _refuse(self, batch: Batch, culprits: set[str]) -> None:
        for key, d in list(batch.open.items()):
            if d.encode is not None and d.fingerprint in culprits:
                batch.refuse_content(key, d.encode, "the encoder gave no finite vector for this title and image")

    async def _decide(self, batch: Batch) -> None:
        while batch.due:
            keys = list(batch.due)
            known = await self._index.known(keys)
            batch.due.clear()
            for key in keys:
                decision = (
                    decide(key, batch.said[key], known.get(key), self._encoder.space) if batch.said[key] else None
                )
                if decision is None or decision.stale:
                    batch.done(key)
                else:
                    batch.open[key] = decision
