"""What the OpenAPI document says of bodies and errors that FastAPI cannot tell from a handler's types."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from search.schemas.responses import ErrorBody

# One of each: its type, and a sentence that is really said.
ERRORS = {
    400: ("bad_json", "body: not JSON: expected value at line 1 column 1"),
    404: ("not_found", "there is no product 'sku-9' of the tenant 'default'"),
    406: ("not_acceptable", "candidates come as application/json: accept it"),
    413: ("too_large", "the body is larger than the 12 MB that are taken"),
    415: ("unsupported_type", "the content type is application/json or multipart/form-data, not text/plain"),
    422: ("invalid", "limit: 0 is not between 1 and 1000"),
    429: ("busy", "too much is being asked at once: try again in a moment"),
    503: ("unavailable", "Qdrant does not answer: is it running?"),
}


def errors_of(**said: str) -> dict[int | str, dict[str, Any]]:
    """Answers that are errors, by status: `_404="No such product."`."""
    return {int(status[1:]): _error(int(status[1:]), text) for status, text in said.items()}


def _error(status: int, text: str) -> dict[str, Any]:
    kind, message = ERRORS[status]
    example = {"error": {"type": kind, "message": message}}
    return {"model": ErrorBody, "description": text, "content": {"application/json": {"example": example}}}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The body of a request of these fields, as JSON or as a form with images."""
    whole = model.model_json_schema()
    schema = _whole(whole, whole.pop("$defs", {}))
    properties = {name: _in_form(field) for name, field in schema["properties"].items()}
    images = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "Photos of what is looked for: one is read together with the text, several are parts of a mix.",
    }
    form = {"type": "object", "additionalProperties": False, "properties": {"image": images, **properties}}
    content = {"application/json": {"schema": schema}, "multipart/form-data": {"schema": form}}
    return {"required": True, "content": content}


def _whole(schema: Any, parts: dict[str, Any]) -> Any:
    """The schema with its parts where they are referred to: a reference would be taken from the document's root."""
    if isinstance(schema, list):
        return [_whole(inner, parts) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(
            {**parts[schema["$ref"].rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}}, parts
        )
    return {name: _whole(inner, parts) for name, inner in schema.items()}


def _in_form(field: dict[str, Any]) -> dict[str, Any]:
    """A field as the text that it is in a form."""
    kinds = {kind.get("type") for kind in field.get("anyOf", [field])}
    said = {"description": field.get("description", ""), "examples": field.get("examples", [field.get("default")])}
    if kinds & {"array", "object"}:
        examples = [json.dumps(example) for example in said["examples"]]
        return {"type": "string", "description": f"{said['description']} As JSON text.".strip(), "examples": examples}
    return {**{k: v for k, v in field.items() if k not in ("title", "default")}, **said}
