"""Models by name, and dual encoders of transformers made from a config."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from catalog.domain.product import Content
from catalog.domain.space import FUSED, IMAGE
from catalog.errors import InvalidInput
from encoders import EncoderService, load
from encoders.models.load import BUILTIN, CHECKPOINT, LATE
from encoders.towers import late_fusion as fusion
from tests.encoders.conftest import Photos, picture, png

WORDS = ["[UNK]", "[PAD]", "[BOS]", "[EOS]", "red", "blue", "mug", "hat"]


@pytest.mark.parametrize("name", ["builtin:large", "builtin", "nonsense", "hf:", "checkpoint:", "timm:resnet", ""])
def test_an_unknown_name_is_told_what_exists(name: str) -> None:
    with pytest.raises(InvalidInput, match="builtin:small, hf:REPO-OR-PATH@REVISION and checkpoint:DIR"):
        load(name)


def test_a_checkpoint_is_a_folder_with_towers_of_ones_own(tmp_path: Path) -> None:
    shutil.copy(BUILTIN, tmp_path / CHECKPOINT)
    mine, builtin = load(f"checkpoint:{tmp_path}"), load("builtin:small", threads=torch.get_num_threads())
    assert mine.space.revision == builtin.space.revision, "the same weights"
    assert mine.space.id != builtin.space.id


def test_a_checkpoint_has_one_space_by_whatever_path_it_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker and a search service in different folders, or with different mounts, must use the same space."""
    (tmp_path / "one" / "mugs").mkdir(parents=True)
    shutil.copy(BUILTIN, tmp_path / "one" / "mugs" / CHECKPOINT)
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    monkeypatch.chdir(tmp_path / "one")
    names = ("mugs", "./mugs/", str(tmp_path / "other" / "mugs"))
    spaces = {load(f"checkpoint:{name}").space.id for name in names}
    assert len(spaces) == 1
    assert spaces.pop().startswith("checkpoint-mugs-")


def test_a_checkpoint_that_is_not_there_or_is_none_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="train one"):
        load(f"checkpoint:{tmp_path}")
    (tmp_path / CHECKPOINT).write_bytes(BUILTIN.read_bytes()[:-1000])
    with pytest.raises(InvalidInput, match="liveshelf train"):
        load(f"checkpoint:{tmp_path}")
    fusion.save(fusion.LateFusion(fusion.LateFusionShape(dim=8, hidden=8)), tmp_path / CHECKPOINT)
    with pytest.raises(InvalidInput, match="not a checkpoint of this version"):
        load(f"checkpoint:{tmp_path}")
    (tmp_path / LATE).write_bytes(b"not safetensors")
    with pytest.raises(InvalidInput, match="train one"):
        load(f"checkpoint:{tmp_path}")


@pytest.mark.filterwarnings("default")  # the hub's client warns without a network
def test_a_model_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        load(f"hf:{tmp_path / 'nothing'}")
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        load(f"hf:{tmp_path}@main")


