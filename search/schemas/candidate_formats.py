"""The formats of candidates: one JSON object, lines of JSON, or an Arrow stream."""

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

# Lines per chunk: encoding them takes some milliseconds, after which other requests run.
_LINES_PER_CHUNK = 2000


def as_json(result: CandidateResult) -> bytes:
    """One JSON object of lists of equal length."""
    columns = result.columns
    body = {
        **_tenant_fields(columns.tenants),
        "ids": columns.ids,
        "scores": _rounded(columns.scores),
        "content_versions": columns.content_versions.tolist(),
        "offer_versions": columns.offer_versions.tolist(),
        "fields": {_name(field): values for field, values in columns.fields.items()},
        **_summary(result),
    }
    return to_json(body)


async def as_lines(result: CandidateResult) -> AsyncIterator[bytes]:
    """A line of JSON for each candidate; the last line is the summary, an object with `count`."""
    columns = result.columns
    names = [_name(field) for field in columns.fields]
    rows = zip(
        columns.ids,
        columns.tenants,
        _rounded(columns.scores),
        columns.content_versions.tolist(),
        columns.offer_versions.tolist(),
        zip(*columns.fields.values(), strict=True) if names else [()] * len(columns.ids),
        strict=True,
    )
    lines: list[bytes] = []
    for id_, tenant, score, content, offer, values in rows:
        line = {"id": id_, "tenant": tenant, "score": score, "content_version": content, "offer_version": offer}
        if names:
            line["fields"] = dict(zip(names, values, strict=True))
        lines.append(to_json(line) + b"\n")
        if len(lines) == _LINES_PER_CHUNK:
            yield b"".join(lines)
            lines.clear()
            await asyncio.sleep(0)
    lines.append(to_json({"count": len(columns.ids), **_summary(result)}) + b"\n")
    yield b"".join(lines)


def as_arrow(result: CandidateResult) -> bytes:
    """One record batch; the schema's metadata has the summary as JSON under `liveshelf`.

    A field whose values have several types is a column of JSON text with the metadata `json`.
    """
    import pyarrow as pa  # a large import that few clients need

    columns = result.columns
    arrays = {
        "id": pa.array(columns.ids, pa.string()),
        "tenant": pa.array(columns.tenants, pa.string()).dictionary_encode(),
        "score": pa.array(columns.scores),
        "content_version": pa.array(columns.content_versions),
        "offer_version": pa.array(columns.offer_versions),
    }
    schema = [pa.field(name, array.type, nullable=False) for name, array in arrays.items()]
    values = list(arrays.values())
    for field, column in columns.fields.items():
        python_values: Any = column
        try:
            values.append(pa.array(python_values))
            schema.append(pa.field(_name(field), values[-1].type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            values.append(pa.array([None if v is None else to_json(v).decode() for v in python_values], pa.string()))
            schema.append(pa.field(_name(field), pa.string(), metadata={"json": "true"}))
    annotated = pa.schema(schema, metadata={"liveshelf": to_json(_summary(result))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, annotated) as stream:
        stream.write_batch(pa.record_batch(values, schema=annotated))
    stream_bytes: bytes = sink.getvalue().to_pybytes()
    return stream_bytes


def _summary(result: CandidateResult) -> dict[str, Any]:
    took = {"encode": result.encode_ms, "search": result.search_ms, "total": result.total_ms}
    return {
        "partial": bool(result.degraded),
        "degraded": result.degraded,
        "mode": result.mode,
        "space": result.space,
        "took_ms": {name: round(ms, 2) for name, ms in took.items()},
    }


def _tenant_fields(tenants: Any) -> Mapping[str, object]:
    """The common tenant of all candidates, or the tenant of each if there are several."""
    first = tenants[0] if tenants else None
    return {"tenant": first} if all(tenant == first for tenant in tenants) else {"tenants": tenants}


def _rounded(scores: Vector) -> list[float]:
    """Scores rounded to nine significant digits, which distinguish every float32; unrounded ones have seventeen."""
    doubles = scores.astype(np.float64)
    magnitudes = np.abs(doubles)
    factors = 10.0 ** (8 - np.floor(np.log10(np.where(magnitudes > 0, magnitudes, 1.0))))
    rounded: list[float] = (np.rint(doubles * factors) / factors).tolist()
    return rounded


def _name(field: str) -> str:
    return field.removeprefix(ATTRIBUTE)
