"""Whether pre-trained weights reach the encoder for which a config names them.

The libraries load ``init_cfg=dict(type="Pretrained", ...)`` each in its own way and pass over what
does not fit. Here the file is compared with the encoder before, and the encoder with the file
after: an encoder that would start from a part of its weights is an error.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmengine.model import BaseModule
from torch import Tensor, nn

from .files import read_checkpoint
from .fit import FitReport, compare_state_dicts
from .report import first

# What an encoder and the file of its weights need not share: index buffers and counters, norms
# after the encoder, the tokens of pre-training and of classification.
NOT_SHARED = re.compile(
    r"(.*\.)?(relative_position_index|num_batches_tracked)$"
    r"|(norm\d?|ln[12]|fc_norm)\.(weight|bias)$|(mask_token|mask_gamma|cls_token)$"
)
# What models interpolate while they load.
RESIZABLE = re.compile(r".*(pos_embed|relative_position_bias_table)$")
# Relative positions that start at zero, in all blocks, where the file has none.
TABLES = re.compile(r".*(relative_position_bias_table|rel_pos_[hw])$")


@dataclass(frozen=True)
class EncoderReport:
    """What an encoder received from a file.

    Attributes:
        source: the file.
        loaded: tensors that have the file's numbers.
        resized: tensors that were interpolated, or cut, from the file's.
        own: tensors that the file lacks, which start as in any new model.
        unused: tensors of the file for which the model has no place.
    """

    source: str
    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    own: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors loaded from {self.source}"
        for what, names in (
            ("resized", self.resized),
            ("not in the file", self.own),
            ("not used", self.unused),
        ):
            if names:
                text += f"; {len(names)} {what} ({first(names)})"
        return text


def init_weights(model: BaseModule) -> dict[str, EncoderReport]:
    """Initialise a model and make sure that pre-trained weights arrive.

    Args:
        model: a model of any OpenMMLab library. Modules whose ``init_cfg`` has the type
            "Pretrained" are checked.

    Returns:
        By the name of every such module, what it received.

    Raises:
        FileNotFoundError: a checkpoint does not exist, or none is named.
        ValueError: a checkpoint is of another architecture or kind, or was not loaded.
    """
    encoders = []
    for name, module, path in _pretrained_modules(model):
        source = _read(name, path)
        fit = compare_state_dicts(source, module.state_dict())
        before = {n: module.state_dict()[n].clone() for n in fit.mismatched}
        _check_before(name, module, path, fit)
        encoders.append((name, module, path, source, fit, before))
    try:
        model.init_weights()
    except (AssertionError, IndexError, KeyError, RuntimeError) as error:  # of the libraries
        if not encoders:
            raise
        name, module, path = encoders[0][:3]
        raise ValueError(
            f"model.{name}.init_cfg.checkpoint: {type(module).__name__} could not load {path} "
            f"({type(error).__name__}: {error}). {_advice(module, path)}"
        ) from error
    return {encoder[0]: _received(*encoder) for encoder in encoders}


def why_not_whole(model: nn.Module, fit: FitReport) -> str:
    """Say why a checkpoint is not enough to evaluate a model; nothing ("") if it is.

    Parts that the model does not have at all, as the decoders of pre-training, may be there.
    """
    if fit.missing or fit.mismatched:
        return "which has other tensors"
    strange = [n for n in fit.unexpected if getattr(model, n.split(".")[0], None) is not None]
    if any(not NOT_SHARED.match(n.removeprefix("backbone.")) for n in strange):
        return "which has fewer layers"
    return ""


def why_not_started(model: nn.Module, fit: FitReport) -> str:
    """Say why a training should not start from a checkpoint; nothing ("") if it can.

    The encoder has to be there entirely. What comes after it may start anew.
    """
    encoder = "backbone." if hasattr(model, "backbone") else ""
    misshapen = [n for n in fit.mismatched if not RESIZABLE.match(n)]
    lacking = [n for n in (*fit.missing, *misshapen) if n.startswith(encoder)]
    lacking = [n for n in lacking if not NOT_SHARED.match(n.removeprefix(encoder))]
    if not any(n.startswith(encoder) for n in fit.matched):
        return "none of which is the encoder's"
    return (
        f"which lacks {len(lacking)} tensors of the encoder ({first(lacking)})" if lacking else ""
    )


def _pretrained_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module, str | None]]:
    """Every module with pre-trained weights: its name, itself and the path."""
    for name, module in model.named_modules():
        settings = getattr(module, "init_cfg", None) or []
        for setting in [settings] if isinstance(settings, Mapping) else settings:
            if setting.get("type") == "Pretrained":
                yield name, module, setting.get("checkpoint")


def _read(name: str, path: str | None) -> dict[str, Tensor]:
    """The encoder in a file, by names without a prefix."""
    setting = f"model.{name}.init_cfg"
    if not path or not Path(path).is_file():
        what = f"{path!r} does not exist" if path else "no file is named"
        raise FileNotFoundError(
            f"{setting}.checkpoint: {what}. Name the pre-trained weights with --cfg-options "
            f"{setting}.checkpoint=FILE, or start from scratch with {setting}=None"
        )
    state = read_checkpoint(path).state_dict
    inside = {n.removeprefix("backbone."): x for n, x in state.items() if n.startswith("backbone.")}
    return inside or state


def _check_before(name: str, module: nn.Module, path: str, fit: FitReport) -> None:
    """Refuse a file that is not this encoder's."""
    missing = [n for n in fit.missing if not NOT_SHARED.match(n)]
    shared = (*fit.matched, *fit.mismatched)
    if not any(TABLES.match(n) for n in shared):
        missing = [n for n in missing if not TABLES.match(n)]
    unexpected = [n for n in fit.unexpected if not NOT_SHARED.match(n)]
    misshapen = [n for n in fit.mismatched if not RESIZABLE.match(n)]
    if not shared or missing or unexpected or misshapen:
        raise ValueError(
            f"model.{name}.init_cfg.checkpoint: {path} does not fit {type(module).__name__}: {fit}."
            f" {_advice(module, path)}"
        )


def _received(
    name: str,
    module: nn.Module,
    path: str,
    source: dict[str, Tensor],
    fit: FitReport,
    before: dict[str, Tensor],
) -> EncoderReport:
    """Look into an initialised encoder for what the file had."""
    state = module.state_dict()
    loaded = [n for n in fit.matched if state[n].equal(source[n].to(state[n]))]
    resized = [n for n in fit.mismatched if not state[n].equal(before[n])]
    lost = {*fit.matched, *fit.mismatched} - {*loaded, *resized}
    if lost:
        texts = [fit.mismatched.get(n, n) for n in sorted(lost)]
        raise ValueError(
            f"model.{name}.init_cfg.checkpoint: {len(lost)} tensors of {path} were not taken by "
            f"{type(module).__name__}: {first(texts)}. {_advice(module, path)}"
        )
    return EncoderReport(str(path), tuple(loaded), tuple(resized), fit.missing, fit.unexpected)


def _advice(module: nn.Module, path: str) -> str:
    """How to make a file for this module."""
    library = type(module).__module__.split(".")[0]
    kind = {"MAE": "mmseg-mae", "BEiT": "mmseg-beit"}.get(type(module).__name__, library)
    kind = kind if library in ("mmseg", "mmdet") else "mmpretrain"
    return (
        "Is it of another architecture? If it is of another library: "
        f"python tools/convert.py {path} converted.pth --to {kind} (--image-size H W for another "
        "image size)"
    )
