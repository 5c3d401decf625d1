"""The main path: records in, written points out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from catalog.change import Put
from catalog.decide import Decision, InlinePolicy, decide, write_of
from catalog.errors import Unavailable
from catalog.events import Contract, Parsed, parse
from catalog.ports import Encoded, Index, ItemEncoder, Outcome, Prepared, Quarantine
from catalog.product import Content, Key
from catalog.record import Record, Reject, Stage
from catalog.rejects import RejectLimit, RejectMeter


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """The contract of the events, what is kept inline, what may be refused, how often a point may move under our hands.

    Only another writer of the same product moves a point, and it moves it forward: more than a few rounds means that
    something is broken.
    """

    contract: Contract = Contract()
    inline: InlinePolicy = InlinePolicy()
    limit: RejectLimit = RejectLimit()
    max_rounds: int = 20


@dataclass(slots=True)
class Batch:
    """Some records on their way. Vectors are kept by fingerprint: equal content is encoded once."""

    said: dict[Key, list[Parsed]] = field(default_factory=dict)
    open: dict[Key, Decision] = field(default_factory=dict)
    prepared: dict[str, Prepared] = field(default_factory=dict)
    encoded: dict[str, Encoded] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    records: int = 0
    counted: bool = False

    def wanted(self) -> dict[str, Content]:
        """The contents still to be encoded, by fingerprint."""
        return {
            d.fingerprint: d.encode
            for d in self.open.values()
            if d.encode is not None and d.fingerprint is not None and d.fingerprint not in self.encoded
        }

    def reject(self, key: Key, stage: Stage, reason: str, content: Content | None = None) -> None:
        """Refuse what was said of a product; with `content`, only the puts that brought it."""
        said, self.said[key] = self.said[key], []
        for p in said:
            if content is None or (isinstance(p.change, Put) and p.change.product.content == content):
                self.rejects.append(Reject(p.record, stage, reason))
            else:
                self.said[key].append(p)


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds; the window of refusals is measured with it."""
        self._index = index
        self._encoder = encoder
        self._quarantine = quarantine
        self._policy = policy
        self._meter = RejectMeter(policy.limit, clock=clock)

    async def plan(self, records: Sequence[Record]) -> Batch:
        """Read the records, and decide what each product becomes."""
        batch = Batch(records=len(records))
        for record in records:
            match parse(record, self._policy.contract):
                case Reject() as reject:
                    batch.rejects.append(reject)
                case Parsed() as parsed:
                    batch.said.setdefault(parsed.change.key, []).append(parsed)
        await self._decide(batch, batch.said)
        return batch

    async def prepare(self, batch: Batch) -> None:
        """Network and CPU: fetch and decode photos, tokenize titles. A photo that cannot be had is a value."""
        wanted = {mark: content for mark, content in batch.wanted().items() if mark not in batch.prepared}
        if wanted:
            batch.prepared.update(zip(wanted, await self._encoder.prepare(list(wanted.values())), strict=True))

    async def encode(self, batch: Batch) -> None:
        """Device: one forward. What gives no finite vector is refused; its neighbours go on."""
        while wanted := batch.wanted():
            made = await self._encoder.encode([batch.prepared[mark] for mark in wanted])
            culprits = set()
            for mark, one in zip(wanted, made, strict=True):
                if one is None:
                    culprits.add(mark)
                else:
                    batch.encoded[mark] = one
            await self._refuse(batch, culprits)
            await self.prepare(batch)

    async def write(self, batch: Batch) -> None:
        """The index first, then quarantine: once this returns the records may be acknowledged."""
        for _ in range(self._policy.max_rounds):
            if not batch.open:
                break
            # Both do nothing for a batch that comes through the steps in turn; what has moved may need them again.
            await self.prepare(batch)
            await self.encode(batch)
            writes = [write_of(d, batch.encoded, self._policy.inline) for d in batch.open.values()]
            await self._settle(batch, await self._index.write(writes))
        if batch.open:
            raise Unavailable(f"{len(batch.open)} products keep changing under our writes; another writer is at them")
        if not batch.counted:  # a write may be repeated
            batch.counted = True
            self._meter.count(batch.records, batch.rejects)
        if batch.rejects:
            # Before anything is put: what stops the worker here comes again, whole.
            self._meter.check()
            await self._quarantine.put(batch.rejects)

    async def _settle(self, batch: Batch, outcome: Outcome) -> None:
        for key, reason in outcome.invalid.items():
            batch.reject(key, Stage.INDEX, reason)
        batch.open = {key: d for key, d in batch.open.items() if key in outcome.moved}
        await self._decide(batch, outcome.moved)

    async def _refuse(self, batch: Batch, culprits: set[str]) -> None:
        keys = [key for key, d in batch.open.items() if d.encode is not None and d.fingerprint in culprits]
        for key in keys:
            batch.reject(
                key, Stage.ENCODE, "the encoder gave no finite vector for this title and image", batch.open[key].encode
            )
        await self._decide(batch, keys)

    async def _decide(self, batch: Batch, keys: Iterable[Key]) -> None:
        keys = list(keys)
        known = await self._index.known(keys) if keys else {}
        for key in keys:
            batch.open.pop(key, None)
            if not batch.said[key]:
                continue
            decision = decide(key, batch.said[key], known.get(key), self._encoder.space)
            if not decision.stale:
                batch.open[key] = decision
