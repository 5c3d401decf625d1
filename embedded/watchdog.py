"""Run as a script beside a child process: ends the child when the process that started both is gone.

Its standard input is a pipe that only the parent holds. A line on it means that the child was waited for; its end
means that the parent died, however it died, and then the child gets SIGTERM and, after the grace, SIGKILL.
Usage: watchdog.py PID GRACE_SECONDS. Imports nothing of ours, so that it starts in milliseconds with `python -I -S`.
"""

from __future__ import annotations

import os
import signal
import sys
import time

POLL_S = 0.05


def watch(pid: int, grace: float) -> None:
    """Wait for the parent's word or its death; end process `pid` in the second case, within `grace` seconds."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    if os.read(0, 1):
        return
    try:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + grace
        while time.monotonic() < end:
            time.sleep(POLL_S)
            os.kill(pid, 0)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]))
