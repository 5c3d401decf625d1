"""The keys a running service goes by: read anew when their file changes, so that a revoked one ends within a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from catalog.errors import InvalidInput
from search.auth.api_key import Grant, find_grant, read_grants

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class KeyFile:
    """Raises InvalidInput when it is made of a file that is none, or that holds no key."""

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._seen = _stamp(file)
        self._looked = clock()
        self._grants = {grant.id: grant for grant in read_grants(file)}
        if not self._grants:
            raise InvalidInput(
                f"there is no key in {file}: make one with `liveshelf keys add NAME`, or unset LIVESHELF_API_KEYS_FILE"
            )

    def find(self, key: str) -> Grant | None:
        """What the key may do, None where it is no key of ours. Whether it has expired is for the caller to say."""
        self._look()
        return find_grant(self._grants, key)

    def _look(self) -> None:
        if self._clock() - self._looked < LOOK_EVERY_S:
            return
        self._looked = self._clock()
        stamp = _stamp(self._file)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._grants = {grant.id: grant for grant in read_grants(self._file)}
        except InvalidInput as error:
            # Whoever edited it sees the log; meanwhile the keys that were good go on, and no new ones come.
            log.error("the keys stay as they were: %s", error)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def utc_now() -> datetime:
    return datetime.now(UTC)
