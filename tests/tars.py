"""Tars written by Python's own library."""

import tarfile
from io import BytesIO
from pathlib import Path

from localmim.data.shards import index_of, members


def write_tar(path: Path, contents: dict[str, bytes], mode="w", kind=tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, mode, format=kind) as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, BytesIO(content))
    return path


def write_shards(folder: Path, out: Path, per_shard: int) -> None:
    """The files of a folder in shards of so many, with an index."""
    out.mkdir(exist_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for number, start in enumerate(range(0, len(files), per_shard)):
        some = files[start : start + per_shard]
        contents = {str(path.relative_to(folder)): path.read_bytes() for path in some}
        write_tar(out / f"shard-{number:06}.tar", contents)
    tars = sorted(out.glob("*.tar"))
    index_of({tar.name: list(members(tar)) for tar in tars}, out).save(out)
