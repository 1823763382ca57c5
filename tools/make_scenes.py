"""Write a labelled set of procedural scenes: textured objects of ten shapes, drawn from a seed."""

import argparse

from tqdm import tqdm

from localmim.scenes import LAYOUTS, MAX_OBJECTS, MIN_SIDE, SceneSet, write_scenes

EPILOG = """layouts:
  folder  classification, an image folder: {train,val}/KIND/*.png
  ade20k  semantic segmentation: {images,annotations}/{training,validation}/
          in the maps 1 is the background and 2 to 11 are the kinds of object,
          to be read with reduce_zero_label=True
  coco    detection and instance segmentation: {train,val}2017/*.jpg,
          annotations/instances_{train,val}2017.json
Beside them scenes.json tells how the scenes were drawn.

example:
  python tools/make_scenes.py coco data/scenes_coco --train 2000 --val 500 --workers 8
"""


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("layout", choices=LAYOUTS, help="how the files are laid out, see below")
    parser.add_argument("out_dir", metavar="OUT_DIR", help="a new or an empty folder")
    for name, default, what in (
        ("--train", 1000, "number of training scenes"),
        ("--val", 200, "number of validation scenes"),
        ("--seed", 0, "seed; the same one gives the same scenes again"),
        ("--max-objects", MAX_OBJECTS, "scenes have from 1 to N objects, at most 4"),
        ("--workers", 1, "number of processes; the result does not depend on it"),
    ):
        parser.add_argument(
            name, type=int, default=default, metavar="N", help=f"{what} (default: {default})"
        )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=(224, 224),
        metavar=("H", "W"),
        help=f"height and width in pixels, each at least {MIN_SIDE} (default: 224 224)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    parser = make_parser()
    args = parser.parse_args(argv)
    try:
        scenes = SceneSet(args.train, args.val, tuple(args.size), args.seed, args.max_objects)
        with tqdm(total=args.train + args.val, unit="scene", delay=0.2) as bar:
            write_scenes({args.layout: args.out_dir}, scenes, args.workers, bar.update)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(
        f"{args.train} training and {args.val} validation scenes of {args.size[0]} x "
        f"{args.size[1]} pixels in {args.out_dir} ({args.layout} layout, seed {args.seed})"
    )


if __name__ == "__main__":
    main()
