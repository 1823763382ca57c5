from .init import init_linear_and_norm, init_patch_embed
from .patches import embed_visible
from .positions import sincos_positions
from .window_groups import WindowGroups, group_windows

__all__ = [
    "WindowGroups",
    "embed_visible",
    "group_windows",
    "init_linear_and_norm",
    "init_patch_embed",
    "sincos_positions",
]
