"""Layer-wise learning rates for a model that contains a backbone."""

from collections.abc import Callable
from functools import partial

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BackboneLayerDecay(LearningRateDecayOptimWrapperConstructor):
    """mmpretrain's layer-wise learning rates for detectors, which do not tell a layer's depth.

    With a decay d and D blocks, block n of the backbone (from 1) has the learning rate times
    d^(D + 1 - n), its embeddings d^(D + 1), and everything outside the backbone the full rate.
    ``paramwise_cfg`` is that of the parent.
    """

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = "",
        get_layer_depth: Callable | None = None,
        **kwargs,
    ) -> None:
        """Add the parameters of a module; of the whole model, if no depths are given."""
        if get_layer_depth is None:
            get_layer_depth = partial(module.backbone.get_layer_depth, prefix="backbone.")
        super().add_params(params, module, prefix, get_layer_depth, **kwargs)
