import numpy as np
import pytest
import torch

from localmim.models import MultiScaleHOG, MultiScalePixels
from localmim.models.target_generators.drawing import draw_hog


@pytest.mark.parametrize("degrees", [10, 50, 90, 130, 170])
def test_strokes_lie_along_the_contour(degrees):
    """A grating's strokes have the direction of its stripes."""
    angle = np.deg2rad(degrees)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    # Stripes that run at `degrees` from the x axis, counted upwards.
    image = (0.8 * (x * np.sin(angle) + y * np.cos(angle))).sin()[None, None]
    hog = MultiScaleHOG(bins=18, cells=(32,))(image)[0][0]
    stroke = draw_hog(hog, 18, cell_pixels=64)
    rows, cols = np.mgrid[:64, :64] - 31.5
    weight = stroke / stroke.sum()
    # Principal axis of the drawn mass; rows count downwards.
    moment = 2 * (weight * cols * -rows).sum(), (weight * (cols**2 - rows**2)).sum()
    axis = np.rad2deg(np.arctan2(*moment)) / 2 % 180
    assert abs(axis - degrees) < 6


def test_empty_histograms_are_black_and_full_ones_bright():
    picture = draw_hog(torch.cat([torch.zeros(9, 1, 1), torch.eye(9)[:, :1, None]], 2), 9, 16)
    assert picture.shape == (16, 32)
    assert picture[:, :16].max() == 0 and picture[:, 16:].max() == pytest.approx(1)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("size", [8, 32])
def test_pixels_go_back_to_the_image(photos, normalize, size):
    generator = MultiScalePixels((size,), normalize)
    (target,) = generator(photos)
    torch.testing.assert_close(generator.draw(target, 0, photos, lambda images: images), photos)
