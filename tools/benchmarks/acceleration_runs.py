"""Pre-trainings and fine-tunings of tools/benchmarks/acceleration.py, each a process of its own."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from label_quality import few_labels
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from records import write_record
from torch import nn

from localmim.analysis import load_trained
from localmim.analysis.labelled import LabelledFolder
from localmim.checkpoints import convert_file
from localmim.engine import settle_image_size

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs" / "demo"
CALIBRATION = (10, 60)  # iterations
SCRATCH, FROM_SCRATCH = "scratch", "model.backbone.init_cfg=None"
WARM_UP = 100


@dataclass(frozen=True)
class Family:
    """Methods that pre-train the same encoder.

    Attributes:
        size: side of the images in pixels, of these configs.
        finetune: config.
        segmentation: config, and the kind of checkpoint that its backbone reads; None where mmseg
            does not have the encoder.
        methods: config of each.
    """

    size: int
    finetune: str
    segmentation: tuple[str, str] | None
    methods: dict[str, str]


VIT = (
    64,
    "vit-mini-p8_1xb32-coslr-300_scenes",
    ("upernet_vit-mini-p8_1xb8-coslr-900_scenes", "mmseg-mae"),
)
ABLATIONS = ("coarse", "coarse-tap", "fine", "isolated", "deep", "pixel", "pixel-2taps")
FAMILIES = {
    "vit": Family(
        *VIT,
        {
            "localmim": "localmim_vit-mini-p8_1xb16-coslr-2k_scenes",
            "localmim-coarse": "localmim_vit-mini-p8_coarse_1xb16-coslr-2k_scenes",
            "localmim-pixel": "localmim_vit-mini-p8_pixel_1xb16-coslr-2k_scenes",
            "localmim-2taps": "localmim_vit-mini-p8_pixel-2taps_1xb16-coslr-2k_scenes",
            "mae": "mae_vit-mini-p8_1xb16-coslr-2k_scenes",
            "maskfeat": "maskfeat-sparse_vit-mini-p8_1xb16-coslr-2k_scenes",
        },
    ),
    "vit-ablations": Family(
        *VIT,
        {
            "localmim": "localmim_vit-mini-p8_1xb16-coslr-2k_scenes",
            "top-tap": "maskfeat-sparse_vit-mini-p8_1xb16-coslr-2k_scenes",
        }
        | {name: f"localmim_vit-mini-p8_{name}_1xb16-coslr-2k_scenes" for name in ABLATIONS},
    ),
    # Encoders that differ from other ViTs, with the one method that trains them.
    "vit-irpe": Family(
        64,
        "vit-irpe-mini-p8_1xb32-coslr-300_scenes",
        None,
        {"lomar": "lomar_vit-mini-p8_1xb16-coslr-2k_scenes"},
    ),
    "vit-beit": Family(
        64,
        "vit-beit-mini-p8_1xb32-coslr-300_scenes",
        None,
        {"a2mim": "a2mim_vit-mini-p8_1xb16-coslr-2k_scenes"},
    ),
    "swin": Family(
        128,
        "swin-mini-w4_1xb32-coslr-300_scenes",
        ("upernet_swin-mini-w4_1xb8-coslr-900_scenes", "mmseg"),
        {
            "localmim": "localmim_swin-mini-w4_1xb64-coslr-2k_scenes",
            "greenmim": "greenmim_swin-mini-w4_1xb64-coslr-2k_scenes",
        },
    ),
    "r50": Family(
        128,
        "r50-mini_1xb32-coslr-300_scenes",
        ("upernet_r50-mini_1xb8-coslr-900_scenes", "mmpretrain"),
        {
            "localmim": "localmim_r50-mini_1xb32-coslr-1k_scenes",
            "a2mim": "a2mim_r50-mini_1xb32-coslr-1k_scenes",
        },
    ),
}


@dataclass(frozen=True)
class Job:
    """One pre-training with what is measured of it.

    ``minutes`` 0 are random weights. The method ``SCRATCH`` is no pre-training: fine-tuning that is
    longer by its minutes.
    """

    method: str
    minutes: float
    seed: int
    lr: float

    def folder(self, work_dir: Path) -> Path:
        """Where it runs."""
        return work_dir / self.method / f"{self.minutes:g}min_lr{self.lr:g}_seed{self.seed}"


def train(config: str, folder: Path, options: Sequence[str]) -> float:
    """Run a config; the seconds that it took, of the CPU or by the clock of a GPU's.

    Raises:
        RuntimeError: it failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = config if config.endswith(".py") else str(CONFIGS / f"{config}.py")
    command = [sys.executable, "tools/train.py", path]
    command += ["--work-dir", str(folder), "--cfg-options", *options]
    on_gpu = torch.cuda.is_available()
    environment = dict(os.environ) | ({} if on_gpu else {"OMP_NUM_THREADS": "1"})
    begun = time.perf_counter()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{config} failed, see {folder / 'log.txt'}")
    return time.perf_counter() - begun if on_gpu else used.ru_utime + used.ru_stime


