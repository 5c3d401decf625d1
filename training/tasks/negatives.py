"""Which rows may be negatives of which queries, and MBNS: a memory bank of past item vectors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Positives:
    """The positives of every query of a log."""

    def __init__(self, query: NDArray[np.integer], item: NDArray[np.integer], *, queries: int, items: int) -> None:
        """`query` and `item` are the log's interactions; `queries` and `items` are the totals."""
        order = np.argsort(query, kind="stable")
        self._items = item[order].astype(np.int64)
        self._starts = np.searchsorted(query[order], np.arange(queries + 1))
        self._is_positive = np.zeros(items + 1, np.bool_)

    def positives(self, query: int) -> NDArray[np.int64]:
        return self._items[self._starts[query] : self._starts[query + 1]]

    def among(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Bool (queries, rows): this row's item is a known positive of this query. Row -1 is no item."""
        items = rows.cpu().numpy()
        matrix = np.empty((len(queries), len(items)), np.bool_)
        for line, query in zip(matrix, queries.tolist(), strict=True):
            positives = self.positives(query)
            # One shared boolean array: a set lookup for each pair would take most of a step's time.
            self._is_positive[positives] = True
            line[:] = self._is_positive[items]
            self._is_positive[positives] = False
        return torch.from_numpy(matrix).to(rows.device)


def false_negatives(positives: Positives, queries: Tensor, own: Tensor, rows: Tensor) -> Tensor:
    """Bool (queries, rows): a row that must not be a negative of this query, from whichever pool.

    It is the query's own item, `own` (queries,), or another known positive. Row -1 is an empty slot of the bank.
    """
    return positives.among(queries, rows) | (own[:, None] == rows[None, :]) | (rows < 0)[None, :]


class MemoryBank(nn.Module):
    """The item vectors of the last steps, first in first out, without gradient.

    Cross-batch memory (XBM, arXiv 1912.06798): towers change slowly, so past vectors approximate current ones.
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.vectors = nn.Buffer(torch.zeros(size, dim))
        self.rows = nn.Buffer(torch.full((size,), -1, dtype=torch.long))
        self.next = nn.Buffer(torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return int((self.rows >= 0).sum())

    def push(self, vectors: Tensor, rows: Tensor) -> None:
        """Store vectors (n, dim) of catalogue rows (n,) in place of the oldest. Rows of -1 are skipped."""
        size = len(self.rows)
        valid = rows >= 0
        vectors, rows = vectors.detach()[valid][-size:], rows[valid][-size:]
        slots = (self.next + torch.arange(len(rows), device=rows.device)) % max(size, 1)
        self.vectors[slots] = vectors.to(self.vectors.dtype)
        self.rows[slots] = rows
        self.next.copy_((self.next + len(rows)) % max(size, 1))
