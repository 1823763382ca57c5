"""Draw what a pre-trained model reconstructs: one picture per scale.

Each picture has a row per image with the input, the masked input, the target and the
reconstruction. HOG is drawn as oriented strokes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose, default_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from tqdm import tqdm

from localmim.analysis import reconstruction_figures
from localmim.checkpoints import load_from_file, load_into
from localmim.data.cropping import whole_image_loader
from localmim.data.unlabelled import EXTENSIONS
from localmim.engine import settle_image_size
from localmim.engine.image_size import CROPS, name_of
from localmim.models import MaskedImageModel


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config the model was trained with")
    parser.add_argument("checkpoint", help="its checkpoint, e.g. work_dirs/NAME/epoch_20.pth")
    parser.add_argument("images", nargs="+", help="image files, or folders of them")
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


def find_images(places: list[str], extensions: Sequence[str]) -> list[str]:
    """Image files among the places, and those in folders; an error names what does not exist."""
    found = []
    for place in map(Path, places):
        if place.is_dir():
            files = sorted(p for p in place.rglob("*") if p.suffix.lower() in extensions)
            if not files:
                raise FileNotFoundError(f"folder {place} holds no images")
            found += files
        elif place.is_file():
            found.append(place)
        else:
            raise FileNotFoundError(f"{place} does not exist")
    return [str(path) for path in found]


def load_model(cfg: Config, checkpoint: str) -> MaskedImageModel:
    """The config's model with the checkpoint's weights, in evaluation mode."""
    model = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
    if not isinstance(model, MaskedImageModel):
        raise ValueError(
            f"{cfg.filename} holds a {type(model).__name__}, which reconstructs nothing"
        )
    state = load_from_file(checkpoint)
    load_into(model, state.get("state_dict", state), checkpoint)
    return model.eval()


def image_size(model: MaskedImageModel, steps: list[dict]) -> tuple[int, int]:
    """(height, width) in pixels: the backbone's, or of the training's crops where it has none."""
    if hasattr(model.backbone, "img_size"):
        return model.backbone.img_size
    scale = next((step["scale"] for step in steps if name_of(step["type"]) in CROPS), None)
    if scale is None:
        raise ValueError(
            f"{type(model.backbone).__name__} takes any image size, and the training pipeline has "
            f"no {' or '.join(CROPS)} that names one"
        )
    return (scale, scale) if isinstance(scale, int) else tuple(scale)


def training_images(cfg: Config) -> Config:
    """The data set that the config trains with, out of its wrapper if there is one."""
    dataset = cfg.train_dataloader.dataset
    return dataset.get("dataset", dataset)


def load_images(paths: list[str], cfg: Config, model: MaskedImageModel) -> torch.Tensor:
    """Images read as in training, scaled and cropped to the model's size, normalised.

    Returns:
        (B, C, H, W).
    """
    steps = training_images(cfg).pipeline
    height, width = image_size(model, steps)
    loader = whole_image_loader(steps[0])
    if loader["type"] == "LoadImageFromFile":
        loader["ignore_empty"] = False
        loader.setdefault("imdecode_backend", "pillow")  # which says what is wrong with a file
    pipeline = Compose(
        [
            TRANSFORMS.build(step)
            for step in (
                loader,
                dict(type="ResizeEdge", scale=max(height, width), edge="short"),
                dict(type="CenterCrop", crop_size=(width, height)),
                dict(type="PackInputs"),
            )
        ]
    )
    batch = default_collate([pipeline({"img_path": path}) for path in paths])
    return model.data_preprocessor(batch)["inputs"]


def draw(args: argparse.Namespace) -> list[Path]:
    """Draw all scales and return the pictures' paths."""
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    extensions = training_images(cfg).get("extensions", EXTENSIONS)
    paths = find_images(args.images, extensions)[: args.max_images]
    init_default_scope("mmpretrain")
    settle_image_size(cfg)
    model = load_model(cfg, args.checkpoint)
    images = load_images(paths, cfg, model)
    torch.manual_seed(args.seed)
    images = model.views(images)
    mask = model.mask_generator(images)
    out_dir = Path(args.out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    pictures = []
    figures = reconstruction_figures(model, images, mask)
    scales = len(model.backbone.out_indices)
    for name, figure in tqdm(figures, desc="drawing", unit="scale", total=scales):
        pictures.append(out_dir / f"{name}.png")
        figure.savefig(pictures[-1], dpi=130)
    return pictures


def main() -> None:
    args = parse_args()
    try:
        pictures = draw(args)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    print("Pictures of the reconstruction:")
    for picture in pictures:
        print(f"  {picture}")


if __name__ == "__main__":
    main()
