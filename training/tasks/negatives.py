"""Which rows may be negatives of which queries, and MBNS: a bank of item vectors of past steps."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Positives:
    """The positives of every query of a log."""

    def __init__(self, query: NDArray[np.integer], item: NDArray[np.integer], *, queries: int, items: int) -> None:
        """`query` and `item` are the log's interactions; the counts are of all queries and of the whole catalogue."""
        order = np.argsort(query, kind="stable")
        self._items = item[order].astype(np.int64)
        self._starts = np.searchsorted(query[order], np.arange(queries + 1))
        self._marked = np.zeros(items + 1, np.bool_)

    def positives(self, query: int) -> NDArray[np.int64]:
        return self._items[self._starts[query] : self._starts[query + 1]]

    def among(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Bool (queries, rows): the item of this row, or -1 for none, is a known positive of this query."""
        places = rows.cpu().numpy()
        out = np.empty((len(queries), len(places)), np.bool_)
        for found, query in zip(out, queries.tolist(), strict=True):
            mine = self.positives(query)
            # One shared array of marks, for a set test of each pair would be most of a step's time.
            self._marked[mine] = True
            found[:] = self._marked[places]
            self._marked[mine] = False
        return torch.from_numpy(out).to(rows.device)


def false_negatives(known: Positives, queries: Tensor, own: Tensor, rows: Tensor) -> Tensor:
    """Bool (queries, rows): a row that must be no negative of this query, whatever pool it comes from.

    It is the query's own item, `own` (queries,), or another known positive of it. Row -1 is an empty place of a bank.
    """
    return known.among(queries, rows) | (own[:, None] == rows[None, :]) | (rows < 0)[None, :]


class MemoryBank(nn.Module):
    """The item vectors of the last steps, first in first out, without gradient.

    "Cross-batch memory" (XBM, arXiv 1912.06798): towers drift slowly, so yesterday's vectors stand for today's.
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.vectors = nn.Buffer(torch.zeros(size, dim))
        self.rows = nn.Buffer(torch.full((size,), -1, dtype=torch.long))
        self.next = nn.Buffer(torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return int((self.rows >= 0).sum())

    def push(self, vectors: Tensor, rows: Tensor) -> None:
        """Remember vectors (n, dim) of catalogue rows (n,), the oldest forgotten; rows of -1 are passed over."""
        size = len(self.rows)
        there = rows >= 0
        vectors, rows = vectors.detach()[there][-size:], rows[there][-size:]
        places = (self.next + torch.arange(len(rows), device=rows.device)) % max(size, 1)
        self.vectors[places] = vectors.to(self.vectors.dtype)
        self.rows[places] = rows
        self.next.copy_((self.next + len(rows)) % max(size, 1))
