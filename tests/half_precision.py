"""Training in float16 without a GPU."""

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper


class HalfPrecision(AmpOptimWrapper):
    """float16 with dynamic loss scaling on the CPU, which mmengine's own refuses."""

    def __init__(self, init_scale: float, **kwargs) -> None:
        OptimWrapper.__init__(self, **kwargs)
        self.loss_scaler = torch.amp.GradScaler("cpu", init_scale=init_scale, growth_interval=3)
        self._scale_update_param = None

    def optim_context(self, model):
        return torch.autocast("cpu", torch.float16)
