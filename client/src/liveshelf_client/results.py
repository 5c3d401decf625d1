"""The results of requests. Unknown fields of a response are ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Product:
    """The current state of a product. Versions and times come from the events of the shop.

    `event_time` is in milliseconds since 1970. `age_s` is its age in seconds at the time of the answer. `photo` is the
    path of the first photo on the service.
    """

    id: str
    tenant: str
    title: str
    images: tuple[str, ...] = ()
    photo: str | None = None
    attributes: Mapping[str, Scalar | list[Scalar]] = field(default_factory=dict)
    price: float | None = None
    currency: str | None = None
    available: bool | None = None
    content_version: int | None = None
    offer_version: int | None = None
    event_time: int | None = None
    age_s: float | None = None
    image_state: str | None = None
    image_reason: str = ""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        return cls(**{**_fields_in(cls, body), "images": tuple(body.get("images", ()))})


@dataclass(frozen=True, slots=True)
class Hit(Product):
    """A product that matches a query. `variants` are the next best products of its group, if hits are grouped."""

    score: float = 0.0
    variants: tuple[Hit, ...] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        values = _fields_in(cls, body)
        values["images"] = tuple(body.get("images", ()))
        values["variants"] = tuple(Hit.of(variant) for variant in body.get("variants", ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Timings:
    """The time that the service spent, in milliseconds."""

    encode: float
    search: float
    total: float

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        encode, search = float(body.get("encode", 0)), float(body.get("search", 0))
        return cls(encode, search, float(body.get("total", encode + search)))


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first. `degraded` has one sentence for each reason why the result is incomplete; normally it is empty.

    `facets` maps a field to its values and their counts, most frequent first.
    """

    hits: tuple[Hit, ...]
    space: str
    took_ms: Timings
    mode: str = "dense"
    degraded: tuple[str, ...] = ()
    facets: Mapping[str, tuple[tuple[Scalar, int], ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        counts = {
            name: tuple((entry["value"], entry["count"]) for entry in values)
            for name, values in body.get("facets", {}).items()
        }
        hits = tuple(Hit.of(hit) for hit in body["hits"])
        optional = {"mode": body["mode"]} if "mode" in body else {}
        return cls(
            hits,
            body["space"],
            Timings.of(body["took_ms"]),
            degraded=tuple(body.get("degraded", ())),
            facets=counts,
            **optional,
        )

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Many products as columns of equal length, best first. `fields` has None if a product lacks the field.

    `partial` means that candidates are missing or not the best; `degraded` gives the reasons.
    """

    ids: Sequence[str]
    tenants: Sequence[str]
    scores: Sequence[float]
    content_versions: Sequence[int]
    offer_versions: Sequence[int]
    fields: Mapping[str, Sequence[Any]]
    partial: bool
    degraded: tuple[str, ...]
    space: str
    took_ms: Timings

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        ids = body["ids"]
        return cls(
            ids=ids,
            tenants=body["tenants"] if "tenants" in body else [body["tenant"]] * len(ids),
            scores=body["scores"],
            content_versions=body["content_versions"],
            offer_versions=body["offer_versions"],
            fields=body["fields"],
            partial=body["partial"],
            degraded=tuple(body["degraded"]),
            space=body["space"],
            took_ms=Timings.of(body["took_ms"]),
        )

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Encoding:
    """An L2-normalised query vector, and the collection and named vector (`using`) to search with it."""

    vector: tuple[float, ...]
    using: str
    collection: str
    space: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        return cls(**{**_fields_in(cls, body), "vector": tuple(body["vector"])})


def _fields_in(cls: type[Any], body: Mapping[str, Any]) -> dict[str, Any]:
    return {f.name: body[f.name] for f in fields(cls) if f.name in body}
