"""All that a training has come to, and its file: stop and resume gives the weights that going on would have given."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from catalog.errors import InvalidInput
from encoders.towers.single_stream import SingleStream
from resilience.atomic_files import replacing
from training.distributed import Distributed
from training.late_fusion import LateFusionTowers
from training.recipe import Recipe
from training.tasks.negatives import MemoryBank

FILE = "state.safetensors"


class TrainingState:
    """The towers and tasks, their optimizer, their moving average, the bank; how far, and how well."""

    def __init__(
        self,
        recipe: Recipe,
        towers: SingleStream | LateFusionTowers,
        tasks: nn.ModuleDict,
        bank: MemoryBank | None,
        world: Distributed,
    ) -> None:
        self.recipe, self.towers, self.tasks, self.bank, self.world = recipe, towers, tasks, bank, world
        self.average = copy.deepcopy(towers).requires_grad_(False) if recipe.optim.ema else None
        self.optimizer = _optimizer(recipe, towers, tasks)
        self.scaler = torch.amp.GradScaler(enabled=recipe.optim.precision == "fp16")
        self.progress = Progress()

    @property
    def served(self) -> SingleStream | LateFusionTowers:
        """The towers that are validated and written out."""
        return self.average or self.towers

    def weights(self) -> list[nn.Parameter]:
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def follow(self) -> None:
        """Move the average towards the towers."""
        if self.average is not None:
            with torch.no_grad():
                for mean, value in zip(self.average.parameters(), self.towers.parameters(), strict=True):
                    mean.lerp_(value, 1 - self.recipe.optim.ema)

    def save(self, folder: Path) -> None:
        """Write everything to `folder`, whole or not at all."""
        said = {"progress": self.progress.__dict__, "recipe": self.recipe.json(), "scaler": self.scaler.state_dict()}
        # Clones, for the format has no room for tensors that share memory.
        tensors = {name: value.detach().cpu().clone().contiguous() for name, value in self._tensors().items()}
        with replacing(folder / FILE) as temporary:
            save_file(tensors, temporary, metadata={"state": json.dumps(said)})

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote. Raises InvalidInput where there is nothing, or that of another recipe."""
        path = folder / FILE
        try:
            with safe_open(path, framework="pt") as file:
                said: dict[str, Any] = json.loads(file.metadata()["state"])
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as err:
            raise InvalidInput(f"There is nothing to resume in {folder}: train without --resume first.") from err
        except (SafetensorError, OSError, KeyError, ValueError) as err:
            raise InvalidInput(f"{path} cannot be read: train again without --resume.") from err
        if difference := _difference(json.loads(said["recipe"]), json.loads(self.recipe.json())):
            raise InvalidInput(
                f"{folder} was trained with {difference}: resume with the same recipe, or name another --out."
            )
        self._prepare_optimizer()
        mine = self._tensors()
        if mine.keys() != found.keys():
            raise InvalidInput(f"{path} is of another version: train again without --resume.")
        with torch.no_grad():
            for name, value in mine.items():
                value.copy_(found[name])
        self.scaler.load_state_dict(said["scaler"])
        self.progress = Progress(**said["progress"])

    def _tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name; the very tensors, not copies."""
        named: dict[str, Tensor] = {}
        parts = {"towers": self.towers, "tasks": self.tasks, "average": self.average, "bank": self.bank}
        for part, module in parts.items():
            if module is not None:
                named |= {f"{part}.{name}": value for name, value in module.state_dict().items()}
        for i, weight in enumerate(self.weights()):
            named |= {f"optimizer.{i}.{key}": value for key, value in self.optimizer.state.get(weight, {}).items()}
        return named

    def _prepare_optimizer(self) -> None:
        """Make the optimizer's tensors, which it makes at its first step, without moving a weight."""
        before = [weight.detach().clone() for weight in self.weights()]
        for weight in self.weights():
            weight.grad = torch.zeros_like(weight)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            for weight, value in zip(self.weights(), before, strict=True):
                weight.copy_(value)


@dataclass
class Progress:
    """Steps done, the best recall@10 of a validation and its step, validations since."""

    step: int = 0
    best: float = -1.0
    best_step: int = 0
    since: int = 0


def _optimizer(recipe: Recipe, towers: SingleStream | LateFusionTowers, tasks: nn.ModuleDict) -> torch.optim.AdamW:
    """AdamW. What has one dimension or is a position decays not; the backbones' layers move at a rate of their own."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    named = [*towers.named_parameters(), *(("tasks." + name, weight) for name, weight in tasks.named_parameters())]
    for name, weight in named:
        backbone = name.startswith(("text.", "query_text.", "image."))
        decays = weight.ndim > 1 and name not in {"kinds", "places", "numbers"}
        groups.setdefault((backbone, decays), []).append(weight)
    optim = recipe.optim
    return torch.optim.AdamW(
        [
            {
                "params": weights,
                "weight_decay": optim.decay if decays else 0.0,
                "share": optim.backbone_rate if backbone else 1.0,
            }
            for (backbone, decays), weights in groups.items()
        ],
        lr=optim.rate,
        betas=(0.9, 0.98),
    )


def _difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> str:
    """The first value that differs, as a person says it; empty for none. Resuming may go on for more steps."""
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            if found := _difference(a, b, f"{prefix}{key}."):
                return found
        elif a != b:
            return f"{prefix}{key} = {a!r}, not {b!r}"
    return ""
