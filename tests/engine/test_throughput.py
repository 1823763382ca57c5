import json
import logging
from types import SimpleNamespace

import pytest
import tiny
import torch
from mmengine.logging import MessageHub
from mmengine.registry import RUNNERS, init_default_scope
from mmpretrain.registry import MODELS
from test_finite_steps import config, write_images

from localmim.engine import ThroughputHook, throughput


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    return clock


@pytest.fixture
def runner(request, caplog):
    init_default_scope("mmpretrain")
    logger = logging.getLogger("throughput")
    caplog.set_level(logging.INFO)
    return SimpleNamespace(
        model=MODELS.build(tiny.localmim()),
        message_hub=MessageHub.get_instance(request.node.name),
        logger=logger,
        optim_wrapper=SimpleNamespace(),
        train_dataloader=SimpleNamespace(num_workers=3),
    )


BATCH = {"inputs": torch.zeros(6, 3, 8, 8), "data_samples": None}


def iterate(hook, runner, clock, wait, step, times, work=lambda: None):
    for _ in range(times):
        clock.now += wait
        hook.before_train_iter(runner, 0, BATCH)
        work()
        clock.now += step
        hook.after_train_iter(runner, 0, BATCH)


def last(runner, name):
    return runner.message_hub.get_scalar(f"train/{name}").current()


def test_images_a_second_and_waiting(runner, clock):
    hook = ThroughputHook()
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    iterate(hook, runner, clock, 100, 100, times=1)  # starting is left out
    iterate(hook, runner, clock, 0.5, 1.5, times=4)
    assert last(runner, "images_per_second") == pytest.approx(3)
    assert last(runner, "waiting") == pytest.approx(0.25)
    assert "train/mfu" not in runner.message_hub.log_scalars


def test_only_the_last_iterations_count(runner, clock):
    hook = ThroughputHook(window=2)
    hook.before_train(runner)
    iterate(hook, runner, clock, 9, 1, times=5)
    iterate(hook, runner, clock, 0, 1, times=2)
    assert last(runner, "images_per_second") == pytest.approx(6) and last(runner, "waiting") == 0


def test_validation_and_the_time_between_epochs_are_no_waiting(runner, clock):
    hook = ThroughputHook()
    hook.before_train(runner)
    iterate(hook, runner, clock, 0, 1, times=3)
    clock.now += 1000
    hook.after_val(runner)
    iterate(hook, runner, clock, 0, 1, times=1)
    clock.now += 1000
    hook.before_train_epoch(runner)
    iterate(hook, runner, clock, 0, 1, times=1)
    assert last(runner, "waiting") == 0 and last(runner, "images_per_second") == pytest.approx(6)


def test_processes_add_up(runner, clock, monkeypatch):
    monkeypatch.setattr(throughput, "get_world_size", lambda: 4)
    hook = ThroughputHook()
    hook.before_train(runner)
    iterate(hook, runner, clock, 0, 2, times=3)
    assert last(runner, "images_per_second") == pytest.approx(12)


def test_utilisation_is_operations_over_the_ceiling(runner, clock, monkeypatch):
    hook = ThroughputHook()
    monkeypatch.setattr(hook, "_measured_ceiling", lambda *_: 1000.0)
    hook.before_train(runner)
    a, b = torch.ones(5, 7), torch.ones(7, 2)
    iterate(hook, runner, clock, 0, 2, times=4, work=lambda: a @ b)
    assert last(runner, "mfu") == pytest.approx(2 * 5 * 7 * 2 / 2 / 1000)


def test_a_wait_that_the_device_fills_is_none(runner, clock):
    hook = ThroughputHook()
    hook.before_train(runner)
    iterate(hook, runner, clock, 1, 1, times=2)
    hook._device_done = SimpleNamespace(query=lambda: False)
    iterate(hook, runner, clock, 1, 1, times=1)
    assert last(runner, "waiting") == pytest.approx(0.25)


@pytest.mark.parametrize(("wait", "advised"), [(0.05, False), (0.3, True)])
def test_advice_where_training_waits(runner, clock, caplog, wait, advised):
    hook = ThroughputHook()
    hook.before_train(runner)
    iterate(hook, runner, clock, 50, 1, times=10)  # the first ones do not count
    iterate(hook, runner, clock, wait, 1 - wait, times=20)
    hook.after_train_epoch(runner)
    iterate(hook, runner, clock, wait, 1 - wait, times=20)
    hook.after_train_epoch(runner)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == advised
    if advised:
        assert "waits for data 30% of the time" in texts[0]
        assert "train_dataloader.num_workers, now 3" in texts[0]
        assert "or smaller image files" in texts[0]


def test_advice_in_a_long_loop_without_epochs(runner, clock, caplog):
    hook = ThroughputHook()
    hook.before_train(runner)
    iterate(hook, runner, clock, 1, 1, times=501)
    assert len(caplog.records) == 1


def test_a_training_logs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("mmengine.runner.runner.get_device", lambda: "cpu")
    runner = RUNNERS.build(config(tmp_path / "work", write_images(tmp_path / "images")))
    runner.train()
    (scalars,) = (tmp_path / "work").glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    rows = [row for row in rows if "loss" in row]
    assert rows[-1]["images_per_second"] > 0 and 0 <= rows[-1]["waiting"] <= 1
    assert "mfu" not in rows[-1]


@pytest.mark.gpu
def test_a_training_on_a_gpu_logs_utilisation_without_waiting(runner, clock):
    hook = ThroughputHook()
    runner.model.cuda()
    hook.before_train(runner)
    a = torch.ones(512, 512, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        iterate(hook, runner, clock, 0, 1, times=3, work=lambda: a @ a)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert last(runner, "mfu") > 0
