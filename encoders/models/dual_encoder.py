"""CLIP- and SigLIP-style dual encoders of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import httpx
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

# What the hub's client says if it is used again after a failed connection.
CLOSED_CLIENT = "client has been closed"


class DualEncoder:
    """Two towers that share a space. The vector of an item with a title and a photo is the normalised mean of both."""

    def __init__(self, reference: str, *, device: str = "cpu") -> None:
        """`reference` is REPO-OR-PATH, or the same with @REVISION. Raises InvalidInput if it cannot be loaded."""
        repository, _, revision = reference.partition("@")
        self.device = torch.device(device)
        self._model, self._processor = _pretrained(repository, revision or None)
        self._model.to(self.device).eval().requires_grad_(False)
        text = self._model.config.text_config
        self._max_tokens = int(text.max_position_embeddings)
        # SigLIP was trained on texts padded to the full length: other lengths give worse vectors.
        self._pad_to = "max_length" if "siglip" in self._model.config.model_type else "longest"
        size = self._processor.image_processor.size
        self.photo_side = int(size.get("shortest_edge") or max(size["height"], size["width"]))
        self._dim = self._forward_text([self.prepare("dimension", None)]).shape[1]
        self.space = Space(
            model=f"hf:{repository}",
            revision=f"{revision or 'main'}-{_digest(self._model.state_dict())}",
            preprocessing=f"{type(self._processor.image_processor).__name__}-{self.photo_side}",
            vectors={FUSED: self._dim, IMAGE: self._dim},
        )

    @property
    def runs(self) -> str:
        return f"torch runs it in {str(self._model.dtype).removeprefix('torch.')}"

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        text = tidy(text)
        tokens: tuple[int, ...] = ()
        if text or photo is None:
            encoded = self._processor.tokenizer(text, truncation=True, max_length=self._max_tokens)
            tokens = tuple(encoded["input_ids"])
        pixels = None
        if photo is not None:
            pixels = np.asarray(self._processor.image_processor(photo, return_tensors="np")["pixel_values"][0])
        return Inputs(tokens=tokens, pixels=pixels)

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        text = self._unit_rows(batch, [bool(inputs.tokens) for inputs in batch], self._forward_text)
        image = self._unit_rows(batch, [inputs.pixels is not None for inputs in batch], self._features)
        # The row of a missing part is zeros, so that the mean is the other part.
        return {FUSED: F.normalize(text + image, dim=-1).cpu().numpy(), IMAGE: image.cpu().numpy()}

    def forward_photos(self, batch: Sequence[Inputs]) -> Rows:
        features: Rows = self._forward_photos(batch).float().cpu().numpy()
        return features

    def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
        return self.forward_items(batch)[FUSED]

    def _unit_rows(
        self, batch: Sequence[Inputs], present: Sequence[bool], forward: Callable[[Sequence[Inputs]], Tensor]
    ) -> Tensor:
        """Normalised rows of `forward` for the inputs that are present, zeros for the others."""
        out = torch.zeros(len(batch), self._dim, device=self.device)
        rows = [i for i, is_present in enumerate(present) if is_present]
        if rows:
            out[rows] = F.normalize(forward([batch[i] for i in rows]).float(), dim=-1)
        return out

    def _forward_text(self, batch: Sequence[Inputs]) -> Tensor:
        padded = self._processor.tokenizer.pad(
            {"input_ids": [list(inputs.tokens) for inputs in batch]},
            padding=self._pad_to,
            max_length=self._max_tokens,
            return_attention_mask=True,
            return_tensors="pt",
        )
        arguments = {"input_ids": padded["input_ids"].to(self.device)}
        if self._pad_to == "longest":
            arguments["attention_mask"] = padded["attention_mask"].to(self.device)
        return _projected(self._model.get_text_features(**arguments))

    def _forward_photos(self, batch: Sequence[Inputs]) -> Tensor:
        pixels = torch.from_numpy(np.stack([inputs.pixels for inputs in batch if inputs.pixels is not None]))
        return _projected(self._model.get_image_features(pixel_values=pixels.to(self.device, self._model.dtype)))

    def _features(self, batch: Sequence[Inputs]) -> Tensor:
        """The features of each photo. The image tower runs for inputs that do not carry them."""
        out = torch.zeros(len(batch), self._dim, device=self.device)
        cached = [i for i, inputs in enumerate(batch) if inputs.features is not None]
        if cached:
            features = np.stack([batch[i].features for i in cached])  # type: ignore[misc]
            out[cached] = torch.from_numpy(features).to(self.device)
        missing = [i for i, inputs in enumerate(batch) if inputs.features is None]
        if missing:
            out[missing] = self._forward_photos([batch[i] for i in missing]).float()
        return out


def _pretrained(repository: str, revision: str | None) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoProcessor

    options = {"revision": revision, "trust_remote_code": False}
    try:
        model, loading = AutoModel.from_pretrained(
            repository, use_safetensors=True, output_loading_info=True, **options
        )
        processor = AutoProcessor.from_pretrained(repository, **options)  # type: ignore[no-untyped-call]
    except SafetensorError as err:
        raise InvalidInput(f"The weights of hf:{repository} are incomplete: fetch them again.") from err
    except RuntimeError as err:
        if CLOSED_CLIENT not in str(err):
            raise
        raise InvalidInput(_unreachable(repository)) from err
    except (OSError, ValueError, KeyError, ImportError) as err:
        if not Path(repository).is_dir() and _is_unreachable(err):
            raise InvalidInput(_unreachable(repository)) from err
        raise InvalidInput(
            f"The model hf:{repository} cannot be loaded: check its name, its revision and that it is stored as "
            "safetensors. Without a network, it must be in the local cache, or a folder must be named."
        ) from err
    # Transformers would continue with random numbers in their place.
    if missing := sorted(loading["missing_keys"]):
        raise InvalidInput(
            f"The weights of hf:{repository} lack {missing[0]} and {len(missing) - 1} more: fetch them again."
        )
    if not hasattr(model, "get_text_features") or not hasattr(model, "get_image_features"):
        raise InvalidInput(
            f"hf:{repository} has no text and image tower in one space: name a CLIP- or SigLIP-style model."
        )
    return model, processor


def _is_unreachable(error: BaseException | None) -> bool:
    """Whether an error of transformers has a failed connection among its causes."""
    while error is not None:
        if isinstance(error, httpx.TransportError | ConnectionError) or CLOSED_CLIENT in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _unreachable(repository: str) -> str:
    return (
        f"The model hf:{repository} is not in the local cache and the hub does not answer. Download the model on a "
        "machine with a network. Then copy its folder here and name it as hf:/path/to/folder@local, or copy the cache "
        "and set HF_HOME to it and HF_HUB_OFFLINE=1."
    )


def _projected(output: Any) -> Tensor:
    # transformers 5 returns an object whose pooled field is the projected features, 4 the tensor itself.
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features


def _digest(state: Mapping[str, Tensor]) -> str:
    total = blake2b(digest_size=8)
    for name in sorted(state):
        total.update(name.encode())
        total.update(state[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
