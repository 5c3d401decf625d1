"""The towers of a model, each in the fastest way that there is and that works."""

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
    """Prepares the towers of one model. `says` is a sentence for people: what runs them, and what is lost."""

    def __init__(
        self,
        policy: RuntimePolicy | None,
        device: str,
        precision: Precision | None = None,
        *,
        threads: int | None = None,
        make: Callable[[RuntimePolicy, Precision], Runtime] | None = None,
    ) -> None:
        """Without a policy, and on another device than the CPU, torch runs everything, on `threads` threads.

        Without a precision it is what the policy wants, or what the device is fastest in.
        """
        self._folder = policy.folder if policy else None
        self._device = device
        self._threads = threads
        self._runtime: Runtime | None = None
        self._int8 = False
        exact = policy is not None and policy.precision == "float32"
        self.precision: Precision = precision or ("float32" if exact else fastest_precision(device))
        self.says = f"torch runs it in {self.precision}"
        if policy is None or policy.name == "torch" or device != "cpu":
            return
        try:
            self._runtime = (make or _openvino)(policy, self.precision)
            self.says = f"{self._runtime.says} runs it in {self.precision}"
            wanted = policy.precision == "int8" or (policy.precision == "auto" and precision is None)
            self._int8 = wanted and computes_in_int8()
            if self._int8:
                self.says += " and int8"
            elif policy.precision == "int8":
                self.says += ", for this processor is not known to compute in int8"
        except TowerError as err:
            self._lost(err)

    def tower(self, plan: TowerPlan) -> Tower:
        """The tower that is planned, in torch where no runtime has it. Raises what the plan's reference raises."""
        if self._runtime is None:
            return self._in_torch(plan)
        made = in_int8(plan) if self._int8 and plan.frozen else plan
        try:
            if self._folder is not None:
                fast = from_export(made, self._runtime, self._folder)
            else:
                with tempfile.TemporaryDirectory(prefix="liveshelf-", ignore_cleanup_errors=True) as folder:
                    fast = from_export(made, self._runtime, Path(folder))
        except TowerError as err:
            self._lost(err)
            return self._in_torch(plan)
        return _WithFallback(plan.name, fast, lambda: self._in_torch(plan))

    def _in_torch(self, plan: TowerPlan) -> Tower:
        import torch

        from encoders.runtime.torch_eager import TorchTower

        if self._threads is not None:
            torch.set_num_threads(self._threads)
        return TorchTower(plan, device=self._device, precision=self.precision)

    def _lost(self, problem: TowerError) -> None:
        self.says = f"torch runs it, at half of OpenVINO's speed or less, because {problem}"
        log.warning("Torch runs the model, at half of OpenVINO's speed or less: %s.", problem)


class _WithFallback:
    """A tower that another runs from the first time on that its runtime fails."""

    def __init__(self, name: str, fast: Tower, torchs: Callable[[], Tower]) -> None:
        self._name = name
        self._runs = fast
        self._torchs = torchs
        self._failed = False
        self._lock = threading.Lock()

    def __call__(self, *inputs: Array) -> NDArray[np.float32]:
        if not self._failed:
            try:
                return self._runs(*inputs)
            except TowerError as err:
                self._fall_back(err)
        return self._runs(*inputs)

    def _fall_back(self, problem: TowerError) -> None:
        with self._lock:
            if not self._failed:
                log.warning("Torch runs the %s tower from now on: %s.", self._name, problem)
                self._runs = self._torchs()
                self._failed = True


def fastest_precision(device: str) -> Precision:
    """Half-width floats where the device computes in them: half the time, and cosines that agree to 1e-3."""
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
