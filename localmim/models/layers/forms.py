"""Other ways for mmpretrain's layers to compute what they compute, under the same names."""

from collections.abc import Mapping

from torch import nn


def give_forms(module: nn.Module, forms: Mapping[type[nn.Module], type[nn.Module]]) -> None:
    """Let layers that a parent has built compute as a class of ours.

    The layers stay what they are: their weights, names and settings are the parent's. They are
    called as modules are, so that hooks, compilation and recomputation reach them.

    Args:
        module: all layers below it are considered.
        forms: for each class its subclass, which has nothing but another forward.
    """
    for child in module.modules():
        if type(child) in forms:
            child.__class__ = forms[type(child)]
