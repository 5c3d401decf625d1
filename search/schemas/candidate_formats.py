"""Candidates on the wire: one JSON object, lines of JSON, or an Arrow stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
from pydantic_core import to_json

from catalog.domain.state import ATTRIBUTE
from catalog.ports import Vector
from catalog.query.candidates import CandidateResult

JSON = "application/json"
LINES = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"

# Lines made in one go: some milliseconds, after which whatever else waits has its turn.
_TURN = 2000


def as_json(gathered: CandidateResult) -> bytes:
    """One object of lists, all of one length."""
    columns = gathered.columns
    body = {
        **_whose(columns.tenants),
        "ids": columns.ids,
        "scores": _short(columns.scores),
        "content_versions": columns.content_versions.tolist(),
        "offer_versions": columns.offer_versions.tolist(),
        "fields": {_name(field): values for field, values in columns.fields.items()},
        **summary(gathered),
    }
    return to_json(body)


async def as_lines(gathered: CandidateResult) -> AsyncIterator[bytes]:
    """A line for each candidate; the last one is the summary, an object with `count`."""
    columns = gathered.columns
    names = [_name(field) for field in columns.fields]
    rows = zip(
        columns.ids,
        columns.tenants,
        _short(columns.scores),
        columns.content_versions.tolist(),
        columns.offer_versions.tolist(),
        zip(*columns.fields.values(), strict=True) if names else [()] * len(columns.ids),
        strict=True,
    )
    lines: list[bytes] = []
    for id_, tenant, score, content, offer, values in rows:
        said = {"id": id_, "tenant": tenant, "score": score, "content_version": content, "offer_version": offer}
        if names:
            said["fields"] = dict(zip(names, values, strict=True))
        lines.append(to_json(said) + b"\n")
        if len(lines) == _TURN:
            yield b"".join(lines)
            lines.clear()
            await asyncio.sleep(0)
    lines.append(to_json({"count": len(columns.ids), **summary(gathered)}) + b"\n")
    yield b"".join(lines)


def as_arrow(gathered: CandidateResult) -> bytes:
    """One record batch; the schema's metadata has the summary, as JSON, under `liveshelf`.

    A field whose values are of several types is a column of JSON text, and its metadata says `json`.
    """
    import pyarrow as pa  # as large as the rest of the service, and few ask for it

    columns = gathered.columns
    arrays = {
        "id": pa.array(columns.ids, pa.string()),
        "tenant": pa.array(columns.tenants, pa.string()).dictionary_encode(),
        "score": pa.array(columns.scores),
        "content_version": pa.array(columns.content_versions),
        "offer_version": pa.array(columns.offer_versions),
    }
    schema = [pa.field(name, array.type, nullable=False) for name, array in arrays.items()]
    values = list(arrays.values())
    for field, said in columns.fields.items():
        given: Any = said
        try:
            values.append(pa.array(given))
            schema.append(pa.field(_name(field), values[-1].type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            values.append(pa.array([None if v is None else to_json(v).decode() for v in given], pa.string()))
            schema.append(pa.field(_name(field), pa.string(), metadata={"json": "true"}))
    told = pa.schema(schema, metadata={"liveshelf": to_json(summary(gathered))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, told) as stream:
        stream.write_batch(pa.record_batch(values, schema=told))
    whole: bytes = sink.getvalue().to_pybytes()
    return whole


def summary(gathered: CandidateResult) -> dict[str, Any]:
    took = {"encode": gathered.encode_ms, "search": gathered.search_ms, "total": gathered.total_ms}
    return {
        "partial": bool(gathered.degraded),
        "degraded": gathered.degraded,
        "mode": gathered.mode,
        "space": gathered.space,
        "took_ms": {name: round(ms, 2) for name, ms in took.items()},
    }


def _whose(tenants: Any) -> Mapping[str, object]:
    """The one tenant of all candidates, or the tenant of each where there are several."""
    first = tenants[0] if tenants else None
    return {"tenant": first} if all(tenant == first for tenant in tenants) else {"tenants": tenants}


def _short(scores: Vector) -> list[float]:
    """Scores in nine digits, which tell every float32 apart; as they are they have seventeen."""
    wide = scores.astype(np.float64)
    size = np.abs(wide)
    by = 10.0 ** (8 - np.floor(np.log10(np.where(size > 0, size, 1.0))))
    short: list[float] = (np.rint(wide * by) / by).tolist()
    return short


def _name(field: str) -> str:
    return field.removeprefix(ATTRIBUTE)
