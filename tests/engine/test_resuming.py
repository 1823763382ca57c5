import os
import shutil

import pytest
import torch
from runs import build, config, logs, run, state

from localmim.checkpoints import load_from_file
from localmim.engine.resuming import newest_checkpoint

pytestmark = pytest.mark.usefixtures("on_the_cpu")

SHORT = {"train_cfg.max_epochs": 3, "train_dataloader.num_workers": 0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photo_folder):
    """The work dir of a training of three epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr("mmengine.runner.runner.get_device", lambda: "cpu")
        folder = tmp_path_factory.mktemp("trained")
        run(config(folder, photo_folder, **SHORT))
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "work")


def damage_middle(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b""
    path.write_bytes(content)


def make_not_finite(path):
    checkpoint = load_from_file(path)
    next(iter(checkpoint["state_dict"].values())).view(-1)[0] = torch.nan
    torch.save(checkpoint, path)


def keep_weights_only(path):
    torch.save({"state_dict": state(path)}, path)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (damage_middle, "damaged"),
        (make_not_finite, "1 tensors are not finite"),
        (keep_weights_only, "holds weights, but not the state of a training"),
        (lambda path: path.write_bytes(b""), "no checkpoint"),
    ],
)
def test_the_newest_that_can_be_resumed_from_is_taken(copied, photo_folder, harm, reason):
    harm(copied / "epoch_3.pth")
    path, passed_over = newest_checkpoint(copied)
    assert path == copied / "epoch_2.pth" and list(passed_over) == [copied / "epoch_3.pth"]
    assert reason in passed_over[copied / "epoch_3.pth"]
    run(config(copied, photo_folder, resume=True, **SHORT))
    log = logs(copied)
    assert f"Passed over {copied / 'epoch_3.pth'}, which can not be resumed from" in log
    assert f"Resumed {copied / 'epoch_2.pth'} at epoch 2, iteration 4" in log
    assert newest_checkpoint(copied) == (copied / "epoch_3.pth", {})


def test_newest_is_by_time_of_writing_and_best_weights_are_left_aside(copied):
    os.utime(copied / "epoch_1.pth")
    (copied / "best_accuracy_epoch_1.pth").write_bytes(b"")
    assert newest_checkpoint(copied) == (copied / "epoch_1.pth", {})


def test_nothing_to_resume_is_an_error(tmp_path, photo_folder):
    with pytest.raises(FileNotFoundError, match="--resume: there is no checkpoint in .*Leave"):
        run(config(tmp_path / "empty", photo_folder, resume=True, **SHORT))
    (tmp_path / "empty/epoch_1.pth").write_bytes(b"nothing")
    with pytest.raises(FileNotFoundError, match="but 1 that can not be resumed from"):
        run(config(tmp_path / "empty", photo_folder, resume=True, **SHORT))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"train_dataloader.batch_size": 2}, "total batch: 4 there, 2 here"),
        ({"optim_wrapper.accumulative_counts": 2}, "total batch: 4 there, 8 here"),
        (  # the same total, in other iterations
            {"train_dataloader.batch_size": 2, "optim_wrapper.accumulative_counts": 2},
            "batches a step: 1 there, 2 here",
        ),
        ({"optim_wrapper.optimizer.lr": 1e-3}, "learning rate: .* there, .* here"),
        ({"optim_wrapper.optimizer.weight_decay": 0.1}, "weight decay: 0.05 there, 0.1 here"),
        ({"optim_wrapper.optimizer.type": "SGD"}, "optimiser: another one"),
        ({"train_cfg.max_epochs": 7}, r"param_scheduler.1.\w+: \d+ there, \d+ here"),
        (
            {"model.target_generator.normalize": "l1"},
            "model.target_generator.normalize: None there, l1 here",
        ),
        ({"model.mask_generator.ratio": 0.5}, "model.mask_generator.ratio: None there, 0.5 here"),
    ],
)
def test_other_settings_are_refused(copied, photo_folder, changes, difference):
    cfg = config(copied, photo_folder, resume=True, **SHORT | changes)
    if cfg.optim_wrapper.optimizer.type == "SGD":
        cfg.optim_wrapper.optimizer = dict(type="SGD", lr=1.6e-3, weight_decay=0.05)
    if "model.target_generator.normalize" in changes:  # nothing builds it
        cfg.model.target_generator.pop("normalize")
        runner = build(cfg)
        runner.cfg.model.target_generator.normalize = "l1"
    else:
        runner = build(cfg)
    before = {path.name: path.read_bytes() for path in copied.glob("*.pth")}
    with pytest.raises(ValueError, match=f"other settings: .*{difference}.*load_from="):
        runner.train()
    assert before == {path.name: path.read_bytes() for path in copied.glob("*.pth")}


def test_other_images_are_told(copied, photo_folder):
    (copied / "epoch_3.pth").unlink()
    changes = {"train_dataloader.dataset.indices": 7}
    run(config(copied, photo_folder, resume=True, **SHORT | changes))
    assert "had 8 images when" in logs(copied) and "has 7 now" in logs(copied)


@pytest.mark.parametrize("variable", ["TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"])
def test_a_restarted_process_resumes_its_own_training(
    copied, photo_folder, tmp_path, monkeypatch, variable
):
    monkeypatch.setenv(variable, "1")
    expected = state(copied / "epoch_3.pth")
    (copied / "epoch_3.pth").unlink()
    run(config(copied, photo_folder, **SHORT))
    assert "epoch_2.pth at epoch 2, iteration 4" in logs(copied)
    assert all(x.equal(expected[n]) for n, x in state(copied / "epoch_3.pth").items())

    run(config(tmp_path / "new", photo_folder, **SHORT))  # ended before it had saved
    assert "Resumed" not in logs(tmp_path / "new")


def test_a_new_training_in_an_old_folder_is_not_mistaken_for_the_old_one(
    copied, photo_folder, monkeypatch
):
    class Crash(Exception):
        pass

    runner = build(config(copied, photo_folder, **SHORT))

    def fail(*args, **kwargs):
        raise Crash

    monkeypatch.setattr(runner.model, "train_step", fail)
    with pytest.raises(Crash):
        runner.train()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    run(config(copied, photo_folder, **SHORT))
    assert "Resumed" not in logs(copied)


def test_a_training_resumed_from_elsewhere_does_not_restart_from_what_lay_in_its_folder(
    copied, trained, photo_folder
):
    """It has saved nothing yet, so a restart begins with the file that it was given."""
    given = config(copied, photo_folder, resume=True, load_from=str(trained / "epoch_1.pth"))
    given.train_cfg.max_epochs = 3
    given.train_dataloader.num_workers = 0
    runner = build(given)
    runner.call_hook = lambda name, **kwargs: None if name != "before_train" else 1 / 0
    with pytest.raises(ZeroDivisionError):
        runner.train()
    assert not (copied / "last_checkpoint").exists()


def test_weights_of_another_architecture_are_not_trained_from(trained, tmp_path, photo_folder):
    weights = str(trained / "epoch_3.pth")
    other = config(tmp_path / "other", photo_folder, load_from=weights, **SHORT)
    other.model.backbone.arch = {**other.model.backbone.arch, "num_layers": 12}
    other.model.backbone.out_indices = (2, 5, 8, 11)
    with pytest.raises(ValueError, match="which lacks .* tensors of the encoder"):
        run(other)
    decoders = config(tmp_path / "decoders", photo_folder, load_from=weights, **SHORT)
    decoders.model.neck.embed_dims = 24
    run(decoders)
    assert "not all is used" in logs(tmp_path / "decoders")
