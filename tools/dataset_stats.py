"""Tell the mean and deviation of each channel of a folder of images, or of a config's training
data, and which values the files hold; print the lines for a config."""

import argparse
import os
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, TRANSFORMS
from tqdm import tqdm

from localmim.data import LoadBands, LoadImage, ShardedImages, UnlabelledImages
from localmim.data.cropping import whole_image_loader
from localmim.data.statistics import FolderStatistics, files_statistics, folder_statistics
from localmim.data.unlabelled import EXTENSIONS

EPILOG = """Every image counts the same, whatever its size, because training takes a crop of one
size from each. Files that give no image are left out, counted and named.

examples:
  python tools/dataset_stats.py /path/to/images
  python tools/dataset_stats.py /path/to/16-bit/images --value-range 0 4095 --samples 2000
  python tools/dataset_stats.py /path/to/arrays --bands 5 --extensions .npy .tif
  python tools/dataset_stats.py mine.py --cfg-options train_dataloader.dataset.data_root=FOLDER
"""
_NAMED = 3


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "place",
        metavar="FOLDER_OR_CONFIG",
        help="a folder, or the config (.py) of a training, whose loader reads the files",
    )
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="read N images, evenly spaced in the list, instead of all",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        metavar="N",
        help="number of processes; the result does not depend on it (default: one a core)",
    )
    folder = parser.add_argument_group("for a folder")
    folder.add_argument(
        "--value-range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="values that become 0 and 255 in images of more than 8 bits a channel",
    )
    folder.add_argument(
        "--bands", type=int, metavar="N", help="read TIFFs or .npy of N bands, unscaled"
    )
    folder.add_argument(
        "--extensions",
        nargs="+",
        metavar="EXT",
        help=f"endings of the files (default: {' '.join(EXTENSIONS)})",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="for a config: override settings, as in training",
    )
    return parser


def check_arguments(args: argparse.Namespace) -> None:
    """Raise ValueError on numbers out of range and on options that the place does not take."""
    for name, value in (("--samples", args.samples), ("--workers", args.workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
    if args.bands is not None and args.value_range:
        raise ValueError("--value-range is for images; --bands are read unscaled")
    names = ("value_range", "bands", "extensions") if is_config(args.place) else ("cfg_options",)
    for name in names:
        if getattr(args, name) is not None:
            kind = "folder" if is_config(args.place) else "config"
            raise ValueError(f"--{name.replace('_', '-')} is for a {kind}")


def is_config(place: str) -> bool:
    return place.endswith(".py") and Path(place).is_file()


def open_place(args: argparse.Namespace) -> tuple[list[str], BaseTransform]:
    """Paths of all files, and the transform that loads them."""
    if not is_config(args.place):
        loader = LoadImage(args.value_range) if args.bands is None else LoadBands(args.bands)
        dataset = UnlabelledImages(args.place, extensions=args.extensions or EXTENSIONS)
        return [dataset.path(idx) for idx in range(len(dataset))], loader
    cfg = Config.fromfile(args.place)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get("default_scope", "mmpretrain"))
    settings = cfg.train_dataloader.dataset
    while "dataset" in settings:
        settings = settings["dataset"]
    loader = TRANSFORMS.build(whole_image_loader(settings["pipeline"][0]))
    dataset = DATASETS.build(settings | {"pipeline": []})
    if isinstance(dataset, ShardedImages):
        raise ValueError("this config reads shards: give the folder that they were made of instead")
    return [dataset.get_data_info(idx)["img_path"] for idx in range(len(dataset))], loader


def describe(found: FolderStatistics, read: int, total: int) -> str:
    """What was read, and which values the files hold."""
    lines = [f"{found.images} of {read} files gave an image ({total} files in all)."]
    for reason, messages in found.unusable.items():
        lines.append(f"  {len(messages)} unusable: {reason.text}, such as")
        lines += [f"    {message}" for message in messages[:_NAMED]]
    lines.append("Values as they are stored:")
    for dtype, (count, least, most) in found.ranges.items():
        lines.append(f"  {dtype}, {count} files: {least:.6g} to {most:.6g}")
    return "\n".join(lines)


def config_lines(found: FolderStatistics, loader: BaseTransform) -> str:
    """Lines to paste into a config."""
    lines = []
    wide = [values for dtype, values in found.ranges.items() if dtype != "uint8"]
    if isinstance(loader, LoadImage) and loader.value_range is not None:
        low, high = loader.value_range
        lines.append(f'train_pipeline[0]["value_range"] = ({low:.6g}, {high:.6g})')
    elif isinstance(loader, LoadImage) and wide:
        least, most = min(low for _, low, _ in wide), max(high for _, _, high in wide)
        lines += [
            f"# Images of more than 8 bits hold values from {least:.6g} to {most:.6g}. To make",
            "# these, or others that you know better, black and white, run this again with",
            f"# --value-range {least:.6g} {most:.6g}, or with value_range in a config.",
        ]
    if found.images:
        bands = isinstance(loader, LoadBands)
        # Loaded images are BGR and become RGB before they are normalised; bands stay as they are.
        order = slice(None) if bands or len(found.mean) != 3 else slice(None, None, -1)
        mean, std = (np.round(x[order], 4).tolist() for x in (found.mean, found.std))
        more = ", to_rgb=False" if bands else ""
        lines.append(f"data_preprocessor = dict(mean={mean}, std={std}{more})")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = make_parser()
    args = parser.parse_args(argv)
    try:
        check_arguments(args)
        paths, loader = open_place(args)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    total = len(paths)
    if args.samples is not None and args.samples < total:
        paths = [paths[n] for n in np.linspace(0, total - 1, args.samples).astype(int)]
    files = files_statistics(paths, loader, args.workers)
    found = folder_statistics(list(tqdm(files, total=len(paths), unit="image", delay=0.2)))
    print(describe(found, len(paths), total))
    print(f"\nFor the config:\n{config_lines(found, loader)}")
    if not found.images:
        raise SystemExit("error: no file gave an image")


if __name__ == "__main__":
    main()
