"""Write a vector of each image to a file: an encoder's last output, its mean over positions.

CHECKPOINT is of a pre-training here, whose config says how it sees images, or any weights that
tools/convert.py reads (these see images as their file says, else as on ImageNet: RGB, its mean and
deviation).

OUT.npy has a float32 row for each image, OUT.txt their paths in the same order; OUT.parquet has
columns "path" and "features". Files that give no image have rows of NaN (null) and are named.
Called again after it was interrupted, it goes on. The memory that it takes does not depend on the
number of images.

Example:
  python tools/embed.py work_dirs/mine/epoch_200.pth /path/to/images features.npy
"""

import argparse
import os
from pathlib import Path

import torch

from localmim.analysis import embed, image_files, load_encoder

NAMED = 5


def parse_args() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="e.g. work_dirs/NAME/epoch_20.pth, or weights for timm")
    parser.add_argument("images", nargs="+", help="image files, or folders of them")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="file to be written: .npy or .parquet"
    )
    parser.add_argument("--config", help="(default: the checkpoint's own)")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="for weights without a config (default: what they are laid out for)",
    )
    parser.add_argument(
        "--patches", action="store_true", help="a vector of each position: (images, h, w, channels)"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="(default: 64)")
    parser.add_argument(
        "--workers",
        type=int,
        default=cores,
        help=f"that read images (default: one a core, {cores})",
    )
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(default: a GPU)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    args = parser.parse_args()
    if args.batch_size < 1 or args.workers < 0:
        parser.error("--batch-size starts at 1 and --workers at 0")
    if args.out.exists() and not args.overwrite:
        parser.error(f"{args.out} exists; give another name, or --overwrite to replace it")
    return args


def main() -> None:
    args = parse_args()
    try:
        size = args.image_size and tuple(args.image_size)
        encoder = load_encoder(args.checkpoint, args.config, image_size=size).to(args.device)
        paths = image_files(args.images, encoder.extensions)
        print(f"{encoder}; {len(paths)} files", flush=True)
        done = embed(encoder, paths, args.out, args.batch_size, args.workers, args.patches)
    except (OSError, ValueError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error
    went_on = f", of which {done.begun_at} were there" if done.begun_at else ""
    width = "x".join(map(str, done.shape[1:]))
    print(f"{done.shape[0]} rows of {width} in {args.out}{went_on}")
    for path, why in list(done.unusable.items())[:NAMED]:
        print(f"  no image, a row without values: {path}: {why}")
    if len(done.unusable) > NAMED:
        print(f"  and {len(done.unusable) - NAMED} more")


if __name__ == "__main__":
    main()