def saved_clip(folder: Path) -> Path:
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor

    torch.manual_seed(0)
    text = {"vocab_size": 8, "eos_token_id": 3, "bos_token_id": 2, "pad_token_id": 1, "max_position_embeddings": 16}
    config = CLIPConfig(
        text_config=_small(text), vision_config=_small({"image_size": 16, "patch_size": 8}), projection_dim=12
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPProcessor(_images("CLIPImageProcessor"), _tokenizer()).save_pretrained(folder)
    return folder


def saved_siglip(folder: Path) -> Path:
    from transformers import SiglipConfig, SiglipModel, SiglipProcessor

    torch.manual_seed(0)
    text = {"vocab_size": 8, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "max_position_embeddings": 16}
    config = SiglipConfig(text_config=_small(text), vision_config=_small({"image_size": 16, "patch_size": 8}))
    SiglipModel(config).save_pretrained(folder)
    SiglipProcessor(_images("SiglipImageProcessor"), _tokenizer()).save_pretrained(folder)
    return folder


def _small(more: dict[str, int]) -> dict[str, int]:
    return {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, **more}


def _images(kind: str) -> object:
    import transformers

    size = {"shortest_edge": 16} if kind.startswith("CLIP") else {"height": 16, "width": 16}
    return getattr(transformers, kind)(size=size, crop_size={"height": 16, "width": 16})


def _tokenizer() -> object:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 2), ("[EOS]", 3)])
    special = {"pad_token": "[PAD]", "bos_token": "[BOS]", "eos_token": "[EOS]", "unk_token": "[UNK]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


@pytest.mark.parametrize("make", [saved_clip, saved_siglip])
async def test_a_dual_encoder_of_transformers_encodes_items_and_queries(tmp_path: Path, make: object) -> None:
    model = load(f"hf:{make(tmp_path)}")  # type: ignore[operator]
    dim = model.space.vectors[FUSED]
    assert dict(model.space.vectors) == {FUSED: dim, IMAGE: dim}
    red = picture("red", side=40)
    async with EncoderService(model, Photos({"red": png(red)})) as service:
        both, title, photo, nothing = await service.encode(
            await service.prepare(
                [Content("red mug", ("red",)), Content("red mug"), Content("", ("red",)), Content("")]
            )
        )
        text_query = await service.encode_query(text="red mug", image=None)
        image_query = await service.encode_query(text=None, image=png(red))
    assert both
    assert title
    assert photo
    assert nothing, "even the empty title has a vector"
    mean = title.vectors[FUSED] + photo.vectors[IMAGE]
    np.testing.assert_allclose(both.vectors[FUSED], mean / np.linalg.norm(mean), atol=1e-4)
    np.testing.assert_allclose(photo.vectors[FUSED], both.vectors[IMAGE], atol=1e-4)
    np.testing.assert_allclose(text_query, title.vectors[FUSED], atol=1e-4)
    np.testing.assert_allclose(image_query, both.vectors[IMAGE], atol=1e-4)


def test_a_dual_encoder_gives_what_transformers_gives(tmp_path: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    folder = saved_clip(tmp_path)
    ours, reference = load(f"hf:{folder}"), CLIPModel.from_pretrained(folder).eval()
    photo = picture("blue", side=40)
    inputs = CLIPProcessor.from_pretrained(folder)(text=["blue hat"], images=[photo], return_tensors="pt")
    with torch.inference_mode():
        expected = reference(**inputs)
    output = ours.forward_items([ours.prepare("", photo), ours.prepare("blue hat", None)])
    np.testing.assert_allclose(output[FUSED][0], expected.image_embeds[0], atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(output[FUSED][1], expected.text_embeds[0], atol=1e-5, rtol=1e-4)


def test_the_space_of_a_dual_encoder_changes_with_its_weights(tmp_path: Path) -> None:
    from transformers import CLIPModel

    folder = saved_clip(tmp_path)
    before = load(f"hf:{folder}").space
    model = CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        model.logit_scale.add_(1)
        model.text_projection.weight.add_(0.1)
    model.save_pretrained(folder)
    after = load(f"hf:{folder}").space
    assert before.revision != after.revision
    assert before.id != after.id


@pytest.mark.filterwarnings("default")
def test_an_interrupted_download_is_told(tmp_path: Path) -> None:
    """A truncated file, and a missing tensor, which transformers would fill with random numbers."""
    from safetensors.torch import load_file, save_file

    weights = saved_clip(tmp_path) / "model.safetensors"
    complete = weights.read_bytes()
    weights.write_bytes(complete[: len(complete) // 2])
    with pytest.raises(InvalidInput, match="incomplete: fetch them again"):
        load(f"hf:{tmp_path}")
    weights.write_bytes(complete)
    state = load_file(weights)
    del state["text_projection.weight"]
    save_file(state, weights, metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match="lack text_projection"):
        load(f"hf:{tmp_path}")


def test_a_model_without_two_towers_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(**_small({"vocab_size": 8}))).save_pretrained(tmp_path)
    _tokenizer().save_pretrained(tmp_path)  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput, match=r"cannot be loaded|no text and image tower"):
        load(f"hf:{tmp_path}")


def test_a_photo_of_any_shape_fits(tmp_path: Path) -> None:
    model = load(f"hf:{saved_clip(tmp_path)}")
    shapes = {model.prepare("", Image.new("RGB", size)).pixels.shape for size in ((9, 50), (50, 9), (1, 1))}  # type: ignore[union-attr]
    assert shapes == {(3, 16, 16)}
