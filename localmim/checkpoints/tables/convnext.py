"""ConvNeXts of both versions, which have four stages in every library.

The second version has response norms (GRN) in place of layer scale. Pointwise convolutions are
linear layers or, on demand, 1x1 convolutions; every library has both, and they stay what they are.
"""

from ..rules import Rule, Table, renamed, same
from .decoders import (
    NO_HEAD,
    OTHER_PARTS,
    OUTPUT_NORMS,
    PER_TAP,
    PRETRAINING_ONLY,
    local_decoders,
    single_pixel_decoder,
)

_LATER_STAGES = (1, 2, 3)
_BLOCK = "stages.{s}.blocks.{i}."
_MM_BLOCK = "backbone.stages.{s}.{i}."
_LAYERS = {"0": "0", "1": "1"}


def _downsampling(theirs: str) -> tuple[Rule, ...]:
    """Norm and convolution before every stage but the first; {} is the stage's number."""
    return tuple(
        rule
        for s in _LATER_STAGES
        for rule in renamed(f"stages.{s}.downsample.", theirs.format(s), _LAYERS)
    )


_MM_ENCODER = (
    *renamed("stem.", "backbone.downsample_layers.0.", _LAYERS),
    *_downsampling("backbone.downsample_layers.{}."),
    *renamed(
        _BLOCK,
        _MM_BLOCK,
        {
            "conv_dw": "depthwise_conv",
            "norm": "norm",
            "mlp.fc1": "pointwise_conv1",
            "mlp.fc2": "pointwise_conv2",
        },
    ),
    same(f"{_BLOCK}gamma", f"{_MM_BLOCK}gamma"),
    same(f"{_BLOCK}mlp.grn.weight", f"{_MM_BLOCK}grn.gamma"),
    same(f"{_BLOCK}mlp.grn.bias", f"{_MM_BLOCK}grn.beta"),
    # The norm of the last output, before those of the others take the rest of the numbers.
    *renamed("", "backbone.", {"norm": "norm3"}),
)
_TIMM_LAYERS = ("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "mlp.grn")

TABLES = (
    Table(
        "a2mim",
        "convnext",
        "A2MIM ConvNeXt pre-training",
        rules=(*_MM_ENCODER, *single_pixel_decoder("decoder_pred.0")),
        left_out=NO_HEAD | OUTPUT_NORMS | PER_TAP,
        prefix="backbone.",
    ),
    Table(
        "localmim",
        "convnext",
        "this project's ConvNeXts",
        rules=(
            *_MM_ENCODER,
            *renamed("", "backbone.", {"tap_norms.{t}": "norm{t}"}),
            *local_decoders(),
        ),
        left_out=NO_HEAD | OUTPUT_NORMS,
        prefix="backbone.",
    ),
    Table(
        "mmpretrain",
        "convnext",
        "ConvNeXt",
        rules=(
            *_MM_ENCODER,
            *renamed("", "backbone.", {"stage_norms.{t}": "norm{t}"}),
            *renamed("", "head.", {"head": "fc"}),
        ),
        ignored=OTHER_PARTS,
        left_out=PRETRAINING_ONLY,
        prefix="backbone.",
    ),
    Table(
        "timm",
        "convnext",
        "convnext*",
        rules=(
            *renamed("stem.", "stem.", _LAYERS),
            *_downsampling("stages.{}.downsample."),
            *renamed(_BLOCK, _BLOCK, {layer: layer for layer in _TIMM_LAYERS}),
            same(f"{_BLOCK}gamma", f"{_BLOCK}gamma"),
            *renamed("", "head.", {"norm": "norm", "head": "fc"}),
        ),
        left_out=PRETRAINING_ONLY | OUTPUT_NORMS,
        needs=("norm.weight",),
    ),
)
