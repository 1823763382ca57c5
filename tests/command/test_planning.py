"""What is chosen, by folder and machine."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from localmim.command import planning
from localmim.command.machine import Machine
from localmim.command.planning import plan
from localmim.command.wishes import Wishes
from localmim.data.survey import Survey
from localmim.engine import check_config, settle_image_size
from localmim.recipes import METHODS, encoder_kind, image_step

CPU = Machine(0, 2, "no GPU, 2 cores", ("float32", "there is no GPU"))
GPU = Machine(1, 16, "1 x some GPU, 78 GiB", ("bfloat16", "the GPU has it"))
GPUS = Machine(4, 32, "4 x some GPU, 78 GiB", ("bfloat16", "the GPU has it"))


def found(images=20_000, side=400, grey=False):
    seen = SimpleNamespace(mean=(100.0, 110.0, 120.0), std=(40.0, 50.0, 60.0))
    return Survey(
        images=images, looked_at=64, side=side, grey=grey, mean=seen.mean, std=seen.std, unusable=()
    )


def planned(machine=CPU, about=None, **wishes):
    return plan(Wishes("photos", **wishes), about or found(), machine, lambda _: None)


def values(planned):
    return {name: choice.value for name, choice in planned.choices.items()}


pytestmark = pytest.mark.usefixtures("untried")


def test_without_a_gpu():
    made = planned()
    assert values(made) == {
        "method": "localmim",
        "encoder": "vit-tiny",
        "image size": 96,
        "channels": 3,
        "crops": (0.2, 1.0),
        "devices": 1,
        "workers": 1,
        "batch": 16,
        "iterations": 2400,  # 20 minutes of half seconds
        "warm-up": 120,
        "learning rate": 1.6e-3,
        "precision": "float32",
    }
    assert made.seconds == pytest.approx(1200)
    assert not made.cfg.train_dataloader.pin_memory


def test_on_several_gpus(untried):
    made = planned(GPUS, minutes=30)
    chosen = values(made)
    assert (chosen["encoder"], chosen["image size"]) == ("vit-small", 224)
    assert (chosen["devices"], chosen["batch"], chosen["workers"]) == (4, 256, 8)
    assert chosen["iterations"] == 3600 and untried == [256]
    assert made.cfg.auto_scale_lr.base_batch_size == 1024
    assert made.cfg.optim_wrapper.optimizer.lr == chosen["learning rate"] == 1.6e-3


def test_the_largest_batch_that_fits_is_found_by_trying(monkeypatch):
    tried = []

    def small_memory(cfg, batch):
        tried.append(batch)
        return 0.5 if batch <= 64 else None

    monkeypatch.setattr(planning, "seconds_per_step", small_memory)
    made = planned(GPU)
    assert tried == [256, 128, 64] and values(made)["batch"] == 64
    with pytest.raises(ValueError, match="a batch of 128 images does not fit the GPU's memory"):
        planned(GPU, batch=128)


def test_grey_images_train_one_channel():
    made = planned(about=found(grey=True))
    assert values(made)["channels"] == 1
    preprocessor = made.cfg.data_preprocessor
    assert preprocessor.grey and list(preprocessor.mean) == [110] and list(preprocessor.std) == [50]
    assert made.cfg.model.backbone.in_channels == 1
    assert values(planned(about=found(grey=True), channels=3))["channels"] == 3


def test_what_is_said_is_kept():
    made = planned(
        method="mae", arch="vit-small", image_size=64, batch=16, epochs=3, seed=7,
        settings={"optim_wrapper.optimizer.lr": 0.5, "train_dataloader.num_workers": 0},
    )  # fmt: skip
    chosen = values(made)
    for name in ("encoder", "image size", "batch", "learning rate", "workers"):
        assert made.choices[name].why == "as you said"
    assert chosen["iterations"] == 3 * 1250
    assert made.cfg.optim_wrapper.optimizer.lr == chosen["learning rate"] == 0.5
    assert made.cfg.train_dataloader.num_workers == 0 and made.cfg.randomness.seed == 7
    assert made.cfg.image_size == 64 and made.cfg.model.neck.depth == 8


@pytest.mark.parametrize("iterations", [1, 2, 20, 40, 1000])
def test_any_length_has_a_schedule(iterations):
    made = planned(settings={"train_cfg.max_iters": iterations})
    schedule = made.cfg.param_scheduler
    warm_up = values(made)["warm-up"]
    assert warm_up == (0 if iterations < 40 else iterations // 20)
    assert [part.type for part in schedule] == ["LinearLR"] * (warm_up > 0) + ["CosineAnnealingLR"]
    assert schedule[-1].begin == warm_up


@pytest.mark.parametrize(
    "method, family", [(method, family) for method, of in METHODS.items() for family in of]
)
def test_configs_are_ones_that_tools_run(tmp_path, method, family):
    """With models of the second size that there is."""
    arch = "resnet50" if family == "resnet" else f"{family}-tiny"
    step = image_step(method, encoder_kind(arch))
    size = values(planned(method=method, arch=arch, about=found(side=1)))["image size"] + step
    about = dict(about=found(grey=True), image_size=size, val=str(tmp_path))
    made = planned(method=method, arch=arch, **about)
    made.cfg.dump(tmp_path / "mine.py")
    cfg = Config.fromfile(tmp_path / "mine.py")
    check_config(cfg)
    settle_image_size(cfg)
    model = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
    losses = model.loss(torch.randn(1, 1, size, size))
    assert losses and all(loss.isfinite() for loss in losses.values())
    hooks = [hook.type for hook in cfg.custom_hooks]
    assert hooks[-1] == "ProgressBarHook" and "OnlineProbeHook" in hooks
    assert len(hooks) == len(set(hooks))
    assert cfg.default_hooks.checkpoint.max_keep_ckpts == 2


def test_windows_of_lomar_fit_the_image():
    assert values(planned(method="lomar", image_size=64))["windows"] == 3
    assert values(planned(GPU, method="lomar"))["windows"] == 7


def test_the_table_has_a_reason_for_each():
    made = planned()
    lines = made.table().splitlines()
    assert len(lines) == len(made.choices)
    assert all(choice.why for name, choice in made.choices.items() if name != "method")
    assert "  crops          0.2 to 1  usual" in lines


@pytest.mark.parametrize(
    "wishes, message",
    [
        (dict(devices=2), r"--devices 2: this machine has 1 GPU\(s\)"),
        (dict(image_size=100), "--image-size 100"),
        (
            dict(arch="resnet50", image_size=48),
            "localmim of a resnet takes multiples of 32",
        ),
    ],
)
def test_what_cannot_be_is_refused(wishes, message):
    with pytest.raises(ValueError, match=message):
        planned(GPU, **wishes)


@pytest.mark.parametrize(
    "wishes, message",
    [
        (dict(epochs=1, minutes=1), "both say how long"),
        (dict(minutes=0), "--minutes 0: must be above 0"),
        (dict(image_size=-1), "--image-size -1: must be above 0"),
        (dict(channels=2), "--channels 2: 1"),
        (dict(method="mim"), "--method mim: no method has that name"),
        (dict(method="mae", arch="swin-tiny"), "--method mae trains vit-tiny"),
    ],
)
def test_wishes_are_checked_without_a_look_at_the_data(wishes, message):
    with pytest.raises(ValueError, match=message):
        Wishes("photos", **wishes).check()
