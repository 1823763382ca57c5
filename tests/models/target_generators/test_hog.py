import math

import numpy as np
import pytest
import torch

from localmim.models import MultiScaleHOG
from localmim.models.target_generators.hog import cell_histograms, sobel

CELLS = (4, 8, 16, 32)


def slow_hog(image: np.ndarray, bins: int, cell: int, offset=(0.0, 0.0)) -> np.ndarray:
    """HOG of one channel in float64, pixel by pixel from the definition: (bins, H/cell, W/cell).

    Cells are NaN where rounding decides: with a pixel whose orientation lies within rounding of
    the border of two bins (but not exactly on it), or without any gradient.
    """
    height, width = image.shape
    padded = np.pad(image, 1, mode="reflect")
    hog = np.zeros((bins, height // cell, width // cell))
    for y in range(height):
        for x in range(width):
            (a, b, c), (d, _, e), (f, g, h) = padded[y : y + 3, x : x + 3]
            gx = (a - c) + 2 * (d - e) + (f - h) + offset[0]
            gy = (a - f) + 2 * (b - g) + (c - h) + offset[1]
            turn = math.atan2(gx, gy) / math.pi * bins
            magnitude = math.sqrt(gx * gx + gy * gy) / cell**2
            hog[math.floor(turn) % bins, y // cell, x // cell] += magnitude
            if 0 < abs(turn - round(turn)) < 1e-9 and magnitude > 1e-13:
                hog[:, y // cell, x // cell] = np.nan
    norm = np.sqrt((hog**2).sum(0, keepdims=True))
    return np.where(norm > 1e-9, hog / np.maximum(norm, 1e-12), np.nan)


def assert_equal_where_defined(found: np.ndarray, expected: np.ndarray) -> None:
    defined = ~np.isnan(expected)
    assert defined.mean() > 0.9
    np.testing.assert_allclose(found[defined], expected[defined], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bins", [9, 18])
def test_photographs_against_the_formula_at_every_scale(photos, bins):
    images = photos[1:, :, 32:96, 64:160]
    targets = MultiScaleHOG(bins=bins)(images)
    for cell, target in zip(CELLS, targets, strict=True):
        expected = np.stack([[slow_hog(c, bins, cell) for c in image] for image in images.numpy()])
        assert tuple(target.shape) == (3, 3 * bins, 64 // cell, 96 // cell)
        assert_equal_where_defined(target.unflatten(1, (3, bins)).numpy(), expected)


def test_offsets_per_scale_against_the_formula(photos):
    images = photos[1:2, :1, 32:96, 64:128]
    offsets = [(0.3, -0.1), (0.0, 0.0), (0.3, -0.1), (-0.2, 0.05)]
    targets = MultiScaleHOG(offsets=offsets)(images)
    for cell, offset, target in zip(CELLS, offsets, targets, strict=True):
        assert_equal_where_defined(
            target[0].numpy(), slow_hog(images[0, 0].numpy(), 9, cell, offset)
        )


def test_offsets_come_with_the_weights(photos):
    offsets = [(0.3, -0.1), (0.0, 0.0), (0.3, -0.1), (-0.2, 0.05)]
    saved = MultiScaleHOG(offsets=offsets)
    loaded = MultiScaleHOG(offsets=[(0, 0)] * 4)
    loaded.load_state_dict(saved.state_dict())
    for a, b in zip(saved(photos), loaded(photos), strict=True):
        assert a.equal(b)
    assert not MultiScaleHOG().state_dict()
    assert saved(photos.float())[0].dtype == torch.float32


def test_sobel_is_the_stated_correlation():
    images = torch.randn(2, 3, 8, 12).double()
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).double()
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="reflect").flatten(0, 1)[:, None]
    for found, weight in zip(sobel(images), (kernel, kernel.T), strict=True):
        expected = torch.nn.functional.conv2d(padded, weight[None, None]).view_as(images)
        torch.testing.assert_close(found, expected)


def test_a_vertical_edge_falls_into_one_bin():
    image = torch.zeros(1, 1, 32, 32).double()
    image[..., 16:] = 1
    target = MultiScaleHOG(cells=(32,))(image)[0].flatten()
    # gx = -4, gy = 0: atan2 gives -pi / 2, so bin floor(-4.5) mod 9 = 4.
    assert target.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_flat_images_give_zeros_not_nan():
    assert all(t.abs().max() == 0 for t in MultiScaleHOG()(torch.ones(1, 3, 32, 32)))


def test_five_channels_and_single_precision(photos):
    images = torch.cat([photos, photos[:, :2]], dim=1)
    for single, double in zip(
        MultiScaleHOG()(images.float()), MultiScaleHOG()(images), strict=True
    ):
        assert single.dtype == torch.float32
        # Orientations next to a bin's border may round to the other side.
        assert ((single - double).abs() > 1e-4).double().mean() < 0.02


def test_autocast_does_not_lower_the_precision(photos):
    images = photos.float()
    plain = MultiScaleHOG()(images)
    with torch.autocast("cpu", torch.bfloat16):
        cast = MultiScaleHOG()(images)
    assert all(a.equal(b) for a, b in zip(plain, cast, strict=True))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="multiple of the smallest"):
        MultiScaleHOG(cells=(8, 12))
    with pytest.raises(ValueError, match="one .gx, gy. pair for each of the 4 cells"):
        MultiScaleHOG(offsets=[(0, 0)])
    with pytest.raises(
        ValueError, match="48x48 pixels do not divide into the target's cells of 32"
    ):
        MultiScaleHOG()(torch.zeros(1, 3, 48, 48))


def test_a_pixel_that_is_no_number_spoils_the_cells_around_it_only():
    images = torch.randn(1, 3, 32, 32)
    expected = cell_histograms(*sobel(images), 9, 8)
    images[0, 1, 20, 20] = float("nan")
    found = cell_histograms(*sobel(images), 9, 8)
    spoilt = found.isnan().any(-1).nonzero().tolist()
    assert spoilt == [[0, 1, 2, 2]]
    found[0, 1, 2, 2] = expected[0, 1, 2, 2]
    torch.testing.assert_close(found, expected)
