"""`python -m embedded.broker fetch --cache FOLDER` downloads Kafka's jars. `lock` writes the lock file again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from embedded.broker.jars import fetch
from embedded.errors import EmbeddedError


def main() -> int:
    """Run one of the two commands; the exit status is 0, or 1 with one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m embedded.broker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fetch_parser = commands.add_parser("fetch", help="download Kafka's jars and check them against the lock file")
    fetch_parser.add_argument(
        "--cache", type=Path, default=Path("~/.cache/liveshelf"), help="their folder (%(default)s)"
    )
    fetch_parser.add_argument("--repository", help="a Maven repository to use in place of Maven Central")
    commands.add_parser("lock", help="resolve Kafka's jars again and write the lock file")
    arguments = parser.parse_args()
    try:
        if arguments.command == "fetch":
            jars = fetch(arguments.cache, repository=arguments.repository)
            sys.stdout.write(f"{len(jars)} jars in {jars[0].parent}\n")
        else:
            from embedded.broker.lock_file import write_lock

            sys.stdout.write(f"{write_lock()} jars locked\n")
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
