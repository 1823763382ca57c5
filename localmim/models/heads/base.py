"""What heads share."""

from collections.abc import Sequence

from torch import Tensor


def check_shapes(predictions: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    """Refuse predictions that do not have their targets' shapes."""
    shapes = [[tuple(x.shape) for x in maps] for maps in (predictions, targets)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"predictions have shapes {shapes[0]} but targets {shapes[1]}: the neck or the target "
            "generator does not give the maps (channels, stride) that the latter describes"
        )
