"""The towers: missing parts are masked, and a saved model is served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from catalog.domain.product import Content
from catalog.domain.space import FUSED, IMAGE, TITLE
from catalog.errors import InvalidInput
from encoders import EncoderService, load
from encoders.model import SplitModel, finish_items
from encoders.models.load import CHECKPOINT
from encoders.models.single_stream import SingleStreamModel
from encoders.towers.backbones import CELL_DIM, TEXT_DIM, WHOLE_DIM
from encoders.towers.single_stream import Block, ItemInput, SingleStream, TextInput, TowerShape, read, save
from tests.encoders.conftest import Photos, picture, png

SHAPE = TowerShape(dim=16, width=32, layers=2, heads=2, expansion=2, photo_side=64, images=2)


def towers(shape: TowerShape = SHAPE) -> SingleStream:
    torch.manual_seed(0)
    subject = SingleStream(shape)
    with torch.no_grad():
        for weight in subject.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return subject.eval().requires_grad_(False)


def text(*lengths: int, seed: int = 0) -> TextInput:
    states = torch.randn(len(lengths), max(lengths), TEXT_DIM, generator=torch.Generator().manual_seed(seed))
    return TextInput(states, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])


def item(*lengths: int, there: list[list[bool]], seed: int = 0) -> ItemInput:
    shape = (len(lengths), len(there[0]), SHAPE.features)
    photos = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return ItemInput(text(*lengths), photos, torch.tensor(there))


@pytest.mark.parametrize("shared", [True, False])
def test_padding_and_neighbours_change_nothing(shared: bool) -> None:
    subject = towers(replace(SHAPE, shared=shared, text_layers=1))
    batch = item(5, 2, 3, there=[[True], [True], [False]])
    together, queries = subject.item(batch).vector, subject.query(batch.title).vector
    for i, length in enumerate((5, 2, 3)):
        title = TextInput(batch.title.states[i : i + 1, :length], batch.title.seen[i : i + 1, :length])
        alone = subject.item(ItemInput(title, batch.photos[i : i + 1], batch.there[i : i + 1])).vector[0]
        torch.testing.assert_close(together[i], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(queries[i], subject.query(title).vector[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))


def test_three_views_at_once_are_what_they_are_one_by_one() -> None:
    subject, batch = towers(replace(SHAPE, text_layers=1)), item(5, 2, 3, there=[[True], [True], [True]])
    parts = batch, batch.without_title(), batch.without_photos()
    one_by_one = torch.stack([subject.item(part).vector for part in parts], 1)
    torch.testing.assert_close(subject.views(batch), one_by_one, atol=1e-5, rtol=1e-4)


def test_what_is_not_there_says_nothing() -> None:
    subject, batch = towers(), item(4, there=[[False]])
    before = subject.item(batch).vector
    torch.testing.assert_close(subject.item(replace(batch, photos=batch.photos + 9)).vector, before)
    torch.testing.assert_close(
        subject.item(ItemInput(batch.title, batch.photos[:, :0], batch.there[:, :0])).vector, before
    )
    shown = item(4, there=[[True]])
    hidden_title = replace(shown, title=replace(shown.title, seen=torch.zeros_like(shown.title.seen)))
    torch.testing.assert_close(
        subject.item(hidden_title).vector, subject.item(shown.without_title()).vector, atol=1e-5, rtol=1e-4
    )
    nothing = subject.item(batch.without_title())
    assert nothing.vector.isfinite().all()


def test_several_photos_are_read_and_told_apart() -> None:
    subject, two = towers(), item(3, there=[[True, True]])
    first = replace(two, there=torch.tensor([[True, False]]))
    swapped = replace(two, photos=two.photos.flip(1))
    vectors = [subject.item(item_case).vector for item_case in (two, first, swapped)]
    assert min(float((a - b).norm()) for a, b in ((vectors[0], vectors[1]), (vectors[0], vectors[2]))) > 1e-3
    torch.testing.assert_close(
        vectors[1], subject.item(ItemInput(two.title, two.photos[:, :1], two.there[:, :1])).vector
    )
    three = item(3, there=[[True, True, True]])
    assert subject.item(three).vector.isfinite().all(), "more photos than are told apart"


def test_hidden_cells_are_not_seen_and_neither_is_the_whole() -> None:
    subject, batch = towers(), item(3, there=[[True]])
    hidden = replace(batch, hidden=torch.tensor([[True, False, False, True]]))
    cells, whole = batch.photos[..., :-1280].clone(), batch.photos[..., -1280:] + 5
    other = cells.view(1, 1, 4, -1)
    other[:, :, [0, 3]] += 7
    changed = replace(hidden, photos=torch.cat((other.flatten(2), whole), -1))
    torch.testing.assert_close(subject.item(hidden).vector, subject.item(changed).vector)
    assert (subject.item(batch).vector - subject.item(hidden).vector).norm() > 1e-3


def test_the_pooled_vector_is_the_mean_over_what_is_there() -> None:
    subject, batch = towers(), item(4, 2, there=[[True], [False]])
    seen = subject.item(batch)
    for i in range(2):
        mean = seen.tokens[i][seen.seen[i]].mean(0)
        torch.testing.assert_close(seen.vector[i], F.normalize(subject.to_item(mean), dim=0), atol=1e-5, rtol=1e-4)


def slow_block(block: Block, x: Tensor) -> Tensor:
    """One layer over tokens (length, width) without padding: one head and one token at a time."""
    wide, out = x.shape[1] // block.heads, []
    q, k, v = block.qkv(block.norm1(x)).split(x.shape[1], dim=1)
    for i in range(len(x)):
        heads = []
        for h in range(block.heads):
            part = slice(h * wide, (h + 1) * wide)
            share = torch.stack([q[i, part] @ k[j, part] / wide**0.5 for j in range(len(x))]).softmax(0)
            heads.append(sum(share[j] * v[j, part] for j in range(len(x))))
        y = x[i] + block.out(torch.cat(heads))  # type: ignore[arg-type]
        out.append(y + block.down(F.gelu(block.up(block.norm2(y)))))
    return torch.stack(out)


def slow_vector(towers: SingleStream, tokens: list[Tensor], project: torch.nn.Linear) -> Tensor:
    x = torch.stack(tokens)
    for block in towers.stream:
        x = slow_block(block, x)  # type: ignore[arg-type]
    vector = project(x.mean(0))
    return vector / (vector**2).sum().sqrt()


def slow_photo(towers: SingleStream, photo: Tensor, number: int) -> list[Tensor]:
    """The tokens of one photo: its cells, standardised and with positions, then the whole photo."""
    cells, whole = photo[:-WHOLE_DIM].view(towers.shape.cells, CELL_DIM), photo[-WHOLE_DIM:]
    own = towers.numbers[min(number, towers.shape.images - 1)]
    tokens = []
    for place, cell in enumerate(cells):
        even = ((cell - towers.cell_mean) * towers.cell_scale).clamp(-5, 5)
        tokens.append(towers.cell_in(even) + towers.kinds[1] + towers.places[place] + own)
    even = ((whole - towers.whole_mean) * towers.whole_scale).clamp(-5, 5)
    return [*tokens, towers.whole_in(even) + towers.kinds[2] + own]


def test_both_towers_are_their_formula_a_token_at_a_time() -> None:
    """I = L2(W mean(stream([title ; photos]))), Q = L2(W mean(stream(text))), without missing parts."""
    subject = towers()
    subject.cell_mean.fill_(0.3)
    subject.whole_scale.fill_(2.0)
    batch = item(3, 2, 4, there=[[True, True, True], [False, False, False], [False, True, False]])
    vectors, queries = subject.item(batch).vector, subject.query(batch.title).vector
    for row, length in enumerate((3, 2, 4)):
        title = [subject.text_in(state) + subject.kinds[0] for state in batch.title.states[row, :length]]
        there = [i for i in range(3) if batch.there[row, i]]
        photos = [token for i in there for token in slow_photo(subject, batch.photos[row, i], i)]
        expected = slow_vector(subject, [*title, *photos], subject.to_item)
        torch.testing.assert_close(vectors[row], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(queries[row], slow_vector(subject, title, subject.to_query), atol=1e-5, rtol=1e-4)


def test_a_query_tower_of_its_own_is_its_formula() -> None:
    subject, queries = towers(replace(SHAPE, shared=False)), text(3, 2)
    assert subject.query_in is not None
    vectors = subject.query(queries).vector
    for row, length in enumerate((3, 2)):
        tokens = [subject.query_in.line(state) + subject.query_in.bend(state) for state in queries.states[row, :length]]
        vector = subject.to_query(torch.stack(tokens).mean(0))
        torch.testing.assert_close(vectors[row], vector / vector.norm(), atol=1e-5, rtol=1e-4)


def test_the_weights_survive_their_file(tmp_path: Path) -> None:
    subject = towers(replace(SHAPE, text_layers=1, image_tower=True))
    save(subject, tmp_path / "a.safetensors")
    loaded = read(tmp_path / "a.safetensors")
    assert loaded.shape == subject.shape
    for name, value in subject.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    save(loaded, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    (tmp_path / "other").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode, "others may serve it"


@pytest.fixture
def trained(tmp_path: Path) -> SingleStreamModel:
    save(towers(), tmp_path / CHECKPOINT)
    subject = load(f"checkpoint:{tmp_path}")
    assert isinstance(subject, SingleStreamModel)
    assert isinstance(subject, SplitModel)
    return subject


def test_whatever_is_missing_there_are_unit_vectors_of_the_space(trained: SingleStreamModel) -> None:
    red = picture("red")
    inputs = [
        trained.prepare(*title_and_photo)
        for title_and_photo in (("Plain mug", red), ("Plain mug", None), ("", red), ("", None))
    ]
    both, title, photo, nothing = finish_items(trained.forward_items(inputs), inputs)
    queries = trained.forward_queries(inputs)
    assert both and title and photo and nothing  # noqa: PT018
    names = [set(item_case) for item_case in (both, title, photo, nothing)]
    assert names == [{FUSED, IMAGE, TITLE}, {FUSED, TITLE}, {FUSED, IMAGE}, {FUSED, TITLE}]
    for item_case in (both, title, photo, nothing):
        for name, vector in item_case.items():
            assert vector.shape == (trained.space.vectors[name],)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(photo[FUSED], photo[IMAGE], atol=0.02)
    np.testing.assert_allclose(photo[IMAGE], both[IMAGE], atol=0.02)
    np.testing.assert_allclose(title[FUSED], both[TITLE], atol=0.02)
    np.testing.assert_allclose(queries[2], photo[FUSED], atol=0.02)
    assert np.isfinite(queries).all()


async def test_it_serves_with_a_cache_of_photos(trained: SingleStreamModel) -> None:
    async with EncoderService(trained, Photos({"red": png(picture("red"))})) as service:
        products = [Content("red mug", ("red",)), Content("red cup", ("red",))]
        encoded = await service.encode(await service.prepare(products))
        two = await service.encode(await service.prepare(products))
        query = await service.encode_query(text="red", image=None)
    assert service.cache_hits == 3
    assert encoded[0] and two[0]  # noqa: PT018
    np.testing.assert_allclose(encoded[0].vectors[FUSED], two[0].vectors[FUSED], atol=1e-4)
    assert query.shape == (16,)


def test_other_weights_are_another_space(tmp_path: Path, trained: SingleStreamModel) -> None:
    other = towers()
    other.to_item.weight.mul_(1.01)
    save(other, tmp_path / "other.safetensors")
    assert SingleStreamModel(tmp_path / "other.safetensors", name=trained.space.model).space.id != trained.space.id


def test_a_checkpoint_that_is_none_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="liveshelf train"):
        load(f"checkpoint:{tmp_path}")
    (tmp_path / CHECKPOINT).write_bytes(b"not safetensors")
    with pytest.raises(InvalidInput, match="liveshelf train"):
        load(f"checkpoint:{tmp_path}")
