"""Which addresses may be connected to, checked where the connection is made.

The check sits in the network backend of the connection pool, so every redirect passes it, and the address that was
checked is the address that is connected to: a name cannot be re-bound in between. TLS still verifies the host's name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import httpcore

from catalog.errors import ImageProblem
from catalog.product import ImageState

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host by the system's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[4][0]) for where in found]


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, seen through the ways IPv6 has of carrying an IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return is_public(carried)
    return address.is_global and not address.is_multicast


class Allowed:
    """The hosts, addresses and networks that may be reached although they are not public."""

    def __init__(self, names: Iterable[str]) -> None:
        self._hosts: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for name in names:
            try:
                self._networks.append(ipaddress.ip_network(name, strict=False))
            except ValueError:
                self._hosts.add(name.lower().rstrip("."))

    def host(self, host: str) -> bool:
        return host.lower().rstrip(".") in self._hosts

    def address(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class Guard:
    """Resolves a host and says where it may be reached."""

    allowed: Allowed
    resolve: Resolve = resolve

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to try, in order. Raises ImageProblem: BLOCKED if any is not allowed, UNAVAILABLE if none."""
        try:
            found = list(dict.fromkeys(await self.resolve(host, port)))
        except (OSError, UnicodeError) as err:
            raise ImageProblem(ImageState.UNAVAILABLE, f"the host {host} has no address: {err}") from err
        for text in found:
            # A name with one private address among public ones is refused whole: which one is tried is chance.
            if not self.allowed.host(host) and not self.allowed.address(ipaddress.ip_address(text.partition("%")[0])):
                raise ImageProblem(
                    ImageState.BLOCKED,
                    f"the host {host} is at {text}, which is not public: allow it by name if it is yours",
                )
        if not found:
            raise ImageProblem(ImageState.UNAVAILABLE, f"the host {host} has no address")
        return found


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """TCP connections to guarded addresses only; no Unix sockets."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the interface of httpcore
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
