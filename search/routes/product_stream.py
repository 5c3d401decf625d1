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

IndexedProduct = tuple[ProductKey, Payload]
Conditions = tuple[Condition, ...]
KEEP_ALIVE = ": still here\n\n"
STREAM = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": f"event: product\ndata: {json.dumps(PRODUCT_EXAMPLE)}\n\n",
    }
}


@dataclass(frozen=True, slots=True)
class ProductStreamPolicy:
    """Limits of the stream; times in seconds.

    A poll reads the `poll_limit` newest products every `poll_interval_s`. A listener without news gets a comment every
    `keep_alive_s`. At most `max_queued` products wait for a slow listener; beyond that the oldest are dropped.
    """

    poll_interval_s: float = 0.5
    poll_limit: int = 48
    max_listeners: int = 64
    max_queued: int = 96
    keep_alive_s: float = 15.0


@dataclass(eq=False)
class _Listener:
    conditions: Conditions
    since: int | None
    queue: deque[IndexedProduct]
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    started: bool = False

    def enqueue(self, products: Sequence[IndexedProduct]) -> None:
        if products:
            self.queue.extend(products)
            self.wakeup.set()


class ProductStream:
    """Polls the newest products while there are listeners, and sends each listener what it may see and has not seen."""

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
        self._listeners_changed = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._closed = False

    def check_room(self) -> None:
        """Raises Unavailable if the service has no room for another listener."""
        if len(self._listeners) >= self._policy.max_listeners:
            raise Unavailable(f"{len(self._listeners)} clients already listen to the stream: try again in a moment")

    def close(self) -> None:
        """Ends every stream, so that a stopping server does not wait for them."""
        self._closed = True
        for listener in self._listeners:
            listener.wakeup.set()

    async def events(self, conditions: Conditions, since: int | None) -> AsyncIterator[str]:
        """Server-sent events: the newest products with an event after `since`, then others as they are indexed.

        `since` is in milliseconds since 1970; None skips the products that are indexed already. The stream ends when
        the service stops or the index fails permanently.
        """
        with suppress(Unavailable):
            self.check_room()
            async for products in self._listen(_Listener(conditions, since, deque(maxlen=self._policy.max_queued))):
                yield "".join(self._event(*product) for product in products) or KEEP_ALIVE

    async def _listen(self, listener: _Listener) -> AsyncIterator[list[IndexedProduct]]:
        self._listeners.add(listener)
        self._listeners_changed.set()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            yield []
            while not self._closed and not self._poller.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._policy.keep_alive_s):
                        await listener.wakeup.wait()
                listener.wakeup.clear()
                yield [listener.queue.popleft() for _ in range(len(listener.queue))]
        finally:
            self._listeners.discard(listener)
            self._listeners_changed.set()

    async def _poll(self) -> None:
        newest: dict[Conditions, Sequence[IndexedProduct]] = {}
        try:
            while self._listeners and not self._closed:
                self._listeners_changed.clear()
                listened = {listener.conditions for listener in self._listeners}
                newest = {
                    conditions: await self._publish(conditions, newest.get(conditions, ())) for conditions in listened
                }
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._policy.poll_interval_s):
                        await self._listeners_changed.wait()
        except LiveshelfError as error:
            log.error("the product stream stopped: %s", error)
        finally:
            for listener in self._listeners:
                listener.wakeup.set()

    async def _publish(self, conditions: Conditions, previous: Sequence[IndexedProduct]) -> Sequence[IndexedProduct]:
        """Queues what changed for the listeners with these conditions. Returns the newest products.

        `previous` is the result of the last poll, which is returned again if the index does not answer.
        """
        try:
            newest = await self._recent.newest(conditions, limit=self._policy.poll_limit)
        except Unavailable as error:
            log.debug("the newest products could not be read: %s", error)
            return previous
        seen = {_state_key(product) for product in previous}
        # A product older than all of the last poll is not news: it reappeared because newer products were deleted.
        oldest_shown = _event_time(previous[-1]) if len(previous) >= self._policy.poll_limit else -1
        changed = [
            product
            for product in reversed(newest)
            if _state_key(product) not in seen and _event_time(product) > oldest_shown
        ]
        for listener in [other for other in self._listeners if other.conditions == conditions]:
            if listener.started:
                listener.enqueue(changed)
            elif listener.since is not None:
                since = listener.since
                listener.enqueue([product for product in reversed(newest) if _event_time(product) > since])
            listener.started = True
        return newest

    def _event(self, key: ProductKey, payload: Payload) -> str:
        body = ProductBody.of(key, payload, self._clock())
        return f"event: product\ndata: {body.model_dump_json()}\n\n"


def _event_time(product: IndexedProduct) -> int:
    """The time of the product's newest event, in milliseconds since 1970."""
    return int(product[1].get("event_time") or 0)


def _state_key(product: IndexedProduct) -> tuple[object, ...]:
    key, payload = product
    return key, payload.get("event_time"), payload.get("content_version"), payload.get("offer_version")


class _StreamRoute(APIRoute):
    """Leaves a request that accepts JSON but no events to the product route, because `stream` may be a product id."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        accept = Headers(scope=scope).get("accept", "") if scope["type"] == "http" else ""
        if "application/json" in accept and "text/event-stream" not in accept:
            return Match.NONE, {}
        return super().matches(scope)


def product_stream_routes(product_stream: ProductStream) -> APIRouter:
    """The route GET /products/stream."""
    routes = APIRouter(route_class=_StreamRoute)

    @routes.get(
        "/products/stream",
        summary="Products as they are indexed",
        response_class=StreamingResponse,
        responses={
            200: {
                "content": STREAM,
                "description": "One event named `product` for each change, until the connection closes.",
            },
            **errors_of(_422="A parameter is out of bounds.", _503="Too many clients listen already."),
        },
    )
    async def stream(
        since: Annotated[
            int | None,
            Query(
                ge=0,
                lt=2**63,
                description="Begin with products whose newest event is later, in milliseconds since 1970.",
                examples=[0],
            ),
        ] = None,
        *,
        caller: Annotated[Caller, Depends(caller_of)],
    ) -> StreamingResponse:
        """Server-sent events, each with a product and the seconds since its newest event. Some are left out if products
        change faster than a listener reads."""
        product_stream.check_room()
        headers = {"x-accel-buffering": "no"}  # a buffering proxy would delay the events
        return StreamingResponse(
            product_stream.events(caller.conditions, since), media_type="text/event-stream", headers=headers
        )

    return routes
