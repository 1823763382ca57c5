"""Vision Transformers."""

from dataclasses import replace

import torch
from torch import Tensor

from ..architecture import Architecture
from ..neutral import count
from ..rules import Fields, Fixed, Rule, Table, joined, linear_for_conv, renamed, same
from .decoders import (
    MM_BLOCK,
    NO_HEAD,
    OTHER_PARTS,
    PRETRAINING_ONLY,
    TIMM_BLOCK,
    decoder_positions,
    join_released,
    local_decoders,
    released_constants,
    released_decoders,
    single_pixel_decoder,
    split_released,
)

_NORMS = "norm.weight|fc_norm.weight"
_PLAIN = ("pos_embed", _NORMS)


def _embeddings(prefix: str, projection: str) -> tuple[Rule, ...]:
    return (
        same("cls_token", f"{prefix}cls_token"),
        same("pos_embed", f"{prefix}pos_embed"),
        *renamed("", prefix, {"patch_embed": f"patch_embed.{projection}"}),
    )


def _blocks(theirs: str, names: dict[str, str]) -> tuple[Rule, ...]:
    return renamed("blocks.{i}.", theirs, names)


_TIMM_ENCODER = (*_embeddings("", "proj"), *_blocks("blocks.{i}.", TIMM_BLOCK))
_TIMM_NORM = same("norm.{p}", "norm.{p}")
_TIMM_HEAD = renamed("", "", {"fc_norm": "fc_norm", "head": "head"})
_MM_ENCODER = (
    *_embeddings("backbone.", "projection"),
    *_blocks("backbone.layers.{i}.", MM_BLOCK),
    *renamed("", "backbone.", {"norm": "ln1", "fc_norm": "ln2"}),
)

# mmpretrain's classifiers name their last layer by the kind of head.
_MM_HEAD = renamed("", "head.", {"head": "fc"}) + renamed("", "head.", {"head": "layers.head"})

# Relative position biases as in BEiT; q and v have biases of their own, k has none: it would add
# the same to all logits of a query, which the softmax takes away again.
_TABLE = same("blocks.{i}.attn.rel_table", "backbone.layers.{i}.attn.relative_position_bias_table")
_LAYER_SCALE = (
    same("blocks.{i}.ls1", "backbone.layers.{i}.gamma_1"),
    same("blocks.{i}.ls2", "backbone.layers.{i}.gamma_2"),
)
_QV_BIAS = Rule(
    "blocks.{i}.attn.qkv.bias",
    ("backbone.layers.{i}.attn.q_bias", "backbone.layers.{i}.attn.v_bias"),
    read=lambda q, v: torch.cat([q, torch.zeros_like(q), v]),
    write=lambda x: (x.chunk(3)[0], x.chunk(3)[2]),
    reordered=True,
    loses="biases of keys, which change no attention, have no place",
)


def _beit_blocks(*qkv_bias: Rule) -> tuple[Rule, ...]:
    names = {ours: theirs for ours, theirs in MM_BLOCK.items() if ours != "attn.qkv"}
    return (
        same("blocks.{i}.attn.qkv.weight", "backbone.layers.{i}.attn.qkv.weight"),
        *qkv_bias,
        *_blocks("backbone.layers.{i}.", names),
        *_LAYER_SCALE,
        _TABLE,
        *renamed("", "backbone.", {"norm": "ln1", "fc_norm": "ln2"}),
    )


def _beit_index(table: Tensor, fields: Fields, architecture: Architecture) -> Tensor | None:
    """Which entry of a BEiT table two tokens use; the class token's entries are the last three."""
    rows, cols = architecture.grid(architecture.patch_size)
    row, col = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
    row, col = row.flatten(), col.flatten()
    index = torch.empty(len(row) + 1, len(row) + 1, dtype=torch.long)
    rows_apart = row[:, None] - row + rows - 1
    index[1:, 1:] = rows_apart * (2 * cols - 1) + col[:, None] - col + cols - 1
    index[0, :], index[:, 0], index[0, 0] = len(table) - 3, len(table) - 2, len(table) - 1
    return index


_BEIT_INDEX = Fixed(
    "backbone.layers.{i}.attn.relative_position_index", "blocks.{i}.attn.rel_table", _beit_index
)

_UNWRITTEN_BEIT_INDEX = replace(_BEIT_INDEX, written=False)


def _layer_scale_of_ones(state: dict[str, Tensor]) -> dict[str, Tensor]:
    depth = count("blocks.{i}.*", "i", state)
    return {
        f"blocks.{i}.{name}": torch.ones_like(state[f"blocks.{i}.norm1.weight"])
        for i in range(depth)
        for name in ("ls1", "ls2")
    }


def _mae_positions(token: Tensor, fields: Fields, architecture: Architecture) -> Tensor:
    return decoder_positions(token, architecture.grid(architecture.patch_size), 1)


