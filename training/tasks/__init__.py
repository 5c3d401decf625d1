"""The tasks: modules that turn the towers' outputs for some views of a batch into one loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor, nn

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch
from training.distributed import Distributed
from training.recipe import Recipe, TaskWeights
from training.tasks import mpm_r
from training.tasks.mlm import MLM
from training.tasks.mpm import MPM
from training.tasks.negatives import MemoryBank, Positives
from training.tasks.photo_item_contrast import PhotoItemContrast
from training.tasks.qic import QIC
from training.tasks.qim import QIM
from training.tasks.text_distillation import TextDistillation

__all__ = ["Task", "tasks_of", "views_of", "weight_of"]


class Task(Protocol):
    """`views` are the views that the towers must read for this task."""

    views: tuple[str, ...]

    def __call__(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor: ...


def weight_of(policy: TaskWeights, name: str) -> float:
    weight: float = getattr(policy, name)
    return weight


def tasks_of(
    recipe: Recipe,
    *,
    positives: Positives,
    distributed: Distributed,
    bank: MemoryBank | None,
    words: tuple[Tensor, Tensor],
) -> nn.ModuleDict:
    """The recipe's tasks by name. `words` are the ids that MLM predicts and their vectors."""
    policy, shape = recipe.tasks, recipe.towers
    pool = distributed if recipe.negatives.across else Distributed()
    factories: dict[str, Callable[[], nn.Module]] = {
        "qic": lambda: QIC("item", policy, positives=positives, distributed=pool, bank=bank),
        "qic_photo": lambda: QIC("photo", policy, positives=positives, distributed=pool),
        "photo_item_contrast": lambda: PhotoItemContrast(policy, pool),
        "mlm": lambda: MLM(shape.width, *words),
        "mpm": lambda: MPM(shape.width),
        "mpm_r_patch": lambda: mpm_r.PatchContrast(shape.width, policy.patch_temperature),
        "mpm_r_image": lambda: mpm_r.ImageContrast(shape.dim, policy.patch_temperature),
        "qim": lambda: QIM("item", shape, policy, positives),
        "qim2": lambda: QIM("photo", shape, policy, positives),
        "text_distillation": TextDistillation,
    }
    tasks: dict[str, nn.Module] = {name: make() for name, make in factories.items() if weight_of(policy, name)}
    return nn.ModuleDict(tasks)


def views_of(tasks: nn.ModuleDict) -> frozenset[str]:
    """The views that these tasks need."""
    return frozenset(str(view) for task in tasks.values() for view in task.views)  # type: ignore[union-attr]
