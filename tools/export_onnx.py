"""Write an encoder as ONNX: pixels in, features out, its normalisation inside.

CHECKPOINT is of a pre-training here, or any weights that tools/convert.py reads.

The file takes "images", float32 (B, 3, H, W), R, G and B from 0 to 255 (an encoder of grey images
one channel), for any B, and gives "features" (B, channels) and "map" (B, channels, h, w).

Example:
  python tools/export_onnx.py work_dirs/mine/epoch_200.pth encoder.onnx
"""

import argparse
from pathlib import Path

from localmim.analysis import load_encoder
from localmim.analysis.onnx import export_onnx


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="e.g. work_dirs/NAME/epoch_20.pth, or weights for timm")
    parser.add_argument("out", type=Path, metavar="OUT.onnx", help="the file to be written")
    parser.add_argument("--config", help="(default: the checkpoint's own)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="for weights without a config (default: what they are laid out for)",
    )
    size.add_argument(
        "--any-size", action="store_true", help="images of any size, for convolutional networks"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    args = parser.parse_args()
    if args.out.exists() and not args.overwrite:
        parser.error(f"{args.out} exists; give another name, or --overwrite to replace it")
    return args


def main() -> None:
    args = parse_args()
    try:
        size = args.image_size and tuple(args.image_size)
        encoder = load_encoder(args.checkpoint, args.config, image_size=size)
        print(f"{encoder} ...", flush=True)
        metadata = export_onnx(encoder, args.out, args.any_size)
    except (OSError, ValueError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"Wrote {args.out}, {args.out.stat().st_size / 1e6:.1f} MB, with metadata")
    for name, value in metadata.items():
        print(f"  {name}: {value}")


if __name__ == "__main__":
    main()
