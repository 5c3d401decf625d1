"""Any CLIP- or SigLIP-style dual encoder of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F

from catalog.domain.space import FUSED, IMAGE, Space
from catalog.errors import InvalidInput
from encoders.model import Inputs, Rows
from encoders.towers.preprocessing import tidy


class DualEncoder:
    """Two towers that share a space; an item with both a title and a photo is the normalised mean of the two."""

    def __init__(self, reference: str, *, device: str = "cpu") -> None:
        """`reference` is REPO-OR-PATH, or the same with @REVISION. Raises InvalidInput for one that cannot be had."""
        where, _, revision = reference.partition("@")
        self.device = torch.device(device)
        self._model, self._processor = _pretrained(where, revision or None)
        self._model.to(self.device).eval().requires_grad_(False)
        text = self._model.config.text_config
        self._longest = int(text.max_position_embeddings)
        # SigLIP was trained on texts padded to the full length, and reads others worse.
        self._pad_to = "max_length" if "siglip" in self._model.config.model_type else "longest"
        size = self._processor.image_processor.size
        self.photo_side = int(size.get("shortest_edge") or max(size["height"], size["width"]))
        self._dim = self._forward_text([self.prepare("dimension", None)]).shape[1]
        self.space = Space(
            model=f"hf:{where}",
            revision=f"{revision or 'main'}-{_digest(self._model.state_dict())}",
            preprocessing=f"{type(self._processor.image_processor).__name__}-{self.photo_side}",
            vectors={FUSED: self._dim, IMAGE: self._dim},
        )

    @property
    def runs(self) -> str:
        return f"torch runs it in {str(self._model.dtype).removeprefix('torch.')}"

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        said = tidy(text)
        tokens: tuple[int, ...] = ()
        if said or photo is None:
            found = self._processor.tokenizer(said, truncation=True, max_length=self._longest)
            tokens = tuple(found["input_ids"])
        pixels = None
        if photo is not None:
            pixels = np.asarray(self._processor.image_processor(photo, return_tensors="np")["pixel_values"][0])
        return Inputs(tokens=tokens, pixels=pixels)

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        text = self._where(batch, [bool(inputs.tokens) for inputs in batch], self._forward_text)
        image = self._where(batch, [inputs.pixels is not None for inputs in batch], self._photos)
        # Zeros stand for what is missing, so the mean of one is that one.
        return {FUSED: F.normalize(text + image, dim=-1).cpu().numpy(), IMAGE: image.cpu().numpy()}

    def forward_photos(self, batch: Sequence[Inputs]) -> Rows:
        found: Rows = self._forward_photos(batch).float().cpu().numpy()
        return found

    def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
        return self.forward_items(batch)[FUSED]

    def _where(
        self, batch: Sequence[Inputs], there: Sequence[bool], forward: Callable[[Sequence[Inputs]], Tensor]
    ) -> Tensor:
        out = torch.zeros(len(batch), self._dim, device=self.device)
        rows = [i for i, yes in enumerate(there) if yes]
        if rows:
            out[rows] = F.normalize(forward([batch[i] for i in rows]).float(), dim=-1)
        return out

    def _forward_text(self, batch: Sequence[Inputs]) -> Tensor:
        found = self._processor.tokenizer.pad(
            {"input_ids": [list(inputs.tokens) for inputs in batch]},
            padding=self._pad_to,
            max_length=self._longest,
            return_attention_mask=True,
            return_tensors="pt",
        )
        arguments = {"input_ids": found["input_ids"].to(self.device)}
        if self._pad_to == "longest":
            arguments["attention_mask"] = found["attention_mask"].to(self.device)
        return _features(self._model.get_text_features(**arguments))

    def _forward_photos(self, batch: Sequence[Inputs]) -> Tensor:
        pixels = torch.from_numpy(np.stack([inputs.pixels for inputs in batch if inputs.pixels is not None]))
        return _features(self._model.get_image_features(pixel_values=pixels.to(self.device, self._model.dtype)))

    def _photos(self, batch: Sequence[Inputs]) -> Tensor:
        """Features of each photo, the image tower run for those that do not bring theirs along."""
        out = torch.zeros(len(batch), self._dim, device=self.device)
        known = [i for i, inputs in enumerate(batch) if inputs.features is not None]
        if known:
            features = np.stack([batch[i].features for i in known])  # type: ignore[misc]
            out[known] = torch.from_numpy(features).to(self.device)
        rest = [i for i, inputs in enumerate(batch) if inputs.features is None]
        if rest:
            out[rest] = self._forward_photos([batch[i] for i in rest]).float()
        return out


def _pretrained(where: str, revision: str | None) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoProcessor

    said = {"revision": revision, "trust_remote_code": False}
    try:
        model, loading = AutoModel.from_pretrained(where, use_safetensors=True, output_loading_info=True, **said)
        processor = AutoProcessor.from_pretrained(where, **said)  # type: ignore[no-untyped-call]
    except SafetensorError as err:
        raise InvalidInput(f"The weights of hf:{where} came over incomplete: fetch them again.") from err
    except (OSError, ValueError, KeyError, ImportError) as err:
        raise InvalidInput(
            f"The model hf:{where} cannot be had: check its name, its revision, that it is stored as safetensors and, "
            "without a network, that it is in the local cache or that a folder is named."
        ) from err
    # Transformers would go on with numbers drawn at random in their place.
    if missing := sorted(loading["missing_keys"]):
        raise InvalidInput(
            f"The weights of hf:{where} lack {missing[0]} and {len(missing) - 1} more: fetch them again."
        )
    if not hasattr(model, "get_text_features") or not hasattr(model, "get_image_features"):
        raise InvalidInput(f"hf:{where} has no text and image tower in one space: name a CLIP- or SigLIP-style model.")
    return model, processor


def _features(found: Any) -> Tensor:
    # transformers 5 gives an output object whose pooled field is the projected features, 4 gave the tensor itself.
    features: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return features


def _digest(state: Mapping[str, Tensor]) -> str:
    whole = blake2b(digest_size=8)
    for name in sorted(state):
        whole.update(name.encode())
        whole.update(state[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()