def length_options(iterations: int) -> list[str]:
    """Settings of a schedule of so many iterations."""
    warm_up = max(1, min(WARM_UP, iterations // 10))
    return [
        f"train_cfg.max_iters={iterations}",
        f"train_cfg.val_interval={iterations + 1}",
        f"param_scheduler.0.end={warm_up}",
        f"param_scheduler.1.begin={warm_up}",
    ]


def pretrain(job: Job, args: argparse.Namespace, iterations: int, folder: Path) -> float:
    """Pre-train for so many iterations; the seconds. Of SCRATCH: fine-tune on all of DATA/train."""
    if job.method == SCRATCH:
        options = [*finetune_options(args, args.data / "train", job.seed), FROM_SCRATCH]
        return train(args.family.finetune, folder, [*options, *length_options(iterations)])
    options = [
        *length_options(iterations),
        f"train_dataloader.dataset.data_root={args.data / 'train'}",
        f"optim_wrapper.optimizer.lr={job.lr}",
        f"randomness.seed={job.seed}",
        *args.cfg_options,
    ]
    return train(args.family.methods[job.method], folder, options)


def calibrate(method: str, args: argparse.Namespace) -> dict[str, float]:
    """Seconds of an iteration, and of everything else; measured once."""
    kept = args.work_dir / method / "rate.json"
    if not kept.exists():
        job = Job(method, 0, 0, args.lrs[0])
        folder = args.work_dir / method / "rate"
        short, long = (pretrain(job, args, n, folder) for n in CALIBRATION)
        rate = (long - short) / (CALIBRATION[1] - CALIBRATION[0])
        write_record(kept, {"iteration": rate, "start": short - rate * CALIBRATION[0]})
    return json.loads(kept.read_text())


def pretrained(job: Job, args: argparse.Namespace) -> str:
    """The last checkpoint of a job.

    Raises:
        RuntimeError: it is gone.
    """
    place = job.folder(args.work_dir) / "last_checkpoint"
    if not (place.exists() and Path(place.read_text()).exists()):
        raise RuntimeError(
            f"the weights of {place.parent} are gone, and more is to be measured of them: delete "
            f"{place.parent}.json to pre-train again"
        )
    return place.read_text()


def load_encoder(job: Job, args: argparse.Namespace) -> tuple[nn.Module, nn.Module]:
    """The backbone of a training that has run, or a random one, and the preprocessor."""
    if job.minutes:
        # That it ran by, which may import parts of the user's own; a checkpoint's may not.
        config = Path(args.family.methods[job.method]).with_suffix(".py").name
        place = job.folder(args.work_dir) / config
        model, _ = load_trained(pretrained(job, args), str(place))
    else:
        init_default_scope("mmpretrain")
        MMLogger.get_instance("acceleration", log_level="WARNING")
        cfg = Config.fromfile(CONFIGS / f"{next(iter(args.family.methods.values()))}.py")
        settle_image_size(cfg)
        torch.manual_seed(job.seed)
        model = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
        model.init_weights()
    return model.backbone, model.data_preprocessor


def finetune_options(args: argparse.Namespace, train_root: Path, seed: int) -> list[str]:
    """Settings of a fine-tuning on a folder of labelled images."""
    classes = len(list((args.data / "train").iterdir()))
    return [
        f"train_dataloader.dataset.data_root={train_root}",
        f"val_dataloader.dataset.data_root={args.data / 'val'}",
        f"test_dataloader.dataset.data_root={args.data / 'val'}",
        f"model.head.num_classes={classes}",
        f"data_preprocessor.num_classes={classes}",
        f"randomness.seed={seed}",
    ]


def finetune(
    job: Job, args: argparse.Namespace, folder: LabelledFolder, share: float
) -> dict[str, float | str]:
    """Fine-tune with a part of the labels, drawn by the seed."""
    place = job.folder(args.work_dir) / f"finetune_{share:g}"
    seen = place.with_name(f"labels_{share:g}")
    labels = torch.tensor([label for _, label in folder.train])
    few = few_labels(labels, share, job.seed).tolist()
    for number in few:
        path, label = folder.train[number]
        link = seen / folder.classes[label] / f"{number}{Path(path).suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path)
    config = Config.fromfile(CONFIGS / f"{args.family.finetune}.py")
    batch = min(config.train_dataloader.batch_size, len(few))
    options = finetune_options(args, seen, job.seed)
    options.append(f"train_dataloader.batch_size={batch}")
    if job.method == SCRATCH:
        more = round(60 * job.minutes / calibrate(SCRATCH, args)["iteration"])
        usual = config.train_cfg.max_iters
        options += [FROM_SCRATCH, f"train_cfg.max_iters={usual + more}"]
        options += [f"train_cfg.val_interval={usual + more}"]
    elif job.minutes:
        options.append(f"model.backbone.init_cfg.checkpoint={pretrained(job, args)}")
    else:
        options += [FROM_SCRATCH]
    train(args.family.finetune, place, options)
    found = last_score(place, "auc" if len(folder.classes) == 2 else "balanced_accuracy")
    return {"kind": "finetune", "block": None, "share": share, "draw": job.seed, "score": found}


def segment(job: Job, args: argparse.Namespace) -> dict[str, float | str]:
    """Train UperNet on scenes with their maps; the score is the mIoU."""
    config, dialect = args.family.segmentation
    place = job.folder(args.work_dir) / "segmentation"
    options = [
        f"{split}_dataloader.dataset.data_root={args.maps}" for split in ("train", "val", "test")
    ]
    options.append(f"randomness.seed={job.seed}")
    if job.minutes:
        weights = place.with_suffix(".pth")
        convert_file(pretrained(job, args), weights, dialect, overwrite=True)
        options.append(f"model.backbone.init_cfg.checkpoint={weights}")
    else:
        options.append(FROM_SCRATCH)
    train(config, place, options)
    found = last_score(place, "mIoU")
    return {"kind": "segmentation", "block": None, "share": 1.0, "draw": job.seed, "score": found}


def last_score(place: Path, metric: str) -> float:
    """What the last validation of a run found; its checkpoints are removed."""
    (record,) = place.rglob("scalars.json")
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    for checkpoint in place.glob("*.pth"):
        checkpoint.unlink()
    return next(row[metric] for row in reversed(rows) if metric in row)
