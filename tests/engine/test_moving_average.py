"""The moving average of weights that some fine-tuning configs keep, through the runner."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS

from localmim.checkpoints import load_from_file, read_checkpoint
from localmim.scenes import SceneSet, write_scenes

CONFIG = "finetune/vit-small-p16_1xb64-amp-coslr-100e_folder.py"


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("mmengine.runner.runner.get_device", lambda: "cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_scenes({"folder": folder}, SceneSet(12, 6, (64, 64)))
    return folder


class Watch(Hook):
    """Weights after every iteration; ends the training after some epochs."""

    def __init__(self, epochs=None):
        self.weights, self.epochs = [], epochs

    def after_train_iter(self, runner, *_args, **_kwargs):
        weight = runner.model.backbone.patch_embed.projection.weight
        self.weights.append(weight.detach().clone())

    def after_train_epoch(self, runner):
        if runner.epoch + 1 == self.epochs:
            raise KeyboardInterrupt


def build(work_dir, images, **changes):
    """A tiny ViT on scenes, four epochs of three iterations, averaged with momentum 0.25."""
    cfg = Config.fromfile(Path(__file__).parents[2] / "configs" / CONFIG)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type="EMAHook", momentum=0.25)]
    cfg.model.backbone.update(arch=tiny.ARCH, img_size=64, init_cfg=None)
    cfg.train_pipeline[1].scale = cfg.test_pipeline[2].crop_size = 64
    for loader, pipeline in (("train", "train"), ("val", "test"), ("test", "test")):
        cfg[f"{loader}_dataloader"].update(batch_size=4, num_workers=0, pin_memory=False)
        cfg[f"{loader}_dataloader"].dataset.update(
            data_root=str(images), pipeline=cfg[f"{pipeline}_pipeline"]
        )
    cfg.merge_from_dict(
        {
            "work_dir": str(work_dir),
            "experiment_name": f"{work_dir.name}-{np.random.default_rng().integers(1 << 40)}",
            "model.head.in_channels": 32,
            "model.head.num_classes": 10,
            "data_preprocessor.num_classes": 10,
            "auto_scale_lr.base_batch_size": 4,
            "train_cfg.max_epochs": 4,
            "param_scheduler.0.end": 1,
            "param_scheduler.1.begin": 1,
            **changes,
        }
    )
    return RUNNERS.build(cfg)


def train(runner, epochs=None):
    watch = Watch(epochs)
    runner.register_hook(watch, priority="VERY_LOW")
    if epochs is None:
        runner.train()
    else:
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    return watch.weights


def test_the_average_is_deployed_resumed_and_tested(tmp_path, images):
    whole = build(tmp_path / "whole", images)
    weights = train(whole)
    average = weights[0]
    for weight in weights[1:]:
        average = 0.75 * average + 0.25 * weight
    name = "backbone.patch_embed.projection.weight"
    content = load_from_file(tmp_path / "whole/epoch_4.pth")
    torch.testing.assert_close(content["state_dict"][name], average)
    assert content["ema_state_dict"][f"module.{name}"].equal(weights[-1])
    # What conversion takes, with and without --ema.
    for ema in (False, True):
        read = read_checkpoint(tmp_path / "whole/epoch_4.pth", ema=ema)
        torch.testing.assert_close(read.state_dict[name], average)

    train(build(tmp_path / "parts", images), epochs=2)
    train(build(tmp_path / "parts", images, resume=True))
    resumed = load_from_file(tmp_path / "parts/epoch_4.pth")
    for kind in ("state_dict", "ema_state_dict"):
        for tensor, value in content[kind].items():
            assert value.equal(resumed[kind][tensor]), (kind, tensor)

    tested = build(tmp_path / "test", images, load_from=str(tmp_path / "whole/epoch_4.pth"))
    seen = []
    tested.model.register_forward_pre_hook(
        lambda model, _: seen.append(model.state_dict()[name].clone())
    )
    metrics = tested.test()
    torch.testing.assert_close(seen[0], average)
    assert metrics["accuracy/top1"] == pytest.approx(whole.val_loop.run()["accuracy/top1"])
