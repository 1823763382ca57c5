import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import MODELS

from localmim.models import MIMDataPreprocessor

SETTINGS = dict(mean=[1.0, 2.0, 3.0], std=[2.0, 4.0, 8.0], to_rgb=True)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("stacked", [True, False])
def test_marked_images_are_mirrored_and_all_are_normalised(device, stacked):
    preprocessor = MODELS.build(dict(type="MIMDataPreprocessor", **SETTINGS)).to(device)
    images = torch.randint(0, 256, (4, 3, 6, 5), dtype=torch.uint8)
    mirrored = torch.tensor([True, False, False, True])
    batch = dict(inputs=images, mirrored=mirrored, img_path=["a"] * 4)
    if not stacked:
        batch.update(inputs=list(images), mirrored=mirrored.tolist())
    found = preprocessor(batch, training=True)
    rgb = images.numpy()[:, ::-1].astype(float)
    rgb[[0, 3]] = rgb[[0, 3], ..., ::-1]
    mean, std = (torch.tensor(SETTINGS[name]).view(3, 1, 1).numpy() for name in ("mean", "std"))
    assert torch.allclose(found["inputs"].cpu().double(), torch.tensor((rgb - mean) / std))
    assert found["data_samples"] is None and found["inputs"].device.type == device
    assert torch.equal(batch["inputs"][0], images[0])  # the batch is left as it was


def test_other_batches_are_treated_as_by_mmpretrain():
    images = torch.randint(0, 256, (2, 3, 6, 5), dtype=torch.uint8)
    found = MIMDataPreprocessor(**SETTINGS)(dict(inputs=images))["inputs"]
    assert torch.equal(found, ClsDataPreprocessor(**SETTINGS)(dict(inputs=images))["inputs"])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("mirrored", [None, [True, False, False, True]])
def test_grey_is_the_mean_of_the_colours(device, stacked, mirrored):
    preprocessor = MIMDataPreprocessor(grey=True, mean=[100.5], std=[40.25]).to(device)
    images = torch.randint(0, 256, (4, 3, 6, 5), dtype=torch.uint8)
    batch = dict(inputs=images.clone() if stacked else list(images.clone()))
    if mirrored is not None:
        batch["mirrored"] = torch.tensor(mirrored) if stacked else mirrored
    found = preprocessor(batch, training=True)["inputs"]
    grey = images.numpy().astype(float).mean(1, keepdims=True)
    if mirrored is not None:
        grey[[0, 3]] = grey[[0, 3], ..., ::-1]
    assert found.shape == (4, 1, 6, 5) and found.dtype == torch.float32
    expected = torch.tensor((grey - 100.5) / 40.25)
    torch.testing.assert_close(found.cpu().double(), expected, rtol=1e-5, atol=1e-6)
    assert all(map(torch.equal, batch["inputs"], images))  # the batch is left as it was


def test_grey_images_of_one_channel_stay_as_they_are():
    images = torch.randint(0, 256, (2, 1, 6, 5), dtype=torch.uint8)
    found = MIMDataPreprocessor(grey=True, mean=[0.0], std=[1.0], to_rgb=True)(dict(inputs=images))
    assert torch.equal(found["inputs"], images.float())
