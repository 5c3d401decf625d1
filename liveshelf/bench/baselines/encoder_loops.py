"""What the encoder is held against: loops as one writes them in an afternoon, on the backbones' own weights.

They go as far as the backbones do. What the trained model puts on top of them is work that they do not have.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image

from encoders.towers.backbone_files import files

TOGETHER = 32

TitleLoop = Callable[[Sequence[str]], None]
PhotoLoop = Callable[[Sequence[bytes]], None]


def title_loops() -> dict[str, TitleLoop]:
    """Titles through MiniLM in transformers, to the mean of their tokens."""
    from transformers import AutoTokenizer, BertModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = files()[0].parent
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = BertModel.from_pretrained(folder, local_files_only=True)
    model.eval()

    def encode(titles: Sequence[str]) -> None:
        with torch.inference_mode(), _all_cores():
            for start in range(0, len(titles), TOGETHER):
                some = tokenizer(list(titles[start : start + TOGETHER]), padding=True, return_tensors="pt")
                seen = some["attention_mask"][..., None]
                (model(**some).last_hidden_state * seen).sum(1).div(seen.sum(1)).numpy()

    return {"transformers": encode}


def photo_loops(side: int) -> dict[str, PhotoLoop]:
    """Photos through timm's EfficientNet-Lite0, squeezed to `side` pixels, to the mean of its last grid."""
    return {f"timm{said}": _timm(side, layout) for said, layout in _LAYOUTS.items()}


_LAYOUTS = {"": torch.contiguous_format, ", channels last": torch.channels_last}


def _timm(side: int, layout: torch.memory_format) -> PhotoLoop:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its own imports warn about
        import timm

    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = torch.load(files()[2], weights_only=True)
    # Both list the same layers in the order that a photo passes them.
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model = model.to(memory_format=layout)

    def encode(photos: Sequence[bytes]) -> None:
        with torch.inference_mode(), _all_cores():
            for start in range(0, len(photos), TOGETHER):
                some = np.stack([_square(data, side) for data in photos[start : start + TOGETHER]])
                scaled = torch.from_numpy(some).permute(0, 3, 1, 2).float().sub(127).div(128)
                model.forward_head(model.forward_features(scaled.contiguous(memory_format=layout)), pre_logits=True)

    return encode


def _square(data: bytes, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


@contextmanager
def _all_cores() -> Iterator[None]:
    """One forward on all cores, as torch does of itself; the model that is measured beside may have set fewer."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
