"""Protection against SSRF: addresses are checked when a connection is opened.

The check is part of the connection pool's network backend, so every redirect passes it. The connection goes to the
address that was checked: a name cannot be re-bound in between. TLS still verifies the host's name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import httpcore

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images.public_addresses import Address, is_public

Resolve = Callable[[str, int], Awaitable[list[str]]]
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

WEB_PORTS = (80, 443)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, from the system's resolver. Raises OSError."""
    entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


class AllowedDestinations:
    """Public addresses at `ports` are allowed; the hosts, addresses and networks of `names` at any port."""

    def __init__(self, names: Iterable[str], *, ports: Iterable[int] = WEB_PORTS) -> None:
        self.ports = frozenset(ports)
        self._hosts: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for name in names:
            try:
                self._networks.append(ipaddress.ip_network(name, strict=False))
            except ValueError:
                self._hosts.add(name.lower().rstrip("."))

    def is_named(self, host: str, address: Address) -> bool:
        return host.lower().rstrip(".") in self._hosts or any(address in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class EgressGuard:
    """Resolves a host to addresses that are allowed."""

    allowed: AllowedDestinations
    resolve: Resolve = resolve

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to try, in order. Raises ImageProblem: BLOCKED if any of them is not allowed."""
        if not 0 < port < 65536:
            raise ImageProblem(ImageState.MISSING, f"the image's address is not a URL: {port} is not a port")
        if "%" in host and ":" not in host:
            raise ImageProblem(ImageState.MISSING, f"the image's address is not a URL: {host[:80]} is not a host name")
        try:
            addresses = list(dict.fromkeys(await self.resolve(host, port)))
        except UnicodeError as err:
            raise ImageProblem(
                ImageState.MISSING, "the image's address is not a URL: its host name is not valid"
            ) from err
        except OSError as err:
            raise ImageProblem(ImageState.UNAVAILABLE, f"the host {host} has no address: {err}") from err
        for text in addresses:
            # One private address blocks the whole name: which of its addresses is used would be chance.
            self._check(host, port, text)
        if not addresses:
            raise ImageProblem(ImageState.UNAVAILABLE, f"the host {host} has no address")
        return addresses

    def _check(self, host: str, port: int, text: str) -> None:
        address = ipaddress.ip_address(text.partition("%")[0])
        if self.allowed.is_named(host, address):
            return
        if not is_public(address):
            reason = f"the host {host} has the address {text}, which is not public: allow it by name if it is yours"
            raise ImageProblem(ImageState.BLOCKED, reason)
        if port not in self.allowed.ports:
            ports = ", ".join(map(str, sorted(self.allowed.ports))) or "none"
            reason = f"port {port} of {host} is not allowed: photos are fetched from the ports {ports}"
            raise ImageProblem(ImageState.BLOCKED, reason)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """TCP connections to guarded addresses only; no Unix sockets."""

    def __init__(self, guard: EgressGuard) -> None:
        self._guard = guard
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in await self._guard.addresses(host, port):
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as err:
                failure = err
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def sleep(self, seconds: float) -> None:
        await self._plain.sleep(seconds)
