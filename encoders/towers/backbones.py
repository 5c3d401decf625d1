"""The two frozen backbones of `builtin:small`, in plain torch.

They compute the same numbers as transformers' `BertModel` and timm's `tf_efficientnet_lite0`, which the tests check.
They are written out because importing those two libraries takes 300 MB of memory in each process. It also takes three
times as long as everything else that a worker does before its first batch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.dims import CELL_DIM as CELL_DIM
from encoders.towers.dims import CHANNELS as CHANNELS
from encoders.towers.dims import HEAD, STAGES, TAPS
from encoders.towers.dims import IMAGE_DIM as IMAGE_DIM
from encoders.towers.dims import STRIDE as STRIDE
from encoders.towers.dims import TEXT_DIM as TEXT_DIM
from encoders.towers.dims import TEXT_LAYERS as TEXT_LAYERS
from encoders.towers.dims import WHOLE_DIM as WHOLE_DIM

_HEADS, _WIDE = 12, 1536


def attended(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Attention. For gradients on a CPU it is written out: the backward pass of the fused one is five times as slow."""
    if q.device.type != "cpu" or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    weights = scores.float().masked_fill(~seen, -torch.inf).softmax(-1)
    mixed: Tensor = weights.to(v.dtype) @ v
    return mixed


class TextLayer(nn.Module):
    """One post-norm transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(TEXT_DIM, 3 * TEXT_DIM)
        self.out = nn.Linear(TEXT_DIM, TEXT_DIM)
        self.norm1 = nn.LayerNorm(TEXT_DIM, eps=1e-12)
        self.up = nn.Linear(TEXT_DIM, _WIDE)
        self.down = nn.Linear(_WIDE, TEXT_DIM)
        self.norm2 = nn.LayerNorm(TEXT_DIM, eps=1e-12)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, _HEADS, TEXT_DIM // _HEADS).permute(2, 0, 3, 1, 4)
        mixed = attended(q, k, v, seen[:, None, None, :])
        x = self.norm1(x + self.out(mixed.transpose(1, 2).reshape(batch, length, TEXT_DIM)))
        out: Tensor = self.norm2(x + self.down(F.gelu(self.up(x))))
        return out


class TextTower(nn.Module):
    """MiniLM-L6: token ids to one vector, the mean over the tokens without padding."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, TEXT_DIM)
        self.places = nn.Embedding(512, TEXT_DIM)
        self.kinds = nn.Embedding(2, TEXT_DIM)
        self.norm = nn.LayerNorm(TEXT_DIM, eps=1e-12)
        self.layers = nn.ModuleList(TextLayer() for _ in range(TEXT_LAYERS))

    def forward(self, ids: Tensor, seen: Tensor) -> Tensor:
        """(batch, length) ids and their bool mask `seen`, False for padding, to (batch, 384)."""
        return mean(self.states(ids, seen), seen)

    def states(self, ids: Tensor, seen: Tensor, layers: int = TEXT_LAYERS) -> Tensor:
        """The token states after the first `layers` layers, (batch, length, 384), of the same inputs."""
        x: Tensor = self.words(ids) + self.places.weight[: ids.shape[1]] + self.kinds.weight[0]
        x = self.norm(x)
        for layer in self.layers[:layers]:
            x = layer(x, seen)
        return x


def mean(states: Tensor, seen: Tensor) -> Tensor:
    """States (texts, length, width) to their mean without padding, (texts, width)."""
    mask = seen[..., None].to(states.dtype)
    return (states * mask).sum(1) / mask.sum(1)


