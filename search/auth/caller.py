"""The caller of a request, and which products it may see."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fastapi import Request

from catalog.domain.filters import AnyOf, Condition
from catalog.domain.product import ProductKey


class KeyScope(StrEnum):
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller may see the products of `tenant` only; None allows all tenants."""

    name: str = "anyone"
    tenant: str | None = None
    scopes: frozenset[KeyScope] = frozenset(KeyScope)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions that limit each search, facet and count to the products this caller may see."""
        return () if self.tenant is None else (AnyOf("tenant", (self.tenant,)),)

    def may_see(self, key: ProductKey) -> bool:
        """Whether this caller may see the product."""
        return self.tenant in (None, key.tenant)


async def caller_of(request: Request) -> Caller:
    """The caller of a request, as AuthMiddleware determined it."""
    caller: Caller = getattr(request.state, "caller", Caller())
    return caller
