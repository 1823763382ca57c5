import pytest
import tiny
import torch
from mmpretrain.registry import MODELS

from localmim.models import LoMaR
from localmim.models.lomar import crop_windows, draw_places


def build(**settings) -> LoMaR:
    model = MODELS.build(tiny.lomar(**settings))
    model.init_weights()
    return model


def test_windows_are_a_naive_gather():
    images = torch.randn(3, 2, 96, 128)
    corners = 16 * torch.tensor([[[0, 0], [3, 5]], [[1, 2], [2, 1]], [[3, 0], [0, 5]]])
    windows = crop_windows(images, corners, 48)
    assert windows.shape == (6, 2, 48, 48)
    for image in range(3):
        for number in range(2):
            row, col = corners[image, number].tolist()
            expected = images[image, :, row : row + 48, col : col + 48]
            assert windows[2 * image + number].equal(expected)


def test_every_image_gets_all_its_windows_at_distinct_places():
    model = build(num_windows=3)
    rows, cols = torch.meshgrid(torch.arange(80), torch.arange(64), indexing="ij")
    for batch in (1, 3, 4):  # also where the batch is a multiple of the windows
        number = torch.arange(batch)[:, None, None].expand(-1, 80, 64)
        images = torch.stack([number, rows.expand_as(number), cols.expand_as(number)], dim=1)
        windows = model.views(images.float())
        assert windows.shape == (3 * batch, 3, 48, 48)
        assert windows[:, 0].amin((1, 2)).equal(windows[:, 0].amax((1, 2)))
        assert windows[:, 0, 0, 0].tolist() == [i for i in range(batch) for _ in range(3)]
        corners = windows[:, 1:, 0, 0]
        assert (corners % 16 == 0).all()
        for image in range(batch):
            assert len({tuple(x) for x in corners[3 * image : 3 * image + 3].tolist()}) == 3


def test_all_places_are_equally_likely():
    places = draw_places(3000, (2, 3), 2)
    counts = torch.bincount((places[..., 0] * 3 + places[..., 1]).flatten(), minlength=6)
    # 1000 times each, with a standard deviation of 26.
    assert (counts - 1000).abs().max() < 110


def test_windows_follow_torchs_seed():
    model, images = build(), torch.randn(2, 3, 64, 64)
    views = []
    for _ in range(2):
        torch.manual_seed(5)
        views.append(model.views(images))
    assert views[0].equal(views[1])


def test_as_many_patches_are_hidden_as_in_the_paper():
    generator = MODELS.build(dict(type="RandomMasking", cell_size=16, ratio=0.8, rounding="down"))
    mask = generator(torch.zeros(2, 3, 112, 112))
    assert mask.hidden.flatten(1).sum(1).tolist() == [39, 39]


def test_loss_is_that_of_the_windows():
    model = build().double()
    images = torch.randn(2, 3, 64, 80).double()
    torch.manual_seed(3)
    loss = model.loss(images)["loss_0"]
    torch.manual_seed(3)
    windows = model.views(images)
    mask = model.mask_generator(windows)
    error = []
    for window, hidden in zip(windows, mask.hidden, strict=True):
        single = type(mask)(hidden[None], (~hidden).flatten().nonzero().T)
        prediction = model.neck(model.backbone(window[None], single), single)[0]
        for row, col in hidden.nonzero().tolist():
            patch = window[:, 16 * row : 16 * row + 16, 16 * col : 16 * col + 16]
            patch = patch.permute(1, 2, 0).flatten()
            target = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            error.append((prediction[0, :, row, col] - target).square().mean())
    torch.testing.assert_close(loss, torch.stack(error).mean(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("settings", [dict(window_size=2, num_windows=5), dict(num_windows=1)])
def test_any_windows_and_sizes_train(settings):
    model = build(channels=5, **settings)
    sum(model.loss(torch.randn(2, 5, 64, 96)).values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_unfit_settings_are_refused():
    with pytest.raises(ValueError, match="4 places for windows of 3x3, fewer than num_windows 5"):
        build(num_windows=5).views(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="2x4 patches have 0 places"):
        build().views(torch.zeros(1, 3, 32, 64))
    with pytest.raises(ValueError, match="do not divide into cells of 16x16"):
        build().views(torch.zeros(1, 3, 60, 64))
    with pytest.raises(ValueError, match="window_size must be a positive integer, got 0"):
        build(window_size=0)
    with pytest.raises(
        ValueError, match="cell_size of the mask generator, 32, must be the backbone's, 16"
    ):
        build(mask_generator=dict(type="RandomMasking", cell_size=32))
