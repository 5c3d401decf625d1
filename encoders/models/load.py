"""A model by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import InvalidInput
from encoders.model import Model

if TYPE_CHECKING:
    from encoders.runtime import RuntimePolicy

EXISTING = "builtin:small, hf:REPO-OR-PATH@REVISION and checkpoint:DIR"
CHECKPOINT = "model.safetensors"
LATE = "fusion.safetensors"
BUILTIN = Path(__file__).parents[1] / "weights" / "small.safetensors"


def load(name: str, *, device: str = "cpu", threads: int | None = None, runtime: RuntimePolicy | None = None) -> Model:
    """The model of that name, on the device, ready to run. Raises InvalidInput.

    - `builtin:small`: what this project trained; touches no network.
    - `checkpoint:DIR`: one's own, as `liveshelf train` writes it.
    - `hf:REPO-OR-PATH@REVISION`: a CLIP- or SigLIP-style dual encoder of transformers, safetensors only.

    `threads` is the number of CPU threads of a forward of torch, for the whole process. `runtime` says what runs the
    towers; None: torch, as for an `hf:` model always.
    """
    # Imported here because torch takes seconds, which who only names a model, or has a runtime, need not wait for.
    family, _, rest = name.partition(":")
    if family not in ("builtin", "checkpoint", "hf") or not rest or (family == "builtin" and rest != "small"):
        raise InvalidInput(f"There is no model {name!r}: there are {EXISTING}.")
    late = family == "checkpoint" and (Path(rest) / LATE).exists()
    if threads is not None and (family == "hf" or late):
        import torch

        torch.set_num_threads(threads)
    if family == "hf":
        from encoders.models.dual_encoder import DualEncoder

        return DualEncoder(rest, device=device)
    if family == "checkpoint":
        # By whatever path the folder is reached, and wherever it is moved to, its space is one.
        name = f"checkpoint:{Path(rest).resolve().name}"
        if late:
            from encoders.models.late_fusion import LateFusionModel

            return LateFusionModel(Path(rest) / LATE, name=name, device=device, runtime=runtime)
    from encoders.models.single_stream import SingleStreamModel

    where = BUILTIN if family == "builtin" else Path(rest) / CHECKPOINT
    return SingleStreamModel(where, name=name, device=device, runtime=runtime, threads=threads)
