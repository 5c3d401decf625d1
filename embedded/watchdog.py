"""A script that runs with each child process and ends the child after the death of the parent of both.

Its standard input is a pipe from the parent. A line on it means that the parent waited for the child's end. If the pipe
closes without a line, the parent died: the child gets SIGTERM and, after the grace, SIGKILL.
Usage: watchdog.py PID GRACE_SECONDS. It imports only the standard library, so `python -I -S` starts it in milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time

POLL_S = 0.05


def watch(pid: int, grace: float) -> None:
    """Wait for the parent's line or its death; after its death end process `pid`, within `grace` seconds."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    if os.read(0, 1):
        return
    try:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline:
            time.sleep(POLL_S)
            os.kill(pid, 0)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]))
