"""Writes the lock file: which jars Kafka's runtime class path is made of, and what their bytes are."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jgo.maven import MavenContext

from embedded.broker.jars import LOCK, digest

KAFKA = "org.apache.kafka:kafka_2.13:4.1.1"
# Kafka's own release adds this one, which joins its logging to log4j; without it the broker logs nothing.
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"
SCOPES = ("compile", "runtime", None)


def write_lock(path: Path = LOCK) -> int:
    """Resolve Kafka with all it needs at run time, write the lock file, and return the number of jars."""
    entries = {}
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder))
        given, needed = context.resolver.resolve([context.create_dependency(KAFKA)])
        # Not resolved with the first: its parent would then decide the versions of Kafka's own dependencies.
        for dependency in [*given, *needed, context.create_dependency(LOGGING)]:
            if dependency.scope in SCOPES:
                coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
                entries[coordinate] = digest(dependency.artifact.resolve())
    header = [f"# Made by `python -m embedded.broker lock`: {KAFKA} and {LOGGING}."]
    tables = [f'\n[[jar]]\ncoordinate = "{name}"\nsha256 = "{sha256}"' for name, sha256 in sorted(entries.items())]
    path.write_text("\n".join([*header, *tables]) + "\n")
    return len(entries)
