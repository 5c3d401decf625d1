"""The filterable fields of live products, and counts of their values."""

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

SAMPLE_SIZE = 256
# Cached filters: more than the tenants that one search process serves within a few seconds.
MAX_CACHED_FILTERS = 1000

_TYPES: Mapping[int, str] = {grpc.Bool: "bool", grpc.Integer: "number", grpc.Float: "number", grpc.Keyword: "keyword"}
_COUNTABLE = frozenset({grpc.Bool, grpc.Integer, grpc.Keyword})


class QdrantFacetReader:
    """FacetReader on one collection or alias. It caches the list of fields for `fresh_s` seconds.

    Raises Unavailable, FatalError, and InvalidInput if the values of a field cannot be counted. `clock` gives seconds.
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
        """The fields of the live products that satisfy all conditions, and their types: keyword, number, bool, any.

        Indexed fields are always included; attributes without an index only if a product of a sample has them.
        """
        where = live_and(conditions)
        cache_key, now = where.SerializeToString(deterministic=True), self._clock()
        read_at, fields = self._fields.get(cache_key, (now, None))
        if fields is None or now - read_at > self._fresh_s:
            indexed = await self._indexed()
            sampled = await self._sample(where)
            # The index of an attribute is a keyword index, whatever type the attribute has.
            own = {field: _TYPES.get(kind, "any") for field, kind in indexed.items() if field in OWN_FIELDS}
            fields = {**{f: sampled.get(f, "any") for f in indexed if f.startswith(ATTRIBUTE)}, **sampled, **own}
            if len(self._fields) >= MAX_CACHED_FILTERS:
                self._fields.clear()
            self._fields[cache_key] = (now, fields)
        return fields

    async def countable(self) -> Collection[str]:
        """The fields whose values can be counted: indexed fields except floating-point numbers."""
        return {field for field, kind in (await self._indexed()).items() if kind in _COUNTABLE}

    async def facet(self, field: str, conditions: Sequence[Condition], *, limit: int) -> list[tuple[Scalar, int]]:
        """The values of a field among the live products that satisfy all conditions, most frequent first."""
        kind = (await self._indexed()).get(field)
        if kind is None:
            raise InvalidInput(
                f"the values of {name_of(field)!r} cannot be counted without an index: name it in "
                f"LIVESHELF_INDEXED_ATTRIBUTES and start the worker again, which creates one"
            )
        if kind not in _COUNTABLE:
            raise InvalidInput(
                f"{name_of(field)!r} is a number without steps: filter on ranges of it instead of counting it"
            )
        hits = await self._points.facet(path_of(field), live_and(conditions), limit=limit)
        counts = [(_value(hit.value), hit.count) for hit in hits]
        return sorted(counts, key=lambda item: (-item[1], str(item[0])))

    async def _indexed(self) -> Mapping[str, int]:
        """The payload indexes by field, each a grpc.PayloadSchemaType."""
        now = self._clock()
        if self._indexes is None or now - self._indexes[0] > self._fresh_s:
            paths = await self._points.indexes()
            self._indexes = now, {field_of(path): kind for path, kind in paths.items()}
        return self._indexes[1]

    async def _sample(self, where: grpc.Filter) -> dict[str, str]:
        """The attributes of a sample of products, and their types."""
        types: dict[str, set[str]] = {}
        async for page in self._points.scroll(where, limit=SAMPLE_SIZE, payload=including("attributes")):
            for point in page:
                for name, value in (payload_from(point.payload).get("attributes") or {}).items():
                    types.setdefault(ATTRIBUTE + name, set()).update(_types(value))
            break
        return {field: seen.pop() if len(seen) == 1 else "any" for field, seen in types.items()}


def _types(value: object) -> Iterable[str]:
    for member in value if isinstance(value, list) else [value]:
        yield "bool" if isinstance(member, bool) else "keyword" if isinstance(member, str) else "number"


def _value(value: grpc.FacetValue) -> Scalar:
    kind = value.WhichOneof("variant")
    if kind == "bool_value":
        return bool(value.bool_value)
    return int(value.integer_value) if kind == "integer_value" else str(value.string_value)
