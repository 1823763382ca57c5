"""mmpretrain's own encoder, built from weights of any kind."""

from collections.abc import Mapping
from typing import Any

from mmpretrain.registry import MODELS
from torch import Tensor, nn

from .architecture import Architecture
from .convert import convert
from .fit import load_into
from .reading import StateDict
from .resize import Size

_STRIDE = 32  # of a Swin's last stage
_OURS = (".attn.irpe.", ".attn.rpe_k.")  # LoMaR's tables: mmpretrain's ViT has no place for them


def encoder_dialect(state_dict: Mapping[str, Tensor]) -> str:
    """The kind of weights that an encoder for classifiers of mmpretrain takes, of such weights."""
    ours = any(part in name for name in state_dict for part in _OURS)
    return "localmim" if ours else "mmpretrain"


def build_encoder(
    state_dict: Mapping[str, Tensor],
    *,
    image_size: Size | None = None,
    hints: Mapping[str, Any] | None = None,
) -> tuple[nn.Module, Architecture]:
    """The encoder whose weights these are, as a module for mmpretrain, in evaluation mode.

    Args:
        state_dict: of a kind that :func:`~localmim.checkpoints.convert` reads: this project's,
            mmpretrain's, timm's, transformers', a release's; without the prefix of a wrapper
            (:func:`~localmim.checkpoints.read_checkpoint` takes it off).
        image_size: (height, width) in pixels; None for that of the positions, else 224, or of a
            Swin 32 windows.
        hints: what the file says besides: ``image_size``, ``num_heads`` per stage.

    Returns:
        The encoder, whose outputs are maps (of a ViT that was pooled after its blocks: vectors),
        and the architecture with the image size it is built for.

    Raises:
        ValueError: the weights are of no known kind, mmpretrain has no place for a part of them,
            or nothing tells the number of heads.
    """
    dialect = encoder_dialect(state_dict)
    conversion = convert(state_dict, dialect, hints=hints)
    if image_size and conversion.architecture.family in ("vit", "swin"):
        conversion = convert(state_dict, dialect, image_size=image_size, hints=hints)
    state = {
        name.removeprefix("backbone."): tensor
        for name, tensor in conversion.state_dict.items()
        if name.startswith("backbone.")
    }
    found = conversion.architecture
    default = (_STRIDE * found.windows[0],) * 2 if found.windows else (224, 224)
    found = found.sized(image_size or found.image_size or default)
    encoder = MODELS.build(encoder_config(found, state))
    load_into(encoder, state, "the file")
    encoder.eval()
    return encoder, found


def encoder_config(found: Architecture, state: StateDict) -> dict[str, Any]:
    """The config of mmpretrain's encoder of an architecture.

    Args:
        found: the architecture, with an image size.
        state: its weights under mmpretrain's names, without a prefix.

    Raises:
        ValueError: as :func:`build_encoder`.
    """
    return _CONFIGS[found.family](found, state)


def _vit(found: Architecture, state: StateDict) -> dict[str, Any]:
    if found.num_heads is None:
        raise ValueError(
            f"nothing tells how many heads the attention of this {found} has: give num_heads"
        )
    settings = dict(
        arch=dict(
            embed_dims=found.embed_dims,
            num_layers=found.depths[0],
            num_heads=found.num_heads[0],
            feedforward_channels=len(state["layers.0.ffn.layers.0.0.weight"]),
        ),
        img_size=found.image_size,
        patch_size=found.patch_size,
        in_channels=found.in_channels,
        norm_cfg=dict(type="LN", eps=1e-6),
        final_norm="ln1.weight" in state,
        out_type="avg_featmap" if "ln2.weight" in state else "featmap",
    )
    if "layers.0.attn.relative_position_bias_table" in state:
        return dict(
            type="BEiTViT",
            use_abs_pos_emb="pos_embed" in state,
            layer_scale_init_value=0.1 if "layers.0.gamma_1" in state else 0.0,
            **settings,
        )
    if "layers.0.attn.irpe.table" in state:
        return dict(type="IRPEViT", **settings)
    scaled = "layers.0.attn.gamma1.weight" in state
    scale = 0.1 if scaled else 0.0
    return dict(type="VisionTransformer", layer_scale_init_value=scale, **settings)


def _swin(found: Architecture, state: StateDict) -> dict[str, Any]:
    outputs = [n for n in range(len(found.depths)) if f"norm{n}.weight" in state]
    return dict(
        type="SwinTransformer",
        arch=dict(
            embed_dims=found.embed_dims,
            depths=list(found.depths),
            num_heads=list(found.num_heads),
        ),
        img_size=found.image_size,
        patch_size=found.patch_size,
        in_channels=found.in_channels,
        out_indices=outputs,
        stage_cfgs=[dict(window_size=window) for window in found.windows],
    )


def _resnet(found: Architecture, state: StateDict) -> dict[str, Any]:
    if found.name is None:
        raise ValueError(f"{found} is no ResNet of mmpretrain")
    return dict(type="ResNet", depth=int(found.name), in_channels=found.in_channels)


def _convnext(found: Architecture, state: StateDict) -> dict[str, Any]:
    channels = [
        len(state[f"stages.{stage}.0.depthwise_conv.weight"]) for stage in range(len(found.depths))
    ]
    return dict(
        type="ConvNeXt",
        arch=dict(depths=list(found.depths), channels=channels),
        in_channels=found.in_channels,
        stem_patch_size=found.patch_size,
        linear_pw_conv=state["stages.0.0.pointwise_conv1.weight"].dim() == 2,
        use_grn="stages.0.0.grn.gamma" in state,
        layer_scale_init_value=1e-6 if "stages.0.0.gamma" in state else 0.0,
        out_indices=[n for n in range(len(channels)) if f"norm{n}.weight" in state],
        gap_before_final_norm=False,
    )


_CONFIGS = {"vit": _vit, "swin": _swin, "resnet": _resnet, "convnext": _convnext}
