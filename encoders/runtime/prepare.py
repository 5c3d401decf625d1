"""Prepares the towers of a model, each for the fastest runtime that works."""

from __future__ import annotations

import logging
import os
import platform
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.runtime.exports import from_export
from encoders.runtime.int8 import computes_in_int8, in_int8
from encoders.runtime.policy import Precision, RuntimePolicy
from encoders.runtime.tower import Array, Runtime, Tower, TowerError, TowerPlan

log = logging.getLogger(__name__)


class TowerLoader:
    """Prepares the towers of one model. `says` tells people the runtime, and the loss if it is not the fastest."""

    def __init__(
        self,
        policy: RuntimePolicy | None,
        device: str,
        precision: Precision | None = None,
        *,
        threads: int | None = None,
        make: Callable[[RuntimePolicy, Precision], Runtime] | None = None,
    ) -> None:
        """Without a policy, and on a device other than the CPU, torch runs the towers on `threads` threads.

        Without a `precision` it is that of the policy, or else the fastest of the device.
        """
        self._folder = policy.folder if policy else None
        self._device = device
        self._threads = threads
        self._runtime: Runtime | None = None
        self._int8 = False
        is_exact = policy is not None and policy.precision == "float32"
        self.precision: Precision = precision or ("float32" if is_exact else fastest_precision(device))
        self.says = f"torch runs it in {self.precision}"
        if policy is None or policy.name == "torch" or device != "cpu":
            return
        try:
            self._runtime = (make or _openvino)(policy, self.precision)
            self.says = f"{self._runtime.says} runs it in {self.precision}"
            allows_int8 = policy.precision == "int8" or (policy.precision == "auto" and precision is None)
            self._int8 = allows_int8 and computes_in_int8()
            if self._int8:
                self.says += " and int8"
            elif policy.precision == "int8":
                self.says += ", because this processor is not known to compute in int8"
        except TowerError as err:
            self._fall_back(err)

    def tower(self, plan: TowerPlan) -> Tower:
        """The tower of a plan, in torch if no runtime runs it. Raises the errors of the plan's reference."""
        if self._runtime is None:
            return self._in_torch(plan)
        served = in_int8(plan) if self._int8 and plan.frozen else plan
        try:
            if self._folder is not None:
                fast = from_export(served, self._runtime, self._folder)
            else:
                with tempfile.TemporaryDirectory(prefix="liveshelf-", ignore_cleanup_errors=True) as folder:
                    fast = from_export(served, self._runtime, Path(folder))
        except TowerError as err:
            self._fall_back(err)
            return self._in_torch(plan)
        return _WithFallback(plan.name, fast, lambda: self._in_torch(plan))

    def _in_torch(self, plan: TowerPlan) -> Tower:
        import torch

        from encoders.runtime.torch_eager import TorchTower

        if self._threads is not None:
            torch.set_num_threads(self._threads)
        return TorchTower(plan, device=self._device, precision=self.precision)

    def _fall_back(self, problem: TowerError) -> None:
        self.says = f"torch runs it, at half of OpenVINO's speed or less, because {problem}"
        log.warning("Torch runs the model, at half of OpenVINO's speed or less: %s.", problem)


class _WithFallback:
    """A tower that torch runs from the first failure of its runtime on."""

    def __init__(self, name: str, fast: Tower, in_torch: Callable[[], Tower]) -> None:
        self._name = name
        self._tower = fast
        self._in_torch = in_torch
        self._failed = False
        self._lock = threading.Lock()

    def __call__(self, *inputs: Array) -> NDArray[np.float32]:
        if not self._failed:
            try:
                return self._tower(*inputs)
            except TowerError as err:
                self._fall_back(err)
        return self._tower(*inputs)

    def _fall_back(self, problem: TowerError) -> None:
        with self._lock:
            if not self._failed:
                log.warning("Torch runs the %s tower from now on: %s.", self._name, problem)
                self._tower = self._in_torch()
                self._failed = True


def fastest_precision(device: str) -> Precision:
    """bfloat16 if the device computes in it, else float32. It takes half the time; cosines agree to 1e-3."""
    if device != "cpu":
        return "bfloat16"
    if platform.system() == "Linux":
        flags = Path("/proc/cpuinfo").read_text("utf-8").split()
        return "bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"
    from encoders.runtime.torch_eager import computes_bfloat16

    return "bfloat16" if computes_bfloat16() else "float32"


def _openvino(policy: RuntimePolicy, precision: Precision) -> Runtime:
    from encoders.runtime.openvino import OpenVinoRuntime

    threads = policy.threads or max(1, (os.cpu_count() or 1) // policy.forwards)
    return OpenVinoRuntime(precision=precision, forwards=policy.forwards, threads=threads, nice=policy.nice)
