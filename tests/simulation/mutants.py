"""Mutants: one defect each, which the simulation must detect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import catalog.domain.state
from catalog.domain.change import Change, Patch
from catalog.domain.product import ProductKey
from catalog.domain.space import Space
from catalog.domain.state import IndexedState, ProductState
from catalog.events.parser import ParsedEvent
from catalog.ingest.batch import IngestBatch
from catalog.ingest.decide import Decision, decide
from catalog.ingest.image_retry import ImageRetrier
from catalog.ingest.ingest import Ingest
from catalog.ports import ProductWrite, WriteResult
from streams.pipeline.pipeline import Pipeline, _BatchInFlight
from tests.simulation.store import Store
from tests.simulation.world import SimIndex


class Unguarded(Store):
    """Writes succeed whatever the revision of the point."""

    def guards(self, write: ProductWrite) -> bool:
        return True


class AckFirst(Pipeline[IngestBatch]):
    """Records are acknowledged as soon as they are read."""

    async def _plan(self, flight: _BatchInFlight[IngestBatch]) -> None:
        await super()._plan(flight)
        for delivery in flight.deliveries:
            await delivery.ack()


class AnyOrder(Pipeline[IngestBatch]):
    """Batches overtake each other, and each is acknowledged as soon as it is written."""

    async def _wait_until_oldest(self, flight: _BatchInFlight[IngestBatch]) -> None: ...


class Forgetful(SimIndex):
    """A deleted product leaves no tombstone."""

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        result = await super().write(writes)
        for write in writes:
            if write.key not in result.conflicts and not write.payload.get("live", True):
                self._store.points.pop(write.key, None)
        return result


class NeighboursDropped(Ingest):
    """If one content has no finite vector, all contents of the batch are rejected."""

    def _refuse(self, batch: IngestBatch, culprits: set[str]) -> None:
        if culprits:
            culprits = {d.fingerprint for d in batch.decided.values() if d.encode is not None and d.fingerprint}
        super()._refuse(batch, culprits)


class NeighboursForgotten(Ingest):
    """If one content has no finite vector, the other contents of the batch are dropped silently."""

    def _refuse(self, batch: IngestBatch, culprits: set[str]) -> None:
        super()._refuse(batch, culprits)
        if culprits:
            batch.decided = {key: d for key, d in batch.decided.items() if d.encode is None}


class ConflictsIgnored(SimIndex):
    """A conflict counts as written."""

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        return replace(await super().write(writes), conflicts=frozenset())


class QuarantineSkipped(Ingest):
    """Rejects are acknowledged without quarantine if anything else of their batch was written."""

    async def write(self, batch: IngestBatch) -> None:
        if batch.decided:
            batch.rejects.clear()
        await super().write(batch)


class RetryUnguarded(ImageRetrier):
    """A photo is written whatever the revision of its product."""

    async def _write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        states = await self._index.read_states([w.key for w in writes])
        return await super()._write(
            [replace(w, expected_revision=states[w.key].revision) for w in writes if w.key in states]
        )


def oldest_only(key: ProductKey, events: Sequence[ParsedEvent], indexed: IndexedState | None, space: Space) -> Decision:
    """Only the first of several changes of a product in one batch counts."""
    return decide(key, events[:1], indexed, space)


def always_encode(
    key: ProductKey, events: Sequence[ParsedEvent], indexed: IndexedState | None, space: Space
) -> Decision:
    """The content of every put is encoded, even if it is unchanged."""
    return decide(key, events, replace(indexed, fingerprint=None) if indexed else None, space)


def one_counter(state: ProductState, change: Change) -> ProductState:
    """The newest change of any kind guards the whole product."""
    newest = state.offer_version
    if newest is not None and change.version < newest:
        return state
    return catalog.domain.state.apply(state, change)


def patches_dropped(state: ProductState, change: Change) -> ProductState:
    """A put discards newer patches."""
    if isinstance(change, Patch):
        return catalog.domain.state.apply(state, change)
    return catalog.domain.state.apply(replace(state, patched={}), change)


def last_wins(state: ProductState, change: Change) -> ProductState:
    """What arrives last wins, whatever its version."""
    return reduce(catalog.domain.state.apply, [change], ProductState(live=state.live, fields=state.fields))
