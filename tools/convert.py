"""Convert a checkpoint to the names and layout of another library."""

import argparse
import json
from pathlib import Path

from localmim.checkpoints import (
    DIALECTS,
    convert_file,
    timm_call,
    transformers_preprocessor,
)
from localmim.durable import written_aside

KINDS = """\
kinds of checkpoint:
  localmim            this project's training checkpoints, with decoders or the backbone alone
  localmim-release    the authors' LocalMIM, pre-training (ViT, Swin)
  localmim-finetuned  the authors' LocalMIM, fine-tuning (ViT; Swin, as the original Swin)
  mae, lomar, a2mim   their authors' pre-training (a2mim: ViT, ResNet, ConvNeXt)
  mmpretrain          VisionTransformer, BEiTViT, SwinTransformer, ResNet, ConvNeXt
  mmseg               VisionTransformer, SwinTransformer
  mmseg-mae           MAE, the backbone of mmseg's UperNet for MAE
  mmseg-beit          BEiT
  mmdet               SwinTransformer, ResNet
  timm                vit_*, swin_*, resnet*, convnext*
  transformers        ViTModel, ViTMAEModel, SwinModel

examples:
  python tools/convert.py work_dirs/my_run/epoch_400.pth backbone.safetensors --to timm
  python tools/convert.py release.pth start.pth --to localmim
  python tools/convert.py epoch_400.pth seg.pth --to mmseg-mae --image-size 512 512
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=KINDS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("src", help="checkpoint file (.pth, .pt, .safetensors, ...)")
    parser.add_argument(
        "dst", help="file to be written; its ending, .pth or .safetensors, says the format"
    )
    parser.add_argument(
        "--from",
        dest="source",
        choices=["auto", *DIALECTS],
        default="auto",
        metavar="KIND",
        help="what the source is (default: auto, recognise it)",
    )
    parser.add_argument(
        "--to", dest="target", choices=DIALECTS, required=True, metavar="KIND", help="what to write"
    )
    parser.add_argument(
        "--image-size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="resize positions (bicubic) for images of this height and width in pixels",
    )
    parser.add_argument(
        "--window",
        type=int,
        metavar="N",
        help="resize a Swin's tables of relative positions (bicubic) to windows of NxN tokens",
    )
    parser.add_argument(
        "--source-size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="image size of the source, where it is not square and the file does not say it",
    )
    parser.add_argument(
        "--merge-order",
        choices=["row", "column"],
        help="how to read the patch merging of a Swin of localmim-release (default: row, as it "
        "was trained; its authors' fine-tuning reads it as column)",
    )
    parser.add_argument(
        "--ema", action="store_true", help="take the averaged weights where the file has both"
    )
    parser.add_argument(
        "--safetensors",
        action="store_true",
        help="write safetensors; adds the ending to a destination without one",
    )
    parser.add_argument(
        "--strict",
        choices=["error", "report"],
        default="error",
        help="error: stop where a tensor is unknown, missing or has no place (default); report: "
        "leave it out and say so",
    )
    parser.add_argument(
        "--unsafe",
        action="store_true",
        help="read a file that holds Python objects, which may run ANY code on this machine while "
        "it is read; only for files that you trust as you trust a program",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing destination")
    args = parser.parse_args()
    args.dst = Path(args.dst)
    if not args.dst.suffix:
        args.dst = args.dst.with_suffix(".safetensors" if args.safetensors else ".pth")
    if args.safetensors and args.dst.suffix != ".safetensors":
        parser.error(f"--safetensors, but the destination is {args.dst}")
    return args


def write_preprocessor(path: Path, content: dict | None) -> None:
    """Write how transformers has to prepare images, where that is known and nothing is there."""
    if content is None:
        print(
            "How images are prepared is not known to the file: see to mean and deviation yourself"
        )
    elif path.exists():
        print(f"{path} is there and was left as it is; for these weights:\n  {json.dumps(content)}")
    else:
        with written_aside(path) as aside:
            aside.write_text(json.dumps(content, indent=2) + "\n")
        print(f"Wrote {path}, by which AutoImageProcessor prepares images")


def main() -> None:
    args = parse_args()
    print(f"Reading {args.src} ...", flush=True)
    try:
        conversion, meta = convert_file(
            args.src,
            args.dst,
            args.target,
            args.source,
            image_size=args.image_size and tuple(args.image_size),
            window=args.window,
            source_size=args.source_size and tuple(args.source_size),
            merge_order=args.merge_order,
            ema=args.ema,
            strict=args.strict == "error",
            unsafe=args.unsafe,
            overwrite=args.overwrite,
        )
    except (OSError, ValueError) as error:
        hint = ""
        if "can execute code" in str(error):
            hint = (
                ". If you trust the file as you trust a program, --unsafe reads it; better, save "
                "its weights alone where it was made"
            )
        raise SystemExit(f"error: {error}{hint}") from error
    report = conversion.report
    also = f" (the same names: {', '.join(report.alternatives)})" if report.alternatives else ""
    print(f"Saw {report.source}{also}")
    print(report)
    print(f"Now {conversion.architecture}")
    print(f"Wrote {args.dst}, {args.dst.stat().st_size / 1e6:.1f} MB, with metadata")
    for name, value in meta.items():
        print(f"  {name}: {value}")
    if args.target == "transformers":
        write_preprocessor(
            args.dst.with_name("preprocessor_config.json"),
            transformers_preprocessor(conversion.architecture, meta),
        )
    if args.target == "timm":
        call = timm_call(conversion.architecture, meta, args.dst)
        print(f"In timm:\n  {call}" if call else "timm has no model of that name with these sizes")
        if meta.get("colour_order") == "BGR":
            print("  The model sees B, G, R: turn the channels of its images round.")


if __name__ == "__main__":
    main()
