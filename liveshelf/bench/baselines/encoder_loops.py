"""Baselines for the encoder: simple loops over other libraries, with the backbones' own weights.

The loops run the backbones only. The trained model's layers on top of them are extra work that the loops do not do.
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

BATCH = 32

TitleLoop = Callable[[Sequence[str]], None]
PhotoLoop = Callable[[Sequence[bytes]], None]


def title_loops() -> dict[str, TitleLoop]:
    """Encodes titles with MiniLM in transformers, up to the mean of the token vectors."""
    from transformers import AutoTokenizer, BertModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = files()[0].parent
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = BertModel.from_pretrained(folder, local_files_only=True)
    model.eval()

    def encode(titles: Sequence[str]) -> None:
        with torch.inference_mode(), _all_cores():
            for start in range(0, len(titles), BATCH):
                batch = tokenizer(list(titles[start : start + BATCH]), padding=True, return_tensors="pt")
                mask = batch["attention_mask"][..., None]
                (model(**batch).last_hidden_state * mask).sum(1).div(mask.sum(1)).numpy()

    return {"transformers": encode}


def photo_loops(side: int) -> dict[str, PhotoLoop]:
    """Encodes photos of `side` pixels a side with timm's EfficientNet-Lite0, up to the mean of its last grid."""
    return {f"timm{suffix}": _timm(side, layout) for suffix, layout in _LAYOUTS.items()}


_LAYOUTS = {"": torch.contiguous_format, ", channels last": torch.channels_last}


def _timm(side: int, layout: torch.memory_format) -> PhotoLoop:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's own imports warn
        import timm

    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = torch.load(files()[2], weights_only=True)
    # Both list the same layers in forward order.
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model = model.to(memory_format=layout)

    def encode(photos: Sequence[bytes]) -> None:
        with torch.inference_mode(), _all_cores():
            for start in range(0, len(photos), BATCH):
                batch = np.stack([_square(data, side) for data in photos[start : start + BATCH]])
                scaled = torch.from_numpy(batch).permute(0, 3, 1, 2).float().sub(127).div(128)
                model.forward_head(model.forward_features(scaled.contiguous(memory_format=layout)), pre_logits=True)

    return encode


def _square(data: bytes, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


@contextmanager
def _all_cores() -> Iterator[None]:
    """Runs a forward on all cores, which is torch's default; the other contender's model may have set fewer."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
