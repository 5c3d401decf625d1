from __future__ import annotations

import math

import pytest
import torch

from encoders.towers.single_stream import TowerOutput
from tests.training.tasks.test_qic import batch, unit
from training.distributed import Distributed
from training.recipe import TaskWeights
from training.tasks.photo_item_contrast import PhotoItemContrast


def test_a_photo_is_contrasted_with_all_other_products() -> None:
    """Row 2 has no photo. Rows 0 and 3 are one product, which is not a negative of itself."""
    rows = [5, 6, 7, 5]
    photo, item = unit(4, 0), unit(4, 1)
    seen = torch.tensor([[True], [True], [False], [True]])
    outputs = {"photo": TowerOutput(photo[:, None], seen, photo), "item": TowerOutput(item[:, None], seen | True, item)}
    task, losses = PhotoItemContrast(TaskWeights(scale=7.0), Distributed()), []
    for i in (0, 1, 3):
        negative = sum(math.exp(7 * float(photo[i] @ item[j])) for j in range(4) if rows[j] != rows[i])
        positive = math.exp(7 * float(photo[i] @ item[i]))
        losses.append(-math.log(positive / (positive + negative)))
    assert task(outputs, batch(rows, [0, 1, 2, 3])).item() == pytest.approx(sum(losses) / 3, rel=1e-5)
