"""Short trainings through the runner."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tiny
import torch
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from processes import free_port

from localmim.checkpoints import load_from_file
from localmim.engine.launch import build_runner

CONFIGS = Path(__file__).parents[1] / "configs"

FOLDER_CONFIGS = {
    "vit": "localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py",
    "swin": "localmim/localmim_swin-tiny-w7_1xb128-amp-coslr-200e_folder.py",
    "resnet": "localmim/localmim_resnet50_1xb128-amp-coslr-200e_folder.py",
    "lomar": "localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py",
}

LOOKING = ("ReconstructionHook", "SignalsHook")


def config(work_dir: Path, data_root: Path, kind: str = "vit", **changes) -> Config:
    """The config for a folder of images, made tiny; two iterations an epoch."""
    cfg = Config.fromfile(CONFIGS / FOLDER_CONFIGS[kind.split(",")[0]])
    cfg.model = (tiny.MODELS | tiny.OTHERS)[kind]()
    # Which take longer than the training.
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type not in LOOKING]
    cfg.merge_from_dict(
        {
            "image_size": 64,
            "work_dir": str(work_dir),
            "experiment_name": work_dir.name,
            "train_dataloader.dataset.data_root": str(data_root),
            "train_dataloader.dataset.indices": 8,
            "train_dataloader.batch_size": 4,
            "train_dataloader.num_workers": 1,
            "train_dataloader.pin_memory": False,
            "auto_scale_lr.base_batch_size": 4,
            "train_cfg.max_epochs": 4,
            "param_scheduler.0.end": 1,
            "param_scheduler.1.begin": 1,
            "default_hooks.logger.interval": 1,
            **changes,
        }
    )
    return cfg


def build(cfg: Config) -> Runner:
    """The runner; two of one name would share their logs."""
    cfg.experiment_name = f"{cfg.experiment_name}-{np.random.default_rng().integers(1 << 40)}"
    return RUNNERS.build(cfg)


def run(cfg: Config) -> Runner:
    runner = build(cfg)
    runner.train()
    return runner


def start_two_processes(make: Callable[[], Config]) -> mp.ProcessContext:
    """A training of two processes, forked, so that they have imported everything."""
    arguments = (make, free_port())
    return mp.start_processes(_one_of_two, arguments, nprocs=2, join=False, start_method="fork")


def _one_of_two(rank: int, make: Callable[[], Config], port: str) -> None:
    place = dict(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=2, MASTER_ADDR="127.0.0.1")
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_PORT=port)
    torch.set_num_threads(1)
    cfg = make()
    cfg.launcher = "pytorch"
    build_runner(cfg).train()


def state(path: Path) -> dict:
    return load_from_file(path)["state_dict"]


def logs(work_dir: Path) -> str:
    """What all runs in a work dir have logged, in their order."""
    return "".join(path.read_text() for path in sorted(work_dir.rglob("*.log")))
