import numpy as np
import pytest
import tiny
import torch
from mmpretrain.registry import MODELS

from localmim.analysis import reconstruction_figures
from localmim.models import MultiScaleHOG


def shown(figure):
    """The pictures of a figure, row by row."""
    (axis,) = figure.axes
    return [image.get_array() for image in axis.images]


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
        pictures = shown(figure)
        assert len(pictures) == 8
        assert all(p.min() >= 0 and p.max() <= 1 for p in pictures)


def test_pictures_lie_side_by_side_within_the_axes(photos):
    model = MODELS.build(tiny.localmim((128, 224))).double().eval()
    _, figure = next(reconstruction_figures(model, photos[:2], model.mask_generator(photos[:2])))
    (axis,) = figure.axes
    places = [image.get_extent() for image in axis.images]
    # Left to right and then downwards, as high beside their width as the photographs.
    assert places == sorted(places, key=lambda place: (place[3], place[0]))
    for left, right, bottom, top in places:
        assert (bottom - top) / (right - left) == pytest.approx(128 / 224)
        assert axis.get_xlim()[0] <= left < right <= axis.get_xlim()[1] + 1e-9
        assert axis.get_ylim()[1] <= top < bottom <= axis.get_ylim()[0] + 1e-9
    for (_, right, *_), (left, *_) in zip(places[:3], places[1:4], strict=True):
        assert right < left
    assert places[0][2] < places[4][3]


def test_visible_places_show_the_target_and_hidden_ones_the_prediction(photos):
    model = MODELS.build(tiny.localmim((128, 224))).double().eval()
    mask = model.mask_generator(photos)
    figures = dict(reconstruction_figures(model, photos, mask))
    target, drawn = shown(figures["scale2_stride16"])[2:4]
    cell = target.shape[0] // 8
    for row in range(8):
        for col in range(14):
            place = np.s_[row * cell : (row + 1) * cell, col * cell : (col + 1) * cell]
            assert np.array_equal(target[place], drawn[place]) == (not mask.hidden[0, row, col])


class Mirrored(MultiScaleHOG):
    """A target of a user's own."""

    def draw(self, maps, tap, images, show):
        return [np.full((4, 4), (tap + 1) / 8) for _ in maps]


class Undrawn(torch.nn.Module):
    def __init__(self, targets):
        super().__init__()
        self.targets = targets

    def forward(self, images):
        return self.targets(images)


def test_a_target_says_how_it_is_drawn_or_is_drawn_as_means(photos):
    model = MODELS.build(tiny.localmim((128, 224))).eval()
    images = photos.float()
    mask = model.mask_generator(images)
    model.target_generator = Mirrored()
    for tap, (_, figure) in enumerate(reconstruction_figures(model, images, mask)):
        assert (shown(figure)[2] == (tap + 1) / 8).all()
    model.target_generator = Undrawn(MultiScaleHOG())
    for tap, (_, figure) in enumerate(reconstruction_figures(model, images, mask)):
        means = model.target_generator(images)[tap][0].mean(0)
        expected = (means - means.min()) / (means.max() - means.min())
        np.testing.assert_allclose(shown(figure)[2], expected, atol=1e-5)
