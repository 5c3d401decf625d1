"""The towers compute the same as the libraries that they replace."""

from __future__ import annotations

import warnings
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from encoders.model import to_vectors
from encoders.models.late_fusion import texts
from encoders.runtime.plans import text_plan
from encoders.runtime.torch_eager import TorchTower
from encoders.towers.backbone_files import files, prepared
from encoders.towers.backbones import CELL_DIM, IMAGE_DIM, WHOLE_DIM, attended, image_tower, text_tower
from encoders.towers.preprocessing import load_tokenizer


def test_the_text_tower_is_transformers_bert_with_mean_pooling() -> None:
    from transformers import BertModel

    words, tokenizer, _ = files()
    reference = BertModel.from_pretrained(words.parent, local_files_only=True).eval()
    ids = torch.tensor([[101, 2417, 11190, 102], [101, 8680, 102, 0]])
    seen = ids != 0
    with torch.inference_mode():
        hidden = reference(input_ids=ids, attention_mask=seen.long()).last_hidden_state
        expected = (hidden * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
        torch.testing.assert_close(text_tower(words)(ids, seen), expected, atol=1e-5, rtol=1e-4)
    assert tokenizer.name == "tokenizer.json"


def test_the_image_tower_is_timms_lite0_up_to_its_pooled_head() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's own imports warn
        import timm

    weights = files()[2]
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = torch.load(weights, weights_only=True)
    # Both list the same layers, in the order of the forward pass.
    reference.load_state_dict(dict(zip(reference.state_dict(), state.values(), strict=True)))
    photos = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        scaled = (photos.permute(0, 3, 1, 2).float() - 127) / 128
        expected = reference.forward_head(reference.forward_features(scaled), pre_logits=True)
        features = image_tower(weights)(photos)
    assert features.shape == (2, IMAGE_DIM)
    torch.testing.assert_close(features[:, -expected.shape[1] :], expected, atol=1e-4, rtol=1e-3)


def test_padding_changes_nothing_of_a_texts_features() -> None:
    words, tokenizer, _ = files()
    read, inputs = TorchTower(text_plan(words)), partial(prepared, load_tokenizer(tokenizer), photo=None, side=0)
    short, long = inputs("red mug"), inputs("a very much longer title of a very much larger mug")
    alone, in_batch = to_vectors(texts([short], read))[0], to_vectors(texts([short, long], read))[0]
    assert alone @ in_batch > 0.999


def test_a_grid_is_the_mean_and_spread_of_each_cell() -> None:
    tower = image_tower(files()[2])
    photos = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features, pooled = tower.grid(photos), tower(photos)
        maps, _ = tower._maps(photos)
    cells = features[:, :-WHOLE_DIM].view(2, 2, 2, CELL_DIM)
    torch.testing.assert_close(features[:, -WHOLE_DIM:], pooled[:, -WHOLE_DIM:], atol=1e-4, rtol=1e-4)
    for row, column in ((0, 0), (1, 0), (1, 1)):
        parts = []
        for x in maps:
            half = x.shape[2] // 2
            cell = x[:, :, row * half : (row + 1) * half, column * half : (column + 1) * half].flatten(2)
            parts += [cell.mean(2)] if half == 1 else [cell.mean(2), cell.std(2, correction=0)]
        torch.testing.assert_close(cells[:, row, column], torch.cat(parts, 1), atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_attention_written_out_is_torchs_own_both_ways(kind: torch.dtype) -> None:
    """Attention in training equals attention in serving, and so does its gradient."""
    generator = torch.Generator().manual_seed(0)
    q, k, v, gradient = (torch.randn(3, 2, 5, 8, generator=generator).to(kind) for _ in range(4))
    seen = torch.rand(3, 1, 1, 5, generator=generator) < 0.7
    seen[..., 0] = True
    features = []
    for attention in (attended, lambda q, k, v, seen: F.scaled_dot_product_attention(q, k, v, attn_mask=seen)):
        given = [x.clone().requires_grad_() for x in (q, k, v)]
        mixed = attention(*given, seen)
        features.append((mixed, *torch.autograd.grad(mixed, given, gradient)))
    close = {"atol": 1e-5, "rtol": 1e-4} if kind == torch.float32 else {"atol": 0.03, "rtol": 0.03}
    for mine, torchs in zip(*features, strict=True):
        torch.testing.assert_close(mine, torchs, **close)
    with torch.no_grad():
        torch.testing.assert_close(attended(q, k, v, seen), features[0][0], **close)


def test_the_gradient_of_attention_is_right() -> None:
    q, k, v = (torch.randn(2, 1, 3, 4, dtype=torch.double, requires_grad=True) for _ in range(3))
    seen = torch.tensor([[True, True, False], [True, False, True]])[:, None, None]
    # The attention weights are in single precision, whatever the precision of the rest.
    assert torch.autograd.gradcheck(lambda *x: attended(*x, seen), (q, k, v), eps=1e-3, atol=1e-3, rtol=1e-2)
