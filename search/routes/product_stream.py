"""GET /v1/products/stream: products as they are indexed, as server-sent events. One poller serves all listeners."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from catalog.domain.filters import Condition
from catalog.domain.product import ProductKey
from catalog.domain.state import Payload
from catalog.errors import LiveshelfError, Unavailable
from catalog.ports import RecentProducts
from search.auth.caller import Caller, caller_of
from search.schemas.openapi import errors_of
from search.schemas.responses import PRODUCT_EXAMPLE, ProductBody

log = logging.getLogger(__name__)

Told = tuple[ProductKey, Payload]
Sees = tuple[Condition, ...]
STILL_HERE = ": still here\n\n"
STREAM = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": f"event: product\ndata: {json.dumps(PRODUCT_EXAMPLE)}\n\n",
    }
}


@dataclass(frozen=True, slots=True)
class ProductStreamPolicy:
    """`every` is the pause between two looks at the index and `silence` that after which a listener hears that all is
    well, in seconds. One look brings the `newest` products; `waiting` may wait for a slow listener, and then the oldest
    give way.
    """

    every: float = 0.5
    newest: int = 48
    listeners: int = 64
    waiting: int = 96
    silence: float = 15.0


@dataclass(eq=False)
class _Listener:
    sees: Sees
    since: int | None
    waiting: deque[Told]
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    met: bool = False

    def tell(self, products: Sequence[Told]) -> None:
        if products:
            self.waiting.extend(products)
            self.woken.set()


class ProductStream:
    """Looks at the newest products while somebody listens, and tells each listener what is new to it."""

    def __init__(
        self,
        recent: RecentProducts,
        policy: ProductStreamPolicy = ProductStreamPolicy(),
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives seconds since 1970."""
        self._recent = recent
        self._policy = policy
        self._clock = clock
        self._listeners: set[_Listener] = set()
        self._joined = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._closed = False

    def check_room(self) -> None:
        """Raises Unavailable where one more would be too many."""
        if len(self._listeners) >= self._policy.listeners:
            raise Unavailable(f"{len(self._listeners)} listen already: try again in a moment")

    def close(self) -> None:
        """Ends every stream, so that a server that stops need not wait for them."""
        self._closed = True
        for listener in self._listeners:
            listener.woken.set()

    async def events(self, sees: Sees, since: int | None) -> AsyncIterator[str]:
        """Server-sent events: the newest products with an event after `since` (milliseconds), then others as they come.

        With None only those that come. Ends when the service closes or the index refuses for good.
        """
        with suppress(Unavailable):
            self.check_room()
            async for products in self._listen(_Listener(sees, since, deque(maxlen=self._policy.waiting))):
                yield "".join(self._event(*each) for each in products) or STILL_HERE

    async def _listen(self, listener: _Listener) -> AsyncIterator[list[Told]]:
        self._listeners.add(listener)
        self._joined.set()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            yield []
            while not self._closed and not self._poller.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._policy.silence):
                        await listener.woken.wait()
                listener.woken.clear()
                yield [listener.waiting.popleft() for _ in range(len(listener.waiting))]
        finally:
            self._listeners.discard(listener)
            self._joined.set()

    async def _poll(self) -> None:
        shown: dict[Sees, Sequence[Told]] = {}
        try:
            while self._listeners and not self._closed:
                self._joined.clear()
                scopes = {listener.sees for listener in self._listeners}
                shown = {sees: await self._look(sees, shown.get(sees, ())) for sees in scopes}
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._policy.every):
                        await self._joined.wait()
        except LiveshelfError as error:
            log.error("nobody is told of new products: %s", error)
        finally:
            for listener in self._listeners:
                listener.woken.set()

    async def _look(self, sees: Sees, before: Sequence[Told]) -> Sequence[Told]:
        """What is newest now, told to those who see it; `before` is what was newest at the last look."""
        try:
            now = await self._recent.newest(sees, limit=self._policy.newest)
        except Unavailable as error:
            log.debug("no look at the newest products: %s", error)
            return before
        known = {_sign(each) for each in before}
        # What is older than all that was shown is no news: it came back into view because others were deleted.
        floor = _time(before[-1]) if len(before) >= self._policy.newest else -1
        fresh = [each for each in reversed(now) if _sign(each) not in known and _time(each) > floor]
        for listener in [each for each in self._listeners if each.sees == sees]:
            if listener.met:
                listener.tell(fresh)
            elif listener.since is not None:
                since = listener.since
                listener.tell([each for each in reversed(now) if _time(each) > since])
            listener.met = True
        return now

    def _event(self, key: ProductKey, payload: Payload) -> str:
        body = ProductBody.of(key, payload, self._clock())
        return f"event: product\ndata: {body.model_dump_json()}\n\n"


def _time(told: Told) -> int:
    """When the product's newest event was recorded, in milliseconds."""
    return int(told[1].get("event_time") or 0)


def _sign(told: Told) -> tuple[object, ...]:
    key, payload = told
    return key, payload.get("event_time"), payload.get("content_version"), payload.get("offer_version")


class _StreamRoute(APIRoute):
    """Leaves a request that accepts JSON and no events to the route of one product, whose id may be `stream`."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        accept = Headers(scope=scope).get("accept", "") if scope["type"] == "http" else ""
        if "application/json" in accept and "text/event-stream" not in accept:
            return Match.NONE, {}
        return super().matches(scope)


def product_stream_routes(live: ProductStream) -> APIRouter:
    """GET /products/stream."""
    routes = APIRouter(route_class=_StreamRoute)

    @routes.get(
        "/products/stream",
        summary="Products as they are indexed",
        response_class=StreamingResponse,
        responses={
            200: {"content": STREAM, "description": "An event `product` for each, until closed."},
            **errors_of(_422="A parameter is out of bounds.", _503="Too many listen already."),
        },
    )
    async def stream(
        since: Annotated[
            int | None,
            Query(
                ge=0,
                lt=2**63,
                description="Begin with products whose event is later, in milliseconds since 1970.",
                examples=[0],
            ),
        ] = None,
        *,
        caller: Annotated[Caller, Depends(caller_of)],
    ) -> StreamingResponse:
        """Server-sent events, each a product and the seconds since its event; under a heavy stream not all of them."""
        live.check_room()
        headers = {"x-accel-buffering": "no"}  # a proxy that gathers the stream would hold the news back
        return StreamingResponse(live.events(caller.sees, since), media_type="text/event-stream", headers=headers)

    return routes
