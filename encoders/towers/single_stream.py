"""The trained towers: one for the tokens of a query, one for a stream of the title tokens and photo cells of a product.

After "Delving into E-Commerce Product Retrieval with Vision-Language Pre-training" (SIGIR 2023):
Q = L2(W_q mean(text)), I = L2(W_i mean(stream([title ; patches]))), each mean without padding. docs/models.md lists
the choices that the paper leaves open.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import Tensor, nn
from torch.nn import functional as F

from catalog.errors import InvalidInput
from encoders.towers.backbones import ImageTower, TextLayer, attended
from encoders.towers.dims import CELL_DIM, TEXT_DIM, WHOLE_DIM, shape_of
from encoders.towers.dims import TowerShape as TowerShape
from resilience.atomic_files import write_atomically

_CLAMP = 5.0


@dataclass(frozen=True, slots=True)
class TextInput:
    """Token states of the text backbone, float (n, length, TEXT_DIM); `seen`, bool (n, length), masks padding."""

    states: Tensor
    seen: Tensor

    def __len__(self) -> int:
        return len(self.states)

    def __getitem__(self, rows: slice) -> TextInput:
        return TextInput(self.states[rows], self.seen[rows])


@dataclass(frozen=True, slots=True)
class ItemInput:
    """Titles and photos of n items. An item with no title tokens has no title.

    `photos` is float (n, images, TowerShape.features); `there`, bool (n, images), marks those that exist. If the model
    has its own image tower, `photos` may be uint8 (n, images, side, side, 3). `hidden`, bool (n, cells), marks the
    cells of every photo that are masked: a learned token replaces them. The token of the whole photo is left out then,
    because it would reveal them.
    """

    title: TextInput
    photos: Tensor
    there: Tensor
    hidden: Tensor | None = None

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, rows: slice) -> ItemInput:
        hidden = None if self.hidden is None else self.hidden[rows]
        return ItemInput(self.title[rows], self.photos[rows], self.there[rows], hidden)

    def without_title(self) -> ItemInput:
        """The same items without their titles."""
        no_title = TextInput(self.title.states[:, :0], self.title.seen[:, :0])
        return replace(self, title=no_title)

    def without_photos(self) -> ItemInput:
        """The same items without their photos."""
        return replace(self, photos=self.photos[:, :0], there=self.there[:, :0], hidden=None)


@dataclass(frozen=True, slots=True)
class TowerOutput:
    """Output tokens (n, length, width), their bool mask `seen` (n, length), and unit vectors (n, dim).

    The tokens of an item are those of its title, then for each photo its cells and the whole photo. The vector of an
    empty row is zeros.
    """

    tokens: Tensor
    seen: Tensor
    vector: Tensor


class Block(nn.Module):
    """A pre-norm transformer layer that starts as the identity: training starts from the backbones' features."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        wide = shape.expansion * shape.width
        self.heads, self.dropout = shape.heads, shape.dropout
        self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = _zero(nn.Linear(shape.width, shape.width))
        self.up = nn.Linear(shape.width, wide)
        self.down = _zero(nn.Linear(wide, shape.width))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = attended(q, k, v, seen[:, None, None, :])
        x = x + self._drop(self.out(mixed.transpose(1, 2).flatten(2)))
        out: Tensor = x + self._drop(self.down(F.gelu(self.up(self.norm2(x)))))
        return out

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class Head(nn.Module):
    """A separate head for queries: a linear layer, and a nonlinear branch that starts at zero."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.line = nn.Linear(TEXT_DIM, shape.width, bias=False)
        self.bend = nn.Sequential(
            nn.Linear(TEXT_DIM, 2 * shape.width), nn.GELU(), nn.Dropout(shape.dropout),
            _zero(nn.Linear(2 * shape.width, shape.width)),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.line(x) + self.bend(x)
        return out


class SingleStream(nn.Module):
    """Both towers. `read` takes either kind of input."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        self.text = nn.ModuleList(TextLayer() for _ in range(shape.text_layers))
        self.image = ImageTower() if shape.image_tower else None
        self.text_in = nn.Linear(TEXT_DIM, shape.width, bias=False)
        self.cell_in, self.whole_in = nn.Linear(CELL_DIM, shape.width), nn.Linear(WHOLE_DIM, shape.width)
        self.cell_mean, self.cell_scale = nn.Buffer(torch.zeros(CELL_DIM)), nn.Buffer(torch.ones(CELL_DIM))
        self.whole_mean, self.whole_scale = nn.Buffer(torch.zeros(WHOLE_DIM)), nn.Buffer(torch.ones(WHOLE_DIM))
        self.kinds = nn.Parameter(torch.zeros(3, shape.width))  # a token of a title, a cell, a whole photo
        self.places = nn.Parameter(torch.zeros(shape.cells, shape.width))
        self.numbers = nn.Parameter(torch.zeros(shape.images, shape.width))
        self.mask = nn.Parameter(torch.zeros(shape.width))
        self.stream = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.query_text = None if shape.shared else nn.ModuleList(TextLayer() for _ in range(shape.text_layers))
        self.query_in = None if shape.shared else Head(shape)
        self.to_item = nn.Linear(shape.width, shape.dim, bias=False)
        self.to_query = nn.Linear(shape.width, shape.dim, bias=False)

    def read(self, inputs: TextInput | ItemInput) -> TowerOutput:
        """The output for texts as queries, or for items. Missing parts are masked."""
        return self.query(inputs) if isinstance(inputs, TextInput) else self.item(inputs)

    def query(self, text: TextInput) -> TowerOutput:
        if self.query_in is None or self.query_text is None:
            tokens = self._stream(self._title(text), text.seen)
        else:
            tokens = self.query_in(_run_layers(self.query_text, text))
        return TowerOutput(tokens, text.seen, self._pooled(tokens, text.seen, self.to_query))

    def narrow(self, precision: torch.dtype) -> SingleStream:
        """The same module in another precision. The mean and scale of photo features stay in float32."""
        exact = {name: value.clone() for name, value in self.named_buffers()}
        self.to(precision)
        for name, value in exact.items():
            self.get_buffer(name).data = value
        return self

    def item(self, item: ItemInput) -> TowerOutput:
        parts = [(self._title(item.title), item.title.seen), self._photos(item)]
        # A part of length 0 is left out, so that a traced module does not contain it.
        present = [part for part in parts if part[1].shape[1]] or parts
        seen = torch.cat([part[1] for part in present], 1)
        tokens = self._stream(torch.cat([part[0] for part in present], 1), seen)
        return TowerOutput(tokens, seen, self._pooled(tokens, seen, self.to_item))

    def views(self, item: ItemInput) -> Tensor:
        """Unit vectors (n, 3, dim): of title and photos, of the photos alone and of the title alone.

        The same as three calls of `item`, but the inputs of the stream are computed once.
        """
        title, (photos, present) = self._title(item.title), self._photos(item)
        both = torch.cat((title, photos), 1), torch.cat((item.title.seen, present), 1)
        views = (both, (photos, present), (title, item.title.seen))
        return torch.stack([self._pooled(self._stream(x, seen), seen, self.to_item) for x, seen in views], 1)

    def standardised(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, images, features) to those of cells (..., cells, CELL_DIM) and whole photos (..., WHOLE_DIM)."""
        cells = photos[..., :-WHOLE_DIM].reshape(*photos.shape[:2], self.shape.cells, CELL_DIM)
        whole = (photos[..., -WHOLE_DIM:] - self.whole_mean) * self.whole_scale
        return ((cells - self.cell_mean) * self.cell_scale).clamp(-_CLAMP, _CLAMP), whole.clamp(-_CLAMP, _CLAMP)

    def _title(self, text: TextInput) -> Tensor:
        states = _run_layers(self.text, text).to(self.text_in.weight.dtype)
        x: Tensor = self.text_in(states)
        return x + self.kinds[0].to(x.dtype)

    def _photos(self, item: ItemInput) -> tuple[Tensor, Tensor]:
        """Tokens (n, images * (cells + 1), width) and their bool mask."""
        n, images = item.there.shape
        photos = item.photos
        if self.image is not None and photos.dtype == torch.uint8:
            grids = [self.image.grid(photo) for photo in photos.unbind(1)]
            photos = torch.stack(grids, 1) if grids else self.whole_mean.new_zeros(n, 0, self.shape.features)
        cells, whole = (part.to(self.cell_in.weight.dtype) for part in self.standardised(photos))
        x = self.cell_in(cells)
        present = item.there[:, :, None].expand(n, images, self.shape.cells + 1)
        if item.hidden is not None:
            x = torch.where(item.hidden[:, None, :, None], self.mask.to(x.dtype), x)
            present = torch.cat((present[..., :-1], torch.zeros_like(present[..., -1:])), 2)
        number = self.numbers[torch.arange(images, device=x.device).clamp(max=self.shape.images - 1)]
        x = x + (self.kinds[1] + self.places + number[:, None]).to(x.dtype)
        y = self.whole_in(whole) + (self.kinds[2] + number).to(x.dtype)
        return torch.cat((x, y[:, :, None]), 2).flatten(1, 2), present.flatten(1)

    def _stream(self, x: Tensor, seen: Tensor) -> Tensor:
        # An empty row attends to all positions: a softmax over no position would be NaN.
        attended = seen | ~seen.any(1, keepdim=True)
        for block in self.stream:
            x = block(x, attended)
        return x

    def _pooled(self, tokens: Tensor, seen: Tensor, project: nn.Linear) -> Tensor:
        mask = seen[..., None].to(tokens.dtype)
        mean = (tokens * mask).sum(1) / mask.sum(1).clamp(min=1)
        return F.normalize(project(mean).float(), dim=1)


def _run_layers(layers: nn.ModuleList, text: TextInput) -> Tensor:
    x = text.states
    if len(layers) and text.states.shape[1]:
        attended = text.seen | ~text.seen.any(1, keepdim=True)
        for layer in layers:
            x = layer(x, attended)
    return x


def _zero(line: nn.Linear) -> nn.Linear:
    nn.init.zeros_(line.weight)
    nn.init.zeros_(line.bias)
    return line


def save(towers: SingleStream, path: Path) -> None:
    """Write the towers in half precision, with their shape in the file's metadata."""
    state = {name: value.detach().half().contiguous() for name, value in towers.state_dict().items()}
    # Not safetensors' save_file, whose files only their owner can read.
    write_atomically(path, packed(state, metadata={"shape": json.dumps(asdict(towers.shape))}))


def read(path: Path) -> SingleStream:
    """The towers of a file of `save`, in float32, ready to run. Raises InvalidInput."""
    towers = SingleStream(shape_of(path))
    try:
        towers.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as err:
        raise InvalidInput(f"{path} is not a checkpoint of this version: train one with `liveshelf train`.") from err
    return towers.eval().requires_grad_(False)
