import os

import pytest

from localmim.durable import written_aside


def test_a_file_appears_when_it_is_complete_and_with_the_usual_rights(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with written_aside(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old" and partial.suffix == ".txt"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="no space"), written_aside(path) as partial:
        partial.write_text("ne")
        raise OSError("no space left")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_data_reaches_the_disk_before_its_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    path, done = tmp_path / "file.txt", []
    sync, replace = os.fsync, os.replace

    def synced(descriptor):
        done.append(("sync", os.path.isdir(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    def replaced(source, target):
        done.append(("rename", str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with written_aside(path) as partial:
        partial.write_text("new")
    assert done == [("sync", False), ("rename", str(path)), ("sync", True)]
