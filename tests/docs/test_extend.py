"""The parts of the guide to extending are real: they train and draw, and hold the contracts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmpretrain.registry import MODELS

from localmim.engine import settle_image_size

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/extend.md").read_text()
CONFIGS = ("log_vit.py", "log_mobilenet.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the guide, in a folder outside the repository."""
    folder = tmp_path_factory.mktemp("mine")
    for name, text in re.findall(r"```python\n# (\S+)\n(.*?)```", GUIDE, re.DOTALL):
        (folder / name).write_text(text.replace('"configs/', f'"{ROOT}/configs/'))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def config(folder, name) -> Config:
    cfg = Config.fromfile(folder / name)
    cfg.merge_from_dict({"image_size": 64, "work_dir": str(folder / name[:-3])})
    if "vit" in name:
        cfg.model.backbone.arch = "deit-tiny"
    return cfg


def build(folder, name) -> torch.nn.Module:
    cfg = config(folder, name)
    settle_image_size(cfg)
    return MODELS.build(cfg.model)


def test_the_parts_take_less_than_sixty_lines(folder):
    assert len((folder / "my_parts.py").read_text().splitlines()) < 60


@pytest.mark.parametrize("name", CONFIGS)
def test_the_parts_train_through_the_runner_and_draw(folder, name, photo_folder):
    cfg = config(folder, name)
    cfg.merge_from_dict(
        {
            "train_dataloader.dataset.data_root": str(photo_folder),
            "train_dataloader.dataset.indices": 8,
            "train_dataloader.batch_size": 4,
            "train_dataloader.num_workers": 0,
            "train_cfg.max_epochs": 2,
            "param_scheduler.0.end": 1,
            "param_scheduler.1.begin": 1,
        }
    )
    RUNNERS.build(cfg).train()
    cfg.dump(folder / "trained.py")
    done = subprocess.run(
        [sys.executable, "tools/visualize.py", folder / name[:-3] / "epoch_2.pth", photo_folder]
        + ["--config", folder / "trained.py", "--out-dir", folder / "pictures"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((folder / "pictures").glob("*.png"))


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_hidden_reaches_no_prediction(folder, name):
    """But through an image's mean, which fills what is hidden, as in A2MIM."""
    model = build(folder, name).double().eval()
    images = torch.randn(2, 3, 64, 64).double()
    mask = model.mask_generator(images)
    changed = torch.where(mask.hidden_at((64, 64)).unsqueeze(1), images.flip(0), images)
    changed = changed + (images - changed).mean((2, 3), keepdim=True) * (
        mask.hidden_at((64, 64)).unsqueeze(1) / mask.hidden.double().mean()
    )
    first, second = (model.reconstruct(x, mask)[0] for x in (images, changed))
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


def test_the_target_is_that_of_scipy(folder):
    from scipy.ndimage import gaussian_laplace

    target = build(folder, "log_vit.py").target_generator.double()
    # A smooth image, whose response the cut-off of the kernel hardly changes.
    image = torch.linspace(0, 6, 64).sin().double().outer(torch.linspace(0, 4, 64).cos().double())
    (found,) = target(image.expand(1, 1, 64, 64))
    exact = torch.from_numpy(abs(gaussian_laplace(image.numpy(), 1.5)))
    exact = torch.nn.functional.avg_pool2d(exact[None, None], 16)[..., 1:-1, 1:-1]
    ratio = found[..., 1:-1, 1:-1] / exact
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=0.02, atol=0)


def test_masks_are_blocks_but_for_one(folder):
    mask = build(folder, "log_vit.py").mask_generator(torch.zeros(8, 3, 96, 96))
    assert mask.hidden.flatten(1).sum(1).tolist() == [27] * 8
    blocks = mask.hidden.unfold(1, 2, 2).unfold(2, 2, 2).flatten(3).sum(-1).flatten(1)
    assert ((blocks % 4 != 0).sum(1) <= 1).all()
