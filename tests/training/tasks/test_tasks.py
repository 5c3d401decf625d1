"""Each task against a slow version of its formula."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.towers.backbones import CELL_DIM, TEXT_DIM
from encoders.towers.single_stream import SingleStream, TowerOutput
from tests.training.tasks.test_qic import POSITIVES, QUERIES, ROWS, batch, unit
from tests.training.tiny import SHAPE
from training.data.batch import TrainBatch
from training.recipe import TaskWeights
from training.tasks import mpm_r
from training.tasks.mlm import FIRST_WORD, MASK, MLM, hide
from training.tasks.mpm import MPM
from training.tasks.negatives import false_negatives
from training.tasks.qim import QIM, sample_negatives
from training.tasks.text_distillation import TextDistillation

WIDTH = SHAPE.width


@pytest.fixture(autouse=True)
def _without_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


def masked(seed: int = 0) -> tuple[dict[str, TowerOutput], TrainBatch]:
    """Four rows of three title tokens, four cells and a whole, with some cells hidden; row 2 has no photo."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(4, 8, WIDTH, generator=generator)
    hidden = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0]], dtype=torch.bool)
    vectors = F.normalize(torch.randn(4, 16, generator=generator), dim=1)
    masked_batch = replace(
        batch([3, 1, 2, 3], [0, 1, 2, 0]),
        hidden_cells=hidden,
        cells=torch.randn(int(hidden.sum()), CELL_DIM, generator=generator),
        wholes=torch.randn(4, CELL_DIM, generator=generator),
        first_cell=3,
    )
    return {"masked": TowerOutput(tokens, torch.ones(4, 8, dtype=torch.bool), vectors)}, masked_batch


def test_mpm_is_the_mean_square_over_hidden_cells() -> None:
    outputs, masked_batch = masked()
    task = MPM(WIDTH)
    total, number = 0.0, 0
    for row in range(4):
        for cell in range(5):
            if masked_batch.hidden_cells[row, cell]:
                predicted = task.head(outputs["masked"].tokens[row, 3 + cell])
                total += float(((predicted - masked_batch.cells[number]) ** 2).mean())
                number += 1
    assert task(outputs, masked_batch).item() == pytest.approx(total / number, rel=1e-5)


def slow_contrast(predicted: list[Tensor], target: list[Tensor], names: list[object], temperature: float) -> float:
    losses = []
    for i, mine in enumerate(predicted):
        cosines = [float(F.cosine_similarity(mine, other, dim=0)) / temperature for other in target]
        negatives = [math.exp(cosines[j]) for j in range(len(target)) if names[j] != names[i]]
        losses.append(-math.log(math.exp(cosines[i]) / (math.exp(cosines[i]) + sum(negatives))))
    return sum(losses) / len(losses)


def test_mpm_r_contrasts_hidden_cells() -> None:
    outputs, masked_batch = masked()
    task = mpm_r.PatchContrast(WIDTH, 0.2)
    places = masked_batch.hidden_cells.nonzero().tolist()
    predicted = [task.head(outputs["masked"].tokens[row, 3 + cell]) for row, cell in places]
    # Rows 0 and 3 are the same product, whose cells are not negatives of each other.
    names = [(int(masked_batch.rows[row]), cell) for row, cell in places]
    expected = slow_contrast(predicted, list(masked_batch.cells), names, 0.2)
    assert task(outputs, masked_batch).item() == pytest.approx(expected, rel=1e-4)


def test_mpm_r_contrasts_images() -> None:
    outputs, masked_batch = masked()
    task = mpm_r.ImageContrast(16, 0.2)
    rows = [0, 1, 3]
    predicted = [task.head(outputs["masked"].vector[row]) for row in rows]
    expected = slow_contrast(predicted, [masked_batch.wholes[row] for row in rows], [3, 1, 3], 0.2)
    assert task(outputs, masked_batch).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "task", [MPM(WIDTH), mpm_r.PatchContrast(WIDTH, 0.1), mpm_r.ImageContrast(16, 0.1)], ids=["mpm", "patch", "image"]
)
def test_without_photos_there_is_no_loss(task: torch.nn.Module) -> None:
    outputs, masked_batch = masked()
    no_cells = torch.zeros_like(masked_batch.hidden_cells)
    without_photos = replace(masked_batch, hidden_cells=no_cells, cells=masked_batch.cells[:0])
    assert task(outputs, without_photos).item() == 0


