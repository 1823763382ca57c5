import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate

from localmim.data import PackImage


def test_bytes_a_flag_and_the_path():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    found = [
        PackImage()(dict(img=image, img_path=f"{n}.png", img_shape=(5, 7))) for n in range(400)
    ]
    assert all(np.array_equal(x["inputs"], image.transpose(2, 0, 1)) for x in found)
    assert 150 < sum(x["mirrored"] for x in found) < 250
    batch = default_collate(found[:2])
    assert batch["inputs"].dtype == torch.uint8 and batch["inputs"].shape == (2, 3, 5, 7)
    assert batch["mirrored"].dtype == torch.bool and batch["img_path"] == ["0.png", "1.png"]


@pytest.mark.parametrize("prob", [0, 1])
def test_none_or_all_are_mirrored(prob):
    packed = PackImage(flip_prob=prob)(dict(img=np.zeros((4, 4), np.float32)))
    assert packed["mirrored"] == bool(prob) and packed["inputs"].shape == (1, 4, 4)
    assert "img_path" not in packed and packed["inputs"].dtype == torch.float32


@pytest.mark.parametrize("prob", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(prob):
    with pytest.raises(ValueError, match="flip_prob must be in 0 to 1"):
        PackImage(flip_prob=prob)
