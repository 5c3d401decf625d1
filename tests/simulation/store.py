"""The points of the simulated index, and its compare-and-set."""

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
    """Points by key. A write succeeds only if the point has the expected revision.

    `applied` counts the successful writes; `on_write` gets each of them, with the point before and after.
    """

    points: dict[ProductKey, Point] = field(default_factory=dict)
    applied: int = 0
    on_write: Callable[[ProductKey, Point | None, Point], None] = lambda key, before, after: None

    def revision(self, key: ProductKey) -> str | None:
        point = self.points.get(key)
        return point.payload["revision"] if point else None

    def due(self, now_ms: int) -> list[Payload]:
        """The payloads of live points whose image retry is due."""
        live = [point.payload for _, point in sorted(self.points.items()) if point.payload["live"]]
        return [p for p in live if (at := p.get("image_retry_at")) is not None and at <= now_ms]

    def with_stored_fields(self, write: ProductWrite, current: Point | None) -> ProductWrite | None:
        """A payload-only write as a whole point, None if its point is missing or has another revision."""
        if write.vectors is not None:
            return write
        if current is None or current.payload["revision"] not in (write.expected_revision, write.payload["revision"]):
            return None
        return ProductWrite(write.key, write.expected_revision, {**current.payload, **write.payload}, current.vectors)

    def apply(self, write: ProductWrite) -> None:
        """A compare-and-set write of a whole point."""
        if self.guards(write):
            self.put(write)

    def guards(self, write: ProductWrite) -> bool:
        return self.revision(write.key) == write.expected_revision

    def put(self, write: ProductWrite) -> None:
        assert write.vectors is not None
        before, after = self.points.get(write.key), Point(write.payload, write.vectors)
        self.points[write.key] = after
        self.applied += 1
        self.on_write(write.key, before, after)
