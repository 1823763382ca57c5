import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from runs import build, config, logs, run

from localmim.engine import DurableCheckpointHook
from localmim.engine.checkpoint_writer import CheckpointWriter

pytestmark = pytest.mark.usefixtures("on_the_cpu")

SHORT = {
    "train_cfg.max_epochs": 3,
    "train_dataloader.num_workers": 0,
    "default_hooks.checkpoint.max_keep_ckpts": 1,
}


def names(folder: Path) -> set[str]:
    """Checkpoints in a folder, begun ones too, and what points to one."""
    return {path.name for path in folder.iterdir() if path.suffix in (".pth", "")} - {
        path.name for path in folder.iterdir() if path.is_dir()
    }


@pytest.fixture
def recorded(monkeypatch):
    """What lies in the folder whenever a checkpoint begins to be written."""
    seen, save = [], torch.save

    def record(checkpoint, path):
        seen.append({n for n in names(Path(path).parent) if not n.startswith(".")})
        save(checkpoint, path)

    monkeypatch.setattr("localmim.engine.checkpoint_writer.torch.save", record)
    return seen


def test_an_old_checkpoint_is_there_until_the_new_one_is(tmp_path, photo_folder, recorded):
    run(config(tmp_path, photo_folder, **SHORT))
    assert recorded == [
        set(),
        {"epoch_1.pth", "last_checkpoint"},
        {"epoch_2.pth", "last_checkpoint"},
    ]
    assert names(tmp_path) == {"epoch_3.pth", "last_checkpoint"}
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "epoch_3.pth")


def test_what_a_kill_between_writing_and_removing_leaves_is_removed(tmp_path, photo_folder):
    settings = SHORT | {"default_hooks.checkpoint.max_keep_ckpts": 2}
    run(config(tmp_path, photo_folder, **settings))
    shutil.copy(tmp_path / "epoch_2.pth", tmp_path / "epoch_1.pth")
    os.utime(tmp_path / "epoch_1.pth", (0, 0))
    (tmp_path / ".epoch_3.pth.abc.partial.pth").touch()
    run(config(tmp_path, photo_folder, resume=True, **settings))
    assert names(tmp_path) == {"epoch_2.pth", "epoch_3.pth", "last_checkpoint"}


def test_the_best_checkpoint_is_there_until_a_better_one_is(tmp_path, recorded, monkeypatch):
    """With mmengine's own logic of what is best, and a runner that saves as ours does."""
    writer = CheckpointWriter()
    hub = MessageHub.get_instance("best")

    def save(out_dir, filename, *args, then=None, **kwargs):
        writer.write({}, Path(out_dir, filename), then or ())
        writer.wait()

    runner = SimpleNamespace(
        work_dir=str(tmp_path), epoch=1, iter=2, message_hub=hub, checkpoint_writer=writer
    )
    runner.save_checkpoint, runner.stop_request = save, SimpleNamespace()
    runner.logger = SimpleNamespace(info=lambda text: None)
    hook = DurableCheckpointHook(interval=1, save_best="accuracy", rule="greater")
    hook.before_train(runner)
    for epoch, accuracy in ((1, 0.5), (2, 0.4), (3, 0.6)):
        runner.epoch = epoch
        hook.after_val_epoch(runner, {"accuracy": accuracy})
    assert recorded == [set(), {"best_accuracy_epoch_1.pth"}]
    assert names(tmp_path) == {"best_accuracy_epoch_3.pth"}


def test_a_recovery_checkpoint_by_the_clock(tmp_path, photo_folder):
    settings = {"default_hooks.checkpoint.recovery_minutes": 1e-9}
    run(config(tmp_path, photo_folder, **SHORT | settings))
    assert logs(tmp_path).count("Saving recovery.pth at iteration") == 6
    assert "recovery.pth" not in names(tmp_path)  # the training is complete


def test_weights_that_are_not_finite_do_not_replace_good_ones(tmp_path, photo_folder):
    runner = run(config(tmp_path, photo_folder, **SHORT))
    before = (tmp_path / "epoch_3.pth").read_bytes()
    with torch.no_grad():
        next(runner.model.parameters()).view(-1)[0] = torch.inf
    with pytest.raises(FloatingPointError, match=r"epoch_3.pth was not written .* 1 of its"):
        runner.save_checkpoint(str(tmp_path), "epoch_3.pth")
    assert (tmp_path / "epoch_3.pth").read_bytes() == before


def test_a_write_that_fails_ends_the_training(tmp_path, photo_folder, monkeypatch):
    def full(checkpoint, path):
        raise RuntimeError("no space left on device")

    monkeypatch.setattr("localmim.engine.checkpoint_writer.torch.save", full)
    runner = build(config(tmp_path, photo_folder, **SHORT))
    with pytest.raises(OSError, match="epoch_1.pth could not be written.*no space left"):
        runner.train()
    assert runner.epoch < 3 and not list(tmp_path.glob("*.pth"))


def test_writes_happen_one_after_another_beside_the_training(tmp_path):
    running, most, release = 0, 0, threading.Event()

    def wait():
        nonlocal running, most
        running += 1
        most = max(most, running)
        release.wait(10)
        running -= 1

    writer = CheckpointWriter()
    writer.write({}, tmp_path / "1.pth", [wait])
    writer.check()  # does not wait
    threading.Timer(0.2, release.set).start()
    writer.write({}, tmp_path / "2.pth", [wait])
    assert release.is_set()  # the second waited for the first
    writer.wait()
    assert most == 1 and names(tmp_path) == {"1.pth", "2.pth"}


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="recovery_minutes must not be negative"):
        DurableCheckpointHook(recovery_minutes=-1)
