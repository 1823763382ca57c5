import argparse
import os
import resource
import signal
import subprocess
import sys
import types
import zipfile
from multiprocessing import get_context

import pytest
import torch
from library_models import VITS, build
from mmengine.hooks import EMAHook
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from localmim.checkpoints import convert_file, load_from_file, read_checkpoint, write_checkpoint
from localmim.checkpoints.files import unwrapped

STATE = {n: x.float() for n, x in build(VITS["timm", "VisionTransformer"]).state_dict().items()}


def save(content, path, **kwargs):
    torch.save(content, path, **kwargs)
    return path


@pytest.fixture
def file(tmp_path):
    return save({"state_dict": STATE}, tmp_path / "vit.pth")


# Reading


@pytest.mark.parametrize("entry", ["state_dict", "model", None])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_weights_are_found_under_entries_and_wrappers(tmp_path, entry, prefix):
    weights = {prefix + name: x for name, x in STATE.items()}
    content = weights if entry is None else {entry: weights, "optimizer": {"state": {}}}
    checkpoint = read_checkpoint(save(content, tmp_path / "a.pth"))
    assert checkpoint.state_dict.keys() == STATE.keys() and checkpoint.taken == entry
    assert checkpoint.left_out == (() if entry is None else ("optimizer",))


def test_averages_are_taken_on_request(tmp_path):
    ones, twos = {"weight": torch.ones(2)}, {"module.weight": torch.full((2,), 2.0)}
    path = save({"state_dict": ones, "state_dict_ema": twos}, tmp_path / "timm.pth")
    assert read_checkpoint(path).state_dict["weight"].mean() == 1
    averaged = read_checkpoint(path, ema=True)
    assert averaged.state_dict["weight"].mean() == 2 and averaged.left_out == ("state_dict",)
    with pytest.raises(ValueError, match="holds no averaged weights"):
        read_checkpoint(save({"model": ones}, tmp_path / "plain.pth"), ema=True)


def test_mmengines_average_is_where_mmengine_puts_it(tmp_path):
    hook = EMAHook()
    hook.src_model = torch.nn.Linear(1, 1)
    hook.ema_model = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(1, 1))
    runner = types.SimpleNamespace(model=hook.src_model)
    content = {"state_dict": hook.src_model.state_dict()}
    average = hook.ema_model.module.state_dict()
    hook.before_save_checkpoint(runner, content)
    path = save(dict(content), tmp_path / "a.pth")
    for ema in (True, False):
        found = read_checkpoint(path, ema=ema).state_dict
        assert found.keys() == average.keys() and torch.equal(found["weight"], average["weight"])


def test_what_a_run_says_of_its_model_is_read_without_running_it(tmp_path):
    cfg = (
        "import os\nside = os.getpid()\nmodel = dict(backbone=dict(type='SparseViT', "
        "arch=dict(num_heads=3), img_size=(64, 96)), "
        "target_generator=dict(type='MultiScaleHOG', bins=18))\n"
    )
    content = {"state_dict": STATE, "meta": {"cfg": cfg, "epoch": 7}}
    hints = read_checkpoint(save(content, tmp_path / "a.pth")).hints
    assert hints == dict(image_size=[64, 96], num_heads=[3], targets="HOG, 18 bins", epochs=7)
    content["meta"]["cfg"] = "model = dict(backbone=dict(type='ReleasedSwin', arch='tiny'))"
    hints = read_checkpoint(save(content, tmp_path / "a.pth")).hints
    assert hints == dict(image_size=[224, 224], epochs=7, norm_eps=1e-5)
    content["meta"]["cfg"] = "model = (("
    assert read_checkpoint(save(content, tmp_path / "a.pth")).hints == {"epochs": 7}
    content["meta"] = {"epoch": 0, "iter": 2000}
    assert read_checkpoint(save(content, tmp_path / "a.pth")).hints == {}


def test_what_training_scripts_save_beside_weights_needs_no_trust(tmp_path, monkeypatch):
    yacs = types.ModuleType("yacs.config")
    yacs.CfgNode = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    monkeypatch.setitem(sys.modules, "yacs.config", yacs)
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    settings = yacs.CfgNode(TRAIN=yacs.CfgNode(EPOCHS=300))
    content = {"model": STATE, "config": settings, "args": argparse.Namespace(lr=0.1), "epoch": 2}
    checkpoint = read_checkpoint(save(content, tmp_path / "a.pth"))
    assert checkpoint.hints == {"epochs": 3}


