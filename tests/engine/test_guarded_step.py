"""The guarded step against the one that it guards, bit by bit, and what it refuses."""

import copy
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from half_precision import HalfPrecision
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from localmim.engine.guarded_step import guard


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)
    model = nn.Sequential(*parts)
    model.register_parameter("unused", nn.Parameter(torch.ones(3)))
    return model


def wrap(model, guarded=True, kind=OptimWrapper, clip=None, accumulated=1, **settings):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    wrapper = kind(
        optimizer=optimizer, clip_grad=copy.copy(clip), accumulative_counts=accumulated, **settings
    )
    return guard(wrapper, model) if guarded else wrapper


def batches(count=12):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(4, 3, 8, 8, generator=generator) for _ in range(count)]


def train(model, wrapper, images, change=lambda number, loss: loss):
    """One iteration per batch, as in mmengine's train_step; the updates made in each."""
    updates = []
    for number, batch in enumerate(images):
        with wrapper.optim_context(model):
            loss = model(batch).float().square().mean()
        wrapper.last_update = None
        wrapper.update_params(change(number, loss))
        updates.append(wrapper.last_update)
    return updates


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_same(value, other[name])
        elif isinstance(value, torch.Tensor):
            assert value.equal(other[name]), name
        else:
            assert value == other[name], name


CLIPS = [None, dict(max_norm=0.1), dict(max_norm=0.1, norm_type="inf"), dict(max_norm=1e6)]


@pytest.mark.parametrize("accumulated", [1, 5])
@pytest.mark.parametrize("clip", [*CLIPS, dict(type="value", clip_value=1e-3)], ids=str)
@pytest.mark.parametrize("kind", [OptimWrapper, HalfPrecision])
def test_finite_updates_are_the_unguarded_ones_bit_by_bit(kind, clip, accumulated):
    settings = dict(init_scale=1024.0) if kind is HalfPrecision else {}
    found = []
    for guarded in (False, True):
        model = network()
        wrapper = wrap(model, guarded, kind, clip, accumulated, **settings)
        wrapper.initialize_count_status(model, 0, 12)
        updates = train(model, wrapper, batches())
        found.append((model.state_dict(), wrapper.state_dict()))
    assert_same(found[0][0], found[1][0])
    assert_same(found[0][1], found[1][1])
    # The last update is of two iterations where five are accumulated.
    assert [update is None for update in updates] == [
        bool((number + 1) % accumulated) and number != 11 for number in range(12)
    ]


@pytest.mark.parametrize("clip", [None, *CLIPS[:2], dict(type="value", clip_value=0.1)], ids=str)
def test_the_norm_is_that_of_all_gradients_before_clipping(clip):
    model = network()
    (update,) = train(model, wrap(model, clip=clip), batches(1))
    model = network()
    model(batches(1)[0]).square().mean().backward()
    squares = [x.grad.double().square().sum() for x in model.parameters() if x.grad is not None]
    assert update.grad_norm == pytest.approx(sum(squares).sqrt().item(), rel=1e-5)
    assert not update.skipped and update.broken == ()


class Count(TorchDispatchMode):
    """How often the host waits for a number, and how often a norm of gradients is computed."""

    def __init__(self):
        super().__init__()
        self.reads = self.norms = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.reads += function is torch.ops.aten._local_scalar_dense.default
        self.norms += function is torch.ops.aten._foreach_norm.Scalar
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("clip", CLIPS[:2], ids=str)
def test_one_norm_and_one_number_read_per_update(clip):
    counts = []
    for guarded in (False, True):
        model = network()
        wrapper = wrap(model, guarded, clip=clip)
        images = batches(2)
        train(model, wrapper, images[:1])
        with Count() as count:
            train(model, wrapper, images[1:])
        counts.append(count)
    unguarded, guarded = counts
    assert guarded.norms == 1
    # mmengine reads the norm already where it clips by it.
    assert guarded.reads == unguarded.reads + (clip is None)


def infinite_gradient(model):
    return (model[4].bias * 0).sqrt().sum()


BREAKS = {
    "nan loss": lambda model, loss: loss * math.nan,
    "inf loss": lambda model, loss: loss + math.inf,  # its gradients would be finite
    "-inf loss": lambda model, loss: loss - math.inf,
    "inf loss of nothing": lambda model, loss: loss + torch.tensor(0.0).log().abs(),
    "nan gradient": lambda model, loss: loss + infinite_gradient(model),
    "gradients too large to square": lambda model, loss: loss * 1e25,
}


@pytest.mark.parametrize("clip", [None, dict(max_norm=0.1), dict(type="value", clip_value=0.1)])
@pytest.mark.parametrize("kind", BREAKS)
def test_a_broken_update_leaves_no_trace(kind, clip):
    images = batches()
    whole, without = network(), network()
    guarded, plain = wrap(whole, clip=clip), wrap(without, False, clip=clip)
    updates = train(
        whole, guarded, images, lambda n, loss: BREAKS[kind](whole, loss) if n in (0, 5) else loss
    )
    train(without, plain, [x for number, x in enumerate(images) if number not in (0, 5)])
    assert_same(whole.state_dict(), without.state_dict())
    assert_same(guarded.state_dict(), plain.state_dict())
    assert [number for number, update in enumerate(updates) if update.skipped] == [0, 5]
    names = {id(x): name for name, x in whole.named_parameters()}
    broken = [names[id(x)] for x in updates[5].broken]
    expected = [name for name in names.values() if name != "unused"]
    if kind == "nan gradient":
        expected = ["4.bias"]
    elif kind == "gradients too large to square":
        expected = []
    assert broken == expected


