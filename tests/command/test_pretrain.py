"""From a folder of images to an encoder: stopped, gone on with, and used by others."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from mmengine.config import Config
from safetensors import safe_open

import localmim
from localmim.analysis import load_encoder
from localmim.command import planning
from localmim.command import pretrain as command
from localmim.engine import ProgressBarHook
from localmim.engine.preemption import Preempted

BRIEF = dict(arch="vit-tiny", image_size=64, batch=8, epochs=2)


@pytest.fixture(scope="module")
def journey(folder, labelled, tmp_path_factory):
    """A training that was asked to stop after three of six steps, and called again."""
    out, said = tmp_path_factory.mktemp("a run") / "mine", []
    given = dict(BRIEF, val=str(labelled), say=said.append)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(planning, "seconds_per_step", lambda cfg, batch: 0.5)
        with patch.context() as stopping:
            usual = ProgressBarHook.after_train_iter

            def stop(hook, runner, *args, **kwargs):
                usual(hook, runner, *args, **kwargs)
                if runner.iter == 2:
                    signal.raise_signal(signal.SIGTERM)

            stopping.setattr(ProgressBarHook, "after_train_iter", stop)
            with pytest.raises(Preempted):
                localmim.pretrain(str(folder), out, **given)
        stopped = sorted(path.name for path in out.iterdir())
        with pytest.raises(ValueError, match="was begun with image-size 64, not 96: give another"):
            localmim.pretrain(str(folder), out, **(given | {"image_size": 96}))
        outcome = localmim.pretrain(str(folder), out, **given)
    return outcome, said, stopped


def test_it_was_stopped_and_went_on(journey, folder):
    outcome, said, stopped = journey
    assert "recovery.pth" in stopped and "report.html" not in stopped
    assert said[0] == f"{folder}: 24 images, in colour, the shorter side 64 pixels"
    assert said.count(f"Going on in {outcome.folder}") == 1
    rows = [
        json.loads(line) for line in (outcome.folder / "metrics.jsonl").read_text().splitlines()
    ]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert any(name.startswith("probe/") for row in rows for name in row)
    assert outcome.checkpoint.name == "iter_6.pth"
    assert len(list(outcome.folder.glob("*.pth"))) <= 2


def test_the_encoder_is_used_right_by_what_its_file_says(journey, folder):
    """timm, from the file alone, on a photograph read by Pillow."""
    outcome = journey[0]
    assert re.fullmatch(
        r"run: vectors equal the training's (exactly|to .e-0[6-9])", outcome.checked
    )
    with safe_open(outcome.encoder, "pt") as file:
        about = file.metadata()
    assert about["image_size"] == "[64, 64]" and about["name"] == "tiny"
    model = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=0).eval()
    model.load_state_dict(safetensors.torch.load_file(outcome.encoder))
    paths = [str(path) for path in sorted(folder.iterdir())[:3]]
    encoder = load_encoder(str(outcome.checkpoint))
    seen = encoder.read(paths)
    expected = encoder.vectors(seen)
    with torch.no_grad():
        found = model.forward_features(seen)[:, 1:].mean(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    again = load_encoder(str(outcome.encoder))
    torch.testing.assert_close(again.vectors(again.read(paths)), expected, rtol=1e-4, atol=1e-5)


def test_the_page_needs_nothing_else(journey, folder):
    outcome = journey[0]
    page = outcome.report.read_text()
    links = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert links and all(link.startswith("data:image/") for link in links)
    assert "http" not in re.sub(r'"data:image/[^"]*"', "", page)
    for words in (*outcome.commands, "Skill", "Learning rate", "vit-tiny", "24 images", "Classes"):
        assert words in page
    assert page.count("<img") >= 5


def test_paths_with_spaces_are_quoted(journey, folder):
    assert all(f"'{folder}'" in journey[0].commands[name] for name in ("Look", "Embed"))


def test_the_config_is_one_for_the_tools(journey):
    cfg = Config.fromfile(journey[0].folder / "config.py")
    assert cfg.train_cfg.max_iters == 6 and cfg.custom_imports.imports == ["localmim.parts"]
    assert "optim_wrapper" in cfg and cfg.work_dir == str(journey[0].folder.absolute())


@pytest.mark.usefixtures("on_the_cpu")
def test_what_comes_after(journey, folder, labelled, tmp_path, capsys):
    outcome = journey[0]
    found = localmim.knn(labelled, outcome.encoder)
    assert all(0 <= found[name] <= 1 for name in ("knn", "linear", "knn_auc", "linear_auc"))
    assert "By chance: 50.0%" in capsys.readouterr().out
    localmim.embed(folder, outcome.encoder, tmp_path / "a.npy", workers=0)
    assert np.load(tmp_path / "a.npy").shape == (24, 192)
    for name in ("Segment", "Detect", "Best"):
        _, _, source, _, _, dialect = shlex.split(outcome.commands[name])
        localmim.convert(source, tmp_path / f"{name}.pth", dialect)
    with pytest.raises(ValueError, match="holds another training already"):
        localmim.pretrain(str(folder), _with(tmp_path / "other", "a.pth"), **BRIEF)


def _with(folder, name):
    folder.mkdir()
    (folder / name).touch()
    return folder


def test_processes_of_several_devices_are_asked_to_stop(tmp_path):
    """By a script in the place of the one that starts them, which notes what it was asked."""
    script = tmp_path / "dist_train.sh"
    script.write_text(
        f"trap 'echo INT >> {tmp_path}/got; exit 143' INT\n"
        f"trap 'echo TERM >> {tmp_path}/got; exit 143' TERM\n"
        f'echo "$@" > {tmp_path}/arguments; while true; do sleep 0.05; done\n'
    )
    code = (
        "import sys, localmim.command.pretrain as p; from pathlib import Path\n"
        f"p.brought = lambda name: Path({str(script)!r})\n"
        "try: p._run_processes(Path('config.py'), 2, True)\n"
        "except p.Preempted as stopped: sys.exit(7)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    end = time.monotonic() + 100
    while not (tmp_path / "arguments").exists():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 7
    assert (tmp_path / "got").read_text() == "INT\n"
    given = (tmp_path / "arguments").read_text().split()
    assert given == ["config.py", "2", "--resume", "--cfg-options", "load_from=None"]


def test_a_failure_of_processes_is_told(tmp_path, monkeypatch):
    (tmp_path / "dist_train.sh").write_text("exit 3\n")
    monkeypatch.setattr(command, "brought", lambda name: tmp_path / "dist_train.sh")
    with pytest.raises(ChildProcessError, match="the training on 2 devices failed"):
        command._run_processes(tmp_path / "config.py", 2, resume=False)
