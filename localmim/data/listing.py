"""The image files below a folder, whatever else lies there."""

import logging
import os
from collections import deque
from collections.abc import Callable

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from tqdm import tqdm

from .unusable import printable

_SHOWN = 5  # places named in a warning


def list_files(root: str, wanted: Callable[[str], bool]) -> list[str]:
    """Files below a folder, in subfolders and behind links too.

    Names that start with a dot are left out if they are files, followed if they are folders. No
    folder is listed twice, so loops of links end: one that several links lead to belongs to the
    real folder, else to the first link. What cannot be listed is named in a warning.

    Args:
        root: the folder.
        wanted: tells by its name whether a file is taken.

    Returns:
        Paths relative to the root, sorted.

    Raises:
        OSError: the root itself cannot be listed.
    """
    walk = _Walk(root, wanted)
    walk.run()
    walk.warn()
    return sorted(walk.files)


class _Walk:
    """Folders first, links to folders when no folder is left."""

    def __init__(self, root: str, wanted: Callable[[str], bool]) -> None:
        self.root, self.wanted = root, wanted
        self.files: list[str] = []
        self.links: deque[str] = deque()
        self.failed: list[str] = []
        self.seen: set[tuple[int, int]] = set()

    def run(self) -> None:
        with tqdm(
            desc=f"listing {printable(self.root)}",
            unit=" files",
            delay=3,
            disable=not is_main_process(),
        ) as bar:
            folders = [""]
            while folders or self.links:
                folder = folders.pop() if folders else self.links.popleft()
                before = len(self.files)
                try:
                    folders += self._list(folder)
                except OSError as error:
                    if not folder:
                        raise
                    self.failed.append(f"{printable(self._path(folder))} ({error.strerror})")
                bar.update(len(self.files) - before)

    def _path(self, name: str) -> str:
        return os.path.join(self.root, name) if name else self.root

    def _list(self, folder: str) -> list[str]:
        """Note what a folder holds, unless it has been listed; its folders, the last one first."""
        path = self._path(folder)
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in self.seen:
            return []
        self.seen.add((status.st_dev, status.st_ino))
        folders, links = [], []
        with os.scandir(path) as entries:
            for entry in entries:
                name = os.path.join(folder, entry.name)
                taken = self.wanted(entry.name) and not entry.name.startswith(".")
                if taken and self._is_file(entry, name):
                    self.files.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif entry.is_symlink() and os.path.isdir(entry.path):
                    links.append(name)
        self.links += sorted(links)
        return sorted(folders, reverse=True)

    def _is_file(self, entry: os.DirEntry, name: str) -> bool:
        try:
            if entry.is_file():
                return True
            lost = entry.is_symlink() and not entry.is_dir()
            why = "link to nothing"
        except OSError as error:  # a link to itself, a disk that fails
            lost, why = True, error.strerror
        if lost:
            self.failed.append(f"{printable(self._path(name))} ({why})")
        return False

    def warn(self) -> None:
        if self.failed:
            named = ", ".join(self.failed[:_SHOWN])
            more = f" and {len(self.failed) - _SHOWN} more" if len(self.failed) > _SHOWN else ""
            print_log(
                f"{len(self.failed)} place(s) below {printable(self.root)} could not be listed and "
                f"are left out: {named}{more}",
                logger="current",
                level=logging.WARNING,
            )
