"""Writes the lock file: the jars of Kafka's runtime class path, with the sha256 of each."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jgo.maven import MavenContext

from embedded.broker.jars import LOCK, digest

KAFKA = "org.apache.kafka:kafka_2.13:4.1.1"
# Kafka's own release adds this one, which connects its logging to log4j. Without it the broker logs nothing.
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"
SCOPES = ("compile", "runtime", None)


def write_lock(path: Path = LOCK) -> int:
    """Resolve Kafka with its runtime dependencies, write the lock file, and return the number of jars."""
    entries = {}
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder))
        roots, dependencies = context.resolver.resolve([context.create_dependency(KAFKA)])
        # Not resolved together: the parent of the logging jar would then decide the versions of Kafka's dependencies.
        for dependency in [*roots, *dependencies, context.create_dependency(LOGGING)]:
            if dependency.scope in SCOPES:
                coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
                entries[coordinate] = digest(dependency.artifact.resolve())
    header = [f"# Made by `python -m embedded.broker lock`: {KAFKA} and {LOGGING}."]
    tables = [f'\n[[jar]]\ncoordinate = "{name}"\nsha256 = "{sha256}"' for name, sha256 in sorted(entries.items())]
    path.write_text("\n".join([*header, *tables]) + "\n")
    return len(entries)