@pytest.mark.parametrize("bad", [2, 3], ids=["first of two", "second of two"])
def test_an_accumulated_update_is_skipped_whole(bad):
    images = batches()
    whole, without = network(), network()
    updates = train(
        whole,
        wrap(whole, accumulated=2),
        images,
        lambda number, loss: loss * math.nan if number == bad else loss,
    )
    train(without, wrap(without, False, accumulated=2), images[:2] + images[4:])
    assert_same(whole.state_dict(), without.state_dict())
    assert [update and update.skipped for update in updates[:6]] == [None, False, None, True] + [
        None,
        False,
    ]


def test_statistics_changed_between_updates_are_kept():
    """As other hooks do, which swap weights in or average statistics anew."""
    model = network()
    wrapper = wrap(model)
    train(model, wrapper, batches(2))
    model[1].running_mean.fill_(7)
    train(model, wrapper, batches(1), lambda _, loss: loss * math.nan)
    assert (model[1].running_mean == 7).all() and model[1].num_batches_tracked == 2


def test_the_scale_that_float16_looks_for_is_reported():
    found = []
    for guarded in (False, True):
        model = network()
        wrapper = wrap(model, guarded, HalfPrecision, init_scale=2.0**24)
        updates = train(model, wrapper, batches())
        found.append((model.state_dict(), wrapper.state_dict()))
    scales = [update.loss_scale for update in updates if update.skipped]
    assert scales == [2.0 ** (24 - number) for number in range(len(scales))]
    assert 1 < len(scales) < 12 and all(update.broken for update in updates if update.skipped)
    # Unguarded, the running statistics are those of skipped updates, too.
    (plain, scaler), (weights, guarded_scaler) = found
    assert_same(scaler, guarded_scaler)
    assert all(weights[name].equal(plain[name]) for name, _ in model.named_parameters())
    assert weights["1.num_batches_tracked"] == 12 - len(scales)


def test_a_fixed_scale_and_none_are_not_reported():
    model = network()
    wrapper = wrap(model, kind=HalfPrecision, init_scale=64.0)
    wrapper._scale_update_param = 64.0  # as mmengine's does with a number
    (update,) = train(model, wrapper, batches(1), lambda _, loss: loss * math.nan)
    assert update.skipped and update.loss_scale is None
    wrapper = wrap(model)
    (update,) = train(model, wrapper, batches(1), lambda _, loss: loss * math.nan)
    assert update.skipped and update.loss_scale is None


def test_guarding_twice_is_guarding_once():
    wrapper = wrap(network())
    kind = type(wrapper)
    assert guard(wrapper, network()) is wrapper
    assert type(wrapper) is kind and kind.__name__ == "GuardedOptimWrapper"
    assert type(wrap(network())) is kind


SHARDED = """
import copy, json, math, os, sys
import torch
import torch.distributed as dist
from mmengine.optim import OptimWrapper
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from localmim.engine.guarded_step import guard

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 4))
images = torch.randn(2, 5, 8)  # of both processes
dense = copy.deepcopy(model)
dense(images).square().mean().backward()
norm = torch.nn.utils.get_total_norm([x.grad for x in dense.parameters()]).item()
fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
wrapper = guard(OptimWrapper(optimizer, clip_grad=dict(max_norm=norm / 2)), model)
found = []
for number in range(3):
    before = [x.to_local().clone() for x in model.parameters()]
    with wrapper.optim_context(model):
        loss = model(images[rank]).square().mean()
    wrapper.update_params(loss * math.nan if (number, rank) == (1, 1) else loss)
    moved = [not x.equal(y.to_local()) for x, y in zip(before, model.parameters())]
    found.append((wrapper.last_update.skipped, len(wrapper.last_update.broken), any(moved)))
    if number == 0:
        assert math.isclose(wrapper.last_update.grad_norm, norm, rel_tol=1e-5)
        step = torch.cat([(x - y.to_local()).flatten() for x, y in zip(before, model.parameters())])
        total = step.square().sum()
        dist.all_reduce(total)
        assert math.isclose(total.sqrt().item(), 0.1 * norm / 2, rel_tol=1e-4)
with open(f"{sys.argv[1]}/{rank}.json", "w") as file:
    json.dump(found, file)
dist.barrier()
os._exit(0)  # gloo's threads may abort in a regular end
"""


def test_sharded_gradients_have_one_norm_and_one_fate(tmp_path):
    """Two processes with ``fully_shard``, one of which meets a NaN."""
    (tmp_path / "sharded.py").write_text(SHARDED)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launch, "--master_port=29633", tmp_path / "sharded.py", tmp_path],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found == [[False, 0, True], [True, 4, False], [False, 0, True]]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision_on_a_gpu_is_as_unguarded_and_skips(dtype):
    scale = "dynamic" if dtype == "float16" else dict(enabled=False)
    found = []
    for guarded in (False, True):
        model = network().cuda()
        wrapper = wrap(model, guarded, AmpOptimWrapper, dtype=dtype, loss_scale=scale)
        train(model, wrapper, [x.cuda() for x in batches()])
        found.append({name: x.clone() for name, x in model.state_dict().items()})
    assert_same(*found)
    (update,) = train(model, wrapper, [batches(1)[0].cuda()], lambda _, loss: loss + math.inf)
    assert update.skipped
    assert_same(model.state_dict(), found[1])
