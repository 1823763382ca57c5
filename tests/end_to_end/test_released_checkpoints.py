"""A released pre-training checkpoint with its decoders goes on training and is drawn."""

import subprocess
import sys

import pytest
import torch
from library_models import build
from mmengine.config import Config
from mmpretrain.registry import MODELS
from test_training import config, run
from tool_main import DEMO, ROOT, tool

from localmim.checkpoints import convert, load_from_file
from localmim.engine import settle_image_size

OFFSETS = [(0.1, -0.2), (0.3, 0.0), (0.0, 0.5), (-1.0, 1.0)]
# Recipes of the release that left offsets in the HOG filters, and a Swin's misplaced windows.
CHANGES = {
    "vit": {},
    "swin": {"backbone.type": "ReleasedSwin", "target_generator.offsets": OFFSETS},
}


def convert_with_the_tool(release, destination):
    command = [sys.executable, "tools/convert.py", release, destination, "--to", "localmim"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return destination


@pytest.mark.parametrize("kind", CHANGES)
def test_training_goes_on_from_a_release(tmp_path, photo_folder, kind):
    changes = {f"model.{name}": value for name, value in CHANGES[kind].items()}
    cfg = config(tmp_path / "run", photo_folder, kind, **changes)
    cfg.train_cfg.max_epochs = 2
    cfg.optim_wrapper.optimizer.lr = 0.0
    weights = {n: x.float() for n, x in build(lambda: MODELS.build(cfg.model)).state_dict().items()}
    hints = {"image_size": (64, 64)}
    release = convert(weights, "localmim-release", "localmim", hints=hints).state_dict
    torch.save({"model": release, "epoch": 1599}, tmp_path / "release.pth")
    cfg.load_from = str(convert_with_the_tool(tmp_path / "release.pth", tmp_path / "start.pth"))
    run(cfg)
    after = load_from_file(tmp_path / "run/epoch_2.pth")["state_dict"]
    assert after.keys() == weights.keys()
    for name, x in weights.items():
        assert torch.allclose(after[name].float(), x, atol=1e-6), name  # nothing was learnt at 0


def test_reconstructions_of_a_release_are_drawn(tmp_path, photo_folder):
    cfg = Config.fromfile(DEMO)
    settle_image_size(cfg)
    model = MODELS.build(cfg.model)
    release = convert(model.state_dict(), "localmim-release", "localmim").state_dict
    torch.save({"model": release}, tmp_path / "release.pth")
    start = convert_with_the_tool(tmp_path / "release.pth", tmp_path / "start.safetensors")
    options = ("--config", DEMO, "--max-images", 2, "--out-dir", tmp_path / "drawn")
    tool("visualize", start, photo_folder, *options)
    assert len(list((tmp_path / "drawn").iterdir())) == 4
