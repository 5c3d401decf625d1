"""Who asks, and what that lets them see."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fastapi import Request

from catalog.domain.filters import AnyOf, Condition
from catalog.domain.product import ProductKey


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """`tenant` is the only one whose products are seen; None sees all of them."""

    name: str = "anyone"
    tenant: str | None = None
    scopes: frozenset[Scope] = frozenset(Scope)

    @property
    def sees(self) -> tuple[Condition, ...]:
        """What every product that this caller is shown satisfies; goes with every search, facet and count."""
        return () if self.tenant is None else (AnyOf("tenant", (self.tenant,)),)

    def may_see(self, key: ProductKey) -> bool:
        """Whether a product is one that this caller is shown."""
        return self.tenant in (None, key.tenant)


async def caller_of(request: Request) -> Caller:
    """Who sent the request, as the application's door found out."""
    caller: Caller = getattr(request.state, "caller", Caller())
    return caller
