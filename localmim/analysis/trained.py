"""A trained model out of its checkpoint, and images to look at it with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from localmim.checkpoints import load_from_file, load_into, training_config
from localmim.data.unlabelled import EXTENSIONS
from localmim.engine import settle_image_size
from localmim.models import MaskedImageModel


def load_trained(
    checkpoint: str, config: str | None = None, options: Mapping[str, Any] | None = None
) -> tuple[MaskedImageModel, Config]:
    """A pre-trained model in evaluation mode, and the config it was trained with.

    Args:
        checkpoint: of a pre-training.
        config: a config file; None for the config that the checkpoint holds.
        options: settings to override.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the checkpoint holds no config, or not the weights of its model; or that is no
            masked image model.
    """
    state = load_from_file(checkpoint)
    cfg = Config.fromfile(config) if config else training_config(state, checkpoint)
    if options:
        cfg.merge_from_dict(dict(options))
    init_default_scope("mmpretrain")
    settle_image_size(cfg)
    model = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
    if not isinstance(model, MaskedImageModel):
        raise ValueError(
            f"the config of {checkpoint} is of a {type(model).__name__}, which is no "
            "masked image model"
        )
    load_into(model, state.get("state_dict", state), checkpoint)
    model.eval()
    return model, cfg


def extensions_of(cfg: Config) -> tuple[str, ...]:
    """Endings of the files that a config trains on."""
    dataset = cfg.train_dataloader.dataset
    return tuple(dataset.get("dataset", dataset).get("extensions", EXTENSIONS))


def image_files(places: Sequence[str], extensions: Sequence[str] = EXTENSIONS) -> list[str]:
    """Image files among the places, and those in folders that have one of the endings.

    Raises:
        FileNotFoundError: a place does not exist, or a folder holds no image.
    """
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
