"""`python -m embedded.engine --data DIR`: the engine's process, as EngineProcess starts it."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from embedded.engine import serve
from embedded.errors import EmbeddedError


def main() -> int:
    """Serve until SIGTERM or SIGINT. Returns 0 then, or 1 with one sentence on stderr if it cannot serve."""
    parser = argparse.ArgumentParser(prog="python -m embedded.engine", description=serve.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data folder, created if it is missing")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--ready-file", type=Path, help='replaced by {"port": ..., "pid": ...} once the engine serves')
    parser.add_argument("--optimize", action="store_true", help="build search graphs before serving")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        serve(options.data, options.port, options.ready_file, host=options.host, optimize=options.optimize)
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
