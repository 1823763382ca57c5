"""Under autocast encoders and decoders are in 16 bits; targets and losses are not."""

import pytest
import tiny
import torch
from mmpretrain.registry import MODELS

ALGORITHMS = (
    tiny.MODELS
    | tiny.OTHERS
    | {
        "offsets": lambda: (
            tiny.localmim()
            | dict(target_generator=dict(type="MultiScaleHOG", offsets=[(0.1, -0.2)] * 4))
        )
    }
)


def autocast(enabled=True, device="cpu", dtype=torch.bfloat16):
    return torch.autocast(device, dtype, enabled=enabled)


@pytest.fixture
def images(photos):
    """Squares of photographs, (4, 3, 64, 64) float64."""
    return photos[..., 30:94, 80:144]


def build(kind):
    model = MODELS.build(ALGORITHMS[kind]())
    model.init_weights()
    return model.eval()  # the same depth of all blocks, every time


def views_and_mask(model, images):
    torch.manual_seed(3)  # the same windows and masks
    views = model.views(images)
    return views, model.mask_generator(views)


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_targets_are_those_of_float32_to_the_bit(kind, images):
    model = build(kind)
    expected = model.target_generator(images.float())
    with autocast():
        found = model.target_generator(images.float())
    for tap, (one, other) in enumerate(zip(expected, found, strict=True)):
        assert other.dtype == torch.float32 and other.equal(one), tap
    # And float32 they are in truth: 16 bits anywhere would leave errors of 4e-3.
    for one, exact in zip(found, model.target_generator(images), strict=True):
        assert exact.dtype == torch.float64
        # Rounding may move a gradient to the neighbouring orientation; rarely.
        close = (one.double() - exact).abs() < 2e-5 * exact.abs().max()
        assert close.double().mean() > 0.999


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_losses_are_float32_from_the_prediction_on(kind, images):
    model = build(kind)
    views, mask = views_and_mask(model, images.float())
    with autocast(), torch.no_grad():
        predictions, targets = model.reconstruct(views, mask)
        losses = model.head.loss(predictions, targets, mask)
    exact = model.head.loss([x.double() for x in predictions], [x.double() for x in targets], mask)
    assert losses.keys() == exact.keys()
    for name, loss in losses.items():
        assert loss.dtype == torch.float32, name
        torch.testing.assert_close(loss.double(), exact[name], rtol=2e-6, atol=1e-7, msg=name)
    # There were 16 bits in it.
    with torch.no_grad():
        plain, _ = model.reconstruct(views, mask)
    assert any(not one.float().equal(other) for one, other in zip(predictions, plain, strict=True))


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_losses_are_close_to_those_of_float32(kind, images):
    model = build(kind)
    losses = []
    for enabled in (False, True):
        torch.manual_seed(3)
        with autocast(enabled), torch.no_grad():
            losses.append(model.loss(images.float()))
    for name, loss in losses[1].items():
        assert loss.dtype == torch.float32, name
        assert loss.item() == pytest.approx(losses[0][name].item(), rel=0.02), name
