"""The repeated blocks of a model: computed again in the backward pass, or compiled."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from mmcv.cnn.bricks import DropPath
from mmpretrain.models.backbones.beit import BEiTTransformerEncoderLayer
from mmpretrain.models.backbones.convnext import ConvNeXtBlock
from mmpretrain.models.backbones.resnet import BasicBlock, Bottleneck
from mmpretrain.models.backbones.swin_transformer import SwinBlock
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

# What encoders and decoders repeat. Classes of ours are subclasses of these.
BLOCKS = (
    TransformerEncoderLayer,
    BEiTTransformerEncoderLayer,
    SwinBlock,
    BasicBlock,
    Bottleneck,
    ConvNeXtBlock,
)
# Compiled for the size of their packed maps: its square root is nothing to compile with.
_FIXED = (BasicBlock, Bottleneck, ConvNeXtBlock)
# Dynamo gives up on a piece of code after so many versions of it. All blocks share theirs, and
# the widths, windows and rates of stochastic depth of a model's stages are versions.
_VERSIONS = 4


def blocks_of(model: nn.Module) -> dict[str, nn.Module]:
    """The outermost blocks of a model by name."""
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, BLOCKS) and not inside:
            found[name] = module
    return found


def recompute_blocks(model: nn.Module, which: bool | str | Sequence[str]) -> list[str]:
    """Let blocks keep their input only, and compute the rest again in the backward pass.

    Losses and gradients stay the same (stochastic depth and dropout, too); the memory of
    activations falls to about that of one block, for a third more computation.

    Args:
        model: without a wrapper.
        which: True for all blocks, or names of modules.

    Returns:
        Names of the modules.

    Raises:
        ValueError: the model has no such module, none that counts as a block, or one with batch
            norms, whose statistics would count every batch twice.
    """
    names = _named(model, which)
    for name in names:
        module = model.get_submodule(name)
        if any(isinstance(part, _BatchNorm) for part in module.modules()):
            raise ValueError(
                f"activation_checkpointing: {name} has batch norms, whose running statistics would "
                "count every batch twice; leave it out"
            )
        # No closure: a copy of the model (a moving average) has to compute with its own weights.
        module.forward = partial(checkpoint, module.forward, use_reentrant=False)
    return names


def _named(model: nn.Module, which: bool | str | Sequence[str]) -> list[str]:
    if which is True:
        names = list(blocks_of(model))
        if not names:
            raise ValueError(
                f"activation_checkpointing=True: no blocks are known of {type(model).__name__}; "
                "name its modules in a list"
            )
        return names
    names = [which] if isinstance(which, str) else list(which)
    modules = {name for name, _ in model.named_modules() if name}
    for name in names:
        if name not in modules:
            near = get_close_matches(name, modules, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"activation_checkpointing: the model has no module {name}{hint}")
    return names


def compile_blocks(model: nn.Module, settings: Mapping[str, Any]) -> list[str]:
    """Compile every block of a model by itself.

    Blocks of one kind and shape share a compiled version, so that this takes as long as compiling
    a few. Shapes that change with the mask (groups of a Swin's windows) compile once more, then
    for any size.

    Args:
        model: without a wrapper.
        settings: of ``torch.compile``.

    Returns:
        Names of the blocks; none where the model has no blocks that are known.
    """
    blocks = blocks_of(model)
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, _VERSIONS * len(blocks))
    for block in blocks.values():
        for module in block.modules():
            # mmpretrain's rates are NumPy's numbers, which Dynamo takes for tensors it cannot see.
            if isinstance(module, DropPath):
                module.drop_prob = float(module.drop_prob)
        fixed = {"dynamic": False} if isinstance(block, _FIXED) else {}
        block.compile(**{**fixed, **settings})
    return list(blocks)
