from .init import init_linear_and_norm, init_patch_embed
from .patches import embed_visible
from .positions import sincos_positions
from .swin_block import merge_in_cells, run_swin_block
from .window_groups import WindowGroups, group_windows

__all__ = [
    "WindowGroups",
    "embed_visible",
    "group_windows",
    "init_linear_and_norm",
    "init_patch_embed",
    "merge_in_cells",
    "run_swin_block",
    "sincos_positions",
]
