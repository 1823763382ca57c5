"""Each config is formatted once: mmengine does so six times a run, a third of a short one."""

from functools import lru_cache

from yapf.yapflib import yapf_api


def format_once():
    """Have yapf's answers kept, for the last few texts."""
    format_code = yapf_api.FormatCode

    @lru_cache(32)
    def kept(text, style, **others):
        return format_code(text, style_config=dict(style), **others)

    def formatted(text, style_config, **others):
        return kept(text, tuple(style_config.items()), **others)

    yapf_api.FormatCode = formatted
