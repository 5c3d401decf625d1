from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from encoders.models.late_fusion import texts
from encoders.runtime.plans import text_plan
from encoders.runtime.torch_eager import TorchTower
from encoders.towers.backbones import TEXT_LAYERS
from tests.encoders.conftest import picture, png
from tests.training.tiny import backbones
from training.data.features import photo_grids, photo_pixels, text_states

TEXTS = ["red mug", "a much longer title of a mug, hand made", "", "red mug"]


def test_states_equal_those_of_each_text_alone(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    states = text_states(TEXTS, backbones(), cache=tmp_path, layers=5, on_progress=lambda *call: calls.append(call))
    assert calls[-1] == ("texts", 4, 4)
    for row, text in enumerate(TEXTS):
        tokens = backbones().prepare(text, None, side=0).tokens
        with torch.inference_mode():
            alone, _ = backbones().states([tokens], 5)
        text_input = states.text(np.array([row]))
        assert states.tokens(row) == list(tokens)
        torch.testing.assert_close(text_input.states, alone, atol=5e-3, rtol=5e-3)
    padded = states.text(np.array([0, 1]), np.array([False, True]))
    assert padded.seen.sum(1).tolist() == [0, len(states.tokens(1))]
    assert not padded.states[0].any()


def test_cached_features_are_not_computed_again(tmp_path: Path) -> None:
    photos = [png(picture("red", side=70)), b"", png(picture("blue", side=50))]
    calls: list[object] = []
    first = photo_grids(photos, backbones(), side=64, cache=tmp_path, on_progress=lambda *call: calls.append(call))
    again = photo_grids(photos, backbones(), side=64, cache=tmp_path, on_progress=lambda *call: calls.append(call))
    assert len(calls) == 1
    np.testing.assert_array_equal(first, again)
    assert not first[1].any()
    assert photo_grids(photos[::-1], backbones(), side=64, cache=tmp_path, on_progress=lambda *_: None)[0].any()
    pixels = photo_pixels(photos, backbones(), side=64, cache=tmp_path, on_progress=lambda *_: None)
    with torch.inference_mode():
        expected = backbones().image_tower.grid(torch.from_numpy(np.array(pixels[[0, 2]])))
    torch.testing.assert_close(torch.from_numpy(np.array(first[[0, 2]])).float(), expected, atol=2e-2, rtol=2e-2)


def test_means_are_the_text_backbones_own(tmp_path: Path) -> None:
    states = text_states(TEXTS[:2], backbones(), cache=tmp_path, layers=TEXT_LAYERS, on_progress=lambda *_: None)
    read = TorchTower(text_plan(backbones().files[0]))
    expected = texts([backbones().prepare(text, None, side=0) for text in TEXTS[:2]], read)
    np.testing.assert_allclose(states.means(), expected, atol=5e-3)


def test_photos_are_trained_on_as_they_are_served(tmp_path: Path) -> None:
    """Rotated by EXIF, and transparency on white."""
    lying = Image.new("RGB", (64, 64), "blue")
    lying.paste("red", (0, 0, 32, 64))
    turned, clear = io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise shows it upright
    lying.save(turned, "PNG", exif=exif)
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(clear, "PNG")
    photos = [turned.getvalue(), clear.getvalue(), b""]
    pixels = photo_pixels(photos, backbones(), side=64, cache=tmp_path, on_progress=lambda *_: None)
    assert pixels[0, 0, 0].tolist() == pixels[0, 0, 63].tolist() == [255, 0, 0]
    assert pixels[0, 63, 63].tolist() == [0, 0, 255]
    assert (pixels[1] == 255).all()
    assert (pixels[2] == 0).all()
