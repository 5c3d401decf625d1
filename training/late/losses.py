"""Losses over unit vectors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive(asking: Tensor, answering: Tensor, right: Tensor, temperature: Tensor) -> Tensor:
    """Cross-entropy both ways between (n, dim) and (m, dim), where several answers may be right.

    `right` is bool (n, m). The right ones share the probability evenly, so "red shirt" draws all red shirts of a batch
    close instead of pushing all but one away. Rows and columns without a right one count for nothing.
    """
    logits = asking @ answering.T / temperature
    return (_spread(logits, right) + _spread(logits.T, right.T)) / 2


def _spread(logits: Tensor, right: Tensor) -> Tensor:
    target = right.to(logits.dtype)
    count = target.sum(1)
    per_row = -(F.log_softmax(logits, 1) * target).sum(1) / count.clamp(min=1)
    answerable = count > 0
    return per_row[answerable].mean() if answerable.any() else logits.sum() * 0


def same_similarities(before: Tensor, after: Tensor) -> Tensor:
    """Mean squared difference of all cosines within (n, a) and within (n, b): meaning kept through a projection."""
    a, b = F.normalize(before, dim=1), F.normalize(after, dim=1)
    return torch.square(a @ a.T - b @ b.T).mean()
