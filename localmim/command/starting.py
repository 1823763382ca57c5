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
    convert,
    read_checkpoint,
    why_not_started,
    write_checkpoint,
)
from localmim.checkpoints.architecture import Architecture
from localmim.engine import settle_image_size
from localmim.recipes import ENCODERS
from localmim.version import __version__

from .arguments import TIMM
from .planning import Plan
from .wishes import Wishes

FILE = "start.pth"
PATCHES = (16, 14)  # of ViTs, in pixels: the usual, DINOv2's
# The layer before a scale, by the end of the scale's name.
_SCALED = {".ls1.gamma": ".attn.proj", ".ls2.gamma": ".mlp.fc2"}


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    Attributes:
        name: that the user gave, of the file or of timm's model.
        state: the tensors by name, layer scale within the weights.
        hints: what the file says besides.
        architecture: that they are of.
        arch: the name of that encoder here.
    """

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
        state = without_layer_scale(found.state_dict)
        try:
            _, architecture = build_encoder(state, hints=found.hints)
        except ValueError as error:
            raise ValueError(f"--from {name}: {error}") from error
        names = [
            arch
            for arch, kind in ENCODERS.items()
            if (kind.family, kind.size) == (architecture.family, architecture.name)
            and architecture.patch_size in (None, 4, *PATCHES)
        ]
        if not names:
            raise ValueError(
                f"--from {name} holds a {architecture}, which no recipe here is for: there are "
                f"{', '.join(ENCODERS)}"
            )
        return cls(name, state, found.hints, architecture, names[0])

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
        patch = self.architecture.patch_size if self.architecture.family == "vit" else None
        if patch not in (None, PATCHES[0]) and wishes.method != "mae":
            raise ValueError(
                f"--method {wishes.method}: {self.name} has patches of {patch} pixels, which "
                "--method mae goes on with"
            )
        channels = self.architecture.in_channels
        return replace(wishes, arch=self.arch, channels=channels, patch_size=patch)


def without_layer_scale(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights named as timm's and DINOv2's, with each layer scale within the layer before it.

    The features stay the same: a scale multiplies the outputs of a linear layer. The token of
    DINOv2 for hidden patches goes, which an encoder of whole images has no use for.
    """
    found = dict(state)
    for name, gamma in state.items():
        for end, layer in _SCALED.items():
            stem = name.removesuffix(end) + layer
            if name.endswith(end) and {f"{stem}.weight", f"{stem}.bias"} <= state.keys():
                found[f"{stem}.weight"] = state[f"{stem}.weight"] * gamma[:, None]
                found[f"{stem}.bias"] = state[f"{stem}.bias"] * gamma
                del found[name]
    if len(found) < len(state):
        found.pop("mask_token", None)
    return found


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

    if not timm.is_model(name):
        near = get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        instead = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"--from {TIMM}{name}: timm has no model of that name{instead}")
    file = Path(torch.hub.get_dir(), "checkpoints", "localmim", "timm", f"{name}.safetensors")
    if file.exists():
        return file
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
    converted = convert(start.state, "localmim", image_size=positions, hints=start.hints)
    write_checkpoint(file, converted.state_dict, converted.architecture.metadata())
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
