"""The body of a query, JSON or a form with uploads, read within bounds to plain values."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Collection
from typing import Any

from fastapi import Request
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from search.errors import ApiError
from search.policy import SearchPolicy

IMAGE = "image"
# The fields of a form that are JSON text, and those that are plain numbers or true and false.
_STRUCTURED = ("mix", "fusion", "filter", "facets", "fields")
_PLAIN = ("limit", "offset", "group_size", "ef", "timeout_ms", "exact")
_PIECE = 2**18  # bytes of a form that are parsed in one go


async def read_body(
    request: Request, policy: SearchPolicy, known: Collection[str]
) -> tuple[dict[str, Any], list[bytes]]:
    """The fields of a query and the images uploaded with it. `known` are the fields a form may have beside images.

    Raises ApiError, and ImageProblem for an upload that is empty.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "multipart/form-data"):
        asked = f"not {kind}" if kind else "and none is given"
        raise ApiError(415, "unsupported_type", f"the content type is application/json or multipart/form-data, {asked}")
    body = await request.body()  # which is bounded at the door
    if kind == "application/json":
        return json_object(body, "body"), []
    form = await _form(request, body, policy)
    try:
        return _form_fields(form, known), await _uploads(form, policy)
    finally:
        await form.close()


def json_object(raw: bytes | str, name: str) -> dict[str, Any]:
    """The JSON object in a text. Raises ApiError."""
    value = _json(raw, name)
    if not isinstance(value, dict):
        raise ApiError(422, "invalid", f"{name}: a JSON object is needed", field=name)
    return value


def _json(raw: bytes | str, name: str) -> Any:
    try:
        # Not the json module: that takes five times as long over a photo as a data URL, and lets half characters by.
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, "bad_json", f"{name}: not JSON: {error}") from None


async def _form(request: Request, body: bytes, policy: SearchPolicy) -> FormData:
    async def whole() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), _PIECE):
            yield body[start : start + _PIECE]
            await asyncio.sleep(0)  # others have their turn between the pieces of a large upload

    parser = MultiPartParser(
        request.headers, whole(), max_files=policy.max_uploads, max_fields=32, max_part_size=policy.max_form_text
    )
    # A part is never longer than the body, which is in memory and bounded: no temporary file is needed.
    parser.spool_max_size = policy.max_body
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ApiError(400, "bad_form", f"the form cannot be read: {error.message}") from None
    return form


def _form_fields(form: FormData, known: Collection[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in form:
        well_formed("the name of a field", name)
        if name == IMAGE:
            continue
        if name not in known:
            message = f"{name[:60]}: unknown; the fields of the form are {', '.join((IMAGE, *known))}"
            raise ApiError(422, "invalid", message, field=name[:60])
        if len(form.getlist(name)) > 1:
            raise ApiError(422, "invalid", f"{name}: given more than once", field=name)
        value = form[name]
        if isinstance(value, UploadFile):
            raise ApiError(422, "invalid", f"{name}: text is needed, not a file", field=name)
        if value:
            fields[name] = _value(name, well_formed(name, value))
    return fields


def _value(name: str, text: str) -> Any:
    """What the text of a form's field means in JSON. What is none of it is left for the schema to refuse."""
    if name in _STRUCTURED:
        return _json(text, name)
    if name in _PLAIN:
        if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            return int(text)
        return {"true": True, "false": False}.get(text, text)
    return text


def well_formed(name: str, value: str) -> str:
    """The text, if it can be written as UTF-8: a form may name a charset that lets half characters through."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ApiError(400, "bad_form", f"{name}: not UTF-8") from None
    return value


async def _uploads(form: FormData, policy: SearchPolicy) -> list[bytes]:
    found = []
    for file in form.getlist(IMAGE):
        if not isinstance(file, UploadFile):
            raise ApiError(422, "invalid", "image: a file is needed, not text", field=IMAGE)
        data = await file.read(policy.max_upload + 1)
        if len(data) > policy.max_upload:
            cap = policy.max_upload / 2**20
            message = f"an image is larger than the {cap:g} MiB that one may have: send a smaller one"
            raise ApiError(413, "too_large", message)
        if data:
            found.append(data)
        elif file.filename:  # without a name it is a file input that was left alone
            raise ImageProblem(ImageState.BROKEN, "image: the file is empty")
    return found
