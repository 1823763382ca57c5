"""What is said of layers, against slow formulas and cases that are known."""

import math

import numpy as np
import pytest
import tiny
import torch
from mmpretrain.models.backbones import ResNet
from mmpretrain.registry import MODELS
from torch import nn

from localmim.analysis import (
    LayerStatistics,
    effective_rank,
    layer_features,
    linear_cka,
    nearest_images,
)


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        ("vit", [(16, 32)] * 8),
        ("swin", [(256, 16)] * 2 + [(64, 32)] * 2 + [(16, 64)] * 2 + [(4, 128)] * 2),
        ("resnet", [(256, 32)] * 3 + [(64, 64)] * 4 + [(16, 128)] * 6 + [(4, 256)] * 3),
        ("lomar", [(16, 32)] * 8),
    ],
)
def test_features_of_every_block_at_every_position(kind, shapes):
    encoder = MODELS.build((tiny.MODELS | tiny.OTHERS)[kind]()).backbone
    encoder.eval()
    found = layer_features(encoder, torch.randn(2, 3, 64, 64))
    assert [tuple(x.shape) for x in found] == [(2, *shape) for shape in shapes]


def test_the_last_features_are_the_encoders_output():
    """By mean over positions, for a ResNet, whose last block is what it returns."""
    model = ResNet(18)
    model.eval()
    images = torch.randn(2, 3, 64, 96)
    torch.testing.assert_close(
        layer_features(model, images)[-1].mean(1), model(images)[-1].mean((2, 3))
    )
    with pytest.raises(TypeError, match="no blocks are known of Linear"):
        layer_features(nn.Linear(3, 3), images)


def statistics(batches):
    found = LayerStatistics()
    for batch in batches:
        found.add(batch)
    return found


def test_spectrum_and_rank_are_those_of_all_positions():
    torch.manual_seed(0)
    features = torch.randn(10, 6, 5) * torch.tensor([4.0, 2.0, 1.0, 0.5, 0.0]) + 3
    found = statistics(features.split(3))
    values = np.linalg.svd(
        (features - features.mean((0, 1))).reshape(-1, 5).double().numpy(), compute_uv=False
    )
    np.testing.assert_allclose(found.spectrum(), values**2 / (values**2).sum(), atol=1e-12)
    assert found.effective_rank() == pytest.approx(effective_rank(features.reshape(-1, 5)))
    assert found.axes_for(0.5) == 1 and found.axes_for(0.999) == 4
    torch.testing.assert_close(found.pooled(), features.mean(1))


def test_alignment_of_known_cases():
    torch.manual_seed(0)
    x = torch.randn(200, 30, dtype=torch.float64)
    turned = 7 * x @ torch.linalg.qr(torch.randn(30, 30, dtype=torch.float64))[0] + 2
    assert linear_cka(x, turned) == pytest.approx(1)
    assert abs(linear_cka(x, torch.randn(200, 40))) < 0.05
    few = [linear_cka(torch.randn(8, 500), torch.randn(8, 500)) for _ in range(50)]
    assert abs(np.mean(few)) < 0.1  # the biased estimate is near 1 there
    half = torch.cat([x[:, :15], torch.randn(200, 15)], 1)
    assert 0.3 < linear_cka(x, half) < 0.7
    assert math.isnan(linear_cka(torch.ones(5, 3), x[:5]))
    with pytest.raises(ValueError, match="four images at least, there are 3"):
        linear_cka(x[:3], x[:3])


def test_alignment_by_its_definition():
    """Song et al.: a sum over all distinct i, j, q, r, for few images."""
    torch.manual_seed(0)
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    k, m = (x @ x.T).numpy(), (y @ y.T).numpy()

    def hsic(a, b):
        parts = []
        for i, j, q, r in np.ndindex(5, 5, 5, 5):
            if len({i, j, q, r}) == 4:
                parts.append(a[i, j] * (b[i, j] + b[q, r] - 2 * b[i, q]))
        return np.mean(parts)

    own = hsic(k, k) * hsic(m, m)
    expected = hsic(k, m) / own**0.5 if own > 0 else None
    assert expected is not None and linear_cka(x, y) == pytest.approx(expected)


def test_nearest_images_point_the_same_way():
    common = torch.tensor([100.0, 100.0, 100.0])
    directions = torch.tensor([[1.0, 0, 0], [2, 0.1, 0], [-1, 0, 0], [0, 1, 0], [0, -1.2, 0.1]])
    found = nearest_images(common + directions, [0, 2], 2)
    assert found[:, 0].tolist()[0] == 1 and found.shape == (2, 2)
    assert all(query not in row for query, row in zip([0, 2], found.tolist(), strict=True))
    assert nearest_images(directions, [0], 99).shape == (1, 4)
