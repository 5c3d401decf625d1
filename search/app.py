"""The HTTP application, from the parts it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import RedirectResponse

from catalog.errors import ImageProblem
from catalog.find import Find
from catalog.gather import Gather
from catalog.ports import ImageSource, Shelf
from catalog.product import Key
from catalog.state import Payload
from search.admission import TIMEOUT_HEADER, Admission
from search.body import read_query
from search.caller import Caller, Scope, caller_of
from search.candidates import add_candidates
from search.door import Door
from search.errors import Edge, Refused, answer_errors
from search.health import Health
from search.keyring import Keyring
from search.page import Page
from search.photo import WEB, scheme, sniff
from search.policy import SearchPolicy
from search.schemas import ErrorBody, FoundBody, HealthBody, ProductBody, SearchRequest

DESCRIPTION = """Finds live products by words, by a photo, or by both.

Every answer that is not a success is `{"error": {"type", "message"}}`; the message is one sentence for a person."""
DEFAULT = SearchPolicy()

FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "image": {"type": "string", "format": "binary", "description": "A photo of what is looked for."},
        "text": {"type": "string", "description": "What is looked for, in words."},
        "limit": {"type": "integer", "default": 20, "description": "How many hits at most, from 1."},
        "filter": {"type": "string", "description": "The filter of the JSON request, as JSON text."},
    },
}
SEARCH_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": SearchRequest.model_json_schema()},
        "multipart/form-data": {"schema": FORM_SCHEMA},
    },
}

ProductId = Annotated[str, Path(min_length=1, max_length=512, description="The product's id.", examples=["sku-1"])]
Tenant = Annotated[
    str | None, Query(min_length=1, max_length=128, description="Whose product; the default's if left out.")
]
Position = Annotated[int, Query(ge=0, lt=64, description="Which of its photos, from 0.")]


def _errors(**said: str) -> dict[int | str, dict[str, Any]]:
    return {int(status[1:]): {"model": ErrorBody, "description": text} for status, text in said.items()}


def create_app(
    *,
    find: Find,
    gather: Gather,
    shelf: Shelf,
    images: ImageSource,
    health: Callable[[], Awaitable[Health]],
    policy: SearchPolicy = DEFAULT,
    keys: Keyring | None = None,
) -> FastAPI:
    """The search API, its documentation at /docs and the page at /, with nothing taken from another host.

    `images` fetches what queries and photos refer to; the app refuses files to queries itself. Without `keys` whoever
    reaches the service may ask.
    """
    app = FastAPI(
        title="liveshelf search",
        version=version("liveshelf"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Admission, policy=policy)
    app.add_middleware(Door, policy=policy, keys=keys)
    if policy.origins:
        _let_pages_ask(app, policy)
    app.add_middleware(Edge)
    answer_errors(app, policy)
    _add_search(app, find, images, policy)
    add_candidates(app, gather, images=images, policy=policy)
    _add_products(app, shelf, images, policy)
    _add_health(app, health)
    for path, file in (("/", "page.html"), ("/docs", "docs.html")):
        app.add_api_route(path, Page(file).serve, methods=["GET", "HEAD"], include_in_schema=False)
    return app


def _let_pages_ask(app: FastAPI, policy: SearchPolicy) -> None:
    """Pages of other origins may ask from a browser; no cookie goes with it, a key has to."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=sorted(policy.origins),
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-api-key", TIMEOUT_HEADER],
        expose_headers=["retry-after"],
    )


def _add_search(app: FastAPI, find: Find, images: ImageSource, policy: SearchPolicy) -> None:
    @app.post(
        "/search",
        summary="Find products",
        response_model=FoundBody,
        openapi_extra={"requestBody": SEARCH_BODY},
        responses=_errors(
            _400="The body is not JSON, or not a form.",
            _413="The image is too large.",
            _415="The body is neither JSON nor a form.",
            _422="The query makes no sense; the message names the field.",
            _429="More is being asked than can be answered, or than this key may ask; see Retry-After.",
            _503="A service does not answer, or not in time; try again after the seconds in Retry-After.",
        ),
    )
    async def search(request: Request) -> Response:
        """Give text, an image (as a URL, or uploaded in a form), or both: the nearest live products, best first."""
        query = await read_query(request, images, policy)
        found = await find(query)
        return Response(FoundBody.of(found).model_dump_json(), media_type="application/json")


def _add_products(app: FastAPI, shelf: Shelf, images: ImageSource, policy: SearchPolicy) -> None:
    async def live(product_id: str, tenant: str | None) -> tuple[Key, Payload]:
        key = Key(tenant or policy.tenant, product_id)
        payload = await shelf.get(key)
        if payload is None:
            message = f"there is no live product {key.id!r} of tenant {key.tenant!r}"
            raise Refused(404, "not_found", message)
        return key, payload

    # An id may hold slashes, so the longer of the two paths is tried first.
    @app.get(
        "/products/{product_id:path}/photo",
        summary="A product's photo",
        response_class=Response,
        responses={
            200: {"content": {"image/*": {}}, "description": "The photo."},
            307: {"description": "The photo is on the web, there."},
            **_errors(
                _404="No such product or photo.",
                _422="A parameter is out of bounds.",
                _503="The index does not answer.",
            ),
        },
    )
    async def photo(product_id: ProductId, tenant: Tenant = None, n: Position = 0) -> Response:
        """The bytes of a photo, or a redirect to where the shop keeps it."""
        key, payload = await live(product_id, tenant)
        urls = payload.get("images") or []
        if n >= len(urls):
            raise Refused(404, "not_found", f"the product {key.id!r} has {len(urls)} photos; there is no number {n}")
        headers = {"cache-control": f"private, max-age={policy.photo_age}"}
        if scheme(urls[n]) in WEB:
            return RedirectResponse(urls[n], 307, headers)
        try:
            data = await images.fetch(urls[n])
        except ImageProblem as problem:
            raise Refused(404, "not_found", f"photo {n} of {key.id!r} cannot be had: {problem.reason}") from None
        kind = sniff(data)
        if kind is None:
            raise Refused(404, "not_found", f"photo {n} of {key.id!r} is no image a browser shows")
        return Response(data, headers=headers, media_type=kind)

    @app.get(
        "/products/{product_id:path}",
        summary="A product",
        responses=_errors(
            _404="No such product, or it was deleted.",
            _422="A parameter is out of bounds.",
            _503="The index does not answer.",
        ),
    )
    async def product(product_id: ProductId, tenant: Tenant = None) -> ProductBody:
        """What the index knows of a live product now."""
        return ProductBody.of(*await live(product_id, tenant))


def _add_health(app: FastAPI, health: Callable[[], Awaitable[Health]]) -> None:
    @app.get(
        "/health",
        summary="Whether queries can be answered",
        response_model=HealthBody,
        responses={503: {"model": HealthBody, "description": "The index does not answer."}},
    )
    async def healthy(caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """200 while the index answers, 503 while it does not. Needs no key, and then says nothing of the products."""
        now = await health()
        counts = Scope.READ in caller.scopes and caller.tenant is None
        body = HealthBody(
            status="ok" if now.ok else "unavailable",
            index=now.ok,
            space=now.space,
            products=now.products if counts else None,
            message=now.message,
        )
        return Response(body.model_dump_json(), 200 if now.ok else 503, media_type="application/json")
