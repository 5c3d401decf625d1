"""API keys: their permissions, and the file that stores only their digests.

A key has 256 random bits, so it cannot be guessed and a plain SHA-256 digest does not reveal it. A slow hash protects
passwords, which people choose; for keys it would only slow down every request.
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
from search.auth.caller import Caller, KeyScope

PREFIX = "ls"
_NOBODY = sha256(b"").hexdigest()


class Grant(BaseModel):
    """The permissions of a key. `digest` is the SHA-256 of the complete key; `id`, its middle part, is not secret.

    `tenant` limits the key to the products of one tenant; None allows all. `rate` is in requests per second; None means
    no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    name: str = Field(min_length=1, max_length=64)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str | None = Field(max_length=128)
    scopes: frozenset[KeyScope] = Field(min_length=1)
    rate: float | None = Field(default=None, gt=0)
    created: AwareDatetime
    expires: AwareDatetime | None = None

    @property
    def caller(self) -> Caller:
        return Caller(name=self.id, tenant=self.tenant, scopes=self.scopes)

    def expired(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[Grant, ...] = ()


def new_key() -> tuple[str, str, str]:
    """A new random key, its id and its digest."""
    id_ = secrets.token_hex(4)
    key = f"{PREFIX}_{id_}_{secrets.token_urlsafe(32)}"
    return key, id_, digest(key)


def digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def find_grant(grants: dict[str, Grant], key: str) -> Grant | None:
    """The grant of a key, or None if the key is unknown. Digests are compared in constant time."""
    grant = grants.get(key.removeprefix(f"{PREFIX}_").partition("_")[0])
    same = hmac.compare_digest(digest(key), grant.digest if grant else _NOBODY)
    return grant if same else None


def read_grants(file: Path) -> tuple[Grant, ...]:
    """The grants of a file; empty if it does not exist. Raises InvalidInput if it cannot be read or is not valid."""
    try:
        return _File.model_validate_json(file.read_bytes()).keys
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InvalidInput(f"the keys in {file} cannot be read ({error.strerror}): let this user read it") from None
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"]))
        problem = f"{location}: {first['msg']}" if location else first["msg"]
        raise InvalidInput(
            f"{file} is not a file of keys ({problem}): restore it, or remove it and create new keys with"
            " `liveshelf keys add`"
        ) from None


def write_grants(file: Path, grants: Iterable[Grant]) -> None:
    """Write the file atomically, readable by this user alone. Raises InvalidInput if it cannot be written."""
    text = json.dumps({"keys": [grant.model_dump(mode="json") for grant in grants]}, indent=2, ensure_ascii=False)
    try:
        write_atomically(file, text + "\n", mode=0o600)
    except OSError as error:
        raise InvalidInput(
            f"the keys cannot be written to {file} ({error.strerror}): choose a file in a folder you can write to"
        ) from None
