"""The routes of one product: its fields and its photos."""

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
    Query(
        min_length=1,
        max_length=128,
        description="The tenant of the product; the default tenant if omitted.",
        examples=["default"],
    ),
]
Position = Annotated[int, Query(ge=0, lt=64, description="Position of the photo, from 0.", examples=[0])]
RequestCaller = Annotated[Caller, Depends(caller_of)]


def product_routes(
    product_reader: ProductReader, images: ImageSource, policy: SearchPolicy, clock: Callable[[], float]
) -> APIRouter:
    """The routes. `clock` returns seconds since 1970."""
    routes = APIRouter()

    async def find_live(product_id: str, tenant: str | None, caller: Caller) -> tuple[ProductKey, Payload]:
        key = ProductKey(tenant or caller.tenant or policy.tenant, product_id)
        payload = await product_reader.get(key) if caller.may_see(key) else None
        if payload is None:
            raise product_not_found(key)
        return key, payload

    # An id may contain slashes, so the longer of the two paths is matched first.
    @routes.get(
        "/products/{product_id:path}/photo",
        summary="A product's photo",
        response_class=Response,
        responses={
            200: {"content": {"image/*": {}}, "description": "The photo."},
            307: {"description": "The photo is at this URL on the web."},
            **errors_of(
                _404="No such product or photo.",
                _422="A parameter is out of bounds.",
                _503="The index does not answer.",
            ),
        },
    )
    async def photo(product_id: ProductId, caller: RequestCaller, tenant: Tenant = None, n: Position = 0) -> Response:
        """The bytes of a photo, or a redirect to its URL on the web."""
        key, payload = await find_live(product_id, tenant, caller)
        urls = payload.get("images") or []
        if n >= len(urls):
            raise ApiError(
                404,
                "not_found",
                f"the product {key.id!r} has {len(urls)} photos, counted from 0; there is no photo {n}",
            )
        headers = {"cache-control": f"private, max-age={policy.photo_age}"}
        if scheme(urls[n]) in WEB:
            return RedirectResponse(urls[n], 307, headers)
        try:
            data = await images.fetch(urls[n])
        except ImageProblem as problem:
            raise ApiError(404, "not_found", f"photo {n} of {key.id!r} cannot be fetched: {problem.reason}") from None
        media_type = sniff(data)
        if media_type is None:
            raise ApiError(404, "not_found", f"photo {n} of {key.id!r} is not an image that browsers show")
        return Response(data, headers=headers, media_type=media_type)

    @routes.get(
        "/products/{product_id:path}",
        summary="A product",
        responses=errors_of(
            _404="No such product, or it was deleted.",
            _422="A parameter is out of bounds.",
            _503="The index does not answer.",
        ),
    )
    async def product(product_id: ProductId, caller: RequestCaller, tenant: Tenant = None) -> ProductBody:
        """The current fields of a live product."""
        return ProductBody.of(*await find_live(product_id, tenant, caller), clock())

    return routes
