"""Numbers that are not finite, met by real runs: bad pixels, absurd learning rates, processes."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import tiny
import torch
from half_precision import HalfPrecision
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from processes import free_port, start
from runs import LOOKING
from tool_main import tool

from localmim.checkpoints import load_from_file
from localmim.engine import FiniteStepsHook

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "vit": "localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py",
    "resnet": "localmim/localmim_resnet50_1xb128-amp-coslr-200e_folder.py",
}


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("mmengine.runner.runner.get_device", lambda: "cpu")


def write_images(folder: Path, **pixels: float) -> Path:
    """Sixteen float32 TIFFs, 64x64, ``0.tif`` to ``f.tif``; of some, one pixel is as given."""
    folder.mkdir()
    for number, name in enumerate("0123456789abcdef"):
        image = np.random.default_rng(number).uniform(0, 255, (64, 64, 3)).astype(np.float32)
        image[40, 20, 1] = pixels.get(f"_{name}", image[40, 20, 1])
        tifffile.imwrite(folder / f"{name}.tif", image)
    return folder


def config(work_dir, data_root, kind="vit", limit=10, **changes) -> Config:
    """A tiny model on whole images in the order of their names; four iterations an epoch."""
    cfg = Config.fromfile(ROOT / "configs" / CONFIGS[kind])
    cfg.model = tiny.MODELS[kind]()
    cfg.train_dataloader.sampler = dict(type="DefaultSampler", shuffle=False)
    cfg.train_dataloader.dataset.pipeline = [
        dict(type="LoadImageFromFile", imdecode_backend="tifffile", color_type="unchanged"),
        dict(type="PackInputs"),
    ]
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type not in LOOKING]
    (hook,) = (hook for hook in cfg.custom_hooks if hook.type == "FiniteStepsHook")
    hook.max_skipped_in_a_row = limit
    cfg.merge_from_dict(
        {
            "image_size": None,
            "work_dir": str(work_dir),
            "experiment_name": f"{work_dir.name}-{np.random.default_rng().integers(1 << 40)}",
            "train_dataloader.dataset.data_root": str(data_root),
            "train_dataloader.batch_size": 4,
            "train_dataloader.num_workers": 0,
            "train_dataloader.persistent_workers": False,
            "train_dataloader.pin_memory": False,
            "auto_scale_lr.base_batch_size": 64,
            "train_cfg.max_epochs": 2,
            "param_scheduler.0.end": 1,
            "param_scheduler.1.begin": 1,
            "default_hooks.logger.interval": 1,
            **changes,
        }
    )
    return cfg


def run(cfg, *hooks):
    runner = RUNNERS.build(cfg)
    for hook in hooks:
        runner.register_hook(hook, priority="VERY_LOW")
    runner.train()
    return runner


def log_of(work_dir: Path) -> str:
    return "".join(path.read_text() for path in sorted(work_dir.glob("*/*.log")))


def scalars_of(work_dir: Path) -> list[dict]:
    paths = sorted(work_dir.glob("*/vis_data/scalars.json"))
    rows = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return [row for row in rows if "loss" in row]  # of training


class LeaveOut(Hook):
    """Put weights, statistics and the optimiser's state back to what they were before iterations.

    The learning rate is the schedule's, which goes on.
    """

    def __init__(self, *spans: range) -> None:
        self.first, self.last = {x[0] for x in spans}, {x[-1] for x in spans}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter in self.first:
            optimizer = runner.optim_wrapper.optimizer
            self.kept = copy.deepcopy((runner.model.state_dict(), optimizer.state_dict()["state"]))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter in self.last:
            optimizer = runner.optim_wrapper.optimizer
            runner.model.load_state_dict(self.kept[0])
            optimizer.load_state_dict({**optimizer.state_dict(), "state": self.kept[1]})


@pytest.mark.parametrize(
    ("kind", "accumulated", "bad", "left_out"),
    [
        ("vit", 1, "6", (range(1, 2), range(5, 6))),
        ("resnet", 1, "6", (range(1, 2), range(5, 6))),
        ("resnet", 2, "9", (range(2, 4), range(6, 8))),
        ("resnet", 2, "d", (range(2, 4), range(6, 8))),
    ],
)
def test_a_nan_pixel_costs_its_own_update_and_nothing_else(
    tmp_path, kind, accumulated, bad, left_out
):
    changes = {"optim_wrapper.accumulative_counts": accumulated}
    bad_data = write_images(tmp_path / "bad", **{f"_{bad}": np.nan})
    found = run(config(tmp_path / "found", bad_data, kind, **changes)).model.state_dict()

    # The same update is left out by putting back everything there is, with no guard.
    cfg = config(tmp_path / "plain", write_images(tmp_path / "good"), kind, **changes)
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type != "FiniteStepsHook"]
    expected = run(cfg, LeaveOut(*left_out)).model.state_dict()
    for name, value in expected.items():
        assert value.isfinite().all() and value.equal(found[name]), name

    log = log_of(tmp_path / "found")
    assert f"{bad}.tif. 2 skipped so far, 1 in a row; training stops at 10" in log
    assert f"images, pixels not finite in {bad_data}/{bad}.tif" in log
    assert re.search(r"Step skipped at iteration \d: loss_0 nan, loss_1 nan", log)
    scalars = scalars_of(tmp_path / "found")
    assert len(scalars) == 8 and scalars[-1]["skipped_steps"] == 2
    assert all(0 < line["grad_norm"] < 1e6 for line in scalars[accumulated - 1 :])
    assert "grad_norm: " in log
    if accumulated == 1:  # the bad loss of iteration 2 is in no average
        assert all(np.isfinite(line["loss"]) for line in scalars)
        assert scalars[1]["loss"] == scalars[0]["loss"] != scalars[2]["loss"]


def test_resuming_goes_on_counting_and_is_exact(tmp_path):
    data = write_images(tmp_path / "data", _6=np.inf, _b=-np.inf)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(config(whole, data, "resnet"))

    class Stop(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(parts, data, "resnet"), Stop())
    run(config(parts, data, "resnet", resume=True))
    expected, found = (load_from_file(x / "epoch_2.pth")["state_dict"] for x in (whole, parts))
    for name, value in expected.items():
        assert value.equal(found[name]), name
    for work_dir in (whole, parts):
        assert [line.get("skipped_steps", 0) for line in scalars_of(work_dir)] == [
            0, 1, 2, 2, 2, 3, 4, 4
        ]  # fmt: skip


def test_so_many_in_a_row_end_the_training(tmp_path):
    bad = dict.fromkeys(("_4", "_9", "_c"), np.nan)  # batches 1, 2 and 3
    cfg = config(tmp_path / "work", write_images(tmp_path / "data", **bad), limit=3)
    with pytest.raises(FloatingPointError) as stopped:
        run(cfg)
    text = str(stopped.value)
    assert "3 steps in a row" in text and "at iteration 4: loss_0 nan, loss_1 nan" in text
    assert all(f"{name}.tif" in text for name in "cdef") and "b.tif" not in text
    assert "pixels not finite in " in text and "max_skipped_in_a_row" in text
    assert re.search(r"backbone.layers.0.ln1.weight \(lr \S+, weight decay 0\)", text)
    assert re.search(r"backbone.patch_embed.projection.weight \(lr \S+, weight decay 0.05\)", text)
    assert re.search(r" and \d+ more. Weights that are not finite: none", text)
    assert log_of(tmp_path / "work").count("Step skipped") == 3
    # Two in a row are not enough, and a good step between them ends the row.
    run(config(tmp_path / "more", tmp_path / "data", limit=4))


@pytest.mark.parametrize("limit", [0, -1, 2.5, None])
def test_a_limit_is_a_positive_integer(limit):
    with pytest.raises(ValueError, match="max_skipped_in_a_row"):
        FiniteStepsHook(limit)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    class Break(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 7:
                with torch.no_grad():
                    runner.model.backbone.patch_embed.projection.bias[0] = np.inf

    with pytest.raises(FloatingPointError, match=r"not written.*patch_embed.projection.bia"):
        run(config(tmp_path / "work", write_images(tmp_path / "data")), Break())
    assert {x.name for x in (tmp_path / "work").glob("*.pth*")} == {"epoch_1.pth"}


def half_precision(work_dir, data, init_scale, **settings) -> Config:
    cfg = config(work_dir, data, **settings)
    cfg.optim_wrapper.update(type=HalfPrecision, init_scale=init_scale)
    return cfg


def test_what_float16_skips_for_its_scale_is_told_apart(tmp_path):
    data = write_images(tmp_path / "data", _e=np.nan)
    work = tmp_path / "work"
    run(half_precision(work, data, 2.0**22, limit=2, **{"train_cfg.max_epochs": 3}))
    # The scale falls from one skipped step to the next, longer than the limit.
    scales = re.findall(r"gradients overflowed at a loss scale of (\S+),", log_of(work))
    assert len(scales) > 2
    assert [float(x) for x in scales] == pytest.approx(
        [2.0 ** (22 - n) for n in range(len(scales))], rel=1e-5
    )
    last = scalars_of(work)[-1]
    assert last["scaler_skips"] == len(scales) and last["skipped_steps"] == 3


def test_a_scale_that_falls_to_one_has_nothing_left_to_find(tmp_path):
    class Break(Hook):
        def before_train(self, runner):
            bias = runner.model.backbone.patch_embed.projection.bias
            bias.register_hook(lambda gradient: gradient * np.nan)

    cfg = half_precision(tmp_path / "work", write_images(tmp_path / "data"), 4.0, limit=3)
    with pytest.raises(FloatingPointError, match="at iteration 5: losses finite, grad_norm nan; 4"):
        run(cfg, Break())
    assert scalars_of(tmp_path / "work")[-1]["scaler_skips"] == 2  # at 4 and at 2


@pytest.mark.usefixtures("on_the_cpu")
def test_an_absurd_learning_rate_stops_with_an_error(tmp_path):
    cfg = config(
        tmp_path / "work",
        write_images(tmp_path / "data"),
        **{"optim_wrapper.optimizer.lr": 1e6, "train_cfg.max_epochs": 50},
    )
    cfg.dump(tmp_path / "config.py")
    with pytest.raises(FloatingPointError, match="lower learning rate"):
        tool("train", tmp_path / "config.py")
    for path in (tmp_path / "work").glob("epoch_*.pth"):
        state = load_from_file(path)["state_dict"]
        assert all(value.isfinite().all() for value in state.values()), path


SPY = """
import math
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Spy(Hook):
    priority = "HIGH"
    skipped = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if (runner.iter, get_rank()) == (2, 1):
            head = runner.model.module.head
            loss = head.loss
            def infinite(*args):
                head.loss = loss
                losses = loss(*args)
                return {**losses, "loss_0": losses["loss_0"] + math.inf}
            head.loss = infinite

    def after_train_iter(self, runner, *args, **kwargs):
        self.skipped.append(runner.optim_wrapper.last_update.skipped)

    def after_train(self, runner):
        found = dict(skipped=self.skipped, state=runner.model.module.state_dict())
        torch.save(found, f"{runner.work_dir}/found_{get_rank()}.pth")
