"""Every runtime gives the vectors of torch, on products: one suite for all runtimes and families."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from encoders.model import Inputs, finish_items, to_vectors
from encoders.models.late_fusion import LateFusionModel
from encoders.models.load import BUILTIN
from encoders.models.single_stream import SingleStreamModel
from encoders.runtime import RuntimePolicy
from encoders.runtime.int8 import computes_in_int8
from encoders.runtime.policy import Precision
from encoders.towers.late_fusion import LateFusion, LateFusionShape, save
from liveshelf.sample import COLOURS, KINDS, Look, Spec, photo

# Torch's own bfloat16 has 0.991 on photos of one plain colour, whose features vary least.
LEAST = {"float32": 0.9999, "bfloat16": 0.985, "int8": 0.97}
Family = LateFusionModel | SingleStreamModel


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained heads for late fusion."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "fusion.safetensors"
    save(LateFusion(LateFusionShape(dim=32)).requires_grad_(False), path)
    return path


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module", params=["small", "trained"])
def reference(request: pytest.FixtureRequest, checkpoint: Path) -> Family:
    return family(request.param, checkpoint, "float32", None)


@pytest.fixture(
    scope="module",
    params=[
        ("torch", "bfloat16"),
        ("openvino", "float32"),
        ("openvino", "bfloat16"),
        pytest.param(
            ("openvino", "int8"),
            marks=pytest.mark.skipif(not computes_in_int8(), reason="this processor has no 8-bit products"),
        ),
    ],
    ids="-".join,
)
def served(request: pytest.FixtureRequest, reference: Family, checkpoint: Path, exports: Path) -> Family:
    runtime, precision = request.param
    kind = "small" if isinstance(reference, LateFusionModel) else "trained"
    policy = RuntimePolicy(runtime, exports, forwards=2, threads=1, precision=precision)
    model = family(kind, checkpoint, None if precision == "int8" else precision, policy)
    assert model.runs.lower().startswith(runtime)
    assert model.runs.endswith(precision)
    return model


def family(kind: str, checkpoint: Path, precision: Precision | None, policy: RuntimePolicy | None) -> Family:
    if kind == "small":
        return LateFusionModel(checkpoint, name="checkpoint:here", precision=precision, runtime=policy)
    return SingleStreamModel(BUILTIN, name="builtin:small", precision=precision, runtime=policy)


def products(model: Family) -> list[Inputs]:
    """Titles of all lengths with and without photos, and photos alone."""
    batch = []
    for n, (kind, colour) in enumerate(zip(list(KINDS)[:8], COLOURS, strict=False)):
        seen = photo(Spec(Look(kind, KINDS[kind].shapes[0], colour, "plain", colour), n))
        title = ("" if n % 4 == 3 else f"{colour} {kind} ") * (1 + n % 5)
        batch.append(model.prepare(title, None if n % 4 == 1 else seen))
    return batch


def vectors(model: Family, batch: Sequence[Inputs]) -> NDArray[np.float32]:
    """All vectors of the inputs as products and as queries, (vectors, dim)."""
    items = finish_items(model.forward_items(batch), batch)
    queries = to_vectors(model.forward_queries(batch))
    return np.stack([*(vector for named in items if named for vector in named.values()), *queries])


def test_items_and_queries_are_what_torch_makes_of_them(reference: Family, served: Family) -> None:
    batch = products(reference)
    expected, output = vectors(reference, batch), vectors(served, batch)
    assert (expected * output).sum(1).min() >= LEAST[served.runs.split()[-1]]
    assert served.space.id == reference.space.id


def test_texts_alone_are_what_torch_makes_of_them_among_others(reference: Family, served: Family) -> None:
    batch = [reference.prepare(" ".join(["red mug"] * n), None) for n in (1, 2, 5, 6, 7, 8, 20, 40)]
    expected = vectors(reference, batch)
    alone = [vectors(served, [inputs]) for inputs in batch]
    output = np.concatenate([np.concatenate([rows[:-1] for rows in alone]), np.stack([rows[-1] for rows in alone])])
    assert (expected * output).sum(1).min() >= LEAST[served.runs.split()[-1]]


def test_several_threads_at_once_do_not_disturb_each_other(served: Family) -> None:
    batch = products(served)

    def forward(inputs: Inputs) -> NDArray[np.float32]:
        return served.forward_items([inputs])["fused"]

    with ThreadPoolExecutor(3) as pool:
        at_once = list(pool.map(forward, batch * 2))
    one_by_one = [forward(inputs) for inputs in batch] * 2
    np.testing.assert_allclose(np.concatenate(at_once), np.concatenate(one_by_one), atol=1e-5)


def test_torch_is_not_loaded_where_the_exports_are_kept(exports: Path, tmp_path: Path) -> None:
    served = family("trained", tmp_path, "float32", RuntimePolicy("openvino", exports))
    assert served.runs.startswith("OpenVINO")
    script = (
        "import sys; from pathlib import Path; from encoders import load; from encoders.runtime import RuntimePolicy;"
        "from encoders.batching.oom_split import run_splitting_on_oom;"
        "model = load('builtin:small', runtime=RuntimePolicy('openvino', Path(sys.argv[1])));"
        "found = run_splitting_on_oom(lambda some: [model.forward_items(some)], [model.prepare('red mug', None)]);"
        "print(found[0]['fused'].shape, 'torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", script, str(exports)], check=True, capture_output=True, text=True)
    assert process.stdout.split() == ["(1,", "256)", "False"]


@pytest.mark.parametrize("name", ["tower.bin", "tower.xml"])
def test_a_damaged_export_gives_the_right_vectors(exports: Path, tmp_path: Path, name: str) -> None:
    exact = family("trained", tmp_path, "float32", None)
    expected = vectors(exact, products(exact))
    family("trained", tmp_path, "float32", RuntimePolicy("openvino", exports))
    shutil.copytree(exports, tmp_path, dirs_exist_ok=True)
    damaged = list(tmp_path.glob(f"*/{name}"))
    assert damaged
    for file in damaged:
        data = bytearray(file.read_bytes())
        data[len(data) // 2 :: 4099] = bytes(len(data[len(data) // 2 :: 4099]))
        file.write_bytes(data)
    repaired = family("trained", tmp_path, "float32", RuntimePolicy("openvino", tmp_path))
    assert (expected * vectors(repaired, products(repaired))).sum(1).min() >= LEAST["float32"]


SIGNALS = """
import ctypes, signal, sys
class Stack(ctypes.Structure):
    _fields_ = [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
def stack():
    found = Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found.sp
before = stack()
from encoders.models.load import load
from encoders.runtime import RuntimePolicy
from pathlib import Path
model = load("builtin:small", runtime=RuntimePolicy("auto", Path(sys.argv[1])))
model.forward_queries([model.prepare("red mug", None)])
assert stack() == before, "the main thread has another stack for signals"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the C library of Linux")
def test_the_main_thread_keeps_its_stack_for_signals(exports: Path) -> None:
    """A runtime's own stack would be freed with the runtime, and the next signal would end the process."""
    subprocess.run([sys.executable, "-c", SIGNALS, str(exports)], check=True, timeout=120)
