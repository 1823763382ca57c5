"""Mistakes are told in one line, before work begins."""

import re
import subprocess
import sys
from argparse import ArgumentTypeError

import pytest
import timm
import torch
from PIL import Image

from localmim.command.arguments import source, weights
from localmim.command.main import main


def told(capsys, *arguments):
    """The line that a mistake is answered with."""
    try:
        code = main([str(x) for x in arguments])
    except SystemExit as stopped:
        code = stopped.code
    said = capsys.readouterr().err
    assert code in (1, 2)
    assert "Traceback" not in said and said.startswith("error: ") and said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arch", "vit-smal"], "--arch: vit-smal: no encoder has that name; did you mean vit-s"),
        (["--method", "maskfeet"], "maskfeet: no method has that name; did you mean maskfeat"),
        (
            ["--method", "greenmim", "--arch", "resnet50"],
            "greenmim trains swin-tiny, .*for a resnet",
        ),
        (["--method", "lomar", "--arch", "swin-tiny"], "lomar trains vit-tiny, .* take --method"),
        (["--image-size", "100"], "--image-size 100: .*the nearest: 96 or 128"),
        (["--epochs", "1", "--minutes", "1"], "--minutes: not allowed with argument --epochs"),
        (["--minutes", "0"], "--minutes: '0' is no number above 0"),
        (["--epochs", "1.5"], "--epochs: '1.5' is no number above 0"),
        (["--batch", "-3"], "--batch: '-3' is no number above 0"),
        (["--channels", "2"], "--channels: invalid choice: 2"),
        (["--set", "lr"], "--set lr: give KEY=VALUE"),
        (["--set", "trian_dataloader.batch_size=3"], "trian_dataloader.*did you mean train_data"),
        (["--from", "missing.pth"], "--from: missing.pth is no file"),
        (["--val", "missing"], "--val: missing does not exist"),
        (["--archs", "vit-small"], "unrecognized arguments: --archs"),
    ],
)
def test_mistakes_of_a_pre_training(tmp_path, capsys, folder, arguments, message):
    out = tmp_path / "out"
    said = told(capsys, "pretrain", folder, "--out", out, *arguments)
    assert re.search(message, said), said
    assert not out.exists()


def test_mistakes_of_folders(tmp_path, capsys):
    assert "nowhere does not exist" in told(capsys, "pretrain", tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("no image")
    assert "a.txt is a file, not a folder" in told(capsys, "pretrain", tmp_path / "a.txt")
    assert "holds no image with one of the endings" in told(capsys, "pretrain", tmp_path)
    for number in range(3):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{number}.png")
    said = told(capsys, "pretrain", tmp_path, "--out", tmp_path / "out")
    assert "holds 3 images: pre-training needs 16 at least" in said


def test_weights_of_another_architecture(tmp_path, capsys, folder):
    file, out = tmp_path / "vit.pth", tmp_path / "out"
    torch.save(timm.create_model("vit_tiny_patch16_224", img_size=64).state_dict(), file)
    given = ("pretrain", folder, "--out", out, "--from", file)
    said = told(capsys, *given, "--arch", "swin-tiny")
    assert f"{file} holds a vit-tiny; say --arch vit-tiny or leave it out" in said
    assert "--channels 1: " in told(capsys, *given, "--channels", "1")
    assert "--method greenmim trains swin" in told(capsys, *given, "--method", "greenmim")
    other = timm.create_model("vit_tiny_patch16_224", img_size=64, patch_size=8)
    torch.save(other.state_dict(), file)
    assert re.search("patches of 8 px.*no recipe here is for", told(capsys, *given))
    file.write_text("no weights")
    assert str(file) in told(capsys, *given)
    assert not out.exists()


def test_mistakes_of_other_commands(tmp_path, capsys, folder, labelled):
    assert "invalid choice: 'pretrian'" in told(capsys, "pretrian", folder)
    assert "arguments are required: DATA" in told(capsys, "pretrain")
    (tmp_path / "a.pth").write_text("no weights")
    for command, after in (("knn", ()), ("finetune", ()), ("embed", (tmp_path / "a.npy",))):
        assert "a.pth" in told(capsys, command, labelled, tmp_path / "a.pth", *after)
    for command in ("knn", "finetune"):
        assert "missing.pth is no file" in told(capsys, command, labelled, "missing.pth")
        assert "with no encoder_*.safetensors of a f" in told(capsys, command, labelled, tmp_path)
        said = told(capsys, command, folder, tmp_path / "a.pth")
        assert "my photos holds no images in subfolders, one for each class" in said


def test_the_folder_of_a_pre_training_stands_for_its_encoder(tmp_path):
    encoder = tmp_path / "encoder_timm.safetensors"
    for name in (encoder.name, "encoder_best.safetensors", "encoder.json"):
        (tmp_path / name).touch()
    for read in (weights, source):
        assert read(str(tmp_path)) == read(str(encoder)) == str(encoder)
    (tmp_path / "encoder_mmpretrain.safetensors").touch()
    with pytest.raises(ArgumentTypeError, match="encoder_mmpretrain.* and .*_timm.*; name a file"):
        weights(str(tmp_path))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--arch", "resnet50", "--method", "greenmim"],
        ["--arch", "swin-tiny", "--image-size", "100"],
        ["--arch", "vit-smal"],
        ["--minutes", "0"],
    ],
)
def test_what_no_data_can_change_is_told_at_once(folder, arguments):
    """Before torch is imported."""
    code = "import sys; sys.modules['torch'] = None; from localmim.command.main import main\n"
    code += f"sys.exit(main({['pretrain', str(folder), *arguments]}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode in (1, 2) and done.stderr.startswith("error: "), done.stderr
    assert "torch" not in done.stderr and done.stderr.count("\n") == 1


def test_a_traceback_where_one_is_wanted(tmp_path, folder):
    out = str(tmp_path / "out")
    with pytest.raises(ValueError, match="--image-size 100"):
        main(["pretrain", str(folder), "--out", out, "--image-size", "100", "--debug"])


def test_commands_that_are_tools_are_asked_for_their_help(capsys):
    for name in ("convert", "onnx", "show", "analyze"):
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: localmim {name} ")


@pytest.mark.usefixtures("untried")
def test_the_config_is_printed(capsys, folder, tmp_path, monkeypatch):
    from mmengine.config import Config

    from localmim.engine import check_config

    monkeypatch.chdir(tmp_path)
    assert main(["config", str(folder), "--epochs", "2", "--batch", "8"]) == 0
    printed = capsys.readouterr()
    assert "batch          8" in printed.err
    (tmp_path / "mine.py").write_text(printed.out)
    cfg = Config.fromfile(tmp_path / "mine.py")
    check_config(cfg)
    assert cfg.train_cfg.max_iters == 6 and cfg.train_dataloader.batch_size == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py"]
