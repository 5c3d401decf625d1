"""Reads the body of a query, JSON or a form with uploads, within bounds."""

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
_CHUNK_BYTES = 2**18  # bytes of a form that are parsed in one go


async def read_body(
    request: Request, policy: SearchPolicy, field_names: Collection[str]
) -> tuple[dict[str, Any], list[bytes]]:
    """The fields of a query and the bytes of its uploaded images. `field_names` are the other fields of a form.

    Raises ApiError, and ImageProblem if an upload is empty.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("application/json", "multipart/form-data"):
        given = f"not {media_type}" if media_type else "and none is given"
        raise ApiError(
            415, "unsupported_type", f"the content type must be application/json or multipart/form-data, {given}"
        )
    body = await request.body()  # AdmissionMiddleware limits its size
    if media_type == "application/json":
        return json_object(body, "body"), []
    form = await _form(request, body, policy)
    try:
        return _form_fields(form, field_names), await _uploads(form, policy)
    finally:
        await form.close()


def json_object(raw: bytes | str, name: str) -> dict[str, Any]:
    """The JSON object in a text. Raises ApiError if it is not one."""
    value = _json(raw, name)
    if not isinstance(value, dict):
        raise ApiError(422, "invalid", f"{name}: a JSON object is needed", field=name)
    return value


def _json(raw: bytes | str, name: str) -> Any:
    try:
        # The json module takes five times as long for a photo as a data URL, and accepts unpaired surrogates.
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, "bad_json", f"{name}: not JSON: {error}") from None


async def _form(request: Request, body: bytes, policy: SearchPolicy) -> FormData:
    async def chunks() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), _CHUNK_BYTES):
            yield body[start : start + _CHUNK_BYTES]
            await asyncio.sleep(0)  # let other requests run between the chunks of a large upload

    parser = MultiPartParser(
        request.headers, chunks(), max_files=policy.max_uploads, max_fields=32, max_part_size=policy.max_form_text
    )
    # The body is in memory and bounded, so its parts need no temporary file.
    parser.spool_max_size = policy.max_body
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ApiError(400, "bad_form", f"the form cannot be read: {error.message}") from None
    return form


def _form_fields(form: FormData, field_names: Collection[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in form:
        well_formed("the name of a field", name)
        if name == IMAGE:
            continue
        if name not in field_names:
            message = f"{name[:60]}: unknown; the valid fields of the form are {', '.join((IMAGE, *field_names))}"
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
    """The JSON value of a form field. Text that is not valid stays as it is, and the schema refuses it."""
    if name in _STRUCTURED:
        return _json(text, name)
    if name in _PLAIN:
        if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            return int(text)
        return {"true": True, "false": False}.get(text, text)
    return text


def well_formed(name: str, value: str) -> str:
    """The text. Raises ApiError if it is not valid UTF-8: the charset of a form may allow unpaired surrogates."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ApiError(400, "bad_form", f"{name}: not UTF-8") from None
    return value


async def _uploads(form: FormData, policy: SearchPolicy) -> list[bytes]:
    images = []
    for file in form.getlist(IMAGE):
        if not isinstance(file, UploadFile):
            raise ApiError(422, "invalid", "image: a file is needed, not text", field=IMAGE)
        data = await file.read(policy.max_upload + 1)
        if len(data) > policy.max_upload:
            cap = policy.max_upload / 2**20
            message = f"an image is larger than the limit of {cap:g} MiB: send a smaller one"
            raise ApiError(413, "too_large", message)
        if data:
            images.append(data)
        elif file.filename:  # a file input that was left empty has no file name
            raise ImageProblem(ImageState.BROKEN, "image: the file is empty")
    return images
