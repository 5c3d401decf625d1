"""The routes of one product: what is known of it, and its photos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import RedirectResponse

from catalog.domain.product import ProductKey
from catalog.domain.state import Payload
from catalog.errors import ImageProblem
from catalog.ports import ImageSource, ProductReader
from catalog.query.query_vector import product_not_found
from search.auth.caller import Caller, caller_of
from search.errors import ApiError
from search.media import WEB, scheme, sniff
from search.policy import SearchPolicy
from search.schemas.openapi import errors_of
from search.schemas.responses import ProductBody

ProductId = Annotated[str, Path(min_length=1, max_length=512, description="The product's id.", examples=["sku-1"])]
Tenant = Annotated[
    str | None,
    Query(min_length=1, max_length=128, description="Whose product; the default's if left out.", examples=["default"]),
]
Position = Annotated[int, Query(ge=0, lt=64, description="Which of its photos, from 0.", examples=[0])]
Who = Annotated[Caller, Depends(caller_of)]


def product_routes(
    shelf: ProductReader, images: ImageSource, policy: SearchPolicy, clock: Callable[[], float]
) -> APIRouter:
    """The routes. `clock` gives seconds since 1970."""
    routes = APIRouter()

    async def live(product_id: str, tenant: str | None, caller: Caller) -> tuple[ProductKey, Payload]:
        key = ProductKey(tenant or caller.tenant or policy.tenant, product_id)
        payload = await shelf.get(key) if caller.may_see(key) else None
        if payload is None:
            raise product_not_found(key)
        return key, payload

    # An id may hold slashes, so the longer of the two paths is tried first.
    @routes.get(
        "/products/{product_id:path}/photo",
        summary="A product's photo",
        response_class=Response,
        responses={
            200: {"content": {"image/*": {}}, "description": "The photo."},
            307: {"description": "The photo is on the web, there."},
            **errors_of(
                _404="No such product or photo.",
                _422="A parameter is out of bounds.",
                _503="The index does not answer.",
            ),
        },
    )
    async def photo(product_id: ProductId, caller: Who, tenant: Tenant = None, n: Position = 0) -> Response:
        """The bytes of a photo, or a redirect to where the shop keeps it."""
        key, payload = await live(product_id, tenant, caller)
        urls = payload.get("images") or []
        if n >= len(urls):
            raise ApiError(404, "not_found", f"the product {key.id!r} has {len(urls)} photos; there is no number {n}")
        headers = {"cache-control": f"private, max-age={policy.photo_age}"}
        if scheme(urls[n]) in WEB:
            return RedirectResponse(urls[n], 307, headers)
        try:
            data = await images.fetch(urls[n])
        except ImageProblem as problem:
            raise ApiError(404, "not_found", f"photo {n} of {key.id!r} cannot be had: {problem.reason}") from None
        kind = sniff(data)
        if kind is None:
            raise ApiError(404, "not_found", f"photo {n} of {key.id!r} is no image a browser shows")
        return Response(data, headers=headers, media_type=kind)

    @routes.get(
        "/products/{product_id:path}",
        summary="A product",
        responses=errors_of(
            _404="No such product, or it was deleted.",
            _422="A parameter is out of bounds.",
            _503="The index does not answer.",
        ),
    )
    async def product(product_id: ProductId, caller: Who, tenant: Tenant = None) -> ProductBody:
        """What the index knows of a live product now."""
        return ProductBody.of(*await live(product_id, tenant, caller), clock())

    return routes
