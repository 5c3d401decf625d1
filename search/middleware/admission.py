"""Each request its turn, its deadline and its end: what an answer costs is spent only while somebody waits for it."""

from __future__ import annotations

import asyncio
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.errors import ApiError
from search.middleware.authentication import is_open
from search.middleware.concurrency import ConcurrencyLimiter, Deadline, HeldSlot
from search.policy import SearchPolicy

TIMEOUT_HEADER = "x-timeout-ms"
ENDLESS = frozenset({"/v1/products/stream"})


class AdmissionMiddleware:
    """An ASGI layer. The body is read first, so that a client that sends slowly has nobody's turn meanwhile.

    The pages and what streams without end pass through.
    """

    def __init__(self, app: ASGIApp, *, policy: SearchPolicy) -> None:
        self._app = app
        self._policy = policy
        self._desk = ConcurrencyLimiter(policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]) or scope["path"] in ENDLESS:
            await self._app(scope, receive, send)
            return
        try:
            within = self._within(Headers(scope=scope))
            with self._desk.holding() as holding:
                body = await self._read(Headers(scope=scope), receive, holding)
                if body is not None:
                    await self._answer(scope, body, receive, send, within)
        except ApiError as refused:
            await refused.response(scope, receive, send)

    def _within(self, headers: Headers) -> float:
        asked = headers.get(TIMEOUT_HEADER)
        if asked is None:
            return self._policy.answer_within
        if not re.fullmatch(r"[1-9][0-9]{0,8}", asked):
            raise ApiError(422, "invalid", f"{TIMEOUT_HEADER}: {asked[:20]!r} is no number of milliseconds, from 1")
        return min(int(asked) / 1000, self._policy.answer_within)

    async def _read(self, headers: Headers, receive: Receive, holding: HeldSlot) -> bytes | None:
        """The whole body, None where the client left before it was here."""
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:18]) > self._policy.max_body:
            raise self._too_large()
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._policy.read_within):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunks.append(chunk := message.get("body", b""))
                    holding.add(len(chunk))
                    if holding.size > self._policy.max_body:
                        raise self._too_large()
                    if not message.get("more_body"):
                        return b"".join(chunks)
        except TimeoutError:
            within = f"{self._policy.read_within:g} s"
            raise ApiError(408, "timeout", f"the request did not arrive within {within}") from None

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send, within: float) -> None:
        gone = asyncio.ensure_future(_gone(receive))
        try:
            async with asyncio.timeout(None) as timeout:
                deadline = Deadline(timeout, within)
                gone.add_done_callback(lambda _: deadline.end())
                scope.setdefault("state", {})["deadline"] = deadline
                sending = _Sending(send, deadline, self._policy.read_within)
                async with self._desk.turn():
                    await self._app(scope, _replay(body, gone), sending)
        except TimeoutError:
            if not timeout.expired():
                raise
            if not gone.done() and not sending.begun:
                message = f"no answer within {deadline.seconds:g} s: try again in a moment"
                raise ApiError(
                    503, "timeout", message, headers={"retry-after": str(self._policy.retry_after)}
                ) from None
        finally:
            deadline.close()
            gone.cancel()

    def _too_large(self) -> ApiError:
        cap = self._policy.max_upload / 2**20
        return ApiError(
            413, "too_large", f"the image is larger than the {cap:g} MiB a query may carry: send a smaller one"
        )


class _Sending:
    """Passes an answer on. Once it begins, its deadline is that of the client who takes it."""

    def __init__(self, send: Send, deadline: Deadline, within: float) -> None:
        self._send = send
        self._deadline = deadline
        self._within = within
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if not self.begun:
            self.begun = True
            self._deadline.move(self._within)
        if not message.get("more_body", message["type"] == "http.response.start"):
            self._deadline.close()  # the client may leave now
        await self._send(message)


def _replay(body: bytes, gone: asyncio.Future[None]) -> Receive:
    """The messages of a request that is here already, then word of the client's leaving."""
    unread = True

    async def receive() -> Message:
        nonlocal unread
        if unread:
            unread = False
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.wait([gone])
        return {"type": "http.disconnect"}

    return receive


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
