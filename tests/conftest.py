"""Fixtures that tests share: each module of them is one line here; and how many processes run the tests."""

from __future__ import annotations

import os
import sys

import psutil
import pytest

pytest_plugins = [
    "tests.fixtures_broker",
    "tests.fixtures_engine",
]

if "PYTEST_XDIST_WORKER" in os.environ:
    # The processes of a parallel run share the cores; threads of torch would wait for each other's.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Each process of a run has a broker, an engine and the models.
MEMORY_PER_PROCESS = 4 * 1024**3
MOST_PROCESSES = 8


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """What `-n auto` means: a process for each core, as far as the memory goes."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, psutil.virtual_memory().total // MEMORY_PER_PROCESS, MOST_PROCESSES))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """
    Closes the error stream once all results are printed, if the process has loaded triton.

    Triton's binding library prints at exit what torch still refers to, and has no setting in Python against it.
    """
    if "triton._C.libtriton" in sys.modules:
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
