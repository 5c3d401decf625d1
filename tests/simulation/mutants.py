"""Ways of being wrong, each in one part: what the simulation is for is to notice them."""

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
    """Writes hold whatever the point has become since they were decided."""

    def guards(self, write: ProductWrite) -> bool:
        return True


class AckFirst(Pipeline[IngestBatch]):
    """Records are acknowledged as soon as they are read."""

    async def _plan(self, flight: _BatchInFlight[IngestBatch]) -> None:
        await super()._plan(flight)
        for delivery in flight.deliveries:
            await delivery.ack()


class AnyOrder(Pipeline[IngestBatch]):
    """Batches overtake each other, and each is acknowledged when it is through itself."""

    async def _turn(self, flight: _BatchInFlight[IngestBatch]) -> None: ...


class Forgetful(SimIndex):
    """A deleted product leaves no point that remembers when."""

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        outcome = await super().write(writes)
        for write in writes:
            if write.key not in outcome.moved and not write.payload.get("live", True):
                self._store.points.pop(write.key, None)
        return outcome


class NeighboursDropped(Ingest):
    """Where one content gives no vector, everything that was to be encoded with it goes."""

    def _refuse(self, batch: IngestBatch, culprits: set[str]) -> None:
        if culprits:
            culprits = {d.fingerprint for d in batch.open.values() if d.encode is not None and d.fingerprint}
        super()._refuse(batch, culprits)


class NeighboursForgotten(Ingest):
    """The same, without a word."""

    def _refuse(self, batch: IngestBatch, culprits: set[str]) -> None:
        super()._refuse(batch, culprits)
        if culprits:
            batch.open = {key: d for key, d in batch.open.items() if d.encode is None}


class MovedForgotten(SimIndex):
    """What has moved under a write is taken for written."""

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        return replace(await super().write(writes), moved=frozenset())


class QuarantineSkipped(Ingest):
    """What is refused is acknowledged and gone when anything else of its batch was written."""

    async def write(self, batch: IngestBatch) -> None:
        if batch.open:
            batch.rejects.clear()
        await super().write(batch)


class RepairUnguarded(ImageRetrier):
    """A photo that came back is written whatever has become of its product since."""

    async def _write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        known = await self._index.known([w.key for w in writes])
        return await super()._write([replace(w, expect=known[w.key].revision) for w in writes if w.key in known])


def oldest_only(key: ProductKey, said: Sequence[ParsedEvent], known: IndexedState | None, space: Space) -> Decision:
    """Of several changes of a product in one batch the first alone counts."""
    return decide(key, said[:1], known, space)


def always_encode(key: ProductKey, said: Sequence[ParsedEvent], known: IndexedState | None, space: Space) -> Decision:
    """Whatever a put brings is encoded, as if its product were new to the index."""
    return decide(key, said, replace(known, fingerprint=None) if known else None, space)


def one_counter(state: ProductState, change: Change) -> ProductState:
    """The newest change of any kind guards the whole product."""
    newest = state.offer_version
    if newest is not None and change.version < newest:
        return state
    return catalog.domain.state.apply(state, change)


def patches_dropped(state: ProductState, change: Change) -> ProductState:
    """A put forgets the patches that are newer than it."""
    if isinstance(change, Patch):
        return catalog.domain.state.apply(state, change)
    return catalog.domain.state.apply(replace(state, patched={}), change)


def last_wins(state: ProductState, change: Change) -> ProductState:
    """What arrives last wins, whatever its version."""
    return reduce(catalog.domain.state.apply, [change], ProductState(live=state.live, fields=state.fields))
