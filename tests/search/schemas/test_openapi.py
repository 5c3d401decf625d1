"""The OpenAPI document says everything. Whatever it allows, and much that it does not, is answered or refused with a
sentence, and is never a failure of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.search.shop import stocked

schemathesis = pytest.importorskip("schemathesis", reason="not installed: pip install -e .[dev]")

APP = stocked().app()
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)
SCHEMA.config.generation.update(modes=list(schemathesis.GenerationMode))


@SCHEMA.exclude(path_regex="/stream$").parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_the_service_fail(case: Any) -> None:
    response = case.call()
    # A time too short to answer in is a 503 that says so.
    assert response.status_code < 500 or response.json()["error"]["type"] == "timeout", response.text


def undocumented(schema: dict[str, Any], where: str) -> Iterator[str]:
    """What of a schema has no description or no example, its own or in an example of the whole."""
    examples = [example for example in schema.get("examples", []) if isinstance(example, dict)]
    for name, field in schema.get("properties", {}).items():
        shown = field.keys() & {"examples", "default", "enum", "$ref"} or any(name in example for example in examples)
        shown = shown or field.get("items", {}).get("format") == "binary"
        described = field.keys() & {"description", "$ref"}
        missing = [what for what, present in (("description", described), ("example", shown)) if not present]
        yield from [f"{where}.{name}: {what}" for what in missing]
        yield from undocumented(field, f"{where}.{name}")
    for inner in [*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]:
        yield from undocumented(inner, where)


def test_every_endpoint_and_field_is_described_and_shown() -> None:
    document = APP.openapi()
    missing = [at for name, schema in document["components"]["schemas"].items() for at in undocumented(schema, name)]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            missing += [f"{where}: {what}" for what in ("summary", "description") if not operation.get(what)]
            for given in operation.get("parameters", []):
                schema = {**given["schema"], **{k: given[k] for k in ("description", "examples") if given.get(k)}}
                missing += undocumented({"properties": {given["name"]: schema}}, where)
            for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                missing += undocumented(body["schema"], f"{where} {kind}")
            for status, answer in operation["responses"].items():
                for kind, body in answer.get("content", {}).items():
                    binary = body.get("schema", {}).get("format") == "binary" or kind == "image/*"
                    if not (binary or "example" in body or "$ref" in body.get("schema", {})):
                        missing.append(f"{where} {status} {kind}: example")
    assert not missing, missing
