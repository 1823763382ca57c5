"""Pack a folder of images into tar shards with an index, for the data set ShardedImages.

Shards are plain tars, readable by tar and webdataset; the files in them are the images, byte by
byte, named by their paths below the folder. Each shard appears when it is complete, and the index,
without which nothing trains, when all are. Run again after an interruption, it goes on.

Examples:
  python tools/make_shards.py /data/images /data/shards
  python tools/make_shards.py --index /data/tars_made_otherwise
"""

import argparse
import os
import tarfile
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from localmim.data.listing import list_files
from localmim.data.shards import INDEX, Member, index_of, members
from localmim.data.unlabelled import EXTENSIONS
from localmim.data.unusable import printable
from localmim.durable import written_aside

_NAMED = 5  # files that a message names


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, help="images, in subfolders or not")
    parser.add_argument("out", nargs="?", type=Path, help="folder for the shards")
    parser.add_argument(
        "--index", type=Path, metavar="DIR", help="only write the index of the tars in DIR"
    )
    parser.add_argument(
        "--shard-size", type=int, default=1024, metavar="MIB", help="of a shard (default: 1024)"
    )
    parser.add_argument(
        "--extensions",
        nargs="+",
        default=EXTENSIONS,
        metavar=".END",
        help=f"endings of the files to take, in lower case (default: {' '.join(EXTENSIONS)})",
    )
    args = parser.parse_args(argv)
    if (args.index is None) == (args.out is None):
        parser.error("give FOLDER and OUT, or --index DIR")
    if args.shard_size < 1:
        parser.error(f"--shard-size must be 1 or more, got {args.shard_size}")
    place = args.index or args.folder
    if not place.is_dir():
        parser.error(f"{str(place)!r} is no folder")
    return args


def write_index(folder: Path) -> None:
    """The index of all tars in a folder."""
    tars = sorted(path.name for path in folder.iterdir() if _is_shard(path))
    if not tars:
        raise ValueError(f"{printable(folder)} holds no file named *.tar")
    found = {name: list(members(folder / name)) for name in tqdm(tars, "reading", unit="shard")}
    index = index_of(found, folder)
    index.save(folder)
    print(f"{folder / INDEX}: {len(index)} files in {len(tars)} shards")


def _is_shard(path: Path) -> bool:
    return path.suffix == ".tar" and not path.name.startswith(".") and path.is_file()


def make_shards(folder: Path, out: Path, size: int, extensions: tuple[str, ...]) -> None:
    """Write what is missing of a folder's shards, and the index.

    Args:
        folder: of the images.
        out: of the shards; made if it is not there.
        size: bytes at which a shard is full.
        extensions: of the files that are taken.
    """
    names = list_files(str(folder), lambda name: name.lower().endswith(extensions))
    if not names:
        raise ValueError(
            f"{printable(folder)} holds no image with one of the endings {' '.join(extensions)}"
        )
    out.mkdir(parents=True, exist_ok=True)
    for partial in out.glob(".shard-*.partial.tar"):  # of a run that was killed
        partial.unlink()
    found = _complete_shards(out, names)
    done = {member.name for shard in found.values() for member in shard}
    last = max((number for number, name in enumerate(names) if name in done), default=-1)
    skipped = [name for name in names[: last + 1] if name not in done]
    with tqdm(total=len(names), initial=last + 1, desc="packing", unit="image") as bar:
        files = _contents(folder, names[last + 1 :], skipped, bar)
        while (first := next(files, None)) is not None:
            name = f"shard-{len(found):06}.tar"
            _write_shard(out / name, chain([first], files), size)
            found[name] = list(members(out / name))
    index = index_of(found, out)
    index.save(out)
    print(f"{out / INDEX}: {len(index)} files in {len(found)} shards")
    if skipped:
        few = ", ".join(map(printable, skipped[:_NAMED]))
        print(f"{len(skipped)} files could not be read and are left out, such as {few}")


def _complete_shards(out: Path, names: list[str]) -> dict[str, list[Member]]:
    """What an earlier run has finished.

    Raises:
        ValueError: these are not shards of the same folder.
    """
    found: dict[str, list[Member]] = {}
    listed = set(names)
    for path in sorted(path for path in out.iterdir() if _is_shard(path)):
        found[path.name] = list(members(path))
        strange = [member.name for member in found[path.name] if member.name not in listed]
        if path.name != f"shard-{len(found) - 1:06}.tar" or strange:
            why = f"holds {printable(strange[0])}" if strange else "is not the next one's name"
            raise ValueError(
                f"{printable(path)} does not belong to the shards of this folder (it {why}): "
                "empty the folder, or choose another"
            )
    return found


def _contents(
    folder: Path, names: list[str], skipped: list[str], bar: tqdm
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """The files that can be read, as a tar has them."""
    for name in names:
        bar.update()
        try:
            content, changed = (folder / name).read_bytes(), os.path.getmtime(folder / name)
        except OSError:
            skipped.append(name)
            continue
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = len(content), changed
        yield entry, content


def _write_shard(path: Path, files: Iterator[tuple[tarfile.TarInfo, bytes]], size: int) -> None:
    """Write files until a shard is full."""
    written = 0
    with (
        written_aside(path) as partial,
        tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for entry, content in files:
            tar.addfile(entry, BytesIO(content))
            written += len(content)
            if written >= size:
                break


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        if args.index is not None:
            write_index(args.index)
        else:
            extensions = tuple(args.extensions)
            make_shards(args.folder, args.out, args.shard_size << 20, extensions)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
