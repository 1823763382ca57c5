"""From a folder of images to the config of a pre-training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from localmim import recipes
from localmim.data.survey import Survey
from localmim.recipes import Choice
from localmim.recipes.choices import asked

from .machine import Machine
from .places import config_file
from .trial import seconds_per_step
from .wishes import Wishes

SAVED, PICTURED, LOOKED = 10, 8, 25  # times in a training,
LOOK_APART = 20  # but no closer than so many steps
# What --set can say of a choice.
KEYS = {
    "workers": "train_dataloader.num_workers",
    "batch": "train_dataloader.batch_size",
    "iterations": "train_cfg.max_iters",
    "learning rate": "optim_wrapper.optimizer.lr",
}
# Settings without a meaning for a trial, which has no hooks and a length of its own.
UNTRIED = ("custom_hooks", "default_hooks", "log_processor", "param_scheduler", "train_cfg")
IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
BATCHES = (256, 128, 64, 32, 16, 8)


@dataclass
class Plan:
    """A pre-training that is ready to run.

    Attributes:
        cfg: its config.
        found: in the folder of images.
        choices: what was chosen, by name, in the order in which it is shown.
        seconds: that it will take, about.
    """

    cfg: Config
    found: Survey
    choices: dict[str, Choice]
    seconds: float

    def table(self) -> str:
        """The choices with their reasons, a line each."""
        shown = {name: _text(choice.value) for name, choice in self.choices.items()}
        wide, value = max(map(len, shown)), max(map(len, shown.values()))
        return "\n".join(
            f"  {name:<{wide}}  {shown[name]:<{value}}  {choice.why}"
            for name, choice in self.choices.items()
        )


def plan(wishes: Wishes, found: Survey, machine: Machine, say: Callable[[str], None]) -> Plan:
    """Choose what the user did not say.

    Args:
        wishes: what he said.
        found: in the folder.
        machine: that trains.
        say: is told what is being tried.

    Raises:
        ValueError: something that he said cannot be, or there are too few images.
    """
    if found.images < recipes.pretraining.FEWEST_IMAGES:
        raise ValueError(
            f"{wishes.data} holds {found.images} images: pre-training needs "
            f"{recipes.pretraining.FEWEST_IMAGES} at least, and pays from some hundreds on"
        )

    def unless_set(name: str, choice: Choice) -> Choice:
        return asked(wishes.settings[KEYS[name]]) if KEYS[name] in wishes.settings else choice

    choices = {"method": Choice(wishes.method, "")}
    devices = wishes.devices or max(1, machine.gpus)
    if machine.gpus and devices > machine.gpus:
        raise ValueError(f"--devices {devices}: this machine has {machine.gpus} GPU(s)")
    choices["encoder"] = recipes.encoder(wishes.method, machine.gpus, wishes.arch)
    kind = recipes.encoder_kind(choices["encoder"].value)
    if wishes.patch_size is not None:
        kind = replace(kind, step=wishes.patch_size)
    config = config_file(recipes.config_of(wishes.method, kind.family))
    size = recipes.image_size(wishes.method, kind, found.side, machine.gpus, wishes.image_size)
    choices["image size"] = size
    choices["channels"] = _channels(wishes, found)
    choices["crops"] = recipes.crop_range(size.value, found.side)
    choices["devices"] = asked(devices) if wishes.devices else Choice(devices, machine.description)
    if wishes.method == "lomar":
        choices["windows"] = recipes.window_size(size.value // kind.step)
    reading = recipes.workers(machine.cores, devices, machine.gpus)
    choices["workers"] = unless_set("workers", reading)
    cfg = Config.fromfile(config)
    configured = cfg.optim_wrapper.optimizer.lr, cfg.auto_scale_lr.base_batch_size
    cfg.merge_from_dict({**_model(wishes, choices), **_data(wishes, choices, found, machine)})
    tried = {k: v for k, v in wishes.settings.items() if k.split(".")[0] not in UNTRIED}
    cfg.merge_from_dict(tried)
    say("trying the speed ...")
    given = wishes.settings.get(KEYS["batch"], wishes.batch)
    batch, seconds = _batch(cfg, given, found, devices, machine)
    choices["batch"] = batch
    total = batch.value * devices
    timing = dict(epochs=wishes.epochs, minutes=wishes.minutes)
    length = recipes.length(found.images, total, machine.gpus, seconds, **timing)
    length = choices["iterations"] = unless_set("iterations", length)
    choices["warm-up"] = recipes.warm_up(length.value)
    rate = recipes.learning_rate(*configured, total, length.value)
    choices["learning rate"] = unless_set("learning rate", rate)
    choices["precision"] = Choice(*machine.precision)
    cfg.merge_from_dict(_schedule(cfg, choices, total))
    cfg.merge_from_dict(_runtime(cfg, wishes, length.value))
    cfg.merge_from_dict(dict(wishes.settings))
    return Plan(cfg, found, choices, seconds * length.value)


def _channels(wishes: Wishes, found: Survey) -> Choice:
    if wishes.channels is not None:
        return asked(wishes.channels)
    if found.grey and wishes.weights is None:
        return Choice(1, "the images are grey")
    why = "the weights to start from have them" if wishes.weights else "the images have colour"
    return Choice(3, why)


def _model(wishes: Wishes, choices: Mapping[str, Choice]) -> dict[str, Any]:
    options = recipes.model_options(wishes.method, choices["encoder"].value)
    if wishes.patch_size is not None and wishes.method == "mae":
        options["model.backbone.patch_size"] = wishes.patch_size
        options["model.target_generator.patch_sizes"] = (wishes.patch_size,)
    if choices["channels"].value == 1:
        options["model.backbone.in_channels"] = 1
    if "windows" in choices:
        options["model.window_size"] = choices["windows"].value
    return options | {"image_size": choices["image size"].value}


def _data(
    wishes: Wishes, choices: Mapping[str, Choice], found: Survey, machine: Machine
) -> dict[str, Any]:
    mean, std = IMAGENET
    preprocessor: dict[str, Any] = {}
    if choices["channels"].value == 1:
        mean, std = [sum(found.mean) / 3], [sum(found.std) / 3]
        preprocessor = {"grey": True, "to_rgb": False}
    pipeline = [
        dict(
            type="LoadRandomResizedCrop",
            scale=choices["image size"].value,
            crop_ratio_range=choices["crops"].value,
            interpolation="bicubic",
        ),
        dict(type="PackImage", flip_prob=0.5),
    ]
    preprocessor |= {
        "mean": [round(x, 3) for x in mean],
        "std": [round(max(x, 1.0), 3) for x in std],
    }
    return {f"data_preprocessor.{name}": value for name, value in preprocessor.items()} | {
        "train_dataloader.num_workers": choices["workers"].value,
        "train_dataloader.pin_memory": machine.gpus > 0,
        "train_dataloader.sampler": dict(_delete_=True, type="InfiniteSampler", shuffle=True),
        "train_dataloader.dataset": dict(
            _delete_=True,
            type="UnlabelledImages",
            data_root=str(Path(wishes.data).expanduser().absolute()),
            pipeline=pipeline,
        ),
    }


def _batch(
    cfg: Config, given: int | None, found: Survey, devices: int, machine: Machine
) -> tuple[Choice, float]:
    """Images a step on a device, what the user said if he did, and the seconds of a step."""
    choose = (found.images, devices)
    if not machine.gpus:
        batch = recipes.batch_size(*choose, None, given)
        return batch, seconds_per_step(cfg, batch.value) * devices
    most = recipes.batch_size(*choose, BATCHES[0], given).value
    for size in [most, *(x for x in BATCHES if x < most and given is None)]:
        seconds = seconds_per_step(cfg, size)
        if seconds is not None:
            return recipes.batch_size(*choose, size, given), seconds
    raise ValueError(
        f"a batch of {given or BATCHES[-1]} images does not fit the GPU's memory: take a "
        "smaller --batch, --image-size or --arch, or --set activation_checkpointing=True"
    )


def _schedule(cfg: Config, choices: Mapping[str, Choice], total: int) -> dict[str, Any]:
    rising = dict(
        type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=choices["warm-up"].value
    )
    falling = dict(
        type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=choices["warm-up"].value
    )
    return {
        "train_dataloader.batch_size": choices["batch"].value,
        "train_dataloader.drop_last": False,
        "optim_wrapper.optimizer.lr": choices["learning rate"].value,
        "auto_scale_lr": dict(base_batch_size=total, enable=True),
        "param_scheduler": [rising, falling] if choices["warm-up"].value else [falling],
        "train_cfg": dict(_delete_=True, by_epoch=False, max_iters=choices["iterations"].value),
    }


def _runtime(cfg: Config, wishes: Wishes, iterations: int) -> dict[str, Any]:
    def every(times: int, apart: int = LOOK_APART) -> int:
        return max(apart, round(iterations / times))

    kept = ("ReconstructionHook", "SignalsHook")
    hooks = [hook for hook in cfg.custom_hooks if hook["type"] not in kept]
    hooks += [
        dict(type="ReconstructionHook", by_epoch=False, interval=every(PICTURED)),
        dict(type="SignalsHook", by_epoch=False, interval=every(LOOKED)),
    ]
    if wishes.val is not None:
        root = str(Path(wishes.val).expanduser().absolute())
        looks = dict(by_epoch=False, interval=every(SAVED))
        hooks.append(dict(type="OnlineProbeHook", data_root=root, keep_best=True, **looks))
    return {
        "custom_hooks": [*hooks, dict(type="ProgressBarHook")],
        "default_hooks.logger": dict(interval=every(100, 1), log_metric_by_epoch=False),
        "default_hooks.checkpoint": dict(by_epoch=False, interval=every(SAVED), max_keep_ckpts=2),
        "log_processor": dict(by_epoch=False),
        "randomness.seed": wishes.seed,
    }


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " to ".join(f"{x:g}" for x in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
