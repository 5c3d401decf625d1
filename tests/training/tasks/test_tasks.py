"""Each task against the obvious slow version of its formula."""

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
from tests.training.tasks.test_qic import KNOWN, QUERIES, ROWS, batch, unit
from tests.training.tiny import SHAPE
from training.data.batch import TrainBatch
from training.recipe import TaskWeights
from training.tasks import mpm_r
from training.tasks.mlm import FIRST_WORD, MASK, MLM, hide
from training.tasks.mpm import MPM
from training.tasks.negatives import false_negatives
from training.tasks.qim import QIM, drawn
from training.tasks.text_distillation import TextDistillation

WIDTH = SHAPE.width


@pytest.fixture(autouse=True)
def _without_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


def masked(seed: int = 0) -> tuple[dict[str, TowerOutput], TrainBatch]:
    """Four rows of three title tokens and four cells and a whole, some cells hidden; row 2 has no photo."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(4, 8, WIDTH, generator=generator)
    hidden = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0]], dtype=torch.bool)
    vectors = F.normalize(torch.randn(4, 16, generator=generator), dim=1)
    found = replace(
        batch([3, 1, 2, 3], [0, 1, 2, 0]),
        hidden_cells=hidden,
        cells=torch.randn(int(hidden.sum()), CELL_DIM, generator=generator),
        wholes=torch.randn(4, CELL_DIM, generator=generator),
        first_cell=3,
    )
    return {"masked": TowerOutput(tokens, torch.ones(4, 8, dtype=torch.bool), vectors)}, found


def test_mpm_is_the_mean_square_over_hidden_cells() -> None:
    read, found = masked()
    task = MPM(WIDTH)
    total, number = 0.0, 0
    for row in range(4):
        for cell in range(5):
            if found.hidden_cells[row, cell]:
                told = task.head(read["masked"].tokens[row, 3 + cell])
                total += float(((told - found.cells[number]) ** 2).mean())
                number += 1
    assert task(read, found).item() == pytest.approx(total / number, rel=1e-5)


def slow_told_apart(told: list[Tensor], true: list[Tensor], names: list[object], temperature: float) -> float:
    losses = []
    for i, mine in enumerate(told):
        cosines = [float(F.cosine_similarity(mine, other, dim=0)) / temperature for other in true]
        wrong = [math.exp(cosines[j]) for j in range(len(true)) if names[j] != names[i]]
        losses.append(-math.log(math.exp(cosines[i]) / (math.exp(cosines[i]) + sum(wrong))))
    return sum(losses) / len(losses)


def test_mpm_r_tells_hidden_cells_apart() -> None:
    read, found = masked()
    task = mpm_r.PatchContrast(WIDTH, 0.2)
    places = found.hidden_cells.nonzero().tolist()
    told = [task.head(read["masked"].tokens[row, 3 + cell]) for row, cell in places]
    # Rows 0 and 3 are the same product: its cell is no wrong answer for itself.
    names = [(int(found.rows[row]), cell) for row, cell in places]
    expected = slow_told_apart(told, list(found.cells), names, 0.2)
    assert task(read, found).item() == pytest.approx(expected, rel=1e-4)


def test_mpm_r_tells_images_apart() -> None:
    read, found = masked()
    task = mpm_r.ImageContrast(16, 0.2)
    rows = [0, 1, 3]
    told = [task.head(read["masked"].vector[row]) for row in rows]
    expected = slow_told_apart(told, [found.wholes[row] for row in rows], [3, 1, 3], 0.2)
    assert task(read, found).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "task", [MPM(WIDTH), mpm_r.PatchContrast(WIDTH, 0.1), mpm_r.ImageContrast(16, 0.1)], ids=["mpm", "patch", "image"]
)
def test_without_photos_there_is_no_loss(task: torch.nn.Module) -> None:
    read, found = masked()
    none = replace(found, hidden_cells=torch.zeros_like(found.hidden_cells), cells=found.cells[:0])
    assert task(read, none).item() == 0


def test_tokens_are_hidden_as_bert_hides_them() -> None:
    ids = torch.randint(FIRST_WORD, FIRST_WORD + 50, (400, 20))
    ids[:, 0] = 101
    seen = torch.arange(20)[None] < 15
    words = torch.arange(5000, 5010)
    given, true = hide(ids, seen.expand_as(ids), 0.15, words=words, generator=torch.Generator().manual_seed(0))
    chosen = true >= 0
    assert not chosen[:, 0].any(), "a sign of the tokenizer's own"
    assert not chosen[:, 15:].any(), "padding"
    assert torch.equal(true[chosen], ids[chosen])
    assert torch.equal(given[~chosen], ids[~chosen])
    assert chosen[:, 1:15].float().mean().item() == pytest.approx(0.15, abs=0.02)
    fates = [(given[chosen] == MASK), (given[chosen] >= 5000), (given[chosen] == ids[chosen])]
    assert [fate.float().mean().item() for fate in fates] == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_mlm_is_the_cross_entropy_of_the_hidden_words() -> None:
    words, vectors = torch.tensor([1000, 1003, 1007]), torch.randn(3, TEXT_DIM)
    task = MLM(WIDTH, words, vectors)
    read = {name: TowerOutput(torch.randn(2, 6, WIDTH), torch.ones(2, 6) > 0, torch.zeros(2, 4)) for name in task.views}
    hidden = {
        "masked": torch.tensor([[-1, 1003, -1], [1007, -1, 1000]]),
        "masked_query": torch.tensor([[-1, -1], [1003, -1]]),
    }
    expected = 0.0
    for name, ids in hidden.items():
        losses = []
        for row, place in (ids >= 0).nonzero().tolist():
            scores = vectors @ task.head(read[name].tokens[row, place]) + task.bias
            losses.append(-float(scores.log_softmax(0)[words.tolist().index(int(ids[row, place]))]))
        expected += sum(losses) / len(losses)
    assert task(read, replace(batch(), hidden_ids=hidden)).item() == pytest.approx(expected, rel=1e-4)


def test_negatives_are_drawn_in_proportion_to_similarity_and_never_false() -> None:
    torch.manual_seed(0)
    cosines = torch.tensor([[0.9, 0.1, -0.3, 0.5]]).expand(20_000, 4)
    excluded = torch.tensor([[True, False, False, False]]).expand(20_000, 4)
    found, possible = drawn(cosines, excluded, 2.0)
    assert possible.all()
    share = np.bincount(found.numpy(), minlength=4) / 20_000
    expected = np.exp(2 * np.array([-np.inf, 0.1, -0.3, 0.5]))
    assert share == pytest.approx(expected / expected.sum(), abs=0.02)
    assert not drawn(cosines[:1], torch.ones(1, 4, dtype=torch.bool), 2.0)[1].any()


def pairs_read() -> dict[str, TowerOutput]:
    generator = torch.Generator().manual_seed(2)
    seen = torch.rand(5, 4, generator=generator) < 0.7
    seen[:, 0] = True
    return {
        "query": TowerOutput(torch.randn(5, 3, WIDTH, generator=generator), torch.ones(5, 3) > 0, unit(5, 0)),
        "item": TowerOutput(torch.randn(5, 4, WIDTH, generator=generator), seen, unit(5, 1)),
    }


@pytest.mark.parametrize("view", ["item", "photo"])
def test_qim_scores_each_pair_by_itself(view: str) -> None:
    """QIM2 reads photos alone: a product without one asks for nothing and is drawn for no query."""
    read, found, policy = pairs_read(), batch(), TaskWeights(matched=4)
    task, some = QIM(view, SHAPE, policy, KNOWN).eval(), torch.arange(4)
    if view == "photo":
        read["item"].seen[2] = False
        some = torch.tensor([0, 1, 3])
    read[view] = read["item"]
    torch.manual_seed(3)
    q, i, right = task._pairs(read["query"], read[view], found, some)
    assert view == "item" or 2 not in i.tolist()
    wrong = false_negatives(KNOWN, found.queries, found.rows, found.rows)
    assert not any(wrong[a, b] for a, b, yes in zip(q, i, right, strict=True) if not yes)
    losses = []
    for a, b, yes in zip(q.tolist(), i.tolist(), right.tolist(), strict=True):
        # Only what is there, so that no mask is needed.
        tokens = read["item"].tokens[b][read["item"].seen[b]]
        x = torch.cat((read["query"].tokens[a] + task.kinds[0], tokens + task.kinds[1]))[None]
        for block in task.cross:
            x = block(x, torch.ones(x.shape[:2], dtype=torch.bool))
        p = float(torch.sigmoid(task.score(x.mean(1)))[0, 0])
        losses.append(-math.log(p if yes else 1 - p))
    torch.manual_seed(3)
    assert task(read, found).item() == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    assert len(QUERIES) == len(ROWS)


def test_meaning_is_the_squared_difference_of_cosines() -> None:
    query, item, plain = unit(3, 0), unit(3, 1), unit(3, 2)
    read = {
        name: TowerOutput(x[:, None], torch.ones(3, 1) > 0, x)
        for name, x in (("plain_query", query), ("plain_item", item))
    }
    expected = (
        sum((float(query[a] @ item[b]) - float(plain[a] @ plain[b])) ** 2 for a in range(3) for b in range(3)) / 9
    )
    assert TextDistillation()(read, replace(batch(), plain=plain)).item() == pytest.approx(expected, rel=1e-5)


def test_all_towers_are_made_of_blocks_that_start_as_nothing() -> None:
    towers = SingleStream(SHAPE)
    x, seen = torch.randn(2, 5, WIDTH), torch.ones(2, 5, dtype=torch.bool)
    torch.testing.assert_close(towers.stream[0](x, seen), x)
