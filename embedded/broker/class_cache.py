"""Java's ahead-of-time cache of Kafka's loaded and linked classes. With it a broker starts in half the time.

Java writes and checks the file itself (JEP 483, 514), and ignores one that is damaged or of other jars.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from embedded.broker.jars import locked

FIRST_JAVA = 25
PATTERN = "classes-*.aot"

# Hides messages that a file is ignored or used in part, which the reader of the broker's log cannot change.
QUIET = "-Xlog:aot*=off"


def cache_file(home: Path, jars: Sequence[Path]) -> Path | None:
    """The cache file of these jars for the Java in `home`, existing or not; None if that Java has no such cache."""
    release = (home / "release").read_text("utf-8")
    if _major(release) < FIRST_JAVA:
        return None
    identity = "\n".join([release, *(jar.sha256 for jar in locked())])
    return jars[0].parent / PATTERN.replace("*", hashlib.sha256(identity.encode()).hexdigest()[:16])


def read_options(home: Path, jars: Sequence[Path]) -> list[str]:
    """Java's options to start from the cache file; none if it does not exist."""
    file = cache_file(home, jars)
    return [f"-XX:AOTCache={file}", QUIET] if file and file.is_file() else []


def write_options(file: Path) -> list[str]:
    """Java's options to write its classes to `file` when it ends."""
    return [f"-XX:AOTCacheOutput={file}", QUIET]


def _major(release: str) -> int:
    fields = dict(line.partition("=")[::2] for line in release.splitlines())
    return int(fields.get("JAVA_VERSION", "0").strip('"').partition(".")[0])