"""


def test_processes_skip_together_where_one_has_the_numbers(tmp_path):
    """A NaN pixel that only the second of two processes sees, then an infinite loss."""
    data = write_images(tmp_path / "data", _b=np.nan)  # images 1, 3, 5, ... are the second's
    cfg = config(tmp_path / "work", data, "resnet")
    cfg.custom_hooks.append(dict(type="Spy"))
    cfg.custom_imports.imports.append("spy")
    cfg.dump(tmp_path / "config.py")
    (tmp_path / "spy.py").write_text(SPY)
    paths = f"{tmp_path}:{ROOT}"
    run = start(
        "tools/dist_train.sh", tmp_path / "config.py", 2, PORT=free_port(), PYTHONPATH=paths
    )
    output, _ = run.communicate()
    assert run.returncode == 0, output[-3000:]
    first, second = (torch.load(tmp_path / f"work/found_{rank}.pth") for rank in (0, 1))
    assert first["skipped"] == second["skipped"] == [False, True, True, True]
    for name, value in first["state"].items():
        assert value.isfinite().all() and second["state"][name].isfinite().all(), name
        # Batches differ, and with them the statistics.
        assert value.equal(second["state"][name]) or "running" in name, name
    log = log_of(tmp_path / "work")
    assert f"8 images, pixels not finite in {data}/b.tif. 1 skipped so far, 1 in a row" in log
    assert "iteration 3: loss_0 inf on process 1; 8 images, their pixels finite. 2 skipped" in log
