"""What the parts of a model say of themselves, so that a model can fit them together.

A fact is said once, by the part that has it: an encoder knows how wide its taps are, a target
generator how many channels its maps have, and a decoder is built between the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Tap:
    """What an encoder returns at one tap when it is given a mask.

    Attributes:
        channels: C, its width.
        stride: pixels from one position to the next.
        extra_tokens: P, tokens before those of positions (1 with a class token).
        normalized: whether the encoder has normalised it. (A decoder does, where not.)
        dense: whether it is a whole map (B, C, H / stride, W / stride), with the hidden part in it,
            rather than visible tokens (B, P + K * s * s, C), cell-major.
    """

    channels: int
    stride: int
    extra_tokens: int = 0
    normalized: bool = False
    dense: bool = False


@dataclass(frozen=True)
class TargetMap:
    """What is to be predicted from one tap: a map (B, D, H / stride, W / stride).

    Attributes:
        channels: D.
        stride: pixels from one position to the next, the side of a target's cell.
    """

    channels: int
    stride: int


def check_parts(backbone: nn.Module, target_generator: nn.Module) -> None:
    """Refuse an encoder or a target generator that does not describe itself.

    Raises:
        TypeError: an attribute is missing; the message says which.
    """
    needed = {
        "backbone": (backbone, ("image_channels", "cell_size", "taps")),
        "target_generator": (target_generator, ("maps",)),
    }
    for argument, (part, names) in needed.items():
        missing = [name for name in names if not hasattr(part, name)]
        if missing:
            raise TypeError(
                f"{type(part).__name__} cannot be the {argument} of a masked image model: it has "
                f"no {' and no '.join(missing)} (docs/guides/extend.md says what they are)"
            )


def check_strides(
    taps: Sequence[Tap], maps: Sequence[TargetMap], cell: int, least_cell: int
) -> None:
    """Refuse taps, targets and cells of the mask that do not go together.

    Args:
        taps: of the encoder.
        maps: of the target generator.
        cell: side of the mask's cells in pixels, positive.
        least_cell: side of the least cells that the encoder takes.

    Raises:
        ValueError: the numbers of taps and maps differ, cells are no multiple of the encoder's, or
            a target's grid neither refines the grid of cells nor coarsens it.
    """
    if cell < 1 or cell % least_cell:
        raise ValueError(
            f"cell_size of the mask generator, {cell} pixels, must be a positive multiple of the "
            f"backbone's {least_cell}"
        )
    if len(taps) != len(maps):
        strides = [[part.stride for part in parts] for parts in (taps, maps)]
        raise ValueError(
            f"the backbone has {len(taps)} taps (out_indices; strides {strides[0]}) but the target "
            f"generator {len(maps)} maps (cells or patch_sizes {strides[1]}): each tap predicts one"
        )
    for number, target in enumerate(maps):
        if cell % target.stride and target.stride % cell:
            raise ValueError(
                f"target {number} has cells of {target.stride} pixels and the mask cells of {cell} "
                "(cell_size of the mask generator): one must be a multiple of the other"
            )
