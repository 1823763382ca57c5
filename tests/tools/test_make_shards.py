"""The tool as its users run it, killed and run again."""

import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from tars import write_tar
from tool_main import TOOLS, main_of

TOOL = [sys.executable, str(TOOLS / "make_shards.py")]


@pytest.fixture(scope="module")
def main():
    return main_of("make_shards")


@pytest.fixture
def call(main, capsys):
    """Run the tool: what it prints, and the message with which it ends, if it does."""

    def run(*arguments):
        message = ""
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            message = str(end)
        out, err = capsys.readouterr()
        return out, f"{message}\n{err}"

    return run


def contents(out: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as tar:
            for entry in tar:
                assert entry.name not in found
                found[entry.name] = tar.extractfile(entry).read()
    return found


@pytest.fixture
def folder(tmp_path):
    """60 files of half a mebibyte, in folders, with names of any kind."""
    rng = np.random.default_rng(0)
    for number in range(60):
        name = "n\u00e9\u4e2d" * (number % 3)
        path = tmp_path / f"data/{number % 7}/{name}{number}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.bytes(1 << 19))
    (tmp_path / "data/notes.txt").write_text("no image")
    return tmp_path / "data"


def expected(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.JPG")}


def test_every_file_byte_by_byte_also_after_a_kill(call, folder, tmp_path):
    out = tmp_path / "shards"
    run = subprocess.Popen([*TOOL, folder, out, "--shard-size", "2"], stderr=subprocess.DEVNULL)
    while not (out / "shard-000002.tar").exists():
        assert run.poll() is None
        time.sleep(0.001)
    run.kill()
    run.wait()
    before = {path: path.stat().st_mtime_ns for path in out.glob("shard-*.tar")}
    assert len(before) >= 3 and not (out / "index.npz").exists()
    with pytest.raises(FileNotFoundError, match="index.npz is missing"):
        DATASETS.build(dict(type="ShardedImages", data_root=str(out)))
    told, _ = call(folder, out, "--shard-size", 2)
    assert "60 files in 15 shards" in told
    assert all(path.stat().st_mtime_ns == written for path, written in before.items())
    assert contents(out) == expected(folder)
    dataset = DATASETS.build(dict(type="ShardedImages", data_root=str(out)))
    assert len(dataset) == 60
    told, _ = call(folder, out, "--shard-size", 2)
    assert "60 files in 15 shards" in told and len(list(out.iterdir())) == 16


def test_files_that_cannot_be_read_are_left_out_and_told(call, folder, tmp_path):
    if os.geteuid() == 0:  # who may read everything
        (folder / "0/0.JPG").unlink()
        (folder / "0/0.JPG").symlink_to("/proc/self/mem")
    else:
        (folder / "0/0.JPG").chmod(0)
    told, _ = call(folder, tmp_path / "shards", "--shard-size", 100)
    assert "59 files in 1 shards" in told
    assert "1 files could not be read and are left out, such as 0/0.JPG" in told
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.JPG")}
    assert set(contents(tmp_path / "shards")) == names - {"0/0.JPG"}


def test_only_the_index_of_tars_made_otherwise(call, tmp_path):
    write_tar(tmp_path / "b.tar", {"1.jpg": b"x", "1.json": b"{}"})
    write_tar(tmp_path / "a.tar", {"2.jpg": b"y"})
    told, _ = call("--index", tmp_path)
    assert "3 files in 2 shards" in told
    dataset = DATASETS.build(dict(type="ShardedImages", data_root=str(tmp_path)))
    assert [dataset.path(n) for n in range(2)] == [
        f"{tmp_path}/a.tar/2.jpg",
        f"{tmp_path}/b.tar/1.jpg",
    ]


def test_mistakes_are_told(call, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    write_tar(tmp_path / "empty/shard-000000.tar", {"other.jpg": b"x"})
    write_tar(tmp_path / "zipped.tar", {"a.jpg": b"x"}, "w:gz")
    for arguments, message in [
        ((), "give FOLDER and OUT, or --index DIR"),
        ((folder,), "give FOLDER and OUT"),
        ((tmp_path / "gone", tmp_path / "out"), "is no folder"),
        ((folder, tmp_path / "out", "--shard-size", 0), "--shard-size must be 1 or more"),
        ((folder, tmp_path / "out", "--extensions", ".gif"), "holds no image with one of"),
        ((folder, tmp_path / "empty"), "it holds other.jpg): empty the folder, or choose"),
        (("--index", folder), "holds no file named *.tar"),
        (("--index", tmp_path), "zipped.tar is no tar that can be read in any order"),
    ]:
        _, error = call(*arguments)
        assert message in error, (arguments, error)
