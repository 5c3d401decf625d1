"""What the OpenAPI document says of bodies and errors that FastAPI cannot tell from a handler's types."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from search.schemas import ErrorBody


def errors_of(**said: str) -> dict[int | str, dict[str, Any]]:
    """Answers that are errors, by status: `_404="No such product."`."""
    return {int(status[1:]): {"model": ErrorBody, "description": text} for status, text in said.items()}


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
    said = {"description": field.get("description", "")}
    if kinds & {"array", "object"}:
        return {"type": "string", "description": f"{said['description']} As JSON text.".strip()}
    return {**{k: v for k, v in field.items() if k not in ("title", "default")}, **said}
