"""The index of tars against Python's own reading of them."""

import tarfile

import numpy as np
import pytest
from tars import write_tar

from localmim.data import UnusableImage, shards
from localmim.data.shards import INDEX, ReadMember, index_of, members, read_index, read_range

CONTENTS = {
    "a.jpg": b"first",
    "b/\u00e9\u4e2d.png": bytes(2000),
    "long" * 60 + ".png": b"third",
    "empty.jpg": b"",
    "c\udcff.jpg": b"no utf-8",
}


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_where_tarfile_reads_them(tmp_path, kind):
    path = write_tar(tmp_path / "a.tar", CONTENTS, kind=kind)
    with tarfile.open(path, "a") as tar:
        tar.addfile(_folder())
    found = list(members(path))
    assert [member.name for member in found] == list(CONTENTS)
    for member in found:
        assert read_range(str(path), member.offset, member.size) == CONTENTS[member.name]


def _folder() -> tarfile.TarInfo:
    entry = tarfile.TarInfo("folder")
    entry.type = tarfile.DIRTYPE
    return entry


def test_an_index_comes_back_as_it_was_written(tmp_path):
    for name in ("x.tar", "y.tar"):
        write_tar(tmp_path / name, CONTENTS)
    write_tar(tmp_path / "none.tar", {})
    names = ("none.tar", "x.tar", "y.tar")
    index = index_of({name: list(members(tmp_path / name)) for name in names}, tmp_path)
    index.save(tmp_path)
    found = read_index(tmp_path)
    assert (
        found.shards == names and list(found.names) == [*CONTENTS, *CONTENTS] and len(found) == 10
    )
    assert found.shard.tolist() == [1] * 5 + [2] * 5
    assert np.array_equal(found.offset, index.offset) and np.array_equal(found.size, index.size)
    read = ReadMember([str(tmp_path / name) for name in found.shards])
    for number, content in enumerate([*CONTENTS.values()] * 2):
        place = {key: getattr(found, key)[number].item() for key in ("shard", "offset", "size")}
        assert read(dict(img_path="x", **place))["img_bytes"] == content


def test_a_tar_in_the_place_of_another_is_read_anew(tmp_path):
    for content in (b"before", b"afterwards"):
        path = tmp_path / "new"
        write_tar(path, {"padding": bytes(len(content) * 100), "a.jpg": content})
        path.rename(tmp_path / "a.tar")
        index_of({"a.tar": list(members(tmp_path / "a.tar"))}, tmp_path).save(tmp_path)
        found = read_index(tmp_path)
        read = ReadMember([str(tmp_path / "a.tar")])
        place = {key: getattr(found, key)[1].item() for key in ("shard", "offset", "size")}
        assert read(dict(img_path="x", **place))["img_bytes"] == content


def test_what_cannot_be_read_in_any_order_is_refused(tmp_path):
    whole = write_tar(tmp_path / "a.tar", {"a": bytes(5000)}).read_bytes()
    write_tar(tmp_path / "zipped.tar", {"a": bytes(5000)}, "w:gz")
    (tmp_path / "cut.tar").write_bytes(whole[:3000])
    (tmp_path / "text.tar").write_text("<html>404</html>" * 100)
    (tmp_path / "empty.tar").touch()
    for name in ("zipped.tar", "cut.tar", "text.tar", "empty.tar"):
        with pytest.raises(ValueError, match=f"{name} is no tar that can be read in any order"):
            list(members(tmp_path / name))


def test_an_index_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"index.npz is missing.*make_shards.py --index"):
        read_index(tmp_path)
    path = write_tar(tmp_path / "a.tar", CONTENTS)
    index_of({"a.tar": list(members(path))}, tmp_path).save(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(10240))
    with pytest.raises(ValueError, match=r"a.tar has \d+ bytes, and had \d+ when.*--index"):
        read_index(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.tar"):
        read_index(tmp_path)
    for content in (b"", b"PK\3\4", np.array(["a"], dtype=object).tobytes()):
        (tmp_path / INDEX).write_bytes(content)
        with pytest.raises(ValueError, match=r"index\.npz is no index of shards"):
            read_index(tmp_path)
    np.savez(tmp_path / INDEX, shards=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="is no index of shards"):
        read_index(tmp_path)


def test_a_shard_that_shrinks_is_a_damaged_image(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a.jpg": bytes(5000)})
    (member,) = members(path)
    path.write_bytes(path.read_bytes()[:3000])
    info = dict(img_path="a.tar/a.jpg", shard=0, offset=member.offset, size=member.size)
    with pytest.raises(UnusableImage, match=r"a\.tar/a\.jpg: .*only 2488 of 5000 bytes"):
        ReadMember([str(path)])(info)
    with pytest.raises(UnusableImage, match=r"a\.tar/a\.jpg: gone"):
        ReadMember([str(tmp_path / "gone.tar")])(info)


def test_a_file_that_the_cache_does_not_keep_is_open_until_it_is_read(tmp_path, monkeypatch):
    """Of two threads that open the same shard at once, one has the only reference to its file."""
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"content"})
    (member,) = members(path)
    monkeypatch.setattr(shards, "_opened", shards._opened.__wrapped__)
    assert read_range(str(path), member.offset, member.size) == b"content"
