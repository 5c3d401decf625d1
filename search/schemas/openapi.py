"""Parts of the OpenAPI document that FastAPI cannot derive from types: request bodies and errors."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from search.schemas.responses import ErrorBody

# For each status an error type and an example message: shared.
ERRORS = {
    400: ("bad_json", "body: not JSON: expected value at line 1 column 1"),
    404: ("not_found", "there is no product 'sku-9' of the tenant 'default'"),
    406: ("not_acceptable", "candidates come as application/json: accept it"),
    413: ("too_large", "the image is larger than the limit of 10 MiB: send a smaller one"),
    415: ("unsupported_type", "the content type must be application/json or multipart/form-data, not text/plain"),
    422: ("invalid", "limit: 0 is not between 1 and 1000"),
    429: ("busy", "the service is busy: try again in a moment"),
    503: ("unavailable", "Qdrant does not answer: is it running?"),
}


def errors_of(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    """Error responses by status, given as `_404="No such product."`."""
    return {int(status[1:]): _error(int(status[1:]), text) for status, text in descriptions.items()}


def _error(status: int, text: str) -> dict[str, Any]:
    kind, message = ERRORS[status]
    example = {"error": {"type": kind, "message": message}}
    return {"model": ErrorBody, "description": text, "content": {"application/json": {"example": example}}}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI request body of a model, as JSON or as a form with images."""
    schema_with_refs = model.model_json_schema()
    schema = _inlined(schema_with_refs, schema_with_refs.pop("$defs", {}))
    properties = {name: _in_form(field) for name, field in schema["properties"].items()}
    images = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "Photos to search by: a single photo is combined with the text, several are parts of a mix.",
    }
    form = {"type": "object", "additionalProperties": False, "properties": {"image": images, **properties}}
    content = {"application/json": {"schema": schema}, "multipart/form-data": {"schema": form}}
    return {"required": True, "content": content}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with its definitions inlined: references would be resolved from the root of the document."""
    if isinstance(schema, list):
        return [_inlined(inner, definitions) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(
            {**definitions[schema["$ref"].rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}},
            definitions,
        )
    return {name: _inlined(inner, definitions) for name, inner in schema.items()}


def _in_form(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field as text in a form."""
    kinds = {kind.get("type") for kind in field.get("anyOf", [field])}
    shared = {"description": field.get("description", ""), "examples": field.get("examples", [field.get("default")])}
    if kinds & {"array", "object"}:
        examples = [json.dumps(example) for example in shared["examples"]]
        return {"type": "string", "description": f"{shared['description']} As JSON text.".strip(), "examples": examples}
    return {**{k: v for k, v in field.items() if k not in ("title", "default")}, **shared}
