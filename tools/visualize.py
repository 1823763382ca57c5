"""Draw what a pre-trained model reconstructs: one picture per scale.

Each picture has a row per image with the input, the masked input, the target and the
reconstruction. HOG is drawn as oriented strokes.

The config is the one that the checkpoint was trained with, with all of its options. Weights without
one, and trainings with modules of your own, need --config.

Example:
  python tools/visualize.py work_dirs/mine/epoch_200.pth /path/to/images --out-dir pictures
"""

import argparse
from pathlib import Path

import torch
from mmengine.config import DictAction
from tqdm import tqdm

from localmim.analysis import (
    Skill,
    extensions_of,
    image_files,
    load_trained,
    load_whole_images,
    reconstruction_figures,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="of a pre-training, e.g. work_dirs/NAME/epoch_20.pth")
    parser.add_argument("images", nargs="+", help="image files, or folders of them")
    parser.add_argument("--config", help="config of the model (default: the checkpoint's own)")
    parser.add_argument("--out-dir", default="reconstructions", help="(default: reconstructions)")
    parser.add_argument(
        "--max-images", type=int, default=6, help="images drawn at most (default: 6)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the masks (default: 0)")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="override settings of the config, as in training",
    )
    return parser.parse_args()


def draw(args: argparse.Namespace) -> dict[Path, float]:
    """Draw all scales; the pictures' paths and the skill on these images."""
    model, cfg = load_trained(args.checkpoint, args.config, args.cfg_options)
    paths = image_files(args.images, extensions_of(cfg))[: args.max_images]
    images = load_whole_images(paths, cfg, model)
    torch.manual_seed(args.seed)
    images = model.views(images)
    mask = model.mask_generator(images)
    out_dir = Path(args.out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    skill = Skill()
    with torch.no_grad():
        skill.add(*model.reconstruct(images, mask), mask)
    figures = reconstruction_figures(model, images, mask)
    pictures = {}
    scales = tqdm(skill.of_scales(), desc="drawing", unit="scale")
    for (name, figure), value in zip(figures, scales, strict=True):
        pictures[out_dir / f"{name}.png"] = value
        figure.savefig(out_dir / f"{name}.png", dpi=130)
    return pictures


def main() -> None:
    args = parse_args()
    try:
        pictures = draw(args)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    print("Pictures of the reconstruction, and the skill (0 % is the mean target, 100 % perfect):")
    for picture, skill in pictures.items():
        print(f"  {picture}  {skill:.0%}")


if __name__ == "__main__":
    main()
