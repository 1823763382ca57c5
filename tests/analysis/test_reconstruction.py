import numpy as np
import pytest
import tiny
import torch
from mmpretrain.registry import MODELS

from localmim.analysis import draw_hog, draw_pixels, reconstruction_figures
from localmim.models import MultiScaleHOG, MultiScalePixels


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
    target = MultiScalePixels((size,), normalize)(photos)[0]
    torch.testing.assert_close(draw_pixels(target, size, photos if normalize else None), photos)


@pytest.mark.parametrize("target", ["MultiScaleHOG", "MultiScalePixels"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_one_figure_per_scale_with_four_pictures_a_row(target, channels):
    config = tiny.localmim(channels=channels)
    if target == "MultiScalePixels":
        sizes = (4, 8, 16, 32)
        config["target_generator"] = dict(type=target, patch_sizes=sizes)
    model = MODELS.build(config).eval()
    images = torch.randn(2, channels, 64, 64)
    figures = dict(reconstruction_figures(model, images, model.mask_generator(images)))
    strides = (4, 8, 16, 32)
    assert list(figures) == [f"scale{n}_stride{s}" for n, s in enumerate(strides)]
    for figure in figures.values():
        pictures = [axis.images[0].get_array() for axis in figure.axes]
        assert len(pictures) == 8
        assert all(p.min() >= 0 and p.max() <= 1 for p in pictures)


def test_visible_places_show_the_target_and_hidden_ones_the_prediction(photos):
    model = MODELS.build(tiny.localmim((128, 224))).double().eval()
    mask = model.mask_generator(photos)
    figures = dict(reconstruction_figures(model, photos, mask))
    target, drawn = (figures["scale2_stride16"].axes[n].images[0].get_array() for n in (2, 3))
    cell = target.shape[0] // 8
    for row in range(8):
        for col in range(14):
            place = np.s_[row * cell : (row + 1) * cell, col * cell : (col + 1) * cell]
            assert np.array_equal(target[place], drawn[place]) == (not mask.hidden[0, row, col])
