"""Gives each request a slot and a deadline, and cancels its work when the client disconnects."""

from __future__ import annotations

import asyncio
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.errors import ApiError
from search.middleware.authentication import is_open
from search.middleware.concurrency import BodyReservation, ConcurrencyLimiter, Deadline
from search.policy import SearchPolicy

TIMEOUT_HEADER = "x-timeout-ms"
UNLIMITED_PATHS = frozenset({"/v1/products/stream"})


class AdmissionMiddleware:
    """An ASGI layer. It reads the body before it takes a slot, so that a slow client does not occupy one.

    Pages and endless streams pass through.
    """

    def __init__(self, app: ASGIApp, *, policy: SearchPolicy) -> None:
        self._app = app
        self._policy = policy
        self._limiter = ConcurrencyLimiter(policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]) or scope["path"] in UNLIMITED_PATHS:
            await self._app(scope, receive, send)
            return
        try:
            timeout_s = self._timeout(Headers(scope=scope))
            with self._limiter.reserve_body() as reservation:
                body = await self._read(Headers(scope=scope), receive, reservation)
                if body is not None:
                    await self._answer(scope, body, receive, send, timeout_s)
        except ApiError as error:
            await error.response(scope, receive, send)

    def _timeout(self, headers: Headers) -> float:
        value = headers.get(TIMEOUT_HEADER)
        if value is None:
            return self._policy.answer_timeout_s
        if not re.fullmatch(r"[1-9][0-9]{0,8}", value):
            raise ApiError(422, "invalid", f"{TIMEOUT_HEADER}: {value[:20]!r} is not a number of milliseconds, from 1")
        return min(int(value) / 1000, self._policy.answer_timeout_s)

    async def _read(self, headers: Headers, receive: Receive, reservation: BodyReservation) -> bytes | None:
        """The complete body, or None if the client disconnected first. Raises ApiError (408, 413, 429)."""
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:18]) > self._policy.max_body:
            raise self._too_large()
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._policy.read_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunks.append(chunk := message.get("body", b""))
                    reservation.add(len(chunk))
                    if reservation.size > self._policy.max_body:
                        raise self._too_large()
                    if not message.get("more_body"):
                        return b"".join(chunks)
        except TimeoutError:
            sentence = f"the request did not arrive within {self._policy.read_timeout_s:g} s: send it again"
            raise ApiError(408, "timeout", sentence) from None

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send, timeout_s: float) -> None:
        disconnected = asyncio.ensure_future(_disconnected(receive))
        try:
            async with asyncio.timeout(None) as timeout:
                deadline = Deadline(timeout, timeout_s)
                disconnected.add_done_callback(lambda _: deadline.end())
                scope.setdefault("state", {})["deadline"] = deadline
                send_answer = _DeadlineSend(send, deadline, self._policy.read_timeout_s)
                async with self._limiter.slot():
                    await self._app(scope, _replay(body, disconnected), send_answer)
        except TimeoutError:
            if not timeout.expired():
                raise
            if not disconnected.done() and not send_answer.started:
                message = f"no answer within {deadline.timeout_s:g} s: try again in a moment"
                raise ApiError(
                    503, "timeout", message, headers={"retry-after": str(self._policy.retry_after)}
                ) from None
        finally:
            deadline.close()
            disconnected.cancel()

    def _too_large(self) -> ApiError:
        cap = self._policy.max_upload / 2**20
        return ApiError(413, "too_large", f"the image is larger than the limit of {cap:g} MiB: send a smaller one")


class _DeadlineSend:
    """Sends an answer. When it starts, the deadline becomes the time the client has to receive it."""

    def __init__(self, send: Send, deadline: Deadline, timeout_s: float) -> None:
        self._send = send
        self._deadline = deadline
        self._read_timeout_s = timeout_s
        self.started = False

    async def __call__(self, message: Message) -> None:
        if not self.started:
            self.started = True
            self._deadline.move(self._read_timeout_s)
        if not message.get("more_body", message["type"] == "http.response.start"):
            self._deadline.close()  # the client may disconnect now
        await self._send(message)


def _replay(body: bytes, disconnected: asyncio.Future[None]) -> Receive:
    """A `receive` that returns a body which was read already, then waits for the client to disconnect."""
    unread = True

    async def receive() -> Message:
        nonlocal unread
        if unread:
            unread = False
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.wait([disconnected])
        return {"type": "http.disconnect"}

    return receive


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
