import os

import pytest
from mmengine.logging import MMLogger

from localmim.data.listing import list_files
from localmim.data.unusable import printable


def jpegs(root):
    return list_files(str(root), lambda name: name.endswith(".jpg"))


@pytest.fixture
def log(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("log") / "log.txt"
    MMLogger.get_instance(request.node.name, log_file=str(path))
    return path


def test_links_are_followed_and_loops_end(tmp_path):
    root = tmp_path / "root"
    for folder in ("root/a/b", "root/c", "outside/deep"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("root/a/1.jpg", "root/a/b/2.jpg", "outside/deep/3.jpg", "4.jpg"):
        (tmp_path / file).touch()
    (root / "a/b/up").symlink_to(root)
    (root / "a/b/self").symlink_to(root / "a/b")
    (root / "c/there").symlink_to(tmp_path / "outside")
    (tmp_path / "outside/back").symlink_to(root / "c")
    (root / "5.jpg").symlink_to(tmp_path / "4.jpg")
    assert jpegs(root) == ["5.jpg", "a/1.jpg", "a/b/2.jpg", "c/there/deep/3.jpg"]


def test_folders_that_link_to_each_other_are_listed_once(tmp_path):
    """12 folders with links to all the others: 12! paths, if only loops were cut."""
    for one in range(12):
        (tmp_path / f"{one:02d}").mkdir()
        (tmp_path / f"{one:02d}/x.jpg").touch()
        for other in range(12):
            (tmp_path / f"{one:02d}/to{other}").symlink_to(tmp_path / f"{other:02d}")
    assert jpegs(tmp_path) == [f"{one:02d}/x.jpg" for one in range(12)]


def test_of_two_links_to_a_folder_the_first_counts_and_none_before_the_folder(tmp_path):
    root = tmp_path / "root"
    for folder in ("root/z", "root/y", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    (root / "z/1.jpg").touch()
    (tmp_path / "outside/2.jpg").touch()
    (root / "a").symlink_to(root / "z")
    (root / "y/n").symlink_to(tmp_path / "outside")
    (root / "m").symlink_to(tmp_path / "outside")
    assert jpegs(root) == ["m/2.jpg", "z/1.jpg"]


def test_links_to_nothing_and_to_themselves_are_named(tmp_path, log):
    (tmp_path / "good.jpg").touch()
    (tmp_path / "nothing.jpg").symlink_to("nowhere")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    (tmp_path / "nothing.txt").symlink_to("nowhere")
    (tmp_path / "folder").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert jpegs(tmp_path) == ["good.jpg"]
    text = log.read_text()
    assert f"2 place(s) below {tmp_path} could not be listed" in text
    assert f"{tmp_path}/nothing.jpg (link to nothing)" in text
    assert f"{tmp_path}/itself.jpg (Too many levels of symbolic links)" in text


def test_names_of_any_bytes(tmp_path, log):
    odd = [b"\xff\xfe.jpg", "größe 图 🙂.jpg".encode(), b" lead.jpg", b"tab\tand\nline.jpg"]
    for name in odd:
        (tmp_path / os.fsdecode(name)).touch()
    (tmp_path / os.fsdecode(b"gone\xff.jpg")).symlink_to("nowhere")
    assert sorted(map(os.fsencode, jpegs(tmp_path))) == sorted(odd)
    assert "gone\\xff.jpg (link to nothing)" in log.read_text()
    assert printable(os.fsdecode(odd[3])) == "tab\\tand\\nline.jpg"
    assert printable(os.fsdecode(odd[1])) == "größe 图 🙂.jpg"


def test_folders_that_may_not_be_listed_are_named_and_the_root_is_an_error(
    tmp_path, log, monkeypatch
):
    """Refused by a stand-in for the system, because tests may run as root."""
    for folder in ("open", "shut", "later"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").touch()
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == refused:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    refused = "shut"
    assert jpegs(tmp_path) == ["later/1.jpg", "open/1.jpg"]
    assert f"1 place(s) below {tmp_path} could not be listed" in log.read_text()
    assert f"{tmp_path}/shut (Permission denied)" in log.read_text()
    refused = tmp_path.name
    with pytest.raises(PermissionError):
        jpegs(tmp_path)
