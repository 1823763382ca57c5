"""tools/convert.py as a user meets it. (Named apart from tests/checkpoints/test_convert.py.)"""

import contextlib
import json
import re
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import tiny
import torch
from mmpretrain.registry import MODELS
from tool_main import main_of


class Malicious:
    """Makes a file when unpickled by an unrestricted unpickler."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def call(*arguments):
    """The tool in this process, which has imported it all: what it prints, and its end."""
    out, err, code = StringIO(), StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["convert.py", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main_of("convert")()
        except SystemExit as ended:
            code = ended.code or 0
    if isinstance(code, str):  # which Python prints
        err.write(f"{code}\n")
        code = 1
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "epoch_3.pth"
    model = MODELS.build(tiny.localmim())
    meta = {"epoch": 3, "cfg": "model = dict(backbone=dict(type='SparseViT', img_size=64))"}
    content = {"state_dict": model.state_dict(), "meta": meta, "optimizer": {"state": {}}}
    torch.save(content, path)
    return path


def test_says_what_it_saw_did_and_wrote(tmp_path, checkpoint):
    done = call(checkpoint, tmp_path / "vit", "--to", "timm", "--safetensors")
    assert done.returncode == 0, done.stderr
    for words in (
        "Saw localmim (this project's ViTs)",
        "-> timm (vit_*)",
        "decoders serve pre-training only",
        "optimizer (entry of the file)",
        "Now vit: width 32, depth 8, patches of 16 px, images of 64x64, pre-trained on HOG, 9 bins",
        "epochs: 3",
        f"Wrote {tmp_path / 'vit.safetensors'}",
    ):
        assert words in done.stdout, words
    assert [path.name for path in tmp_path.iterdir()] == ["vit.safetensors"]


def test_transformers_gets_its_preprocessor_beside_the_weights(tmp_path):
    cfg = "model = dict(backbone=dict(type='SparseViT', img_size=64))\n"
    cfg += "data_preprocessor = dict(mean=[10.0, 20.0, 30.0], std=[40.0, 50.0, 60.0], to_rgb=True)"
    state = MODELS.build(tiny.localmim()).state_dict()
    torch.save({"state_dict": state, "meta": {"cfg": cfg}}, tmp_path / "a.pth")
    file, beside = tmp_path / "out" / "a.safetensors", tmp_path / "out" / "preprocessor_config.json"
    file.parent.mkdir()
    assert f"Wrote {beside}" in call(tmp_path / "a.pth", file, "--to", "transformers").stdout
    written = json.loads(beside.read_text())
    assert written["size"] == {"height": 64, "width": 64}
    assert written["image_mean"] == pytest.approx([10 / 255, 20 / 255, 30 / 255])
    beside.write_text("mine")
    done = call(tmp_path / "a.pth", file.with_name("b.safetensors"), "--to", "transformers")
    assert f"{beside} is there and was left" in done.stdout and beside.read_text() == "mine"


def test_help_names_every_kind():
    text = " ".join(call("--help").stdout.split())
    assert "mmseg-mae" in text and "may run ANY code" in text and "--image-size H W" in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--to", "mmdet"], "error: .*epoch_3.pth: mmdet is not for a model of the family vit"),
        (["--to", "mmseg", "--image-size", "60", "64"], "multiple of 16 pixels, got 60x64"),
        (["--to", "torchvision"], "invalid choice: 'torchvision'"),
        (["--to", "timm", "--safetensors"], "--safetensors, but the destination is .*out.pth"),
    ],
)
def test_mistakes_are_said_and_nothing_is_written(tmp_path, checkpoint, arguments, message):
    done = call(checkpoint, tmp_path / "out.pth", *arguments)
    assert done.returncode != 0 and re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_code_in_a_file_runs_on_demand_only(tmp_path):
    trace, source = tmp_path / "executed", tmp_path / "a.pth"
    state = MODELS.build(tiny.localmim()).state_dict()
    torch.save({"state_dict": state, "extra": Malicious(trace)}, source)
    done = call(source, tmp_path / "b.pth", "--to", "timm")
    assert done.returncode == 1 and "can execute code" in done.stderr
    assert "--unsafe" in done.stderr
    assert not trace.exists() and not (tmp_path / "b.pth").exists()
    done = call(source, tmp_path / "b.pth", "--to", "timm", "--unsafe")
    assert done.returncode == 0, done.stderr
    assert trace.exists() and (tmp_path / "b.pth").exists()


def test_a_folder_without_permission_is_said(checkpoint):
    """Not even root may write into /sys."""
    done = call(checkpoint, "/sys/kernel/vit.pth", "--to", "timm")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no file can be written in /sys/kernel" in done.stderr
