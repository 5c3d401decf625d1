"""`builtin:small`: unit vectors of one space, whatever part is missing, and photos that queries find."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL.Image import Image

from catalog.domain.space import FUSED, IMAGE, TITLE
from catalog.errors import InvalidInput
from catalog.ports import Vector
from encoders.model import finish_items, to_vectors
from encoders.models.late_fusion import digest, texts
from encoders.models.load import BUILTIN
from encoders.models.single_stream import SingleStreamModel
from encoders.runtime.plans import text_plan
from encoders.runtime.policy import Precision
from encoders.runtime.torch_eager import TorchTower
from encoders.towers.backbone_files import file_of, files, padded, prepared
from encoders.towers.preprocessing import load_tokenizer
from encoders.towers.single_stream import read, save
from liveshelf.sample import COLOURS, KINDS, Look, Spec, photo
from tests.encoders.conftest import picture


def item(small: SingleStreamModel, title: str, colour: str | None = None) -> dict[str, Vector]:
    inputs = [small.prepare(title, None if colour is None else picture(colour))]
    with torch.inference_mode():
        (output,) = finish_items(small.forward_items(inputs), inputs)
    assert output is not None
    return output


def query(small: SingleStreamModel, text: str = "", colour: str | None = None) -> Vector:
    with torch.inference_mode():
        inputs = small.prepare(text, None if colour is None else picture(colour))
        vector: Vector = to_vectors(small.forward_queries([inputs]))[0]
    return vector


@pytest.mark.parametrize(("title", "colour"), [("Plain mug", "red"), ("Plain mug", None), ("", "red"), ("", None)])
def test_whatever_is_missing_there_are_unit_vectors_of_the_space(
    small: SingleStreamModel, title: str, colour: str | None
) -> None:
    output = item(small, title, colour)
    names = {FUSED: True, IMAGE: colour is not None, TITLE: bool(title) or colour is None}
    assert set(output) == {name for name, present in names.items() if present}
    for name, vector in output.items():
        assert vector.shape == (small.space.vectors[name],)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_title_alone_is_its_title_vector_and_near_a_query_of_its_words(small: SingleStreamModel) -> None:
    output = item(small, "Plain mug")
    np.testing.assert_allclose(output[FUSED], output[TITLE], atol=1e-6)
    np.testing.assert_allclose(item(small, "Plain mug", "red")[TITLE], output[TITLE], atol=1e-2)
    assert output[TITLE] @ query(small, "Plain mug") > 0.8


def test_a_photo_alone_is_its_image_vector(small: SingleStreamModel) -> None:
    output = item(small, "", "red")
    np.testing.assert_allclose(output[FUSED], output[IMAGE], atol=1e-6)
    np.testing.assert_allclose(item(small, "Plain mug", "red")[IMAGE], output[IMAGE], atol=1e-2)


def test_vectors_hardly_depend_on_their_batch(small: SingleStreamModel) -> None:
    batch = [small.prepare(f"mug number {i}" * (1 + i % 3), picture("red") if i % 2 else None) for i in range(9)]
    together = small.forward_items(batch)[FUSED]
    alone = np.concatenate([small.forward_items([inputs])[FUSED] for inputs in batch])
    assert (together * alone).sum(1).min() > 0.999


def test_texts_of_all_lengths_together_are_what_they_are_alone() -> None:
    words, tokenizer, _ = files()
    read = TorchTower(text_plan(words))
    titles = ["mug " * length for length in (40, 1, 17, 3, 60, 15, 16, 2)] + [""]
    batch = [prepared(load_tokenizer(tokenizer), title, picture("red"), side=32) for title in titles]
    together = texts(batch, read)
    alone = np.concatenate([texts([inputs], read) for inputs in batch])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert not together[-1].any()


@given(st.lists(st.lists(st.integers(1, 30_000), max_size=20), max_size=4))
def test_padded_are_the_tokens_and_zeros_up_to_a_length(texts: list[list[int]]) -> None:
    for lengths in ((), (4, 8)):
        ids, seen = padded(texts, lengths=lengths)
        longest = max(map(len, texts), default=0)
        length = next((candidate for candidate in lengths if candidate >= longest), longest)
        assert ids.tolist() == [tokens + [0] * (length - len(tokens)) for tokens in texts]
        assert seen.tolist() == [[True] * len(tokens) + [False] * (length - len(tokens)) for tokens in texts]


def drawn(kind: str, colour: str, *, view: int) -> Image:
    return photo(Spec(Look(kind, KINDS[kind].shapes[0], colour, "plain", colour), view))


@pytest.mark.parametrize("kind", ["mug", "cushion"])
def test_a_text_finds_by_what_only_the_photo_shows(small: SingleStreamModel, kind: str) -> None:
    inputs = [small.prepare("Harbour, hand made", drawn(kind, colour, view=5)) for colour in COLOURS]
    queries = [small.prepare(f"{colour} {kind}", None) for colour in COLOURS]
    shelf = to_vectors(small.forward_items(inputs)[FUSED])
    output = (to_vectors(small.forward_queries(queries)) @ shelf.T).argmax(1)
    right = int((output == np.arange(len(COLOURS))).sum())
    assert right >= len(COLOURS) - 3, "of neighbouring shades one may be taken for the other"


@pytest.mark.parametrize("name", [FUSED, IMAGE])
def test_a_photo_finds_the_like(small: SingleStreamModel, name: str) -> None:
    looks = [(kind, colour) for kind in ("mug", "cushion", "hat") for colour in COLOURS]
    shelf_inputs = [small.prepare("Harbour, hand made", drawn(*look, view=5)) for look in looks]
    query_inputs = [small.prepare("", drawn(*look, view=6)) for look in looks]
    shelf = to_vectors(small.forward_items(shelf_inputs)[name])
    output = (to_vectors(small.forward_queries(query_inputs)) @ shelf.T).argmax(1)
    same = np.array([looks[i] == look for i, look in zip(output, looks, strict=True)])
    assert same.mean() > 0.8
    assert all(looks[i][0] == look[0] for i, look in zip(output, looks, strict=True)), "never another kind"


def test_words_still_mean_what_they_meant_to_the_text_backbone(small: SingleStreamModel) -> None:
    titles = ["Velvet sofa, three seats", "Stainless steel kettle", "Garden hose, 20 m", "Wool blanket"]
    shelf = np.stack([item(small, title)[FUSED] for title in titles])
    queries = ["couch", "boil water", "watering the lawn", "something warm for the bed"]
    output = [int(np.argmax(shelf @ query(small, text))) for text in queries]
    assert output == [0, 1, 2, 3]


def test_the_weights_survive_their_file(tmp_path: Path) -> None:
    towers = read(BUILTIN)
    save(towers, tmp_path / "again.safetensors")
    second = read(tmp_path / "again.safetensors")
    for name, value in towers.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name])
    assert digest(tmp_path / "again.safetensors") == digest(BUILTIN), "writing is deterministic"


def test_other_weights_are_another_space(tmp_path: Path, small: SingleStreamModel) -> None:
    towers = read(BUILTIN)
    with torch.no_grad():
        towers.to_item.weight.mul_(1.01)
    save(towers, tmp_path / "other.safetensors")
    other = SingleStreamModel(tmp_path / "other.safetensors", name="builtin:small")
    assert other.space.revision != small.space.revision
    assert other.space.id != small.space.id
    shutil.copy(BUILTIN, tmp_path / "same.safetensors")
    assert SingleStreamModel(tmp_path / "same.safetensors", name="builtin:small").space == small.space


def test_canonical_vectors() -> None:
    """The first five numbers, in full precision. New weights change them, and the id of the space."""
    exact = SingleStreamModel(BUILTIN, name="builtin:small", precision="float32")
    output = item(exact, "Red cushion, 40 cm", "red")
    canonical = {
        FUSED: (output[FUSED], [0.1182, 0.0921, 0.0605, -0.1492, -0.0011]),
        IMAGE: (output[IMAGE], [0.1350, 0.0381, 0.0656, -0.1507, 0.0045]),
        "query": (query(exact, "red cushion"), [0.0833, 0.1340, 0.0303, -0.1268, 0.0287]),
    }
    for name, (vector, expected) in canonical.items():
        np.testing.assert_allclose(vector[:5], expected, atol=1e-3, err_msg=name)


PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def test_half_width_floats_give_nearly_the_same_vectors() -> None:
    exact, half = (SingleStreamModel(BUILTIN, name="", precision=precision) for precision in PRECISIONS)
    for name, vector in item(exact, "Red cushion, 40 cm", "red").items():
        assert vector @ item(half, "Red cushion, 40 cm", "red")[name] > 0.999


def test_loading_it_imports_no_library_it_can_do_without() -> None:
    code = (
        "import sys; from encoders import load; load('builtin:small'); "
        "sys.exit(', '.join({'transformers', 'timm', 'torchvision', 'sentence_transformers', 'torch._dynamo'} "
        "& sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_weights_that_came_in_part_or_not_at_all_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_a_model").mkdir()
    (tmp_path / "half_a_model" / "__init__.py").touch()
    (tmp_path / "half_a_model" / "weights.bin").write_bytes(b"x" * 10)
    monkeypatch.syspath_prepend(tmp_path)
    assert file_of("half_a_model", "weights.bin", 10).read_bytes() == b"x" * 10
    for name, size in (("weights.bin", 11), ("tokenizer.json", 10)):
        with pytest.raises(InvalidInput, match=f"{name} is missing or incomplete: install half-a-model again"):
            file_of("half_a_model", name, size)
    with pytest.raises(InvalidInput, match="not installed: install no-such-model"):
        file_of("no_such_model", "weights.bin", 10)
