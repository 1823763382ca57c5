"""Trainings that are killed or asked to end."""

import os
import random
import signal
import time
from contextlib import contextmanager

import pytest
from interruptions import LOOPS, Training, finish_and_compare, interrupted_config
from interruptions import kill_again_and_again as kill
from processes import wait_for
from runs import logs, start_two_processes

from localmim.checkpoints import load_from_file

pytestmark = pytest.mark.usefixtures("on_the_cpu")


@pytest.mark.parametrize("loop", LOOPS)
def test_killing_loses_no_checkpoint_and_changes_nothing(tmp_path, photo_folder, loop):
    def make(name="killed", **changes):
        return interrupted_config(loop, 24, tmp_path / name, photo_folder, **changes)

    kills = list(kill(make, 2, random.Random(0)))
    assert len(kills) == 2 and kills[0].iteration and not any(k.lost for k in kills)
    assert finish_and_compare(make)


@pytest.mark.parametrize(
    ("number", "code", "loop"),
    [
        (signal.SIGTERM, 0, "epochs"),
        (signal.SIGUSR1, 0, "iterations"),
        (signal.SIGINT, 130, "epochs"),
    ],
)
def test_a_signal_saves_and_ends(tmp_path, photo_folder, number, code, loop):
    """The signal reaches the workers of the data loader as well, as one of a cluster does."""

    def make(name="stopped", **changes):
        changes = {"default_hooks.checkpoint.recovery_minutes": 0} | changes
        return interrupted_config(loop, 30, tmp_path / name, photo_folder, **changes)

    path = tmp_path / "stopped/recovery.pth"
    with Training(make()) as training:
        assert training.wait_until(lambda: (tmp_path / "stopped/last_checkpoint").exists())
        os.killpg(training.pid, number)
        assert training.wait(60) == code, training.output()
    assert f"{number.name} received: saving after this step" in training.output()
    assert f"Saved {path} at iteration {load_from_file(path)['meta']['iter']}" in training.output()
    assert finish_and_compare(make)
    assert not path.exists()  # outdated


def test_a_signal_to_one_process_saves_and_ends_both(tmp_path, photo_folder):
    def make(name="stopped", **changes):
        changes = {"default_hooks.checkpoint.recovery_minutes": 0} | changes
        return interrupted_config("epochs", 60, tmp_path / name, photo_folder, **changes)

    training = start_two_processes(make)
    try:
        wait_for((tmp_path / "stopped/last_checkpoint").exists)
        os.kill(training.pids()[1], signal.SIGTERM)
        for process in training.processes:
            process.join(60)
            assert process.exitcode == 0
    finally:
        for process in training.processes:
            process.kill()
    meta = load_from_file(tmp_path / "stopped/recovery.pth")["meta"]
    assert f"recovery.pth at iteration {meta['iter']} and ending" in logs(tmp_path / "stopped")


class SleepAfterTen:
    """A step of a pipeline that hangs."""

    count = 0

    def __call__(self, results):
        SleepAfterTen.count += 1
        if SleepAfterTen.count > 10:
            print("asleep", flush=True)
            while True:
                time.sleep(0.1)
        return results


@contextmanager
def stuck(work_dir, data, grace_seconds):
    cfg = interrupted_config("epochs", 30, work_dir, data)
    cfg.default_hooks.checkpoint.grace_seconds = grace_seconds
    cfg.train_dataloader.num_workers = 0
    cfg.train_dataloader.dataset.pipeline.insert(1, dict(type=SleepAfterTen))
    with Training(cfg) as training:
        assert training.wait_until(lambda: "asleep" in training.output()), training.output()
        yield training


def test_a_process_that_can_not_save_ends_all_the_same(tmp_path, photo_folder):
    with stuck(tmp_path / "stuck", photo_folder, 1) as training:
        begin = time.monotonic()
        os.kill(training.pid, signal.SIGTERM)
        assert training.wait(60) == 1 and time.monotonic() - begin < 20
    assert "Could not save within 1 s of SIGTERM" in training.output()


def test_ctrl_c_again_ends_at_once(tmp_path, photo_folder):
    with stuck(tmp_path / "stuck", photo_folder, 100) as training:
        os.kill(training.pid, signal.SIGINT)
        assert training.wait_until(lambda: "Ctrl-C again" in training.output())
        os.kill(training.pid, signal.SIGINT)
        assert training.wait(60) == 1 and "KeyboardInterrupt" in training.output()
