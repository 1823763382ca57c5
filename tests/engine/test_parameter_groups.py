import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import build_optim_wrapper
from runs import build, config, state
from torch import nn

from localmim.checkpoints import load_from_file
from localmim.engine.parameter_groups import merge_groups

pytestmark = pytest.mark.usefixtures("on_the_cpu")

SETTINGS = ConfigDict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=0.1, weight_decay=0.05, fused=True),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, custom_keys={"2.weight": dict(lr_mult=0.1)}
    ),
)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 2))


def test_equal_settings_share_a_group_and_updates_stay_the_same_bit_by_bit():
    one, other = model(), model()
    optimizers = [build_optim_wrapper(m, copy.deepcopy(SETTINGS)).optimizer for m in (one, other)]
    merge_groups(optimizers[1])
    assert [len(optimizer.param_groups) for optimizer in optimizers] == [8, 3]
    assert all(type(group) is dict for group in optimizers[1].param_groups)
    of = [
        {id(x): group for group in optimizer.param_groups for x in group["params"]}
        for optimizer in optimizers
    ]
    pairs = list(zip(one.parameters(), other.parameters(), strict=True))
    for a, b in pairs:
        for key in ("lr", "weight_decay"):
            assert of[0][id(a)][key] == of[1][id(b)][key]
    inputs = torch.randn(5, 4)
    for _ in range(3):
        for network, optimizer in zip((one, other), optimizers, strict=True):
            network(inputs).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert all(a.equal(b) for a, b in pairs)


def test_a_checkpoint_of_mmengines_own_runner_goes_on(tmp_path, photo_folder):
    """Its optimiser has a group for each parameter, and its schedules a value for each group."""

    def make(name: str, **changes):
        cfg = config(tmp_path / name, photo_folder, **changes)
        cfg.train_dataloader.num_workers = 0
        return cfg

    whole = build(make("whole"))
    whole.train()
    assert len(whole.optim_wrapper.optimizer.param_groups) == 2
    path = tmp_path / "whole/epoch_2.pth"
    checkpoint = load_from_file(path)
    _one_group_each(checkpoint)
    former = tmp_path / "former.pth"
    torch.save(checkpoint, former)
    build(make("again", resume=True, load_from=str(former))).train()
    expected, found = (state(tmp_path / name / "epoch_4.pth") for name in ("whole", "again"))
    assert all(tensor.equal(found[name]) for name, tensor in expected.items())


def _one_group_each(checkpoint: dict) -> None:
    """What mmengine would have written: decayed parameters among others, a group for each."""
    groups = checkpoint["optimizer"]["param_groups"]
    each = sorted(
        (place, owner, number)
        for owner, group in enumerate(groups)
        for place, number in enumerate(group["params"])
    )
    checkpoint["optimizer"]["param_groups"] = [
        {**groups[owner], "params": [number], "param_name": str(number)}
        for _, owner, number in each
    ]
    for schedule in checkpoint["param_schedulers"]:
        values = schedule["base_values"]
        assert len(values) == len(groups) + 1  # and what a new group would have
        schedule["base_values"] = [*(values[owner] for _, owner, _ in each), values[-1]]
