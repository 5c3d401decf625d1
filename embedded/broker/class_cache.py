"""Kafka's classes as Java has them once it has loaded and linked them, kept so that a broker starts in half the time.

Java makes and checks the file itself (JEP 483, 514): one that is damaged, or of other jars, it passes over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from embedded.broker.jars import locked

FIRST_JAVA = 25
PATTERN = "classes-*.aot"

# Nothing that a reader of the broker's log could change: that a file is passed over, or used in part.
QUIET = "-Xlog:aot*=off"


def kept(home: Path, jars: Sequence[Path]) -> Path | None:
    """Where the classes of these jars are kept for the Java in `home`, made or not; None where it cannot keep any."""
    release = (home / "release").read_text("utf-8")
    if _major(release) < FIRST_JAVA:
        return None
    said = "\n".join([release, *(jar.sha256 for jar in locked())])
    return jars[0].parent / PATTERN.replace("*", hashlib.sha256(said.encode()).hexdigest()[:16])


def using(home: Path, jars: Sequence[Path]) -> list[str]:
    """The options for Java to start from what is kept, if it is."""
    file = kept(home, jars)
    return [f"-XX:AOTCache={file}", QUIET] if file and file.is_file() else []


def keeping(file: Path) -> list[str]:
    """The options for Java to write its classes into `file` when it ends."""
    return [f"-XX:AOTCacheOutput={file}", QUIET]


def _major(release: str) -> int:
    stated = dict(line.partition("=")[::2] for line in release.splitlines())
    return int(stated.get("JAVA_VERSION", "0").strip('"').partition(".")[0])
