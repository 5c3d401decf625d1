"""What the simulated index keeps, and the guard under which it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from catalog.domain.product import ProductKey
from catalog.domain.state import Payload
from catalog.ports import ProductWrite, Vector


@dataclass(frozen=True, slots=True)
class Point:
    payload: Payload
    vectors: Mapping[str, Vector]


@dataclass
class Store:
    """Points by key. A write holds only for the revision that it expects.

    `applied` counts those that held; `on_write` hears of each, with the point before and after.
    """

    points: dict[ProductKey, Point] = field(default_factory=dict)
    applied: int = 0
    on_write: Callable[[ProductKey, Point | None, Point], None] = lambda key, before, after: None

    def revision(self, key: ProductKey) -> str | None:
        point = self.points.get(key)
        return point.payload["revision"] if point else None

    def due(self, now_ms: int) -> list[Payload]:
        """The payloads of live points whose photo is to be tried again."""
        live = [point.payload for _, point in sorted(self.points.items()) if point.payload["live"]]
        return [p for p in live if (at := p.get("image_retry_at")) is not None and at <= now_ms]

    def merged(self, write: ProductWrite, current: Point | None) -> ProductWrite | None:
        """A payload-only write as a whole point, None where its point is gone or has moved on."""
        if write.vectors is not None:
            return write
        if current is None or current.payload["revision"] not in (write.expect, write.payload["revision"]):
            return None
        return ProductWrite(write.key, write.expect, {**current.payload, **write.payload}, current.vectors)

    def apply(self, write: ProductWrite) -> None:
        """The guarded write of a whole point."""
        if self.guards(write):
            self.put(write)

    def guards(self, write: ProductWrite) -> bool:
        return self.revision(write.key) == write.expect

    def put(self, write: ProductWrite) -> None:
        assert write.vectors is not None
        before, after = self.points.get(write.key), Point(write.payload, write.vectors)
        self.points[write.key] = after
        self.applied += 1
        self.on_write(write.key, before, after)
