"""Late fusion: heads that map titles, photos and both together into one space."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as packed
from torch import Tensor, nn
from torch.nn import functional as F

from catalog.errors import InvalidInput
from resilience.atomic_files import write_atomically


@dataclass(frozen=True, slots=True)
class LateFusionShape:
    """The sizes of the heads, and the side in pixels of the photos in their training."""

    text: int = 384
    image: int = 2304
    dim: int = 256
    hidden: int = 512
    photo_side: int = 128


class LateFusion(nn.Module):
    """Backbone features to unit vectors of one space.

    A title alone gives its text vector, a photo alone its image vector. Both together are mixed by a gate for each
    dimension, with a correction computed from both.
    """

    def __init__(self, shape: LateFusionShape) -> None:
        super().__init__()
        self.shape = shape
        self.text_line = nn.Linear(shape.text, shape.dim, bias=False)
        self.text_bend = _mlp(shape.text, shape.hidden, shape.dim)
        self.image_mean = nn.Buffer(torch.zeros(shape.image))
        self.image_scale = nn.Buffer(torch.ones(shape.image))
        self.image_line = nn.Linear(shape.image, shape.dim)
        self.image_bend = _mlp(shape.image, shape.hidden, shape.dim)
        self.gate = _mlp(2 * shape.dim, shape.dim, shape.dim)
        self.mix = _mlp(2 * shape.dim, shape.dim, shape.dim)

    def text(self, features: Tensor) -> Tensor:
        """(n, text) features of texts to unit vectors (n, dim)."""
        x = F.normalize(features, dim=-1)
        return F.normalize(self.text_line(x) + self.text_bend(x), dim=-1)

    def image(self, features: Tensor) -> Tensor:
        """(n, image) features of photos to unit vectors (n, dim)."""
        x = ((features - self.image_mean) * self.image_scale).clamp(-5, 5)
        return F.normalize(self.image_line(x) + self.image_bend(x), dim=-1)

    def fuse(self, text: Tensor, image: Tensor, *, has_text: Tensor, has_image: Tensor) -> Tensor:
        """Unit vectors of texts and photos (n, dim), with bool masks (n,) of those present, to fused ones (n, dim)."""
        pair = torch.cat((text, image), -1)
        gate = torch.sigmoid(self.gate(pair))
        both = gate * text + (1 - gate) * image + self.mix(pair)
        alone = torch.where(has_text[:, None], text, image)
        return F.normalize(torch.where((has_text & has_image)[:, None], both, alone), dim=-1)


def _mlp(ins: int, hidden: int, outs: int) -> nn.Sequential:
    """Two layers, the last of which starts at zero: training starts from the parallel linear layer alone."""
    last = nn.Linear(hidden, outs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(ins, hidden), nn.GELU(), nn.Dropout(0.1), last)


def save(fusion: LateFusion, path: Path) -> None:
    """Write the heads in half precision, with their shape in the file's metadata."""
    state = {name: value.half().contiguous() for name, value in fusion.state_dict().items()}
    write_atomically(path, packed(state, metadata={"shape": json.dumps(asdict(fusion.shape))}))


def read(path: Path) -> LateFusion:
    """The heads of a file of `save`, in float32, ready to run. Raises InvalidInput."""
    try:
        with safe_open(path, framework="pt") as file:
            shape = LateFusionShape(**json.loads(file.metadata()["shape"]))
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        fusion = LateFusion(shape)
        fusion.load_state_dict(state)
    except FileNotFoundError as err:
        raise InvalidInput(f"There is no checkpoint at {path}: train one with `liveshelf train late`.") from err
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as err:
        raise InvalidInput(f"{path} is not a checkpoint of the fusion: train one with `liveshelf train late`.") from err
    return fusion.eval().requires_grad_(False)
