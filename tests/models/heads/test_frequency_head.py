import math

import numpy as np
import pytest
import torch

from localmim.masking import PatchMask
from localmim.models import FrequencyHead

HIDDEN = torch.tensor([[[1, 0], [1, 1]], [[0, 1], [1, 1]]], dtype=torch.bool)


def maps(size=4):
    torch.manual_seed(2)
    prediction = torch.randn(2, 3, size, size).double().requires_grad_()
    return prediction, torch.randn(2, 3, size, size).double()


def pixel_loss(prediction, image, focal) -> float:
    """Pixel by pixel."""
    total, count = 0.0, 0
    for b, y, x in np.ndindex(2, 4, 4):
        if not HIDDEN[b, y // 2, x // 2]:
            continue
        count += 1
        for c in range(3):
            error = abs(prediction[b, c, y, x] - image[b, c, y, x])
            total += error * (2 / (1 + math.exp(-0.2 * error)) - 1) if focal else error
    return total / (count + 1e-5) / 3


def spectrum(image) -> np.ndarray:
    """The orthonormal discrete Fourier transform by its sum, (C, H, W) -> (C, H, W)."""
    size = image.shape[-1]
    wave = np.exp(-2j * np.pi * np.outer(np.arange(size), np.arange(size)) / size)
    return np.einsum("cyx,uy,vx->cuv", image, wave, wave) / size


def frequency_loss(prediction, image, u) -> float:
    """Image by image."""
    spectra = np.zeros((2, 3, 4, 4), complex)
    for b in range(2):
        m = np.kron(HIDDEN[b].numpy(), np.ones((2, 2)))
        w = m + (1 - m) * u
        mixed = prediction[b] * w + (0.5 * prediction[b] + 0.5 * image[b]) * (1 - w)
        spectra[0] += spectrum(mixed) / 2
        spectra[1] += spectrum(image[b]) / 2
    squared = np.abs(spectra[0] - spectra[1]) ** 2
    weight = np.log(1 + np.sqrt(squared))
    return (weight / weight.max() * squared).mean()


@pytest.mark.parametrize("focal", [True, False])
@pytest.mark.parametrize("u", [0.0, 1e-3])
def test_against_sums(focal, u):
    prediction, image = maps()
    head = FrequencyHead(focal=focal, frequency_weight=0.5, visible_weight=u)
    losses = head.loss([prediction], [image], PatchMask.from_hidden(HIDDEN))
    assert list(losses) == ["loss_pixel", "loss_frequency"]
    plain = prediction.detach().numpy(), image.numpy()
    assert losses["loss_pixel"].item() == pytest.approx(pixel_loss(*plain, focal), rel=1e-12)
    expected = 0.5 * frequency_loss(*plain, u)
    assert losses["loss_frequency"].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("u", [0.0, 0.01])
def test_gradient_of_the_frequency_loss(u):
    """Weights and mixed-in predictions are constants: the gradient is that of a plain square."""
    prediction, image = maps()
    mask = PatchMask.from_hidden(HIDDEN)
    head = FrequencyHead(frequency_weight=1.0, visible_weight=u)
    head.loss([prediction], [image], mask)["loss_frequency"].backward()
    m = mask.at((4, 4))[:, None].double()
    w = m + (1 - m) * u
    mixed = prediction * w + (0.5 * prediction + 0.5 * image) * (1 - w)
    difference = np.stack([spectrum(x) for x in (mixed - image).detach().numpy()]).mean(0)
    weight = np.log1p(np.abs(difference))
    weight = weight / weight.max() / difference.size
    # d/dP of weight * |F|^2: twice the inverse transform of weight * F, for each image's half.
    back = np.conj(np.stack([spectrum(x[None])[0] for x in np.conj(weight * difference)]))
    expected = w * torch.from_numpy(2 * back.real)[None] / 2
    torch.testing.assert_close(prediction.grad, expected, rtol=1e-9, atol=1e-15)


def test_a_perfect_prediction_costs_nothing_and_gives_no_nan():
    _, image = maps()
    prediction = image.clone().requires_grad_()
    losses = FrequencyHead().loss([prediction], [image], PatchMask.from_hidden(HIDDEN))
    sum(losses.values()).backward()
    assert [x.item() for x in losses.values()] == [0.0, 0.0]
    assert prediction.grad.isfinite().all()


def test_a_weight_of_zero_leaves_the_frequency_loss_out():
    prediction, image = maps()
    losses = FrequencyHead(frequency_weight=0.0).loss(
        [prediction], [image], PatchMask.from_hidden(HIDDEN)
    )
    assert list(losses) == ["loss_pixel"]


def test_half_precision_predictions_are_compared_in_single():
    prediction, image = (x.float() for x in maps())
    losses = FrequencyHead().loss([prediction.bfloat16()], [image], PatchMask.from_hidden(HIDDEN))
    assert all(x.dtype == torch.float32 and x.isfinite() for x in losses.values())


def test_unfit_settings_and_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 0.1 and 2"):
        FrequencyHead(visible_weight=2)
    with pytest.raises(ValueError, match="frequency_weight must not be negative"):
        FrequencyHead(frequency_weight=-1)
    mask = PatchMask.from_hidden(HIDDEN)
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\).*\(2, 3, 8, 8\).*does not give the maps"):
        FrequencyHead().loss([torch.zeros(2, 3, 4, 4)], [torch.zeros(2, 3, 8, 8)], mask)


def test_pixel_loss_averages_over_processes_and_frequency_loss_depends_on_their_batch():
    prediction, image = maps()
    prediction = prediction.detach()

    def losses(batch):
        mask = PatchMask.from_hidden(HIDDEN[batch])
        return FrequencyHead().loss([prediction[batch]], [image[batch]], mask)

    whole, one, other = losses(slice(0, 2)), losses(slice(0, 1)), losses(slice(1, 2))
    mean = {name: (one[name] + other[name]) / 2 for name in whole}
    # The small constant in its denominator is what differs.
    torch.testing.assert_close(mean["loss_pixel"], whole["loss_pixel"], rtol=1e-6, atol=0)
    # Half of the noise of two images goes with their mean.
    assert mean["loss_frequency"] > 1.2 * whole["loss_frequency"]
