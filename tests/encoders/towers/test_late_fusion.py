"""Late fusion against its formula, one product at a time."""

from __future__ import annotations

import torch

from encoders.towers.late_fusion import LateFusion, LateFusionShape


def test_the_fusion_is_its_formula() -> None:
    torch.manual_seed(0)
    fusion = LateFusion(LateFusionShape(text=6, image=10, dim=4, hidden=8)).eval().requires_grad_(False)
    for weight in fusion.parameters():
        weight.add_(0.3 * torch.randn_like(weight))
    fusion.image_mean.fill_(0.5)
    fusion.image_scale.fill_(3.0)
    texts, photos = torch.randn(4, 6), 2 * torch.randn(4, 10)
    has_text, has_image = torch.tensor([True, True, False, True]), torch.tensor([True, False, True, True])
    text, image = fusion.text(texts), fusion.image(photos)
    fused = fusion.fuse(text, image, has_text=has_text, has_image=has_image)
    for row in range(4):
        x = texts[row] / texts[row].norm()
        t = fusion.text_line(x) + fusion.text_bend(x)
        y = ((photos[row] - 0.5) * 3).clip(-5, 5)
        i = fusion.image_line(y) + fusion.image_bend(y)
        t, i = t / t.norm(), i / i.norm()
        torch.testing.assert_close(text[row], t)
        torch.testing.assert_close(image[row], i)
        pair = torch.cat((t, i))
        gate = 1 / (1 + torch.exp(-fusion.gate(pair)))
        both = gate * t + (1 - gate) * i + fusion.mix(pair)
        expected = both if has_text[row] and has_image[row] else t if has_text[row] else i
        torch.testing.assert_close(fused[row], expected / expected.norm())
