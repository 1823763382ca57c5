"""Tar files of images, and the index that says where in them each image is.

Shards are plain tars of image files, as webdataset has them. The index, ``index.npz`` beside them,
makes any image one read of a range of bytes, so that they can be drawn in any order.
"""

import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from localmim.durable import written_aside

from .unusable import Reason, UnusableImage, explained, printable

INDEX = "index.npz"
_OPEN = 256  # shards that a process keeps open


@dataclass(frozen=True)
class Member:
    """A file in a tar: its name, and where its bytes are."""

    name: str
    offset: int
    size: int


def members(path: str | os.PathLike) -> Iterator[Member]:
    """The regular files in a tar, in order; only their headers are read.

    Raises:
        ValueError: the file is no tar, is compressed, or ends too soon.
    """
    size = os.path.getsize(path)
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                if not entry.isreg():
                    continue
                if entry.issparse() or entry.offset_data + entry.size > size:
                    raise tarfile.ReadError("a file in it is cut off or sparse")
                yield Member(entry.name, entry.offset_data, entry.size)
    except tarfile.TarError as error:
        raise ValueError(
            f"{printable(path)} is no tar that can be read in any order, which plain tars can and "
            f"compressed or damaged ones cannot ({error})"
        ) from error


@dataclass(frozen=True)
class ShardIndex:
    """Where the images of a folder of shards are.

    Attributes:
        shards: file names of the tars.
        sizes: of the tars in bytes.
        shard: (N,) number of each file's tar.
        offset: (N,) where its bytes begin.
        size: (N,) how many there are.
        names: of the files in their tars.
    """

    shards: tuple[str, ...]
    sizes: tuple[int, ...]
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def save(self, folder: str | os.PathLike) -> None:
        """Write the index of a folder, whole or not at all."""
        names = [name.encode("utf-8", "surrogateescape") for name in self.names]
        with written_aside(Path(folder, INDEX)) as partial:
            np.savez(
                partial,
                shards=np.array(self.shards, dtype=np.str_),
                sizes=np.array(self.sizes, dtype=np.int64),
                shard=self.shard,
                offset=self.offset,
                size=self.size,
                names=np.frombuffer(b"".join(names), dtype=np.uint8),
                name_ends=np.cumsum([len(name) for name in names], dtype=np.int64),
            )


def index_of(found: dict[str, list[Member]], folder: str | os.PathLike) -> ShardIndex:
    """The index of tars whose members are known, by the tars' file names."""
    files = [member for shard in found.values() for member in shard]
    return ShardIndex(
        shards=tuple(found),
        sizes=tuple(os.path.getsize(Path(folder, name)) for name in found),
        shard=np.repeat(np.arange(len(found), dtype=np.int32), [len(m) for m in found.values()]),
        offset=np.array([member.offset for member in files], dtype=np.int64),
        size=np.array([member.size for member in files], dtype=np.int64),
        names=[member.name for member in files],
    )


def read_index(folder: str | os.PathLike) -> ShardIndex:
    """Read the index of a folder and compare it with its tars, which are opened anew.

    Raises:
        FileNotFoundError: there is no index, or a tar that it names is missing.
        ValueError: a tar has changed since, or the file is no index.
    """
    path = Path(folder, INDEX)
    make = f"python tools/make_shards.py --index {printable(folder)}"
    if not path.is_file():
        raise FileNotFoundError(
            f"{printable(path)} is missing: make_shards.py writes it when all shards are complete; "
            f"for tars made otherwise: {make}"
        )
    try:
        with np.load(path, allow_pickle=False) as stored:
            ends = stored["name_ends"].tolist()
            text, starts = stored["names"].tobytes(), [0, *ends[:-1]]
            names = [
                text[a:b].decode("utf-8", "surrogateescape")
                for a, b in zip(starts, ends, strict=False)
            ]
            numbers = {key: stored[key] for key in ("shard", "offset", "size")}
            index = ShardIndex(
                shards=tuple(stored["shards"].tolist()),
                sizes=tuple(stored["sizes"].tolist()),
                names=names,
                **numbers,
            )
    except Exception as error:
        raise ValueError(f"{printable(path)} is no index of shards ({error}): {make}") from error
    for name, size in zip(index.shards, index.sizes, strict=True):
        found = os.path.getsize(Path(folder, name))
        if found != size:
            raise ValueError(
                f"{printable(Path(folder, name))} has {found} bytes, and had {size} when the index "
                f"was made: {make}"
            )
    _opened.cache_clear()  # a tar of that name may have been another one
    return index


@lru_cache(_OPEN)
def _opened(path: str) -> BinaryIO:
    return open(path, "rb", buffering=0)


def read_range(path: str, offset: int, size: int) -> bytes:
    """A range of the bytes of a file, which stays open.

    Raises:
        OSError: the file cannot be read, or ends too soon.
    """
    file = _opened(path)  # kept until it is read: another thread may have taken its place
    content = os.pread(file.fileno(), size, offset)
    if len(content) < size:
        raise UnusableImage(Reason.DAMAGED, f"only {len(content)} of {size} bytes are there")
    return content


class ReadMember:
    """The transform that reads a sample of a shard: adds ``img_bytes``.

    Args:
        shards: paths of the tars.
    """

    def __init__(self, shards: Sequence[str]) -> None:
        self.shards = tuple(shards)

    def __call__(self, info: dict[str, Any]) -> dict[str, Any]:
        with explained(info["img_path"]):
            content = read_range(self.shards[info["shard"]], info["offset"], info["size"])
        return info | dict(img_bytes=content)


def wanted_members(index: ShardIndex, wanted: Callable[[str], bool]) -> list[int]:
    """Numbers of the files that are taken by their names; names that start with a dot are not."""
    return [
        number
        for number, name in enumerate(index.names)
        if wanted(name) and not name.rpartition("/")[2].startswith(".")
    ]
