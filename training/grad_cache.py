"""The gradient of a batch: at once, or in the memory of a chunk, by caching the gradient of what the towers give.

GradCache's idea (arXiv 2101.06983): the losses need all tokens and vectors of the batch, but not all at once how these
came to be. So the towers run once without gradient; the losses give the gradient of each token and vector; then the
towers run again chunk by chunk, and each chunk hands its share of that gradient on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from encoders.towers.single_stream import ItemInput, SingleStream, TextInput, TowerOutput
from training.data.batch import TrainBatch, View
from training.late_fusion import LateFusionTowers

Losses = Callable[[Mapping[str, TowerOutput]], Tensor]
_GROUPS = 4


def backward(
    towers: SingleStream | LateFusionTowers,
    batch: TrainBatch,
    losses: Losses,
    *,
    chunk: int,
    seed: int,
    autocast: Callable[[], torch.autocast],
) -> None:
    """Add the gradient of `losses(what the towers make of each view)` to the weights. `chunk` 0 is the whole at once.

    The same seed drops out the same in both runs of a chunk.
    """
    chunks = list(_chunks(batch.views, chunk))
    if len(chunks) == len(batch.views):
        with autocast():
            read = {name: _read(towers, view, seed, i) for i, (name, view) in enumerate(chunks)}
            total = losses(read)
        total.backward()  # type: ignore[no-untyped-call]
        return
    with torch.no_grad(), autocast():
        parts = [(name, _read(towers, view, seed, i)) for i, (name, view) in enumerate(chunks)]
    # The leaves of the second graph, in which the losses are.
    leaves = [(name, _leaf(part)) for name, part in parts]
    with autocast():
        total = losses({name: _whole([part for of, part in leaves if of == name]) for name in batch.views})
    total.backward()  # type: ignore[no-untyped-call]
    for i, ((_, view), (_, leaf)) in enumerate(zip(chunks, leaves, strict=True)):
        wanted = [(x, x.grad) for x in (leaf.tokens, leaf.vector)]
        if any(gradient is not None for _, gradient in wanted):
            with autocast():
                again = _read(towers, view, seed, i)
            made = [
                x for x, (_, gradient) in zip((again.tokens, again.vector), wanted, strict=True) if gradient is not None
            ]
            torch.autograd.backward(made, [gradient for _, gradient in wanted if gradient is not None])


def _chunks(views: Mapping[str, View], size: int) -> Iterator[tuple[str, View]]:
    for name, view in views.items():
        for start in range(0, len(view), size or len(view)):
            yield name, view[start : start + (size or len(view))]


def _read(towers: SingleStream | LateFusionTowers, view: View, seed: int, number: int) -> TowerOutput:
    torch.manual_seed((seed * 1009 + number) % 2**63)
    return by_length(towers, view)


def by_length(towers: SingleStream | LateFusionTowers, view: View) -> TowerOutput:
    """What `towers.read` says, texts of like length read together: else half of what is computed would be padding."""
    if isinstance(towers, LateFusionTowers):
        return towers.read(view)
    title = view if isinstance(view, TextInput) else view.title
    lengths, longest = title.seen.sum(1), title.seen.shape[1]
    if len(title) < _GROUPS * 2 or not longest:
        return towers.read(view)
    order = lengths.argsort(stable=True)
    parts = []
    for rows in order.tensor_split(_GROUPS):
        length = int(lengths[rows[-1]])
        short = TextInput(title.states[rows, :length], title.seen[rows, :length])
        if not isinstance(view, TextInput):
            hidden = None if view.hidden is None else view.hidden[rows]
            read = towers.read(ItemInput(short, view.photos[rows], view.there[rows], hidden))
        else:
            read = towers.read(short)
        parts.append(_padded(read, length, longest))
    back = order.argsort()
    whole = _whole(parts)
    return TowerOutput(whole.tokens[back], whole.seen[back], whole.vector[back])


def _padded(read: TowerOutput, length: int, longest: int) -> TowerOutput:
    """Room after the first `length` tokens, which are a title's, so that there are `longest`."""
    missing = longest - length
    tokens, seen = (
        torch.cat((x[:, :length], x.new_zeros(len(x), missing, *x.shape[2:]), x[:, length:]), 1)
        for x in (read.tokens, read.seen)
    )
    return TowerOutput(tokens, seen, read.vector)


def _leaf(read: TowerOutput) -> TowerOutput:
    return TowerOutput(read.tokens.detach().requires_grad_(), read.seen, read.vector.detach().requires_grad_())


def _whole(parts: list[TowerOutput]) -> TowerOutput:
    tokens, seen, vectors = zip(*((part.tokens, part.seen, part.vector) for part in parts), strict=True)
    return TowerOutput(torch.cat(tokens), torch.cat(seen), torch.cat(vectors))
