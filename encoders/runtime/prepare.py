"""The towers of a model, each in the fastest way that there is and that works."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from encoders.runtime.exports import from_export
from encoders.runtime.policy import RuntimePolicy
from encoders.runtime.tower import Plan, Runtime, Tower, TowerProblem

log = logging.getLogger(__name__)


class Workshop:
    """Prepares the towers of one model. `says` is a sentence for people: what runs them, and what is lost."""

    def __init__(
        self,
        policy: RuntimePolicy | None,
        device: torch.device,
        precision: torch.dtype,
        *,
        make: Callable[[RuntimePolicy, torch.dtype], Runtime] | None = None,
    ) -> None:
        """Without a policy, and on another device than the CPU, torch runs everything."""
        self._folder = policy.folder if policy else None
        self._runtime: Runtime | None = None
        self.says = f"torch runs it in {_short(precision)}"
        if policy is None or policy.name == "torch" or device.type != "cpu":
            return
        try:
            self._runtime = (make or _openvino)(policy, precision)
            self.says = f"{self._runtime.says} runs it in {_short(precision)}"
        except TowerProblem as err:
            self._lost(err)

    def tower(self, plan: Plan, torchs: Tower) -> Tower:
        """The tower that is planned, or `torchs`, which computes the same in torch, where it cannot be had."""
        if self._runtime is None:
            return torchs
        try:
            if self._folder is not None:
                return _WithFallback(plan.name, from_export(plan, self._runtime, self._folder), torchs)
            with tempfile.TemporaryDirectory(prefix="liveshelf-", ignore_cleanup_errors=True) as folder:
                return _WithFallback(plan.name, from_export(plan, self._runtime, Path(folder)), torchs)
        except TowerProblem as err:
            self._lost(err)
            return torchs

    def _lost(self, problem: TowerProblem) -> None:
        self.says = f"torch runs it, at half of OpenVINO's speed or less, because {problem}"
        log.warning("Torch runs the model, at half of OpenVINO's speed or less: %s.", problem)


class _WithFallback:
    """A tower that torch runs from the first time on that its runtime fails."""

    def __init__(self, name: str, fast: Tower, torchs: Tower) -> None:
        self._name = name
        self._fast: Tower | None = fast
        self._torchs = torchs
        self._lock = threading.Lock()

    def __call__(self, *inputs: Tensor) -> Tensor:
        fast = self._fast
        if fast is not None:
            try:
                return fast(*inputs)
            except TowerProblem as err:
                with self._lock:
                    if self._fast is not None:
                        log.warning("Torch runs the %s tower from now on: %s.", self._name, err)
                    self._fast = None
        return self._torchs(*inputs)


def _openvino(policy: RuntimePolicy, precision: torch.dtype) -> Runtime:
    from encoders.runtime.openvino import OpenVino

    threads = policy.threads or max(1, (os.cpu_count() or 1) // policy.forwards)
    return OpenVino(precision=precision, forwards=policy.forwards, threads=threads, nice=policy.nice)


def _short(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")
