"""Some records on their way: what was said, what was decided of it, what was refused."""

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
    """Some records on their way. Vectors are kept by fingerprint: equal content is encoded once.

    `due` are the products to be decided, `open` those that were and are to be written. `held` is what waits until the
    rest that was said of its product is done with. `asked` counts the writes made before the index was last asked.
    """

    said: dict[ProductKey, list[ParsedEvent]] = field(default_factory=dict)
    held: dict[ProductKey, list[ParsedEvent]] = field(default_factory=dict)
    due: set[ProductKey] = field(default_factory=set)
    open: dict[ProductKey, Decision] = field(default_factory=dict)
    prepared: dict[str, PreparedItem] = field(default_factory=dict)
    encoded: dict[str, EncodedItem] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    records: int = 0
    counted: bool = False
    asked: int = 0

    def wanted(self) -> dict[str, Content]:
        """The contents still to be encoded, by fingerprint."""
        return {
            d.fingerprint: d.encode
            for d in self.open.values()
            if d.encode is not None and d.fingerprint is not None and d.fingerprint not in self.encoded
        }

    def patched(self, key: ProductKey) -> bool:
        """Whether all that was said of a product concerns some of its fields."""
        return all(isinstance(p.change, Patch) for p in self.said[key])

    def again(self, key: ProductKey) -> None:
        """The decision no longer holds."""
        self.open.pop(key, None)
        self.due.add(key)

    def done(self, key: ProductKey) -> None:
        """What was said of a product is in the index or refused; what was held back has its turn."""
        self.open.pop(key, None)
        if key in self.held:
            self.said[key] = self.held.pop(key)
            self.due.add(key)

    def refuse_content(self, key: ProductKey, content: Content, reason: str) -> None:
        """Refuse the puts that brought a content; the rest of what was said of the product holds."""
        said, self.said[key] = self.said[key], []
        for p in said:
            if isinstance(p.change, Put) and p.change.product.content == content:
                self.rejects.append(Reject(p.record, Stage.ENCODE, reason))
            else:
                self.said[key].append(p)
        self.again(key)

    def refuse_point(self, key: ProductKey, reason: str) -> None:
        """Refuse the one thing that was said of a product; of several, try each half alone to find the culprit."""
        said = self.said[key]
        half = len(said) // 2
        if half:
            self.said[key], self.held[key] = said[:half], said[half:] + self.held.get(key, [])
            self.again(key)
        else:
            self.rejects += [Reject(p.record, Stage.INDEX, reason) for p in said]
            self.done(key)
