"""What live products say of themselves: which fields there are, and how many products have each value."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.filters import OWN_FIELDS, Condition, name_of
from catalog.domain.product import Scalar
from catalog.domain.state import ATTRIBUTE
from catalog.errors import InvalidInput
from indexer.qdrant.client import PointsClient, including
from indexer.qdrant.filters import field_of, live_and, path_of
from indexer.qdrant.payload import payload_from

SAMPLE = 256
# Askers whose fields are remembered: as many tenants as one search process is asked for in a few seconds, and more.
ASKERS = 1000

_HOLDS: Mapping[int, str] = {grpc.Bool: "bool", grpc.Integer: "number", grpc.Float: "number", grpc.Keyword: "keyword"}
_COUNTED = frozenset({grpc.Bool, grpc.Integer, grpc.Keyword})


class QdrantFacetReader:
    """Facets on one collection or alias. What fields there are is asked again after `fresh_s` seconds.

    Raises Unavailable, Hopeless, and InvalidInput for a field whose values cannot be counted. `clock` is in seconds.
    """

    def __init__(
        self,
        client: AsyncQdrantClient,
        *,
        collection: str,
        timeout_s: float = 10.0,
        fresh_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._points = PointsClient(client, collection=collection, timeout_s=timeout_s)
        self._fresh_s = fresh_s
        self._clock = clock
        self._indexes: tuple[float, Mapping[str, int]] | None = None
        self._fields: dict[bytes, tuple[float, Mapping[str, str]]] = {}

    async def fields(self, conditions: Sequence[Condition] = ()) -> Mapping[str, str]:
        """The fields of the live products that satisfy all conditions, and what each holds: keyword, number, bool, any.

        Those with an index are all there; attributes without one as far as some products of a sample have them.
        """
        where = live_and(conditions)
        asker, now = where.SerializeToString(deterministic=True), self._clock()
        at, known = self._fields.get(asker, (now, None))
        if known is None or now - at > self._fresh_s:
            indexed = await self._indexed()
            seen = await self._seen(where)
            # The index of an attribute is one of keywords, whatever the attribute holds.
            own = {field: _HOLDS.get(kind, "any") for field, kind in indexed.items() if field in OWN_FIELDS}
            known = {**{f: seen.get(f, "any") for f in indexed if f.startswith(ATTRIBUTE)}, **seen, **own}
            if len(self._fields) >= ASKERS:
                self._fields.clear()
            self._fields[asker] = (now, known)
        return known

    async def counted(self) -> Collection[str]:
        """The fields whose values can be counted: those with an index, less the numbers without steps."""
        return {field for field, kind in (await self._indexed()).items() if kind in _COUNTED}

    async def facet(self, field: str, conditions: Sequence[Condition], *, limit: int) -> list[tuple[Scalar, int]]:
        """The values of a field among the live products that satisfy all conditions, most frequent first."""
        kind = (await self._indexed()).get(field)
        if kind is None:
            raise InvalidInput(
                f"the values of {name_of(field)!r} cannot be counted without an index: name it in "
                f"LIVESHELF_INDEXED_ATTRIBUTES and start the worker again, which makes one"
            )
        if kind not in _COUNTED:
            raise InvalidInput(
                f"{name_of(field)!r} is a number without steps: filter on ranges of it instead of counting it"
            )
        hits = await self._points.facet(path_of(field), live_and(conditions), limit=limit)
        counts = [(_value(hit.value), hit.count) for hit in hits]
        return sorted(counts, key=lambda found: (-found[1], str(found[0])))

    async def _indexed(self) -> Mapping[str, int]:
        """The payload indexes by field, each a grpc.PayloadSchemaType."""
        now = self._clock()
        if self._indexes is None or now - self._indexes[0] > self._fresh_s:
            paths = await self._points.indexes()
            self._indexes = now, {field_of(path): kind for path, kind in paths.items()}
        return self._indexes[1]

    async def _seen(self, where: grpc.Filter) -> dict[str, str]:
        kinds: dict[str, set[str]] = {}
        async for page in self._points.scroll(where, limit=SAMPLE, payload=including("attributes")):
            for point in page:
                for name, value in (payload_from(point.payload).get("attributes") or {}).items():
                    kinds.setdefault(ATTRIBUTE + name, set()).update(_kinds(value))
            break
        return {field: found.pop() if len(found) == 1 else "any" for field, found in kinds.items()}


def _kinds(value: object) -> Iterable[str]:
    for member in value if isinstance(value, list) else [value]:
        yield "bool" if isinstance(member, bool) else "keyword" if isinstance(member, str) else "number"


def _value(value: grpc.FacetValue) -> Scalar:
    kind = value.WhichOneof("variant")
    if kind == "bool_value":
        return bool(value.bool_value)
    return int(value.integer_value) if kind == "integer_value" else str(value.string_value)
