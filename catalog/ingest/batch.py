"""The state of one micro-batch on its way from records to written points."""

from __future__ import annotations

from dataclasses import dataclass, field

from catalog.domain.change import Patch, Put
from catalog.domain.product import Content, ProductKey
from catalog.domain.record import Reject, Stage
from catalog.events.parser import ParsedEvent
from catalog.ingest.decide import Decision
from catalog.ports import EncodedItem, PreparedItem


@dataclass(slots=True)
class IngestBatch:
    """One micro-batch. `prepared` and `encoded` are keyed by fingerprint: equal content is encoded once.

    - `changes`: the events of each product
    - `deferred`: events of a product that wait until its `changes` are settled
    - `undecided`: products that need a decision
    - `decided`: decisions that are not written yet
    - `counted`: whether the reject meter has counted the batch
    - `write_epoch`: the number of index writes that preceded the last read of states
    """

    changes: dict[ProductKey, list[ParsedEvent]] = field(default_factory=dict)
    deferred: dict[ProductKey, list[ParsedEvent]] = field(default_factory=dict)
    undecided: set[ProductKey] = field(default_factory=set)
    decided: dict[ProductKey, Decision] = field(default_factory=dict)
    prepared: dict[str, PreparedItem] = field(default_factory=dict)
    encoded: dict[str, EncodedItem] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    records: int = 0
    counted: bool = False
    write_epoch: int = 0

    def contents_to_encode(self) -> dict[str, Content]:
        """The contents that have no vectors yet, by fingerprint."""
        return {
            d.fingerprint: d.encode
            for d in self.decided.values()
            if d.encode is not None and d.fingerprint is not None and d.fingerprint not in self.encoded
        }

    def only_patches(self, key: ProductKey) -> bool:
        """Whether all changes of a product are patches."""
        return all(isinstance(event.change, Patch) for event in self.changes[key])

    def redecide(self, key: ProductKey) -> None:
        """Drop the decision on a product, and mark the product undecided."""
        self.decided.pop(key, None)
        self.undecided.add(key)

    def settle(self, key: ProductKey) -> None:
        """The changes of a product are in the index or rejected: continue with its deferred changes, if any."""
        self.decided.pop(key, None)
        if key in self.deferred:
            self.changes[key] = self.deferred.pop(key)
            self.undecided.add(key)

    def refuse_content(self, key: ProductKey, content: Content, reason: str) -> None:
        """Reject the puts of a product that have this content, and keep its other changes."""
        events, self.changes[key] = self.changes[key], []
        for event in events:
            if isinstance(event.change, Put) and event.change.product.content == content:
                self.rejects.append(Reject(event.record, Stage.ENCODE, reason))
            else:
                self.changes[key].append(event)
        self.redecide(key)

    def refuse_point(self, key: ProductKey, reason: str) -> None:
        """Reject the only change of a product. If there are several, defer half of them to find the culprit."""
        events = self.changes[key]
        half = len(events) // 2
        if half:
            self.changes[key], self.deferred[key] = events[:half], events[half:] + self.deferred.get(key, [])
            self.redecide(key)
        else:
            self.rejects += [Reject(event.record, Stage.INDEX, reason) for event in events]
            self.settle(key)
