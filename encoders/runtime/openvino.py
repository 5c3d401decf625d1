"""The OpenVINO runtime on the CPU of this machine."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from encoders.runtime.policy import Precision
from encoders.runtime.tower import Array, Tower, TowerError, TowerPlan

T = TypeVar("T")

_FILE = "tower.xml"
_HINTS = {"bfloat16": "bf16", "float32": "f32"}


class OpenVinoRuntime:
    """A Runtime. One export serves every processor; the precision is chosen when it is loaded.

    OpenVINO is never called in the main thread. It gives the calling thread a signal stack and frees it when it is
    unloaded, and the next signal would end the process.
    """

    def __init__(self, *, precision: Precision, forwards: int, threads: int, nice: int = 0) -> None:
        """`forwards` passes run at once, each on `threads` threads, whose niceness is raised by `nice`.

        Raises TowerError if OpenVINO cannot run here.
        """
        self._nice = nice
        try:
            import openvino
        except ImportError as err:
            raise TowerError("openvino is not installed") from err
        self._core: Any = openvino.Core()
        if "CPU" not in _in_thread(lambda: self._core.available_devices, 0):
            raise TowerError("OpenVINO does not support this processor")
        self.version = f"OpenVINO {openvino.__version__}"
        self.says = f"OpenVINO {openvino.__version__.partition('-')[0]}"
        self.precision = _HINTS[precision]
        self._options = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "NUM_STREAMS": forwards,
            "INFERENCE_NUM_THREADS": forwards * threads,
            # Two processes that pin their threads would pin them to the same cores.
            "ENABLE_CPU_PINNING": False,
        }

    def export(self, plan: TowerPlan, folder: Path) -> None:
        _in_thread(lambda: self._export(plan, folder), 0)

    def _export(self, plan: TowerPlan, folder: Path) -> None:
        import openvino
        from openvino.passes import ConstantFolding, Manager

        try:
            decoder, reader = _decoded(plan)
            # The decoder stays referenced until the model is written: it owns the memory of the model's constants.
            model = reader.convert(reader.load(decoder))
            # OpenVINO recognises quantization limits only as constants: without folding nothing would run in int8.
            folding = Manager()
            folding.register_pass(ConstantFolding())
            folding.run_passes(model)
            model.reshape(dict(enumerate(openvino.PartialShape(list(shape)) for shape in plan.shapes)))
            openvino.save_model(model, folder / _FILE, compress_to_fp16=False)
            del decoder
        except RuntimeError as err:
            raise TowerError(f"OpenVINO cannot convert it: {_one_line(err)}") from err

    def load(self, folder: Path) -> Tower:
        try:
            compiled = _in_thread(lambda: self._core.compile_model(folder / _FILE, "CPU", self._options), self._nice)
            return _Compiled(compiled)
        except RuntimeError as err:
            raise TowerError(f"OpenVINO cannot load it: {_one_line(err)}") from err


class _Compiled:
    """A Tower. Each thread has its own inference request; calls of the main thread run in another thread."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._thread_local = threading.local()
        self._main_thread_calls = ThreadPoolExecutor(1, thread_name_prefix="openvino")

    def __call__(self, *inputs: Array) -> NDArray[np.float32]:
        if threading.current_thread() is threading.main_thread():
            return self._main_thread_calls.submit(self._infer, *inputs).result()
        return self._infer(*inputs)

    def _infer(self, *inputs: Array) -> NDArray[np.float32]:
        if not hasattr(self._thread_local, "request"):
            self._thread_local.request = self._compiled.create_infer_request()
        try:
            outputs = self._thread_local.request.infer(
                [np.ascontiguousarray(array) for array in inputs], share_inputs=True, share_outputs=True
            )
        except RuntimeError as err:
            raise TowerError(f"OpenVINO failed: {_one_line(err)}") from err
        # A copy: the next call of this thread writes into the same memory.
        return np.array(outputs[0])


def _decoded(plan: TowerPlan) -> tuple[Any, Any]:
    # As `openvino.convert_model` does, but without its telemetry, which waits for a server.
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), warnings.catch_warnings():
        # torch warns that tracing is deprecated and what it cannot follow; torch.export takes ten times as long.
        warnings.simplefilter("ignore")
        trace: Any = torch.jit.trace
        example = tuple(torch.from_numpy(array) for array in plan.example)
        traced = trace(plan.reference(torch.float32), example, check_trace=False)
        decoder = TorchScriptPythonDecoder(traced, example_input=example)
    return decoder, FrontEndManager().load_by_framework("pytorch")


def _in_thread(make: Callable[[], T], nice: int) -> T:
    """The result of `make`, called in a thread with niceness raised by `nice`, which the threads it starts inherit."""

    def lower_priority() -> None:
        if nice and sys.platform == "linux":  # elsewhere it would apply to the whole process
            os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, 0) + nice))

    with ThreadPoolExecutor(1, initializer=lower_priority) as pool:
        return pool.submit(make).result()


def _one_line(error: Exception) -> str:
    """An error of OpenVINO in one line, without the first lines, which name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[-2:]) if lines else type(error).__name__
