"""Large models start sooner: drawing their random numbers takes a third of building them."""

import contextlib
from unittest import mock

from torch import Tensor

PERIOD = 65_521  # a prime, so that rows differ


@contextlib.contextmanager
def repeated_numbers():
    """Meanwhile large tensors get some random numbers over and over."""
    with (
        mock.patch.object(Tensor, "uniform_", _repeated(Tensor.uniform_)),
        mock.patch.object(Tensor, "normal_", _repeated(Tensor.normal_)),
    ):
        yield


def _repeated(draw):
    def few(tensor: Tensor, *args, **kwargs) -> Tensor:
        if tensor.numel() < 2 * PERIOD:
            return draw(tensor, *args, **kwargs)
        some = draw(tensor.new_empty(PERIOD), *args, **kwargs)
        whole, rest = divmod(tensor.numel(), PERIOD)
        flat = tensor.view(-1)
        flat[: whole * PERIOD].view(-1, PERIOD).copy_(some)
        flat[whole * PERIOD :].copy_(some[:rest])
        return tensor

    return few