def test_old_and_safe_formats_are_read(tmp_path):
    old = save({"model": STATE}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(old)
    save_file(STATE, tmp_path / "a.safetensors", metadata={"epochs": "3", "note": "text"})
    for path in (old, tmp_path / "a.safetensors"):
        found = read_checkpoint(path).state_dict
        assert all(torch.equal(found[name], x) for name, x in STATE.items())
    meta = load_from_file(tmp_path / "a.safetensors")["meta"]
    assert meta == {"epochs": 3, "note": "text"}


@pytest.mark.parametrize(
    "content, message",
    [
        ([1, 2], "holds a list, not a dict"),
        ({"epoch": 3}, r"holds no weights: none of state_dict.*its entries \(epoch\)"),
        ({"state_dict": {}}, "holds no weights"),
        ({}, r"its entries \(none\)"),
        ({"model": {"a": torch.ones(1), "b": 3}}, "'b' among the weights is no tensor"),
    ],
)
def test_files_without_weights_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_checkpoint(save(content, tmp_path / "a.pth"))


def test_damaged_files_are_refused(tmp_path, file):
    with zipfile.ZipFile(tmp_path / "photos.pth", "w") as archive:
        archive.writestr("a.txt", "no checkpoint")
    (tmp_path / "short.pth").write_bytes(file.read_bytes()[:-1000])
    save_file(STATE, tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[:-1000])
    (tmp_path / "text.safetensors").write_bytes(b"hello, world")
    for name in ("photos.pth", "short.pth", "short.safetensors", "text.safetensors"):
        with pytest.raises(ValueError, match=f"{name} is no checkpoint or is damaged"):
            convert_file(tmp_path / name, tmp_path / "b.pth", "mmpretrain")
        assert not (tmp_path / "b.pth").exists()


def test_prefixes_come_off_only_where_every_name_has_them():
    mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert unwrapped(mixed).keys() == mixed.keys()
    averaged = {"n_averaged": torch.tensor(3), "module.a": torch.ones(1)}
    assert unwrapped(averaged).keys() == {"a"}


# Writing


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_views_are_written_alone_with_their_metadata(tmp_path, name):
    whole = torch.randn(300, 100)
    state = {"part": whole[:3], "turned": whole[:30].T, "number": torch.tensor(3)}
    write_checkpoint(tmp_path / name, state, {"depths": [2, 2], "name": "base"})
    loaded = load_from_file(tmp_path / name)
    assert loaded["meta"].items() >= {"depths": [2, 2], "name": "base"}.items()
    assert all(torch.equal(loaded["state_dict"][n], x) for n, x in state.items())
    assert (tmp_path / name).stat().st_size < 20_000
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    value = os.umask(0)
    os.umask(value)
    return value


def test_metadata_says_what_the_file_is_and_where_it_came_from(tmp_path, file):
    convert_file(file, tmp_path / "a.safetensors", "transformers", image_size=(32, 64))
    with safe_open(tmp_path / "a.safetensors", "pt") as opened:
        meta = opened.metadata()
    assert meta["format"] == "pt" and meta["image_size"] == "[32, 64]" and meta["depths"] == "[7]"
    digest = subprocess.run(["sha256sum", file], capture_output=True, text=True).stdout.split()[0]
    assert meta["source_sha256"] == digest and meta["source"] == "vit.pth"
    assert load_file(tmp_path / "a.safetensors").keys() >= {"layernorm.weight"}
    # The image size goes along: it is not square, and no weight could tell it.
    _, meta = convert_file(tmp_path / "a.safetensors", tmp_path / "b.pth", "timm")
    assert meta["image_size"] == [32, 64]


def test_a_destination_is_checked_before_the_work(tmp_path, file):
    (tmp_path / "there.pth").write_text("precious")
    (tmp_path / "folder.pth").mkdir()
    for name, error, message in (
        ("there.pth", FileExistsError, "exists; give another name, or --overwrite"),
        ("folder.pth", FileExistsError, "folder.pth exists"),
        ("vit.pth", FileExistsError, "is the source itself"),
        ("nowhere/a.pth", FileNotFoundError, "there is no folder .*nowhere"),
        ("a.onnx", ValueError, "must end in .pth, .pt or .safetensors"),
    ):
        with pytest.raises(error, match=message):
            convert_file(file, tmp_path / name, "mmpretrain")
    assert (tmp_path / "there.pth").read_text() == "precious"
    convert_file(file, tmp_path / "there.pth", "mmpretrain", overwrite=True)
    assert "state_dict" in load_from_file(tmp_path / "there.pth")


def test_no_space_is_said_before_writing(tmp_path, file, monkeypatch):
    usage = types.SimpleNamespace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"a.pth needs about 0 MB, but only 0 MB are free"):
        convert_file(file, tmp_path / "a.pth", "mmpretrain")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vit.pth"]


def write_within_a_limit(path, said):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        write_checkpoint(path, {"weight": torch.zeros(1_000_000)}, {})
    except OSError as error:
        said.put(str(error))


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_file_that_cannot_be_finished_leaves_nothing_and_spares_the_old_one(tmp_path, name):
    (tmp_path / name).write_text("precious")
    context = get_context("fork")
    said = context.SimpleQueue()
    writer = context.Process(target=write_within_a_limit, args=(tmp_path / name, said))
    writer.start()
    writer.join()
    assert writer.exitcode == 0 and said.get()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"
