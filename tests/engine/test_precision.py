import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@pytest.fixture
def build(monkeypatch):
    def build(has_gpu: bool, has_bfloat16: bool):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bfloat16)
        monkeypatch.setattr(
            "mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available", lambda: has_gpu
        )
        optimizer = torch.optim.AdamW(nn.Linear(2, 2).parameters())
        return OPTIM_WRAPPERS.build(
            dict(type="MixedPrecisionOptimWrapper", optimizer=optimizer, accumulative_counts=2)
        )

    return build


@pytest.mark.parametrize(
    ("gpu", "bfloat16", "kind", "dtype", "scaled"),
    [
        (True, True, AmpOptimWrapper, torch.bfloat16, False),
        (True, False, AmpOptimWrapper, torch.float16, True),
        (False, False, OptimWrapper, None, None),
    ],
)
def test_takes_what_the_device_has(build, gpu, bfloat16, kind, dtype, scaled):
    wrapper = build(gpu, bfloat16)
    assert type(wrapper) is kind and wrapper._accumulative_counts == 2
    if gpu:
        assert wrapper.cast_dtype is dtype and wrapper.loss_scaler._enabled is scaled
