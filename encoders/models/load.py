"""Loads a model by its name."""

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

    - `builtin:small`: the model of this project; needs no network.
    - `checkpoint:DIR`: a model that `liveshelf train` wrote.
    - `hf:REPO-OR-PATH@REVISION`: a CLIP- or SigLIP-style dual encoder of transformers, safetensors only.

    `threads` is the number of CPU threads of a forward pass of torch, for the whole process. `runtime` selects what
    runs the towers. None means torch, which always runs an `hf:` model.
    """
    # The families are imported here: importing torch takes seconds, and a runtime does not need it.
    family, rest = split_name(name)
    late = family == "checkpoint" and (Path(rest) / LATE).exists()
    if threads is not None and (family == "hf" or late):
        import torch

        torch.set_num_threads(threads)
    if family == "hf":
        from encoders.models.dual_encoder import DualEncoder

        return DualEncoder(rest, device=device)
    if family == "checkpoint":
        # The space depends on the folder's name alone, so that the folder can be moved.
        name = f"checkpoint:{Path(rest).resolve().name}"
        if late:
            from encoders.models.late_fusion import LateFusionModel

            return LateFusionModel(Path(rest) / LATE, name=name, device=device, runtime=runtime)
    from encoders.models.single_stream import SingleStreamModel

    path = BUILTIN if family == "builtin" else Path(rest) / CHECKPOINT
    return SingleStreamModel(path, name=name, device=device, runtime=runtime, threads=threads)


def split_name(name: str) -> tuple[str, str]:
    """The family of a model's name, and the rest of the name. Raises InvalidInput if there is no such model."""
    family, _, rest = name.partition(":")
    if family not in ("builtin", "checkpoint", "hf") or not rest or (family == "builtin" and rest != "small"):
        raise InvalidInput(f"There is no model {name!r}: use {EXISTING}.")
    return family, rest
