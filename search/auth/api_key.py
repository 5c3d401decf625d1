"""API keys: what each one may do, and the file that remembers them without knowing them.

A key is 256 random bits, so nobody guesses it and no two are alike: a plain SHA-256 of it tells a thief of the file
nothing. A slow hash is for passwords, which people choose; here it would only make every request slow.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import InvalidInput
from resilience.atomic_files import write_atomically
from search.auth.caller import Caller, Scope

PREFIX = "ls"
_NOBODY = sha256(b"").hexdigest()


class Grant(BaseModel):
    """What a key may do. `digest` is the SHA-256 of the whole key; `id`, its middle part, is no secret.

    `tenant` is the only one whose products it sees, None for all. `rate` is in requests a second, None for no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    name: str = Field(min_length=1, max_length=64)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str | None = Field(max_length=128)
    scopes: frozenset[Scope] = Field(min_length=1)
    rate: float | None = Field(default=None, gt=0)
    created: AwareDatetime
    expires: AwareDatetime | None = None

    @property
    def caller(self) -> Caller:
        return Caller(name=self.id, tenant=self.tenant, scopes=self.scopes)

    def over(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[Grant, ...] = ()


def new_key() -> tuple[str, str, str]:
    """A key that nobody had before, its id and its digest."""
    id_ = secrets.token_hex(4)
    key = f"{PREFIX}_{id_}_{secrets.token_urlsafe(32)}"
    return key, id_, digest(key)


def digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def find_grant(grants: dict[str, Grant], key: str) -> Grant | None:
    """Whose key it is, by its id. The digests are compared in a time that does not tell how much of them agrees."""
    grant = grants.get(key.removeprefix(f"{PREFIX}_").partition("_")[0])
    same = hmac.compare_digest(digest(key), grant.digest if grant else _NOBODY)
    return grant if same else None


def read_grants(file: Path) -> tuple[Grant, ...]:
    """The grants of a file; none where there is no file. Raises InvalidInput."""
    try:
        return _File.model_validate_json(file.read_bytes()).keys
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InvalidInput(f"the keys in {file} cannot be read ({error.strerror}): let this user read it") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = f"{where}: {first['msg']}" if where else first["msg"]
        raise InvalidInput(
            f"{file} is no file of keys ({said}): restore it, or remove it and make new ones with `liveshelf keys add`"
        ) from None


def write_grants(file: Path, grants: Iterable[Grant]) -> None:
    """The file, whole or not at all, for this user alone to read. Raises InvalidInput."""
    text = json.dumps({"keys": [grant.model_dump(mode="json") for grant in grants]}, indent=2, ensure_ascii=False)
    try:
        write_atomically(file, text + "\n", mode=0o600)
    except OSError as error:
        raise InvalidInput(
            f"the keys cannot be kept in {file} ({error.strerror}): name a file in a folder of yours"
        ) from None
