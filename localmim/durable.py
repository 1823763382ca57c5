"""Files that are there entirely or not at all, also after a power cut."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UMASK = os.umask(0)
os.umask(_UMASK)
_MODE = 0o666 & ~_UMASK  # of any new file, where temporary ones are for their owner alone


@contextmanager
def written_aside(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file under a temporary name beside its own and move it there when it is complete.

    Its data reaches the disk before it has its name, and the name before this returns. When
    anything fails, or the process dies, what was there before stays as it was.

    Args:
        path: of the file; its folder exists.

    Yields:
        The path to write to, of an empty file with the same suffix.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=f".partial{path.suffix}"
    )
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        os.chmod(partial, _MODE)
        _sync(partial)
        os.replace(partial, path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
