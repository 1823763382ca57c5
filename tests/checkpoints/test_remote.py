import hashlib
import io
import shutil
from collections import namedtuple
from contextlib import nullcontext
from email.message import Message
from urllib.request import Request

import pytest
import torch
from hostile import Touch, served
from mmengine.runner import CheckpointLoader

from localmim.checkpoints import fetch
from localmim.checkpoints.remote import _Redirects


def saved(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


GOOD = saved({"state_dict": {"backbone.x": torch.arange(5)}})
LENGTH = {"Content-Length": str(len(GOOD))}


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setenv("LOCALMIM_ALLOW_HTTP", "1")
    return tmp_path / "hub"


def files_in(hub):
    return [p for p in hub.rglob("*") if p.is_file() and p.name != "lock"]


def test_every_scheme_of_mmengine_is_ours():
    assert {f.__module__.split(".")[0] for f in CheckpointLoader._schemes.values()} == {"localmim"}


def test_what_is_fetched_is_loaded_safely_and_once(hub):
    with served({"/a.pth?x=1": (200, LENGTH, GOOD)}) as (address, asked):
        for _ in range(2):
            loaded = CheckpointLoader.load_checkpoint(f"{address}/a.pth?x=1", "cpu")
            assert loaded["state_dict"]["backbone.x"].tolist() == [0, 1, 2, 3, 4]
    assert len(asked) == 1 and [p.name for p in files_in(hub)] == ["a.pth"]


@pytest.mark.parametrize("scheme", ["", "torchvision://", "openmmlab://", "mmcls://"])
def test_code_that_is_fetched_is_not_run(tmp_path, monkeypatch, scheme):
    body = saved({"state_dict": Touch(tmp_path / "executed")})
    with served({"/a.pth": (200, {}, body)}) as (address, _):
        url = f"{address}/a.pth"
        for getter in ("torchvision", "external", "mmcls"):
            name = f"localmim.checkpoints.remote.get_{getter}_models"
            monkeypatch.setattr(name, lambda: {"net": url})
        with pytest.raises(ValueError, match="can execute code"):
            CheckpointLoader.load_checkpoint(f"{scheme}net" if scheme else url)
    assert not (tmp_path / "executed").exists()


def test_a_model_of_mmcls_is_its_backbone(monkeypatch):
    with served({"/a.pth": (200, {}, GOOD)}) as (address, _):
        places = {"net": f"{address}/a.pth"}
        monkeypatch.setattr("localmim.checkpoints.remote.get_mmcls_models", lambda: places)
        assert list(CheckpointLoader.load_checkpoint("mmcls://net")["state_dict"]) == ["x"]
        with pytest.raises(ValueError, match="no model of that name"):
            CheckpointLoader.load_checkpoint("mmcls://other")


def test_plain_http_is_refused_unless_asked_for(monkeypatch):
    monkeypatch.delenv("LOCALMIM_ALLOW_HTTP")
    refused = pytest.raises(ValueError, match="LOCALMIM_ALLOW_HTTP=1")
    with served({}) as (address, asked), refused:
        CheckpointLoader.load_checkpoint(f"{address}/a.pth")
    assert not asked
    for url in ("ftp://host/a.pth", "file:///etc/passwd"):
        with pytest.raises(ValueError, match="not of https"):
            fetch(url)


def test_redirects_do_not_leave_encryption(monkeypatch):
    follow = _Redirects().redirect_request
    secure = Request("https://host/a.pth")
    with pytest.raises(ValueError, match="not encrypted"):
        follow(secure, None, 302, "", Message(), "http://host/a.pth")
    assert follow(secure, None, 302, "", Message(), "https://other/a.pth").host == "other"
    answers = {"/a.pth": (302, {"Location": "ftp://host/a.pth"}, b"")}
    with served(answers) as (address, _), pytest.raises(ValueError, match="not of https"):
        fetch(f"{address}/a.pth")


def test_a_hash_in_the_name_is_verified(hub):
    good = hashlib.sha256(GOOD).hexdigest()[:8]
    names = {f"/a-{good}.pth": None, "/a-20240131.pth": None, "/a-0123abcd.pth": "not that of"}
    with served(dict.fromkeys(names, (200, LENGTH, GOOD))) as (address, _):
        for name, problem in names.items():
            if problem is None:
                assert fetch(address + name).read_bytes() == GOOD
                continue
            with pytest.raises(ValueError, match=problem):
                fetch(address + name)
    assert len(files_in(hub)) == 2


def test_half_a_file_and_a_full_disk_leave_nothing(hub, monkeypatch):
    answers = {"/a.pth": (200, {"Content-Length": "9999"}, GOOD), "/b.pth": (200, LENGTH, GOOD)}
    with served(answers) as (address, _):
        with pytest.raises((ValueError, OSError), match=r"ended after|IncompleteRead"):
            fetch(f"{address}/a.pth")
        usage = namedtuple("usage", "total used free")(0, 0, 64 << 20)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(OSError, match="needs"):
            fetch(f"{address}/b.pth")
        with pytest.raises(OSError, match="404"):
            answers["/c.pth"] = (404, {}, b"")
            fetch(f"{address}/c.pth")
    assert files_in(hub) == []
    with pytest.raises(ValueError, match="names no file"):
        fetch("https://host/")


def test_ceph_is_read_by_way_of_a_file_and_pavi_refused(tmp_path, monkeypatch):
    torch.save({"state_dict": Touch(tmp_path / "executed")}, tmp_path / "a.pth")
    place = "localmim.checkpoints.remote.get_local_path"
    monkeypatch.setattr(place, lambda *args, **kwargs: nullcontext(tmp_path / "a.pth"))
    with pytest.raises(ValueError, match="can execute code"):
        CheckpointLoader.load_checkpoint("s3://bucket/a.pth")
    with pytest.raises(ValueError, match="download the file"):
        CheckpointLoader.load_checkpoint("pavi://a.pth")
    assert not (tmp_path / "executed").exists()
