"""A training that starts again by itself ends where an uninterrupted one does."""

from distributed import train, write_config

from localmim.checkpoints import load_from_file


def test_a_killed_process_does_not_change_the_outcome(tmp_path, photo_folder):
    weights = {}
    for name, hooks, restarts in (("whole", [], 0), ("killed", ["DieOnce"], 1)):
        work = tmp_path / name
        changes = {
            "train_cfg.max_epochs": 4,
            "train_dataloader.dataset.indices": 8,
            "default_hooks.checkpoint.interval": 1,
            "param_scheduler.0.end": 1,
            "param_scheduler.1.begin": 1,
        }
        write_config(work, photo_folder, ["NoteEpochs", *hooks], batch=2, **changes)
        run = train(work, 2, MAX_RESTARTS=str(restarts))
        output, _ = run.communicate(timeout=240)
        assert run.returncode == 0, output[-3000:]
        assert (work / "died").exists() == (name == "killed")
        assert (work / "epochs").read_text() == "0 1 2 3 "
        weights[name] = load_from_file(work / "epoch_4.pth")["state_dict"]
    for name, value in weights["whole"].items():
        assert value.equal(weights["killed"][name]), name
