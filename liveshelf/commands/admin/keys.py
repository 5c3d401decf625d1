"""The keys commands: add, list, revoke."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from catalog.errors import InvalidInput
from liveshelf.commands import options
from liveshelf.commands.times import Span
from liveshelf.settings import Settings
from search.auth.api_key import Grant, new_key, read_grants, write_grants
from search.auth.caller import KeyScope

SCOPES = [scope.value for scope in KeyScope]


@click.group(cls=options.Group)
def keys() -> None:
    """Manage the API keys of the search service.

    LIVESHELF_API_KEYS_FILE names their file, which holds digests of the keys. A running service reads a change within
    a second.

    \b
    Example:
      liveshelf keys add shop-frontend --scope read
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What the key allows; repeatable. Default: read.",
)
@click.option("--tenant", help="Tenant whose products the key can read. Default: LIVESHELF_DEFAULT_TENANT.")
@click.option("--all-tenants", is_flag=True, help="The key can read the products of all tenants.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Largest number of requests a second.")
@click.option("--expires", type=Span(), help="Lifetime of the key, such as 90d.")
@click.pass_obj
def add(
    settings: Settings,
    *,
    name: str,
    scopes: tuple[str, ...],
    tenant: str | None,
    all_tenants: bool,
    rate: float | None,
    expires: int | None,
) -> None:
    """Create a key and print it, once.

    The key itself is not stored. NAME identifies its owner in `liveshelf keys list`.

    \b
    Example:
      liveshelf keys add shop-frontend --rate 50 --expires 90d
    """
    if tenant is not None and all_tenants:
        raise InvalidInput("give --tenant or --all-tenants, not both")
    if rate is not None and not math.isfinite(rate):
        raise InvalidInput(f"--rate {rate}: give a number of requests a second, or leave it out for no limit")
    if not 1 <= len(name) <= 64:
        raise InvalidInput("a name has 1 to 64 characters")
    file = _file(settings)
    grants = read_grants(file)
    if any(grant.name == name for grant in grants):
        raise InvalidInput(f"there is a key named {name!r} already: revoke it first, or choose another name")
    key, id_, digest = new_key()
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        ends = None if expires is None else now + timedelta(milliseconds=expires)
    except OverflowError:
        raise InvalidInput("--expires: the key would outlive the calendar: give a span such as 365d") from None
    if ends is not None and ends <= now:
        raise InvalidInput("--expires: the key would have expired already: give a span such as 90d")
    grant = Grant(
        id=id_,
        name=name,
        digest=digest,
        tenant=None if all_tenants else tenant or settings.default_tenant,
        scopes=frozenset(map(KeyScope, scopes or ["read"])),
        rate=rate,
        created=now,
        expires=ends,
    )
    write_grants(file, (*grants, grant))
    click.echo(
        f"{name}: may {', '.join(sorted(grant.scopes))} {_seen(grant)}. Keep it now, it is shown once:", err=True
    )
    click.echo(key)


@keys.command("list")
@options.as_json
@click.pass_obj
def list_(settings: Settings, *, as_json: bool) -> None:
    """Show the keys, their owners and what they may do.

    \b
    Example:
      liveshelf keys list
    """
    grants = read_grants(_file(settings))
    now = datetime.now(UTC)
    if as_json:
        click.echo(json.dumps([_as_json(grant, now) for grant in grants], ensure_ascii=False, indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("id", "name", "may", "tenant", "rate", "made", "ends"):
        table.add_column(heading)
    for grant in grants:
        ends = "" if grant.expires is None else f"{grant.expires:%Y-%m-%d %H:%M}" + (" (over)" * grant.expired(now))
        table.add_row(
            grant.id,
            grant.name,
            ", ".join(sorted(grant.scopes)),
            "all" if grant.tenant is None else grant.tenant,
            "" if grant.rate is None else f"{grant.rate:g}/s",
            f"{grant.created:%Y-%m-%d}",
            ends,
        )
    if grants:
        Console().print(table)
    else:
        click.echo("There are no keys: make one with `liveshelf keys add NAME`.", err=True)


@keys.command()
@click.argument("which")
@click.pass_obj
def revoke(settings: Settings, *, which: str) -> None:
    """Revoke a key.

    WHICH is its name or its id, as `liveshelf keys list` shows them.

    \b
    Example:
      liveshelf keys revoke shop-frontend
    """
    file = _file(settings)
    grants = read_grants(file)
    remaining = [grant for grant in grants if which not in (grant.name, grant.id)]
    if len(remaining) == len(grants):
        raise InvalidInput(f"there is no key {which!r}: `liveshelf keys list` shows them")
    write_grants(file, remaining)
    click.echo(f"{which} is revoked; a running service refuses it from the next second on.", err=True)


def _file(settings: Settings) -> Path:
    if settings.api_keys_file is None:
        raise InvalidInput(
            "no file of keys is named: set LIVESHELF_API_KEYS_FILE to one, such as /etc/liveshelf/keys.json"
        )
    return settings.api_keys_file


def _as_json(grant: Grant, now: datetime) -> dict[str, Any]:
    return {
        "id": grant.id,
        "name": grant.name,
        "scopes": sorted(grant.scopes),
        "tenant": grant.tenant,
        "rate": grant.rate,
        "created": grant.created.isoformat(),
        "expires": None if grant.expires is None else grant.expires.isoformat(),
        "expired": grant.expired(now),
    }


def _seen(grant: Grant) -> str:
    return "for all tenants" if grant.tenant is None else f"for the tenant {grant.tenant}"
