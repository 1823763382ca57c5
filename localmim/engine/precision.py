"""Mixed precision in whatever format the device has."""

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module(name="MixedPrecisionOptimWrapper")
def mixed_precision_optim_wrapper(**kwargs) -> OptimWrapper:
    """An optimiser wrapper for bfloat16, else float16, else float32, as the device allows.

    A GPU with native bfloat16 trains in it, without loss scaling; another GPU in float16 with
    dynamic loss scaling; a CPU in float32. What was chosen is logged.

    Args:
        **kwargs: the arguments of mmengine's OptimWrapper (optimizer, clip_grad,
            accumulative_counts).
    """
    if not torch.cuda.is_available():
        print_log("Mixed precision: no GPU found, training in float32", logger="current")
        return OptimWrapper(**kwargs)
    bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    dtype = "bfloat16" if bfloat16 else "float16"
    print_log(f"Mixed precision: training in {dtype}", logger="current")
    scaling = dict(enabled=False) if bfloat16 else "dynamic"
    return AmpOptimWrapper(dtype=dtype, loss_scale=scaling, **kwargs)
