from .encoder_layer import QueryLayer, speed_up_attention
from .forms import give_forms
from .init import init_linear_and_norm, init_patch_embed
from .irpe import IRPE, IRPELayer, relative_buckets
from .mask_tokens import add_inner_tokens, fill_with_mean, mask_inside
from .packed_blocks import PackedBasicBlock, PackedBottleneck, PackedConvNeXtBlock
from .patches import cell_in_pixels, embed_visible
from .positions import sincos_positions
from .swin_block import SparseSwinBlock, merge_in_cells
from .taps import convnext_stages, describe_stages, resnet_stages, swin_taps, tap_list, vit_taps
from .token_convs import EnlargeTokens, PointwiseConv, lay_out_squares
from .visible_conv import (
    VisibleCells,
    hide_pixels,
    run_visible,
    tokens_of,
)
from .window_groups import TokenPlaces, WindowGroups, group_windows, token_places

__all__ = [
    "IRPE",
    "IRPELayer",
    "PackedBasicBlock",
    "PackedBottleneck",
    "PackedConvNeXtBlock",
    "SparseSwinBlock",
    "EnlargeTokens",
    "PointwiseConv",
    "QueryLayer",
    "TokenPlaces",
    "VisibleCells",
    "WindowGroups",
    "add_inner_tokens",
    "cell_in_pixels",
    "convnext_stages",
    "describe_stages",
    "embed_visible",
    "fill_with_mean",
    "give_forms",
    "group_windows",
    "hide_pixels",
    "init_linear_and_norm",
    "init_patch_embed",
    "lay_out_squares",
    "mask_inside",
    "merge_in_cells",
    "relative_buckets",
    "resnet_stages",
    "run_visible",
    "sincos_positions",
    "speed_up_attention",
    "swin_taps",
    "tap_list",
    "token_places",
    "tokens_of",
    "vit_taps",
]
