"""The file that a training resumes from. Resuming gives the weights that an uninterrupted training would have given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from catalog.errors import InvalidInput
from resilience.atomic_files import replacing
from training.recipe import Recipe, with_current_keys

FILE = "state.safetensors"


@dataclass
class Progress:
    """Steps done, the best validation score and its step, and the number of validations after that one."""

    step: int = 0
    best: float = -1.0
    best_step: int = 0
    since: int = 0

    def record(self, score: float) -> None:
        """Count a validation."""
        self.since += 1
        if score > self.best:
            self.best, self.best_step, self.since = score, self.step, 0


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Everything that changes during a training: tensors by name, the progress, and the state of the loss scaler."""

    tensors: Mapping[str, Tensor]
    progress: Progress
    scaler: dict[str, Any]

    def save(self, folder: Path, recipe: Recipe) -> None:
        """Write the file atomically."""
        metadata = {"progress": asdict(self.progress), "recipe": recipe.json(), "scaler": self.scaler}
        # Clones, because the format rejects tensors that share memory.
        tensors = {name: value.detach().cpu().clone().contiguous() for name, value in self.tensors.items()}
        with replacing(folder / FILE) as temporary:
            save_file(tensors, temporary, metadata={"state": json.dumps(metadata)})

    @classmethod
    def load(cls, folder: Path, recipe: Recipe) -> TrainingState:
        """Read what `save` wrote. Raises InvalidInput if it is missing, unreadable, or of another recipe."""
        try:
            with safe_open(folder / FILE, framework="pt") as file:
                metadata: dict[str, Any] = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as err:
            raise InvalidInput(f"There is nothing to resume in {folder}: train without --resume first.") from err
        except (SafetensorError, OSError, KeyError, ValueError) as err:
            raise cls.unreadable(folder, "cannot be read") from err
        saved = with_current_keys(json.loads(metadata["recipe"]))
        if difference := _difference(saved, json.loads(recipe.json())):
            raise InvalidInput(
                f"{folder} was trained with {difference}: resume with the same recipe, or name another --out."
            )
        return cls(tensors, Progress(**metadata["progress"]), metadata["scaler"])

    @staticmethod
    def unreadable(folder: Path, reason: str) -> InvalidInput:
        return InvalidInput(f"{folder / FILE} {reason}: train again without --resume.")


def _difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> str:
    """The first value that differs, for an error sentence; empty if none does."""
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            if difference := _difference(a, b, f"{prefix}{key}."):
                return difference
        elif a != b:
            return f"{prefix}{key} = {a!r}, not {b!r}"
    return ""