def test_tokens_are_hidden_as_bert_hides_them() -> None:
    ids = torch.randint(FIRST_WORD, FIRST_WORD + 50, (400, 20))
    ids[:, 0] = 101
    seen = torch.arange(20)[None] < 15
    words = torch.arange(5000, 5010)
    replaced, true = hide(ids, seen.expand_as(ids), 0.15, words=words, generator=torch.Generator().manual_seed(0))
    hidden = true >= 0
    assert not hidden[:, 0].any(), "a special token"
    assert not hidden[:, 15:].any(), "padding"
    assert torch.equal(true[hidden], ids[hidden])
    assert torch.equal(replaced[~hidden], ids[~hidden])
    assert hidden[:, 1:15].float().mean().item() == pytest.approx(0.15, abs=0.02)
    outcomes = [(replaced[hidden] == MASK), (replaced[hidden] >= 5000), (replaced[hidden] == ids[hidden])]
    assert [outcome.float().mean().item() for outcome in outcomes] == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_mlm_is_the_cross_entropy_of_the_hidden_words() -> None:
    words, vectors = torch.tensor([1000, 1003, 1007]), torch.randn(3, TEXT_DIM)
    task = MLM(WIDTH, words, vectors)
    outputs = {
        name: TowerOutput(torch.randn(2, 6, WIDTH), torch.ones(2, 6) > 0, torch.zeros(2, 4)) for name in task.views
    }
    hidden = {
        "masked": torch.tensor([[-1, 1003, -1], [1007, -1, 1000]]),
        "masked_query": torch.tensor([[-1, -1], [1003, -1]]),
    }
    expected = 0.0
    for name, ids in hidden.items():
        losses = []
        for row, place in (ids >= 0).nonzero().tolist():
            scores = vectors @ task.head(outputs[name].tokens[row, place]) + task.bias
            losses.append(-float(scores.log_softmax(0)[words.tolist().index(int(ids[row, place]))]))
        expected += sum(losses) / len(losses)
    assert task(outputs, replace(batch(), hidden_ids=hidden)).item() == pytest.approx(expected, rel=1e-4)


def test_negatives_are_drawn_in_proportion_to_similarity_and_never_false() -> None:
    torch.manual_seed(0)
    cosines = torch.tensor([[0.9, 0.1, -0.3, 0.5]]).expand(20_000, 4)
    excluded = torch.tensor([[True, False, False, False]]).expand(20_000, 4)
    columns, possible = sample_negatives(cosines, excluded, 2.0)
    assert possible.all()
    share = np.bincount(columns.numpy(), minlength=4) / 20_000
    expected = np.exp(2 * np.array([-np.inf, 0.1, -0.3, 0.5]))
    assert share == pytest.approx(expected / expected.sum(), abs=0.02)
    assert not sample_negatives(cosines[:1], torch.ones(1, 4, dtype=torch.bool), 2.0)[1].any()


def pair_outputs() -> dict[str, TowerOutput]:
    generator = torch.Generator().manual_seed(2)
    seen = torch.rand(5, 4, generator=generator) < 0.7
    seen[:, 0] = True
    return {
        "query": TowerOutput(torch.randn(5, 3, WIDTH, generator=generator), torch.ones(5, 3) > 0, unit(5, 0)),
        "item": TowerOutput(torch.randn(5, 4, WIDTH, generator=generator), seen, unit(5, 1)),
    }


@pytest.mark.parametrize("view", ["item", "photo"])
def test_qim_scores_each_pair_by_itself(view: str) -> None:
    """QIM2 reads photos alone: a product without one is in no pair."""
    outputs, interactions, policy = pair_outputs(), batch(), TaskWeights(matched=4)
    task, matched = QIM(view, SHAPE, policy, POSITIVES).eval(), torch.arange(4)
    if view == "photo":
        outputs["item"].seen[2] = False
        matched = torch.tensor([0, 1, 3])
    outputs[view] = outputs["item"]
    torch.manual_seed(3)
    q, i, labels = task._pairs(outputs["query"], outputs[view], interactions, matched)
    assert view == "item" or 2 not in i.tolist()
    excluded = false_negatives(POSITIVES, interactions.queries, interactions.rows, interactions.rows)
    assert not any(excluded[a, b] for a, b, label in zip(q, i, labels, strict=True) if not label)
    losses = []
    for a, b, label in zip(q.tolist(), i.tolist(), labels.tolist(), strict=True):
        # Only visible tokens, so that no mask is needed.
        tokens = outputs["item"].tokens[b][outputs["item"].seen[b]]
        x = torch.cat((outputs["query"].tokens[a] + task.kinds[0], tokens + task.kinds[1]))[None]
        for block in task.cross:
            x = block(x, torch.ones(x.shape[:2], dtype=torch.bool))
        p = float(torch.sigmoid(task.score(x.mean(1)))[0, 0])
        losses.append(-math.log(p if label else 1 - p))
    torch.manual_seed(3)
    assert task(outputs, interactions).item() == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    assert len(QUERIES) == len(ROWS)


def test_text_distillation_is_the_squared_difference_of_cosines() -> None:
    query, item, plain = unit(3, 0), unit(3, 1), unit(3, 2)
    outputs = {
        name: TowerOutput(x[:, None], torch.ones(3, 1) > 0, x)
        for name, x in (("plain_query", query), ("plain_item", item))
    }
    expected = (
        sum((float(query[a] @ item[b]) - float(plain[a] @ plain[b])) ** 2 for a in range(3) for b in range(3)) / 9
    )
    assert TextDistillation()(outputs, replace(batch(), plain=plain)).item() == pytest.approx(expected, rel=1e-5)


def test_tower_blocks_start_as_the_identity() -> None:
    towers = SingleStream(SHAPE)
    x, seen = torch.randn(2, 5, WIDTH), torch.ones(2, 5, dtype=torch.bool)
    torch.testing.assert_close(towers.stream[0](x, seen), x)
