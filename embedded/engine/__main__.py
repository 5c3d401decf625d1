"""python -m embedded.engine --data DIR: the engine's process, as EngineProcess starts it."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from embedded.engine import serve
from embedded.errors import EmbeddedError


def main() -> int:
    """Serve until told to stop. 0 when stopped, 1 with one sentence on stderr when it cannot serve."""
    parser = argparse.ArgumentParser(prog="python -m embedded.engine", description=serve.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data folder, made if need be")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--ready-file", type=Path, help='replaced by {"port": ..., "pid": ...} once the engine serves')
    parser.add_argument("--optimize", action="store_true", help="build search graphs before serving")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        serve(asked.data, asked.port, asked.ready_file, host=asked.host, optimize=asked.optimize)
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
