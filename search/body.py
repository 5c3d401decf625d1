"""The body of a search, JSON or a form with an upload, read within bounds."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from catalog.errors import ImageProblem
from catalog.filters import Condition, parse_filter
from catalog.find import Query
from catalog.ports import ImageSource
from catalog.product import ImageState
from search.errors import Refused, invalid
from search.photo import HEAVY, WEB, scheme
from search.policy import SearchPolicy
from search.schemas import SearchRequest

R = TypeVar("R", bound=SearchRequest)

FORM_FIELDS = ("image", "text", "limit", "filter")
_MAX_INT = 2**63 - 1
_PIECE = 2**18  # bytes of a form that are parsed in one go
_MAX_CONDITIONS, _MAX_VALUES = 32, 256


async def read_query(request: Request, images: ImageSource, policy: SearchPolicy) -> Query:
    """The query a request carries. Raises Refused, Misuse, and ImageProblem for an image that cannot be had."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "multipart/form-data"):
        asked = f"not {kind}" if kind else "and none is given"
        raise Refused(415, "unsupported_type", f"the content type is application/json or multipart/form-data, {asked}")
    body = await _read(request, policy)
    if kind == "application/json":
        return await _query(_asked(_object(body, "body"), SearchRequest), None, images)
    form = await _form(request, body, policy)
    try:
        return await _query(_asked(_form_fields(form), SearchRequest), await _upload(form, policy), images)
    finally:
        await form.close()


async def read_as(model: type[R], request: Request, images: ImageSource, policy: SearchPolicy) -> tuple[R, Query]:
    """What a JSON request asks for, and the query in it. Raises as `read_query` does."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "unsupported_type", f"the content type is application/json, not {kind or 'left out'}")
    asked = _asked(_object(await _read(request, policy), "body"), model)
    return asked, await _query(asked, None, images)


async def _read(request: Request, policy: SearchPolicy) -> bytes:
    length = request.headers.get("content-length", "")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(policy.read_within):
            if length.isdecimal() and int(length) > policy.max_body:
                raise _too_large(policy)
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > policy.max_body:
                    raise _too_large(policy)
    except TimeoutError:
        raise Refused(408, "timeout", f"the request did not arrive within {policy.read_within:g} s") from None
    return b"".join(chunks)


def _too_large(policy: SearchPolicy) -> Refused:
    cap = policy.max_upload / 2**20
    return Refused(413, "too_large", f"the image is larger than the {cap:g} MiB a query may carry: send a smaller one")


def _object(raw: bytes | str, name: str) -> dict[str, Any]:
    try:
        # Not the json module: that takes five times as long over a photo as a data URL, and lets half characters by.
        value = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(400, "bad_json", f"{name}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refused(422, "invalid", f"{name}: a JSON object is needed", field=name)
    return value


def _asked(fields: Mapping[str, Any], model: type[R]) -> R:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problem = invalid(error, model)
        raise Refused(422, problem.type, problem.message, field=problem.field) from None


async def _query(asked: SearchRequest, upload: bytes | None, images: ImageSource) -> Query:
    conditions = _conditions(asked.filter or {})
    image = upload if asked.image_url is None else await _fetch(asked.image_url, images)
    return Query(text=asked.text, image=image, limit=asked.limit, conditions=conditions)


async def _fetch(url: str, images: ImageSource) -> bytes:
    if scheme(url) not in (*WEB, HEAVY):
        raise ImageProblem(ImageState.BLOCKED, "image_url: only http, https and data URLs are fetched for a query")
    return await images.fetch(url)


def _conditions(spec: Mapping[str, Any]) -> tuple[Condition, ...]:
    if len(spec) > _MAX_CONDITIONS:
        raise Refused(422, "invalid", f"filter: {len(spec)} fields are more than {_MAX_CONDITIONS}", field="filter")
    for name, value in spec.items():
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        if len(inner) > _MAX_VALUES:
            raise Refused(422, "invalid", f"filter: {name!r} has more than {_MAX_VALUES} values", field="filter")
        if not name or not all(_holdable(v) for v in inner):
            message = f"filter: {name!r} needs text, 64-bit integers, finite numbers, true or false"
            raise Refused(422, "invalid", message if name else "filter: a field has no name", field="filter")
    return parse_filter(spec)


def _holdable(value: object) -> bool:
    """Whether a number is one an index can compare. Other types are `parse_filter`'s to judge."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -_MAX_INT - 1 <= value <= _MAX_INT


async def _form(request: Request, body: bytes, policy: SearchPolicy) -> FormData:
    async def whole() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), _PIECE):
            yield body[start : start + _PIECE]
            await asyncio.sleep(0)  # others have their turn between the pieces of a large upload

    parser = MultiPartParser(request.headers, whole(), max_files=2, max_fields=8, max_part_size=policy.max_form_text)
    # A part is never longer than the body, which is in memory and bounded: no temporary file is needed.
    parser.spool_max_size = policy.max_body
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(400, "bad_form", f"the form cannot be read: {error.message}") from None
    return form


def _form_fields(form: FormData) -> dict[str, Any]:
    for name in form:
        _well_formed("the name of a field", name)
        if name not in FORM_FIELDS:
            message = f"{name[:60]}: unknown; the fields of the form are {', '.join(FORM_FIELDS)}"
            raise Refused(422, "invalid", message, field=name[:60])
        if len(form.getlist(name)) > 1:
            raise Refused(422, "invalid", f"{name}: given more than once", field=name)
    fields: dict[str, Any] = {}
    for name in ("text", "limit", "filter"):
        value = form.get(name)
        if isinstance(value, UploadFile):
            raise Refused(422, "invalid", f"{name}: text is needed, not a file", field=name)
        if value:
            fields[name] = _well_formed(name, value)
    if "limit" in fields and re.fullmatch(r"[+-]?\d{1,18}", fields["limit"], re.ASCII):
        fields["limit"] = int(fields["limit"])
    if "filter" in fields:
        fields["filter"] = _object(fields["filter"], "filter")
    return fields


def _well_formed(name: str, value: str) -> str:
    """The text, if it can be written as UTF-8: a form may name a charset that lets half characters through."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused(400, "bad_form", f"{name}: not UTF-8") from None
    return value


async def _upload(form: FormData, policy: SearchPolicy) -> bytes | None:
    file = form.get("image")
    if file is None:
        return None
    if not isinstance(file, UploadFile):
        raise Refused(422, "invalid", "image: a file is needed, not text", field="image")
    data = await file.read(policy.max_upload + 1)
    if len(data) > policy.max_upload:
        raise _too_large(policy)
    if not data:
        if not file.filename:  # how a browser sends a file input that was left alone
            return None
        raise ImageProblem(ImageState.BROKEN, "image: the file is empty")
    return data
