"""``localmim finetune``: an encoder and labelled images become a classifier."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from sys import maxsize
from typing import Any

from mmengine.config import Config

from localmim import recipes
from localmim.analysis.encoders import seen_by
from localmim.analysis.labelled import LabelledFolder, labelled_folder
from localmim.checkpoints import (
    convert_file,
    encoder_config,
    encoder_dialect,
    read_checkpoint,
)
from localmim.engine.launch import build_runner

from .machine import this_machine
from .outcome import scalars
from .places import config_file

START, RESULT = "start.pth", "result.json"
METRICS = ("accuracy/top1", "balanced_accuracy", "auc")


@dataclass(frozen=True)
class FineTuned:
    """What came of a fine-tuning.

    Attributes:
        checkpoint: of the epoch with the best balanced accuracy.
        classes: their names, in the order of the outputs.
        metrics: of the last epoch, in percent.
    """

    checkpoint: Path
    classes: tuple[str, ...]
    metrics: dict[str, float]


def finetune(
    data: str | Path,
    weights: str | Path,
    out: str | Path | None = None,
    *,
    image_size: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> FineTuned:
    """Fine-tune an encoder on labelled images; ``localmim finetune`` does this.

    Called again with the same ``out`` it goes on where it was stopped.

    Args:
        data: a folder with a subfolder for each class, of which a quarter is held out, or with
            ``train`` and ``val`` of such folders.
        weights: of a pre-training here, or any that ``localmim convert`` reads.
        out: folder of everything that is written; ``work_dirs/DATA_finetune`` by default.
        image_size: side of the images in pixels; that of the weights by default.
        epochs: length.
        batch: images a step.
        seed: of everything random.
        settings: of the config, which override what was chosen. From scratch:
            ``{"model.backbone.init_cfg": None}``.
        say: is told what a person would like to know.

    Raises:
        OSError: a file or folder is not there.
        ValueError: something that was asked for cannot be.
    """
    folder = labelled_folder(data, maxsize)
    place = Path(out or Path("work_dirs", f"{Path(data).resolve().name}_finetune")).expanduser()
    place.mkdir(parents=True, exist_ok=True)
    cfg = finetune_config(folder, weights, place, image_size, epochs, batch, seed)
    cfg.merge_from_dict(settings or {})
    cfg.work_dir = str(place.absolute())
    newest = place / "last_checkpoint"
    cfg.resume = newest.exists()
    say(f"{folder}; {cfg.train_cfg.max_epochs} epochs{', going on' if cfg.resume else ''}")
    say(f"The log is in {place}; Ctrl-C saves and ends.")
    build_runner(cfg).train()
    rows = [row for row in scalars(place) if "balanced_accuracy" in row]
    metrics = {name: rows[-1][name] for name in METRICS if name in rows[-1]}
    best = next(iter(sorted(place.glob("best_*.pth"))), None) or Path(newest.read_text().strip())
    record = {"classes": folder.classes, "metrics": metrics, "checkpoint": str(best)}
    (place / RESULT).write_text(json.dumps(record, indent=2) + "\n")
    for name, value in metrics.items():
        say(f"  {name.replace('_', ' '):<19}{value:.2f}")
    say(f"Classifier: {best}")
    return FineTuned(best, tuple(folder.classes), metrics)


def finetune_config(
    folder: LabelledFolder,
    weights: str | Path,
    place: Path,
    image_size: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    seed: int = 0,
) -> Config:
    """The config of a fine-tuning, for the encoder that the weights are of.

    Writes ``start.pth``, the weights for mmpretrain, and lists of the images to ``place``.
    """
    machine = this_machine()
    family, options = _encoder(weights, image_size, place / START)
    for loader, files in (("train", folder.train), ("val", folder.val), ("test", folder.val)):
        options |= {
            f"{loader}_dataloader.{name}": value
            for name, value in {
                "dataset.data_root": "/",
                "dataset.data_prefix": "",
                "dataset.ann_file": _write_list(files, place / f"{loader}.txt"),
                "dataset.metainfo": dict(classes=list(folder.classes)),
                "num_workers": recipes.workers(machine.cores, 1, machine.gpus).value,
                "pin_memory": machine.gpus > 0,
                "batch_size": batch or min(64, max(8, len(folder.train) // 8)),
            }.items()
        }
    options |= {
        "model.head.num_classes": len(folder.classes),
        "data_preprocessor.num_classes": len(folder.classes),
        "train_cfg.max_epochs": epochs or recipes.finetuning_epochs(len(folder.train)),
        "default_hooks.checkpoint.max_keep_ckpts": 1,
        "default_hooks.checkpoint.save_best": "balanced_accuracy",
        "randomness.seed": seed,
    }
    cfg = Config.fromfile(config_file(recipes.FINETUNING[family]))
    cfg.merge_from_dict(options)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type="ProgressBarHook")]
    size = cfg.model.backbone.get("img_size", image_size or recipes.pretraining.USUAL_SIZE)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        _resize(loader.dataset.pipeline, size[0] if isinstance(size, (list, tuple)) else size)
    return cfg


def _encoder(
    weights: str | Path, image_size: int | None, start: Path
) -> tuple[str, dict[str, Any]]:
    """The family of the encoder, and the settings that make the family's config one of it."""
    size = (image_size,) * 2 if image_size else None
    read = read_checkpoint(weights)
    dialect = encoder_dialect(read.state_dict)
    try:
        conversion, meta = convert_file(weights, start, dialect, overwrite=True)
        if size and conversion.architecture.family in ("vit", "swin"):
            conversion, meta = convert_file(
                weights, start, dialect, image_size=size, overwrite=True
            )
    except ValueError as error:
        raise ValueError(f"{weights} cannot be fine-tuned: {error}") from error
    found = conversion.architecture
    found = found.sized(size or found.image_size or (recipes.pretraining.USUAL_SIZE,) * 2)
    state = {
        name.removeprefix("backbone."): tensor
        for name, tensor in conversion.state_dict.items()
        if name.startswith("backbone.")
    }
    backbone = encoder_config(found, state)
    width = found.embed_dims
    if found.family == "vit":
        backbone |= dict(out_type="avg_featmap", final_norm=False, drop_path_rate=0.1)
    elif found.family == "swin":
        backbone |= dict(out_indices=(len(found.depths) - 1,), drop_path_rate=0.1)
        width *= 2 ** (len(found.depths) - 1)
        if "norm_eps" in meta:
            backbone |= _norms(meta["norm_eps"], backbone.pop("stage_cfgs"))
    elif found.family == "convnext":
        backbone |= dict(out_indices=(len(found.depths) - 1,), gap_before_final_norm=False)
        width = backbone["arch"]["channels"][-1]
    else:
        backbone |= dict(norm_cfg=dict(type="SyncBN"))  # becomes BN on one process
    path = str(start.absolute())
    backbone |= dict(
        _delete_=True, init_cfg=dict(type="Pretrained", checkpoint=path, prefix="backbone.")
    )
    seen = seen_by(read.hints)
    if seen.get("grey"):
        seen |= dict(type="MIMDataPreprocessor")
    options = {"model.backbone": backbone, "model.head.in_channels": width}
    return found.family, options | {f"data_preprocessor.{k}": v for k, v in seen.items()}


def _norms(eps: float, stages: list[dict]) -> dict[str, Any]:
    """A Swin's settings with norms of another eps than the library's."""
    norm = dict(type="LN", eps=eps)
    inner = dict(block_cfgs=dict(norm_cfg=norm), downsample_cfg=dict(norm_cfg=norm))
    return dict(
        norm_cfg=norm,
        patch_cfg=dict(norm_cfg=norm),
        stage_cfgs=[stage | inner for stage in stages],
    )


def _write_list(files: list[tuple[str, int]], path: Path) -> str:
    """Write a list of images for mmpretrain's CustomDataset; its path."""
    lines = (f"{Path(file).resolve()} {label}\n" for file, label in files)
    path.write_text("".join(lines))
    return str(path.absolute())


def _resize(pipeline: list[dict], size: int) -> None:
    """Set the size of the crops of a pipeline of fine-tuning, in place."""
    for step in pipeline:
        if step["type"] == "RandomResizedCrop":
            step["scale"] = size
        elif step["type"] == "ResizeEdge":
            step["scale"] = round(size * 256 / 224)
        elif step["type"] == "CenterCrop":
            step["crop_size"] = size