class _Conv(nn.Module):
    """A convolution with folded batch norm and the padding of TensorFlow's SAME: the odd pixel goes last."""

    def __init__(self, *, ins: int, outs: int, kernel: int = 1, stride: int = 1, depthwise: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, kernel, stride, groups=ins if depthwise else 1)
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            # The padding is symmetric, so the convolution pads without a copy.
            half = self.kernel // 2
            return F.conv2d(x, self.conv.weight, self.conv.bias, padding=half, groups=self.conv.groups)
        height, width = (self._padding(size) for size in x.shape[2:])
        x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        out: Tensor = self.conv(x)
        return out

    def _padding(self, size: int) -> int:
        outs = -(-size // self.stride)
        return max((outs - 1) * self.stride + self.kernel - size, 0)


class _Block(nn.Module):
    """An inverted residual without squeeze-and-excitation, as in the lite models."""

    def __init__(self, *, ins: int, outs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = ins * expansion
        self.expand = _Conv(ins=ins, outs=wide) if expansion > 1 else None
        self.depthwise = _Conv(ins=wide, outs=wide, kernel=kernel, stride=stride, depthwise=True)
        self.project = _Conv(ins=wide, outs=outs)
        self.residual = stride == 1 and ins == outs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = F.relu6(self.depthwise(y), inplace=True)
        y = self.project(y)
        out: Tensor = x + y if self.residual else y
        return out


class ImageTower(nn.Module):
    """EfficientNet-Lite0: photos to pooled features of several depths."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(ins=3, outs=32, kernel=3, stride=2)
        stages, ins = [], 32
        for repeats, kernel, stride, expansion, outs in STAGES:
            blocks = []
            for i in range(repeats):
                step = stride if i == 0 else 1
                blocks.append(_Block(ins=ins, outs=outs, kernel=kernel, stride=step, expansion=expansion))
                ins = outs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.head = _Conv(ins=ins, outs=HEAD)

    def forward(self, photos: Tensor) -> Tensor:
        """(batch, size, size, 3) uint8 RGB to (batch, 2304): mean, deviation of five stages, then the head's mean."""
        maps, head = self._maps(photos)
        pooled = [part for x in maps for part in reversed(torch.std_mean(x, dim=(2, 3), correction=0))]
        return torch.cat([*pooled, head.mean((2, 3))], 1)

    def grid(self, photos: Tensor) -> Tensor:
        """The same photos, with a side that is a multiple of STRIDE, to float32 (batch, cells * CELL_DIM + WHOLE_DIM).

        First the cells, row by row, each with mean and deviation of five stages; then the head's mean over the photo.
        """
        maps, head = self._maps(photos)
        side = photos.shape[1] // STRIDE
        cells = []
        for x in maps:
            # By means of squares, in float32: computing the deviation directly takes ten times as long.
            x = x.float()
            mean = F.avg_pool2d(x, x.shape[2] // side)
            cells.append(mean)
            if x.shape[2] > side:
                cells.append((F.avg_pool2d(x * x, x.shape[2] // side) - mean * mean).clamp(min=1e-8).sqrt())
        by_cell = torch.cat(cells, 1).flatten(2).transpose(1, 2)
        return torch.cat((by_cell.flatten(1), head.float().mean((2, 3))), 1)

    def _maps(self, photos: Tensor) -> tuple[list[Tensor], Tensor]:
        x = photos.permute(0, 3, 1, 2).to(self.stem.conv.weight.dtype)
        x = F.relu6(self.stem((x - 127.0) / 128.0), inplace=True)
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in TAPS:
                maps.append(x)
        return maps, F.relu6(self.head(x))


_TEXT_NAMES = (
    (r"embeddings\.word_embeddings", "words"),
    (r"embeddings\.position_embeddings", "places"),
    (r"embeddings\.token_type_embeddings", "kinds"),
    (r"embeddings\.LayerNorm", "norm"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense", r"layers.\1.out"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm", r"layers.\1.norm1"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense", r"layers.\1.up"),
    (r"encoder\.layer\.(\d+)\.output\.dense", r"layers.\1.down"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm", r"layers.\1.norm2"),
)


def text_tower(weights: Path) -> TextTower:
    """The tower with the weights of a MiniLM-L6 safetensors file, which has transformers' names."""
    state = load_file(weights)
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        for pattern, new in _TEXT_NAMES:
            if re.match(pattern, name):
                renamed[re.sub(pattern, new, name)] = value
    for i in range(TEXT_LAYERS):
        for kind in ("weight", "bias"):
            parts = [state[f"encoder.layer.{i}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            renamed[f"layers.{i}.qkv.{kind}"] = torch.cat(parts)
    tower = TextTower()
    tower.load_state_dict(renamed, assign=True)
    return tower.eval().requires_grad_(False)


def image_tower(weights: Path) -> ImageTower:
    """The tower with the weights of an EfficientNet-Lite0 state dict. Batch norms are folded into convolutions."""
    state: Mapping[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    tower = ImageTower()
    renamed: dict[str, Tensor] = {}

    def take(target: str, conv: str, norm: str) -> None:
        # 1e-3 is TensorFlow's epsilon, used to train these weights.
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + 1e-3)
        renamed[f"{target}.conv.weight"] = state[f"{conv}.weight"] * scale[:, None, None, None]
        renamed[f"{target}.conv.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale

    take("stem", "_conv_stem", "_bn0")
    take("head", "_conv_head", "_bn1")
    names = [f"stages.{s}.{i}" for s, (repeats, *_) in enumerate(STAGES) for i in range(repeats)]
    for number, name in enumerate(names):
        block = f"_blocks.{number}"
        if f"{block}._expand_conv.weight" in state:
            take(f"{name}.expand", f"{block}._expand_conv", f"{block}._bn0")
        take(f"{name}.depthwise", f"{block}._depthwise_conv", f"{block}._bn1")
        take(f"{name}.project", f"{block}._project_conv", f"{block}._bn2")
    tower.load_state_dict(renamed, assign=True)
    return tower.eval().requires_grad_(False).to(memory_format=torch.channels_last)
