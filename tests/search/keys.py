"""API keys for tests of authentication."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from search.auth.api_key import Grant, new_key, read_grants, write_grants
from search.auth.caller import KeyScope

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def grant(
    file: Path,
    name: str = "shop",
    *,
    tenant: str | None = None,
    scopes: tuple[str, ...] = ("read",),
    rate: float | None = None,
    expires: timedelta | None = None,
) -> str:
    """A new key in the file."""
    key, id_, digest = new_key()
    new_grant = Grant(
        id=id_,
        name=name,
        digest=digest,
        tenant=tenant,
        scopes=frozenset(map(KeyScope, scopes)),
        rate=rate,
        created=NOW,
        expires=None if expires is None else datetime.now(UTC) + expires,
    )
    write_grants(file, (*read_grants(file), new_grant))
    return key
