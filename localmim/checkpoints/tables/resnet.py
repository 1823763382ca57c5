"""ResNets, whose names are torchvision's in every library."""

from ..rules import Rule, Table, renamed, same
from .decoders import (
    NO_HEAD,
    OTHER_PARTS,
    PER_TAP,
    PRETRAINING_ONLY,
    local_decoders,
    single_pixel_decoder,
)


def _encoder(prefix: str) -> tuple[Rule, ...]:
    block = "layer{s}.{i}."
    names = (
        "conv1.weight",
        "bn1.{b}",
        f"{block}conv{{n}}.weight",
        f"{block}bn{{n}}.{{b}}",
        f"{block}downsample.0.weight",
        f"{block}downsample.1.{{b}}",
    )
    return tuple(same(name, f"{prefix}{name}") for name in names)


_MM_ENCODER = _encoder("backbone.")
TABLES = (
    Table(
        "a2mim",
        "resnet",
        "A2MIM ResNet pre-training",
        rules=(*_MM_ENCODER, *single_pixel_decoder("decoder_pred.0")),
        left_out=NO_HEAD | PER_TAP,
        prefix="backbone.",
    ),
    Table(
        "localmim",
        "resnet",
        "this project's ResNets",
        rules=(
            *_MM_ENCODER,
            *renamed("", "neck.", {"tap_norms.{t}": "decoders.{t}.input_norm"}),
            *local_decoders(),
        ),
        left_out=NO_HEAD,
        prefix="backbone.",
    ),
    Table(
        "mmpretrain",
        "resnet",
        "ResNet",
        rules=(*_MM_ENCODER, *renamed("", "head.", {"head": "fc"})),
        ignored=OTHER_PARTS,
        left_out=PRETRAINING_ONLY,
        prefix="backbone.",
    ),
    Table(
        "mmdet",
        "resnet",
        "ResNet",
        rules=_MM_ENCODER,
        ignored=OTHER_PARTS,
        left_out=PRETRAINING_ONLY | NO_HEAD,
        prefix="backbone.",
    ),
    Table(
        "timm",
        "resnet",
        "resnet*",
        rules=(*_encoder(""), *renamed("", "", {"head": "fc"})),
        left_out=PRETRAINING_ONLY,
    ),
)
