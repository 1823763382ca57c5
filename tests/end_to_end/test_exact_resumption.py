"""A resumed training equals the uninterrupted one, bit by bit, from any iteration on."""

from functools import partial

import pytest
import torch
from runs import config, run, start_two_processes
from tars import write_shards

from localmim.checkpoints import load_from_file

pytestmark = pytest.mark.usefixtures("on_the_cpu")

# 8 images in batches of 3: the last batch is smaller, and with two batches a step an epoch ends
# within an accumulation.
EVERY_ITERATION = {
    "train_dataloader.batch_size": 3,
    "train_dataloader.num_workers": 0,
    "default_hooks.checkpoint.by_epoch": False,
    "default_hooks.checkpoint.interval": 1,
    "default_hooks.checkpoint.max_keep_ckpts": -1,
}
EPOCHS = EVERY_ITERATION | {"train_cfg.max_epochs": 3}


def by_iteration(work_dir, data, sampler, **changes):
    cfg = config(work_dir, data, **EVERY_ITERATION | changes)
    cfg.train_cfg = dict(by_epoch=False, max_iters=9)
    cfg.train_dataloader.sampler = dict(type=sampler, shuffle=True)
    cfg.log_processor = dict(by_epoch=False)
    for scheduler in cfg.param_scheduler:
        scheduler.update(by_epoch=False, convert_to_iter_based=False)
        scheduler.pop("T_max", None)
    cfg.param_scheduler[1].end = 9
    return cfg


def assert_same(whole, resumed):
    """Weights, optimiser and schedules of two files are equal."""
    one, other = load_from_file(whole), load_from_file(resumed)
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for name, tensor in one["state_dict"].items():
        assert tensor.equal(other["state_dict"][name]), name
    for number, own in one["optimizer"]["state"].items():
        assert all(own[k].equal(other["optimizer"]["state"][number][k]) for k in own)
    assert one["optimizer"]["param_groups"] == other["optimizer"]["param_groups"]
    assert one["param_schedulers"] == other["param_schedulers"]
    assert one["meta"]["training"] == other["meta"]["training"]


def resume(make, tmp_path, iteration, name, **changes):
    start = tmp_path / f"whole/iter_{iteration}.pth"
    run(make(tmp_path / name, load_from=str(start), resume=True, **changes))
    assert_same(tmp_path / "whole/iter_9.pth", tmp_path / name / "iter_9.pth")


WORKERS = [
    (1, {}),
    (4, {"train_dataloader.num_workers": 2, "train_dataloader.persistent_workers": False}),
    (6, {"train_dataloader.num_workers": 2, "train_dataloader.persistent_workers": True}),
    (8, {}),
]


@pytest.mark.parametrize("accumulated", [1, 2])
def test_training_by_epochs(tmp_path, photo_folder, accumulated):
    settings = EPOCHS | {"optim_wrapper.accumulative_counts": accumulated}

    def make(work_dir, **changes):
        return config(work_dir, photo_folder, **settings | changes)

    run(make(tmp_path / "whole"))
    for iteration, workers in WORKERS:
        resume(make, tmp_path, iteration, f"from_{iteration}", **workers)


@pytest.mark.parametrize(
    ("sampler", "accumulated"), [("InfiniteSampler", 2), ("DefaultSampler", 1)]
)
def test_training_by_iterations(tmp_path, photo_folder, sampler, accumulated):
    settings = {"optim_wrapper.accumulative_counts": accumulated}

    def make(work_dir, **changes):
        return by_iteration(work_dir, photo_folder, sampler, **settings | changes)

    run(make(tmp_path / "whole"))
    for iteration, workers in WORKERS[1:3]:
        resume(make, tmp_path, iteration, f"from_{iteration}", **workers)


def test_training_from_shards(tmp_path, photo_folder):
    write_shards(photo_folder, tmp_path / "shards", 3)

    def make(work_dir, **changes):
        cfg = config(work_dir, tmp_path / "shards", **EPOCHS | changes)
        cfg.train_dataloader.dataset.type = "ShardedImages"
        sampler = dict(type="BlockShuffleSampler", block_size=2, blocks=2)
        cfg.train_dataloader.sampler = sampler
        return cfg

    run(make(tmp_path / "whole"))
    for iteration, workers in WORKERS[1:3]:
        resume(make, tmp_path, iteration, f"from_{iteration}", **workers)


@pytest.mark.parametrize("kind", ["swin, a mask per image", "resnet", "lomar"])
def test_resuming_twice_is_resuming_once(tmp_path, photo_folder, kind):
    """Masks per image, the statistics of batch norms, windows of images."""

    def make(name, **changes):
        return config(tmp_path / name, photo_folder, kind, **EPOCHS | changes)

    run(make("whole"))
    source = tmp_path / "whole/iter_2.pth"
    for name in ("first", "second"):
        run(make(name, load_from=str(source), resume=True))
        source = tmp_path / name / "iter_7.pth"
    assert_same(tmp_path / "whole/iter_9.pth", tmp_path / "second/iter_9.pth")


def test_what_is_compared_depends_on_the_crops(tmp_path, photo_folder):
    """The tests above would notice a sample drawn otherwise."""
    run(config(tmp_path / "whole", photo_folder, **EPOCHS))
    run(config(tmp_path / "other", photo_folder, **EPOCHS | {"randomness.seed": 1}))
    one, other = (load_from_file(tmp_path / n / "iter_1.pth") for n in ("whole", "other"))
    moments = [x["optimizer"]["state"][0]["exp_avg"] for x in (one, other)]
    assert not torch.equal(*moments)


def test_two_processes_amid_an_accumulation(tmp_path, photo_folder):
    """Each process goes on with what it alone has added up."""
    settings = EPOCHS | {"optim_wrapper.accumulative_counts": 3, "train_dataloader.batch_size": 2}

    def make(name, **changes):
        return config(tmp_path / name, photo_folder, **settings | changes)

    whole = tmp_path / "whole"
    resumed = partial(make, "from_4", load_from=str(whole / "iter_4.pth"), resume=True)
    for cfg in (partial(make, "whole"), resumed):
        processes = start_two_processes(cfg)
        while not processes.join():  # one after the other
            pass
    assert len(load_from_file(whole / "iter_4.pth")["gradients"]) == 2
    assert_same(whole / "iter_6.pth", tmp_path / "from_4/iter_6.pth")
