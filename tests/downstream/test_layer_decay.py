import pytest
from mmengine.model import BaseModule
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from tiny import ARCH
from torch import nn

from localmim.downstream.detection import WindowViT


class Detector(BaseModule):
    """A backbone and something that follows it."""

    def __init__(self):
        super().__init__()
        self.backbone = WindowViT(arch=ARCH, img_size=64, input_size=128)
        self.neck = nn.Sequential(nn.Conv2d(32, 8, 1), nn.BatchNorm2d(8))


@pytest.fixture
def groups():
    settings = dict(
        type="OptimWrapper",
        optimizer=dict(type="AdamW", lr=1.0, weight_decay=0.1),
        constructor="BackboneLayerDecay",
        paramwise_cfg=dict(
            layer_decay_rate=0.7,
            norm_decay_mult=0.0,
            custom_keys={"pos_embed": dict(decay_mult=0.0)},
        ),
    )
    model = Detector()
    with DefaultScope.overwrite_default_scope("mmdet"):
        wrapper = build_optim_wrapper(model, settings)
    groups = {group["param_name"]: group for group in wrapper.optimizer.param_groups}
    assert groups.keys() == {name for name, _ in model.named_parameters()}
    return groups


def test_learning_rates_fall_block_by_block(groups):
    for name, group in groups.items():
        if name.startswith("backbone.layers."):
            steps = 8 - int(name.split(".")[2])
        else:
            steps = 9 if name.startswith("backbone.") else 0
        assert group["lr"] == pytest.approx(0.7**steps), name


def test_norms_and_positions_do_not_decay(groups):
    for name, group in groups.items():
        exempt = "pos_embed" in name or ".ln" in name or name.startswith("neck.1")
        assert group["weight_decay"] == (0.0 if exempt else 0.1), name
