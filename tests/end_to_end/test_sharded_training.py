"""Two processes that share a model out, against two that have it whole."""

from functools import partial

import pytest
import torch
from runs import config, run, start_two_processes, state

from localmim.checkpoints import load_from_file

pytestmark = pytest.mark.usefixtures("on_the_cpu")

SETTINGS = {
    "train_dataloader.batch_size": 2,
    "train_dataloader.num_workers": 0,
    "optim_wrapper.accumulative_counts": 2,
    "train_cfg.max_epochs": 2,
    "default_hooks.checkpoint.by_epoch": False,
    "default_hooks.checkpoint.interval": 1,
    "default_hooks.checkpoint.max_keep_ckpts": -1,
}
SHARDED = {
    "model_wrapper_cfg": dict(type="FullyShard"),
    "activation_checkpointing": True,
}


def train(make) -> None:
    processes = start_two_processes(make)
    while not processes.join():  # one after the other
        pass


def assert_near(one, other, tolerance):
    for name, tensor in one["state_dict"].items():
        found = other["state_dict"][name]
        assert torch.allclose(tensor, found, rtol=tolerance, atol=tolerance), name


def test_weights_are_those_of_whole_models_and_go_to_and_fro(tmp_path, photo_folder):
    def make(name, **changes):
        cfg = config(tmp_path / name, photo_folder, **SETTINGS | changes)
        # Adam would make much of the rounding of gradients that are zero.
        cfg.optim_wrapper.optimizer = dict(type="SGD", lr=0.5, momentum=0.9, weight_decay=0.01)
        return cfg

    run(make("start"))
    weights = dict(load_from=str(tmp_path / "start/iter_4.pth"))
    train(partial(make, "whole", **weights))
    train(partial(make, "sharded", **weights, **SHARDED))
    whole, sharded = (load_from_file(tmp_path / n / "iter_4.pth") for n in ("whole", "sharded"))
    assert_near(whole, sharded, 1e-5)
    moments = [x["optimizer"]["state"][5]["momentum_buffer"] for x in (whole, sharded)]
    assert type(moments[1]) is torch.Tensor and moments[0].shape == moments[1].shape
    # On within an accumulation, sharded from sharded and from whole, and whole from sharded.
    for name, source, wrapper in [
        ("sharded on", "sharded", SHARDED),
        ("sharded from whole", "whole", SHARDED),
        ("whole from sharded", "sharded", {}),
    ]:
        start = dict(load_from=str(tmp_path / source / "iter_3.pth"), resume=True)
        train(partial(make, name, **start, **wrapper))
        assert_near(whole, load_from_file(tmp_path / name / "iter_4.pth"), 1e-5)
    run(make("alone", load_from=str(tmp_path / "sharded/iter_4.pth")))
    assert state(tmp_path / "alone/iter_4.pth").keys() == whole["state_dict"].keys()
