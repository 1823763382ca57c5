"""Moving rows of matrices, none twice, with backward passes that are moves as well.

torch's own index_select adds up gradients row by row, because a row may be taken several times.
"""

import torch
from torch import Tensor


class TakeRows(torch.autograd.Function):
    """Some rows of a matrix, none twice: ``apply(matrix (R, C), rows (r,)) -> (r, C)``."""

    @staticmethod
    def forward(ctx, matrix: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.count = len(matrix)
        return matrix.index_select(0, rows)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        whole = gradient.new_zeros(ctx.count, gradient.shape[1])
        return whole.index_copy_(0, rows, gradient), None


class PutRows(torch.autograd.Function):
    """A matrix of zeros but for some rows, none twice.

    ``apply(part (r, C), rows (r,), R) -> (R, C)``.
    """

    @staticmethod
    def forward(ctx, part: Tensor, rows: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(rows)
        whole = part.new_zeros(count, part.shape[1])
        whole[rows] = part  # under Dynamo, torch's index_copy_ would lose the gradient here
        return whole

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (rows,) = ctx.saved_tensors
        return gradient.index_select(0, rows), None, None


def take_tokens(x: Tensor, places: Tensor) -> Tensor:
    """Some tokens of each image, none twice.

    Args:
        x: (B, T, C).
        places: (B, t) long, in [0, T).

    Returns:
        (B, t, C).
    """
    batch, length, channels = x.shape
    rows = places + torch.arange(batch, device=x.device)[:, None] * length
    return TakeRows.apply(x.reshape(-1, channels), rows.flatten()).view(batch, -1, channels)
