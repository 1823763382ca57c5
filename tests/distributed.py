"""Tiny trainings of several processes through tools/dist_train.sh, on the CPU."""

import subprocess

import tiny
from mmengine.config import Config
from processes import ROOT, free_port, start

CONFIG = ROOT / "configs/localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py"
TIMEOUT = 15  # seconds that a process waits for another


def write_config(work, data_root, hooks, batch, **changes) -> Config:
    """Write WORK/config.py: a tiny training of a thousand epochs with hooks of fixed_batches.py."""
    cfg = Config.fromfile(CONFIG)
    cfg.custom_imports.imports = ["localmim.parts", "fixed_batches"]
    cfg.model = tiny.localmim(64)
    cfg.custom_hooks += [dict(type=hook) for hook in hooks]
    cfg.merge_from_dict(
        {
            "work_dir": str(work),
            "image_size": 64,
            "env_cfg.dist_cfg.timeout": TIMEOUT,
            "train_dataloader.dataset.data_root": str(data_root),
            "train_dataloader.batch_size": batch,
            "train_dataloader.num_workers": 1,
            "train_dataloader.pin_memory": False,
            "train_cfg.max_epochs": 1000,
            "default_hooks.checkpoint.interval": 1000,
            "auto_scale_lr.base_batch_size": 16,
            **changes,
        }
    )
    work.mkdir()
    cfg.dump(work / "config.py")
    return cfg


def train(work, processes, machine=(), **environment) -> subprocess.Popen:
    """Start a run, on a machine of its own if there is a prefix of commands for one."""
    paths = f"{ROOT / 'tests'}:{ROOT}"
    environment = dict(PORT=free_port(), PYTHONPATH=paths) | environment
    return start(*machine, "tools/dist_train.sh", work / "config.py", processes, **environment)
