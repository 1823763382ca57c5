"""Pre-training that goes on from weights that somebody has."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.analysis.encoders import seen_by
from localmim.analysis.labelled import pooled
from localmim.checkpoints import (
    build_encoder,
    compare_state_dicts,
    convert_file,
    read_checkpoint,
    why_not_started,
    write_checkpoint,
)
from localmim.checkpoints.architecture import Architecture
from localmim.engine import settle_image_size
from localmim.recipes import ENCODERS
from localmim.version import __version__

from .arguments import TIMM
from .planning import Plan, Wishes

FILE = "start.pth"


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    Attributes:
        path: of their file.
        name: that the user gave, of the file or of timm's model.
        state: the tensors by name.
        hints: what the file says besides.
        architecture: that they are of.
        arch: the name of that encoder here.
    """

    path: str
    name: str
    state: Mapping[str, Tensor]
    hints: Mapping[str, Any]
    architecture: Architecture
    arch: str

    @classmethod
    def of(cls, name: str) -> "Start":
        """Read a file, or one of timm's.

        Raises:
            FileNotFoundError: it does not exist.
            ValueError: it holds no encoder that can be pre-trained here.
        """
        path = str(timm_weights(name.removeprefix(TIMM))) if name.startswith(TIMM) else name
        found = read_checkpoint(Path(path).expanduser())
        try:
            _, architecture = build_encoder(found.state_dict, hints=found.hints)
        except ValueError as error:
            raise ValueError(f"--from {name}: {error}") from error
        names = [
            arch
            for arch, kind in ENCODERS.items()
            if (kind.family, kind.size) == (architecture.family, architecture.name)
            and architecture.patch_size in (None, 4, 16)
        ]
        if not names:
            raise ValueError(
                f"--from {name} holds a {architecture}, which no recipe here is for: there are "
                f"{', '.join(ENCODERS)}"
            )
        return cls(path, name, found.state_dict, found.hints, architecture, names[0])

    def fitting(self, wishes: Wishes) -> Wishes:
        """The wishes, with the encoder that the weights are of.

        Raises:
            ValueError: the user named another one.
        """
        if wishes.arch not in (None, self.arch):
            raise ValueError(
                f"--arch {wishes.arch}: {self.name} holds a {self.arch}; say --arch {self.arch} "
                "or leave it out"
            )
        if wishes.channels not in (None, self.architecture.in_channels):
            raise ValueError(
                f"--channels {wishes.channels}: {self.name} takes {self.architecture.in_channels}"
            )
        return replace(wishes, arch=self.arch, channels=self.architecture.in_channels)


def timm_weights(name: str) -> Path:
    """The file of a pre-trained model of timm, which timm may download; it is kept.

    Args:
        name: that timm knows, e.g. "vit_small_patch16_224.augreg_in21k".

    Raises:
        ValueError: timm is not installed, has no such model, or no weights of it can be had.
    """
    if find_spec("timm") is None:
        raise ValueError(f"--from {TIMM}{name}: timm is not installed (pip install timm)")
    import timm

    file = Path(torch.hub.get_dir(), "checkpoints", "localmim", "timm", f"{name}.safetensors")
    if file.exists():
        return file
    if not timm.is_model(name):
        near = get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        instead = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"--from {TIMM}{name}: timm has no model of that name{instead}")
    try:
        model = timm.create_model(name, pretrained=True)
    except Exception as error:  # of timm's own, of the net, of the hub
        raise ValueError(f"--from {TIMM}{name}: timm cannot get its weights: {error}") from error
    about = {key: list(model.pretrained_cfg[key]) for key in ("mean", "std")}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(file, model.state_dict(), about | {"localmim_version": __version__})
    return file


def start_from(start: Start, planned: Plan, folder: Path) -> str:
    """Let a planned training start from the weights, and make sure that it does.

    Writes ``start.pth``, and sets ``load_from`` of the config, with the mean and deviation that the
    weights were trained with where their file says them.

    Returns:
        What was found, in words.

    Raises:
        ValueError: the encoder would not receive all weights, or not give the same features.
    """
    cfg, size = planned.cfg, (planned.choices["image size"].value,) * 2
    file = folder / FILE
    positions = size if start.architecture.family == "vit" else None
    convert_file(start.path, file, "localmim", image_size=positions, overwrite=True)
    cfg.load_from = str(file.absolute())
    cfg.data_preprocessor.update(seen_by(start.hints))
    difference = _difference(start, cfg, file, size)
    return (
        f"Starting from {start.name}, {start.architecture}; features at step 0 are its own "
        f"(to {difference:.0e})"
    )


@torch.no_grad()
def _difference(start: Start, cfg: Config, file: Path, size: tuple[int, int]) -> float:
    """How far the features of the model that will be trained are from those of the weights."""
    theirs, _ = build_encoder(start.state, image_size=size, hints=start.hints)
    settled = Config(cfg.to_dict())
    settle_image_size(settled)
    model = MODELS.build(settled.model | {"data_preprocessor": settled.data_preprocessor})
    state = read_checkpoint(file).state_dict
    if why := why_not_started(model, compare_state_dicts(state, model.state_dict())):
        raise ValueError(f"--from {start.name} does not fill this encoder, {why}")
    model.load_state_dict(state, strict=False)
    model.eval()
    images = torch.randn(2, start.architecture.in_channels, *size)
    tap = model.backbone.taps[-1]
    ours = pooled(model.backbone(images)[-1], tap.extra_tokens)
    other = theirs(images)[-1]
    other = other if other.dim() == 2 else pooled(other, getattr(theirs, "num_extra_tokens", 0))
    difference = float((ours - other).abs().max() / other.abs().max())
    if not difference < 1e-3:
        raise ValueError(
            f"--from {start.name}: the encoder gives other features than its weights should "
            f"(off by {difference:.0%}); convert it by hand and compare"
        )
    return difference
