import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from localmim.engine.training_state import (
    accumulated_gradients,
    is_sharded,
    on_cpu,
    restore_gradients,
)


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)).double()


def batch(rank):
    return torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(rank))


def train(net, optimizer, images):
    for _ in range(3):
        optimizer.zero_grad()
        net(images).square().mean().backward()
        optimizer.step()


def in_two_processes(function, folder):
    mp.start_processes(begin, (function, folder), nprocs=2, start_method="fork")


def begin(rank, function, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    function(rank, folder)
    dist.destroy_process_group()


def save_sharded(rank, folder):
    net = model()
    mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
    fully_shard(net, mesh=mesh)
    assert is_sharded(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    train(net, optimizer, batch(0))  # the same images: the mean over processes is their own
    state = on_cpu({"state_dict": net.state_dict(), "optimizer": optimizer.state_dict()})
    if rank == 0:
        torch.save(state, folder / "sharded.pth")


def test_a_sharded_state_is_saved_whole(tmp_path):
    in_two_processes(save_sharded, tmp_path)
    state = torch.load(tmp_path / "sharded.pth", weights_only=True)
    net = model()
    assert not is_sharded(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    train(net, optimizer, batch(0))
    expected = {"state_dict": net.state_dict(), "optimizer": optimizer.state_dict()}
    torch.testing.assert_close(state["state_dict"], dict(expected["state_dict"]))
    torch.testing.assert_close(state["optimizer"]["state"], expected["optimizer"]["state"])
    # It goes into a model that is not sharded.
    model().load_state_dict(state["state_dict"])
    optimizer.load_state_dict(state["optimizer"])


def save_gradients(rank, folder):
    net = model()
    net(batch(rank)).sum().backward()
    everyone = accumulated_gradients(net, None)
    assert (everyone is None) == (rank == 1)
    if rank == 0:
        torch.save(everyone, folder / "gradients.pth")


def test_gradients_of_every_process_are_kept(tmp_path, monkeypatch):
    in_two_processes(save_gradients, tmp_path)
    everyone = torch.load(tmp_path / "gradients.pth", weights_only=True)
    means = 0
    for rank in (0, 1):
        expected = model()
        expected(batch(rank)).sum().backward()
        means = means + expected[0].weight.grad / 2
        monkeypatch.setattr("localmim.engine.training_state.get_rank", lambda rank=rank: rank)
        monkeypatch.setattr("localmim.engine.training_state.get_world_size", lambda: 2)
        resumed = model()
        restore_gradients({"gradients": everyone}, resumed)
        for one, other in zip(resumed.parameters(), expected.parameters(), strict=True):
            assert one.grad.equal(other.grad)
    monkeypatch.setattr("localmim.engine.training_state.get_world_size", lambda: 1)
    restore_gradients({"gradients": everyone}, resumed)
    assert resumed[0].weight.grad.equal(means)


def test_a_copy_is_whole_and_its_own():
    weight = torch.arange(6.0)
    state = model().state_dict()
    copied = on_cpu({"a": [weight, 3, "text"], "b": (weight[:2],), "state": state})
    weight.zero_()
    assert copied["a"][0].equal(torch.arange(6.0)) and copied["a"][1:] == [3, "text"]
    assert copied["b"][0].equal(torch.arange(2.0)) and isinstance(copied["b"], tuple)
    assert copied["state"]._metadata == state._metadata and type(copied["state"]) is type(state)
    assert not isinstance(copied["a"][0], DTensor)


@pytest.mark.parametrize("checkpoint", [{}, {"gradients": None}, {"gradients": []}])
def test_no_gradients_are_none(checkpoint):
    net = model()
    restore_gradients(checkpoint, net)
    assert all(p.grad is None for p in net.parameters())
