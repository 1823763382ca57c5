"""Look into the attention of a pre-trained Vision Transformer, or of two side by side.

Writes to OUT_DIR:

- attention.csv and attention.png: by layer and head, the normalised mutual information of queries
  and keys, the mean attention distance and the entropy, over all images;
- attention_IMAGE.png: where chosen patches attend, for the first images.

Example, LocalMIM beside MAE:
  python tools/analyze.py work_dirs/localmim/epoch_200.pth /path/to/images \\
      --against work_dirs/mae/epoch_200.pth
"""

import argparse
import csv
from pathlib import Path

from mmengine.config import DictAction
from torch import Tensor
from tqdm import tqdm

from localmim.analysis import image_files, load_trained, load_whole_images
from localmim.analysis.attention import attention_layers, attention_maps
from localmim.analysis.attention_figures import (
    MEASURES,
    AttentionStatistics,
    attention_figure,
    statistics_figure,
)
from localmim.analysis.reconstruction import pictures_of
from localmim.durable import written_aside
from localmim.models import MaskedImageModel

BATCH = 8


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="of a pre-training, e.g. work_dirs/NAME/epoch_20.pth")
    parser.add_argument("images", nargs="+", help="image files, or folders of them")
    parser.add_argument("--against", metavar="CHECKPOINT", help="another, drawn beside the first")
    parser.add_argument("--config", help="config of the first (default: the checkpoint's own)")
    parser.add_argument("--against-config", metavar="CONFIG", help="the same of the other")
    parser.add_argument("--out-dir", default="analysis", help="(default: analysis)")
    parser.add_argument(
        "--max-images", type=int, default=64, help="images read at most (default: 64)"
    )
    parser.add_argument(
        "--draw", type=int, default=4, help="images whose attention is drawn (default: 4)"
    )
    parser.add_argument(
        "--layers",
        type=int,
        nargs="+",
        help="layers that are drawn, from 1 (default: 2, 4, 10 and 12 of 12, and in proportion)",
    )
    parser.add_argument(
        "--points",
        type=point,
        nargs="+",
        default=[(0.3, 0.3), (0.5, 0.5), (0.7, 0.7)],
        metavar="X,Y",
        help="patches that ask, as parts of width and height (default: 0.3,0.3 0.5,0.5 0.7,0.7)",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="override settings of the configs",
    )
    args = parser.parse_args()
    if min(args.max_images, args.draw + 1) < 1:
        parser.error("--max-images starts at 1 and --draw at 0")
    return args


def point(text: str) -> tuple[float, float]:
    """Two parts, each from 0 to 1."""
    try:
        x, y = map(float, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y such as 0.5,0.5") from error
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise argparse.ArgumentTypeError(f"{text!r}: both are parts, from 0 to 1")
    return x, y


def drawn_layers(given: list[int] | None, depth: int) -> list[int]:
    """The layers that are drawn, from 1."""
    if given is None:
        return sorted({max(1, round(depth * part / 12)) for part in (2, 4, 10, 12)})
    if wrong := [layer for layer in given if not 1 <= layer <= depth]:
        raise ValueError(f"--layers {wrong[0]}: the encoder has layers 1 to {depth}")
    return given


def names_of(checkpoints: list[str]) -> list[str]:
    """What two checkpoints are called in the pictures."""
    paths = [Path(checkpoint).absolute() for checkpoint in checkpoints]
    if len(set(paths)) < len(paths):
        raise ValueError(f"--against {checkpoints[1]} is the checkpoint itself: name another")
    for names in (
        [path.parent.name for path in paths],
        [f"{path.parent.name}/{path.stem}" for path in paths],
    ):
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def statistics(model: MaskedImageModel, images: Tensor, name: str) -> AttentionStatistics:
    """Of the model's encoder on all images."""
    encoder = model.backbone
    side = encoder.patch_embed.projection.kernel_size[0]
    grid = (images.shape[2] // side, images.shape[3] // side)
    found = AttentionStatistics(side, grid)
    batches = images.split(BATCH)
    for batch in tqdm(batches, desc=name, unit="batch", delay=3):
        found.add(attention_maps(encoder, batch, encoder.num_extra_tokens))
    return found


def write_table(path: Path, found: dict[str, AttentionStatistics]) -> None:
    """A row for each checkpoint, layer and head."""
    with written_aside(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["checkpoint", "layer", "head", *MEASURES])
        writer.writeheader()
        for name, of_one in found.items():
            writer.writerows({"checkpoint": name, **row} for row in of_one.rows())


def analyze(args: argparse.Namespace) -> list[Path]:
    """Analyse, and return the files that were written."""
    checkpoints = [args.checkpoint, *([args.against] if args.against else [])]
    configs = [args.config, args.against_config]
    models, images, paths = {}, {}, []
    for name, checkpoint, config in zip(names_of(checkpoints), checkpoints, configs, strict=False):
        models[name], cfg = load_trained(checkpoint, config, args.cfg_options)
        attention_layers(models[name].backbone)
        paths = image_files(args.images, cfg)[: args.max_images]
        images[name] = load_whole_images(paths, cfg, models[name])
    depth = min(len(attention_layers(model.backbone)) for model in models.values())
    layers = drawn_layers(args.layers, depth)
    out_dir = Path(args.out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    found = {name: statistics(model, images[name], name) for name, model in models.items()}
    written = [out_dir / "attention.csv", out_dir / "attention.png"]
    write_table(written[0], found)
    statistics_figure(found).savefig(written[1], dpi=150)
    for number, path in enumerate(tqdm(paths[: args.draw], desc="drawing", unit="image", delay=3)):
        figure = attention_figure(
            {name: (m.backbone, m.backbone.num_extra_tokens) for name, m in models.items()},
            {name: x[number] for name, x in images.items()},
            pictures_of(next(iter(models.values())), next(iter(images.values()))[number, None])[0],
            layers,
            args.points,
        )
        written.append(out_dir / f"attention_{Path(path).stem}.png")
        figure.savefig(written[-1], dpi=130)
    for name, of_one in found.items():
        means = ", ".join(f"{x:.3f}" for x in of_one.of("nmi").mean(1).tolist())
        print(f"NMI by layer, {name}: {means}")
    return written


def main() -> None:
    args = parse_args()
    try:
        written = analyze(args)
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    for path in written:
        print(f"  {path}")


if __name__ == "__main__":
    main()
