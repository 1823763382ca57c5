"""Look into a pre-trained encoder, or into two side by side.

CHECKPOINT is of a pre-training here, or any weights that tools/convert.py reads: of mmpretrain,
timm, transformers, a release. The latter see images as on ImageNet: RGB, its mean and deviation.

Writes to OUT_DIR, for ViTs and Swins:

- attention.csv and attention.png: by layer and head, the normalised mutual information of queries
  and keys, the mean attention distance and the entropy, over all images;
- attention_IMAGE.png: where chosen patches attend, for the first images;

and for every encoder:

- layers.csv and spectrum.png: by layer, the effective rank of the features and how their variance
  is spread over principal axes;
- cka.csv and cka.png: how much layers resemble each other (centred kernel alignment);
- neighbours_NAME.png: images, and those whose features of the last layer are nearest.

Example, LocalMIM beside MAE:
  python tools/analyze.py work_dirs/localmim/epoch_200.pth /path/to/images \\
      --against work_dirs/mae/epoch_200.pth
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement
from pathlib import Path

from mmengine.config import DictAction
from tqdm import tqdm

from localmim.analysis import (
    Encoder,
    attention_figure,
    image_files,
    load_encoder,
    neighbours_figure,
    statistics_of,
)
from localmim.analysis.attention_figures import statistics_figure
from localmim.analysis.layer_figures import cka_figure, cka_of, spectrum_figure
from localmim.durable import written_aside
from localmim.engine.blocks import blocks_of

NEIGHBOURS = 7


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="e.g. work_dirs/NAME/epoch_20.pth, or weights for timm")
    parser.add_argument("images", nargs="+", help="image files, or folders of them")
    parser.add_argument("--against", metavar="CHECKPOINT", help="another, drawn beside the first")
    parser.add_argument("--config", help="config of the first (default: the checkpoint's own)")
    parser.add_argument("--against-config", metavar="CONFIG", help="the same of the other")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="for weights without a config (default: what they are laid out for)",
    )
    parser.add_argument("--out-dir", default="analysis", help="(default: analysis)")
    parser.add_argument(
        "--max-images", type=int, default=64, help="images read at most (default: 64)"
    )
    parser.add_argument(
        "--draw",
        type=int,
        default=4,
        help="images whose attention, and whose nearest images, are drawn (default: 4)",
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
    """The layers whose attention is drawn, from 1."""
    if given:
        return given
    return sorted({max(1, round(depth * part / 12)) for part in (2, 4, 10, 12)})


def check_layers(given: list[int] | None, encoders: dict[str, Encoder]) -> None:
    """Refuse layers that an encoder has not, before the work."""
    for name, encoder in encoders.items():
        depth = len(blocks_of(encoder.backbone))
        if wrong := [layer for layer in given or () if not 1 <= layer <= depth]:
            raise ValueError(f"--layers {wrong[0]}: {name} has layers 1 to {depth}")


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


def write_table(path: Path, rows: Iterable[Mapping]) -> Path:
    """A CSV, complete or not at all."""
    rows = list(rows)
    with written_aside(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_figure(path: Path, figure) -> Path:
    """A picture."""
    figure.savefig(path, dpi=140)
    return path


def draw_attention(args: argparse.Namespace, encoders: dict[str, Encoder], found: dict, paths):
    """Files on the attention of those encoders that have it."""
    out, depth = Path(args.out_dir), min(len(x.of("nmi")) for x in found.values())
    rows = [{"checkpoint": name, **row} for name, x in found.items() for row in x.rows()]
    yield write_table(out / "attention.csv", rows)
    yield write_figure(out / "attention.png", statistics_figure(found))
    layers = drawn_layers(args.layers, depth)
    stems = Counter()
    for path in tqdm(paths[: args.draw], desc="drawing attention", unit="image", delay=3):
        figure = attention_figure({n: encoders[n] for n in found}, path, layers, args.points)
        stem = Path(path).stem
        again = f"_{stems[stem] + 1}" if stems[stem] else ""
        stems[stem] += 1
        yield write_figure(out / f"attention_{stem}{again}.png", figure)
    for name, x in found.items():
        means = ", ".join(f"{float(heads.mean()):.3f}" for heads in x.of("nmi"))
        print(f"NMI by layer, {name}: {means}")


def draw_layers(args: argparse.Namespace, encoders: dict[str, Encoder], found: dict, paths):
    """Files on the features of all encoders."""
    out = Path(args.out_dir)
    rows = [
        {
            "checkpoint": name,
            "layer": number,
            "channels": layer.pooled().shape[1],
            "effective_rank": layer.effective_rank(),
            "axes_for_90_percent": layer.axes_for(0.9),
        }
        for name, layers in found.items()
        for number, layer in enumerate(layers, 1)
    ]
    yield write_table(out / "layers.csv", rows)
    yield write_figure(out / "spectrum.png", spectrum_figure(found))
    if len(paths) < 4:
        print(f"{len(paths)} images are too few for alignment and neighbours: four are needed")
        return
    pairs = combinations_with_replacement(found, 2)
    alignment = {(a, b): cka_of(found[a], found[b]) for a, b in pairs}
    rows = [
        {"checkpoint": a, "layer": i, "other": b, "other_layer": j, "cka": value}
        for (a, b), values in alignment.items()
        for i, row in enumerate(values.tolist(), 1)
        for j, value in enumerate(row, 1)
    ]
    yield write_table(out / "cka.csv", rows)
    yield write_figure(out / "cka.png", cka_figure(alignment))
    for name, layers in found.items():
        queries = min(max(args.draw, 1), len(paths))
        figure = neighbours_figure(encoders[name], layers[-1], paths, queries, NEIGHBOURS)
        yield write_figure(out / f"neighbours_{name.replace('/', '_')}.png", figure)


def analyze(args: argparse.Namespace) -> list[Path]:
    """Analyse, and return the files that were written."""
    checkpoints = [args.checkpoint, *([args.against] if args.against else [])]
    configs = [args.config, args.against_config]
    encoders: dict[str, Encoder] = {}
    for name, checkpoint, config in zip(names_of(checkpoints), checkpoints, configs, strict=False):
        size = args.image_size and tuple(args.image_size)
        encoders[name] = load_encoder(checkpoint, config, args.cfg_options, size)
        print(f"{name}: {encoders[name]}")
    first = next(iter(encoders.values()))
    paths = first.readable(image_files(args.images, first.extensions)[: args.max_images])
    check_layers(args.layers, encoders)
    Path(args.out_dir).mkdir(parents=True, exist_ok=True)
    found = {name: statistics_of(encoder, paths, name) for name, encoder in encoders.items()}
    attention = {name: of for name, (of, _) in found.items() if of is not None}
    written = list(draw_attention(args, encoders, attention, paths)) if attention else []
    layers = {name: of for name, (_, of) in found.items()}
    return written + list(draw_layers(args, encoders, layers, paths))


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
