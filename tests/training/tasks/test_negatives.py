from __future__ import annotations

import numpy as np
import torch

from training.tasks.negatives import MemoryBank, Positives, false_negatives

QUERY = np.array([2, 0, 0, 1, 2])
ITEM = np.array([7, 3, 5, 3, 1])
POSITIVES = Positives(QUERY, ITEM, queries=4, items=9)


def test_positives_are_those_of_the_log() -> None:
    queries, rows = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([3, 5, 7, -1, 0, 3])
    matrix = POSITIVES.among(queries, rows)
    pairs = set(zip(QUERY.tolist(), ITEM.tolist(), strict=True))
    for i, query in enumerate(queries.tolist()):
        for j, row in enumerate(rows.tolist()):
            assert bool(matrix[i, j]) == ((query, row) in pairs)


def test_the_same_item_a_positive_and_an_empty_slot_are_not_negatives() -> None:
    excluded = false_negatives(POSITIVES, torch.tensor([0, 3]), torch.tensor([3, 8]), torch.tensor([3, 5, 1, 8, -1]))
    assert excluded.tolist() == [[True, True, False, False, True], [False, False, False, True, True]]


def test_the_bank_forgets_the_oldest_first() -> None:
    bank, queue = MemoryBank(5, 2), []
    rng = np.random.default_rng(0)
    for step in range(7):
        count = int(rng.integers(0, 8))
        rows = [-1 if rng.random() < 0.2 else 100 * step + i for i in range(count)]
        vectors = torch.arange(count)[:, None] + torch.tensor([1000.0 * step, 0.5])
        bank.push(vectors.requires_grad_(), torch.tensor(rows, dtype=torch.long))
        queue += [(row, vector.tolist()) for row, vector in zip(rows, vectors.detach(), strict=True) if row >= 0]
        queue = queue[-5:]
        stored = {(row, tuple(v)) for row, v in zip(bank.rows.tolist(), bank.vectors.tolist(), strict=True) if row >= 0}
        assert stored == {(row, tuple(vector)) for row, vector in queue}
        assert len(bank) == len(queue)
        assert not bank.vectors.requires_grad
