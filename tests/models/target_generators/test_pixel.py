import numpy as np
import pytest
import torch

from localmim.models import MultiScalePixels


@pytest.mark.parametrize("channels", [3, 5])
def test_against_the_definition_patch_by_patch(photos, channels):
    images = torch.cat([photos, photos[:, :2]], 1)[:2, :channels, :64, :96]
    for size, target in zip((8, 32), MultiScalePixels((8, 32))(images), strict=True):
        assert tuple(target.shape) == (2, size * size * channels, 64 // size, 96 // size)
        for row in range(64 // size):
            for col in range(96 // size):
                window = images[1, :, row * size : (row + 1) * size, col * size : (col + 1) * size]
                patch = window.permute(1, 2, 0).numpy().ravel()
                expected = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 1e-6)
                np.testing.assert_allclose(
                    target[1, :, row, col].numpy(), expected, rtol=1e-9, atol=1e-12
                )


def test_plain_pixels_are_the_image(photos):
    target = MultiScalePixels((16,), normalize=False)(photos)[0]
    first = target[0, :, 0, 0].view(16, 16, 3)
    assert first.equal(photos[0, :, :16, :16].permute(1, 2, 0))


def test_images_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="48x48 pixels do not divide"):
        MultiScalePixels((32,))(torch.zeros(1, 3, 48, 48))


def test_patches_without_pixels_are_refused():
    with pytest.raises(ValueError, match=r"patch_sizes must be positive, got \(8, 0\)"):
        MultiScalePixels((8, 0))