_MAE = Table(
    "mae",
    "vit",
    "MAE pre-training",
    rules=(
        *_TIMM_ENCODER,
        _TIMM_NORM,
        same("decoders.0.mask_token", "mask_token"),
        *renamed("decoders.0.", "decoder_", {"embed": "embed", "norm": "norm"}),
        *renamed("decoders.0.blocks.{j}.", "decoder_blocks.{j}.", TIMM_BLOCK),
        linear_for_conv("decoders.0.pred.weight", "decoder_pred.weight"),
        same("decoders.0.pred.bias", "decoder_pred.bias"),
    ),
    fixed=(Fixed("decoder_pos_embed", "decoders.0.mask_token", _mae_positions, tolerance=1e-5),),
    left_out=NO_HEAD,
    needs=("pos_embed", "norm.weight"),
    container="model",
)
_MAE_ENCODER = Table(
    "mae",
    "vit",
    "MAE encoder",
    rules=(*_TIMM_ENCODER, _TIMM_NORM),
    left_out=PRETRAINING_ONLY | NO_HEAD,
    needs=("pos_embed", "norm.weight"),
    container="model",
)
_LOCALMIM_RELEASE = Table(
    "localmim-release",
    "vit",
    "LocalMIM ViT pre-training",
    rules=(
        *_TIMM_ENCODER,
        *renamed("", "", {"tap_norms.{t}": "norm.{t}"}),
        *released_decoders(),
        # Where the 1x1 convolution comes among the layers that rescale by 4, 2, 1 and 1/2.
        *renamed("decoders.0.", "decoder.0.", {"pred": "pred.4"}),
        *renamed("decoders.1.", "decoder.1.", {"pred": "pred.1"}),
        *renamed("decoders.2.", "decoder.2.", {"pred": "pred.0"}),
        *renamed("decoders.3.", "decoder.3.", {"pred": "pred.1"}),
        *renamed("decoders.{t}.", "decoder.{t}.", {"rescale.{k}": "pred.{k}"}),
    ),
    fixed=released_constants((16, 16, 16, 16), extra_tokens=1),
    left_out=NO_HEAD,
    needs=("pos_embed", "norm.weight", "tap_norms.0.weight"),
    container="model",
    adapt_read=join_released,
    adapt_write=split_released,
)
_FINETUNED = Table(
    "localmim-finetuned",
    "vit",
    "LocalMIM ViT fine-tuning",
    rules=(*_TIMM_ENCODER, *_TIMM_HEAD),
    left_out=PRETRAINING_ONLY,
    needs=("pos_embed", "fc_norm.weight"),
    container="model",
)
_LOMAR = Table(
    "lomar",
    "vit",
    "LoMaR pre-training",
    rules=(
        same("cls_token", "cls_token"),
        same("mask_token", "mask_token"),
        *renamed("", "", {"patch_embed": "patch_embed.proj", "norm": "norm"}),
        *_blocks("blocks.{i}.", TIMM_BLOCK),
        same("blocks.{i}.attn.irpe", "blocks.{i}.attn.rpe_k.lookup_table_weight"),
        linear_for_conv("pixel_decoder.weight", "encoder_pred.weight"),
        same("pixel_decoder.bias", "encoder_pred.bias"),
    ),
    ignored={"pos_embed": "LoMaR adds no absolute positions"},
    left_out=NO_HEAD,
    needs=("norm.weight", "blocks.0.attn.irpe"),
    container="model",
)
_A2MIM = Table(
    "a2mim",
    "vit",
    "A2MIM ViT pre-training",
    rules=(
        *_embeddings("backbone.", "projection"),
        *_beit_blocks(_QV_BIAS),
        *single_pixel_decoder("decoder_pred.0"),
    ),
    fixed=(_BEIT_INDEX,),
    left_out=NO_HEAD,
    needs=("pos_embed", _NORMS, "blocks.0.attn.rel_table"),
    prefix="backbone.",
)
_LOCALMIM = Table(
    "localmim",
    "vit",
    "this project's ViTs",
    rules=(
        *_MM_ENCODER,
        same("blocks.{i}.attn.irpe", "backbone.layers.{i}.attn.irpe.table"),
        *renamed("", "neck.", {"tap_norms.{t}": "decoders.{t}.input_norm"}),
        *local_decoders(),
    ),
    left_out=NO_HEAD,
    needs=(_NORMS, "pos_embed|blocks.0.attn.irpe"),
    prefix="backbone.",
)
_LOCALMIM_BEIT = Table(
    "localmim",
    "vit",
    "this project's ViTs with relative position bias",
    rules=(
        *_embeddings("backbone.", "projection"),
        *_beit_blocks(_QV_BIAS),
        *single_pixel_decoder("pred"),
    ),
    fixed=(_BEIT_INDEX,),
    left_out=NO_HEAD,
    needs=(_NORMS, "blocks.0.attn.rel_table"),
    prefix="backbone.",
)
_MMPRETRAIN = Table(
    "mmpretrain",
    "vit",
    "VisionTransformer",
    rules=(*_MM_ENCODER, *_MM_HEAD),
    ignored=OTHER_PARTS,
    left_out=PRETRAINING_ONLY,
    needs=_PLAIN,
    prefix="backbone.",
)
_MMPRETRAIN_BEIT = Table(
    "mmpretrain",
    "vit",
    "BEiTViT",
    rules=(
        *_embeddings("backbone.", "projection"),
        *_beit_blocks(_QV_BIAS),
        *renamed("", "head.", {"head": "fc"}),
    ),
    fixed=(_BEIT_INDEX,),
    ignored=OTHER_PARTS,
    left_out=PRETRAINING_ONLY,
    needs=(_NORMS, "blocks.0.attn.rel_table"),
    prefix="backbone.",
)
_MMSEG = Table(
    "mmseg",
    "vit",
    "VisionTransformer",
    rules=(
        *_embeddings("backbone.", "projection"),
        *_blocks("backbone.layers.{i}.", {k: v for k, v in MM_BLOCK.items() if "attn" not in k}),
        same("blocks.{i}.attn.qkv.weight", "backbone.layers.{i}.attn.attn.in_proj_weight"),
        same("blocks.{i}.attn.qkv.bias", "backbone.layers.{i}.attn.attn.in_proj_bias"),
        *_blocks("backbone.layers.{i}.", {"attn.proj": "attn.attn.out_proj"}),
        *renamed("", "backbone.", {"norm": "ln1"}),
    ),
    ignored=OTHER_PARTS,
    left_out=PRETRAINING_ONLY | NO_HEAD,
    needs=("pos_embed",),
    prefix="backbone.",
    bare=True,
)
_MMSEG_MAE = Table(
    "mmseg-mae",
    "vit",
    "MAE",
    rules=(
        *_embeddings("backbone.", "projection"),
        *_beit_blocks(same("blocks.{i}.attn.qkv.bias", "backbone.layers.{i}.attn.qkv.bias")),
    ),
    fixed=(_UNWRITTEN_BEIT_INDEX,),
    ignored=OTHER_PARTS,
    left_out=PRETRAINING_ONLY | NO_HEAD,
    fills={"blocks.{i}.ls*": _layer_scale_of_ones},
    left_to_model={
        "blocks.{i}.attn.rel_table": "relative position biases start as zeros in the model"
    },
    needs=("pos_embed",),
    prefix="backbone.",
    bare=True,
)
_MMSEG_BEIT = Table(
    "mmseg-beit",
    "vit",
    "BEiT",
    rules=(
        same("cls_token", "backbone.cls_token"),
        *renamed("", "backbone.", {"patch_embed": "patch_embed.projection"}),
        *_beit_blocks(_QV_BIAS),
    ),
    fixed=(_UNWRITTEN_BEIT_INDEX,),
    ignored=OTHER_PARTS,
    left_out=PRETRAINING_ONLY | NO_HEAD,
    needs=("blocks.0.attn.rel_table",),
    prefix="backbone.",
    bare=True,
)
_TIMM = Table(
    "timm",
    "vit",
    "vit_*",
    rules=(*_TIMM_ENCODER, _TIMM_NORM, *_TIMM_HEAD),
    left_out=PRETRAINING_ONLY,
    needs=_PLAIN,
)
_TRANSFORMERS = Table(
    "transformers",
    "vit",
    "ViTModel, ViTMAEModel",
    rules=(
        same("cls_token", "vit.embeddings.cls_token"),
        same("pos_embed", "vit.embeddings.position_embeddings"),
        *renamed(
            "",
            "vit.",
            {"patch_embed": "embeddings.patch_embeddings.projection", "norm": "layernorm"},
        ),
        joined(
            "blocks.{i}.attn.qkv.{p}",
            *(
                f"vit.encoder.layer.{{i}}.attention.attention.{part}.{{p}}"
                for part in ("query", "key", "value")
            ),
        ),
        *_blocks(
            "vit.encoder.layer.{i}.",
            {
                "norm1": "layernorm_before",
                "attn.proj": "attention.output.dense",
                "norm2": "layernorm_after",
                "mlp.fc1": "intermediate.dense",
                "mlp.fc2": "output.dense",
            },
        ),
    ),
    ignored={
        "vit.pooler.*": "a layer after the encoder",
        "vit.embeddings.mask_token": "serves pre-training only",
        "decoder.*": "decoder of ViTMAEForPreTraining",
        "classifier.*": "classifier of ViTForImageClassification",
    },
    left_out=PRETRAINING_ONLY | NO_HEAD,
    needs=("pos_embed", "norm.weight"),
    prefix="vit.",
    bare=True,
)

TABLES = (
    _LOCALMIM_RELEASE,
    _FINETUNED,
    _MAE,
    _MAE_ENCODER,
    _LOMAR,
    _A2MIM,
    _LOCALMIM,
    _LOCALMIM_BEIT,
    _MMPRETRAIN,
    _MMPRETRAIN_BEIT,
    _MMSEG,
    _MMSEG_MAE,
    _MMSEG_BEIT,
    _TIMM,
    _TRANSFORMERS,
)
