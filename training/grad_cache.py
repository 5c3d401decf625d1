"""The gradient of a batch: at once, or in the memory of one chunk by caching the gradients of the towers' outputs.

GradCache (arXiv 2101.06983): the losses need the tokens and vectors of the whole batch, but not their graphs at once.
1. The towers run without gradient.
2. The losses give the gradient of each token and vector.
3. The towers run again chunk by chunk, and each chunk backpropagates its share of that gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from encoders.towers.single_stream import ItemInput, TextInput, TowerOutput
from training.data.batch import TrainBatch, View
from training.late_fusion import LateFusionTowers, Towers

Losses = Callable[[Mapping[str, TowerOutput]], Tensor]
_LENGTH_GROUPS = 4


def backward(
    towers: Towers,
    batch: TrainBatch,
    losses: Losses,
    *,
    chunk: int,
    seed: int,
    autocast: Callable[[], torch.autocast],
) -> None:
    """Add the gradient of `losses(outputs by view)` to the weights. `chunk` 0 is the whole batch at once.

    Both runs of a chunk use the same dropout, given by the seed.
    """
    chunks = list(_chunks(batch.views, chunk))
    if len(chunks) == len(batch.views):
        with autocast():
            outputs = {name: _forward(towers, view, seed, i) for i, (name, view) in enumerate(chunks)}
            total = losses(outputs)
        total.backward()  # type: ignore[no-untyped-call]
        return
    with torch.no_grad(), autocast():
        detached = [(name, _forward(towers, view, seed, i)) for i, (name, view) in enumerate(chunks)]
    # The leaves of a second graph, which holds the losses.
    leaves = [(name, _leaf(output)) for name, output in detached]
    with autocast():
        total = losses({view: _concatenated([leaf for name, leaf in leaves if name == view]) for view in batch.views})
    total.backward()  # type: ignore[no-untyped-call]
    for i, ((_, view), (_, leaf)) in enumerate(zip(chunks, leaves, strict=True)):
        gradients = (leaf.tokens.grad, leaf.vector.grad)
        if any(gradient is not None for gradient in gradients):
            with autocast():
                output = _forward(towers, view, seed, i)
            pairs = zip((output.tokens, output.vector), gradients, strict=True)
            used = [(x, gradient) for x, gradient in pairs if gradient is not None]
            torch.autograd.backward([x for x, _ in used], [gradient for _, gradient in used])


def _chunks(views: Mapping[str, View], size: int) -> Iterator[tuple[str, View]]:
    for name, view in views.items():
        for start in range(0, len(view), size or len(view)):
            yield name, view[start : start + (size or len(view))]


def _forward(towers: Towers, view: View, seed: int, number: int) -> TowerOutput:
    torch.manual_seed((seed * 1009 + number) % 2**63)
    return forward_by_length(towers, view)


def forward_by_length(towers: Towers, view: View) -> TowerOutput:
    """`towers.read` in groups of texts of similar length. Without them, half of the computation would be padding."""
    if isinstance(towers, LateFusionTowers):
        return towers.read(view)
    title = view if isinstance(view, TextInput) else view.title
    lengths, longest = title.seen.sum(1), title.seen.shape[1]
    if len(title) < _LENGTH_GROUPS * 2 or not longest:
        return towers.read(view)
    order = lengths.argsort(stable=True)
    outputs = []
    for rows in order.tensor_split(_LENGTH_GROUPS):
        length = int(lengths[rows[-1]])
        short = TextInput(title.states[rows, :length], title.seen[rows, :length])
        if not isinstance(view, TextInput):
            hidden = None if view.hidden is None else view.hidden[rows]
            output = towers.read(ItemInput(short, view.photos[rows], view.there[rows], hidden))
        else:
            output = towers.read(short)
        outputs.append(_padded(output, length, longest))
    original_order = order.argsort()
    joined = _concatenated(outputs)
    return TowerOutput(joined.tokens[original_order], joined.seen[original_order], joined.vector[original_order])


def _padded(output: TowerOutput, length: int, longest: int) -> TowerOutput:
    """Pad the first `length` tokens, which are the title's, to `longest`."""
    missing = longest - length
    tokens, seen = (
        torch.cat((x[:, :length], x.new_zeros(len(x), missing, *x.shape[2:]), x[:, length:]), 1)
        for x in (output.tokens, output.seen)
    )
    return TowerOutput(tokens, seen, output.vector)


def _leaf(output: TowerOutput) -> TowerOutput:
    return TowerOutput(output.tokens.detach().requires_grad_(), output.seen, output.vector.detach().requires_grad_())


def _concatenated(outputs: list[TowerOutput]) -> TowerOutput:
    tokens, seen, vectors = zip(*((output.tokens, output.seen, output.vector) for output in outputs), strict=True)
    return TowerOutput(torch.cat(tokens), torch.cat(seen), torch.cat(vectors))
