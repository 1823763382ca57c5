"""How fast a training is, by some steps of it."""

import copy
import signal
import tempfile

import torch
from mmengine.config import Config

from localmim.engine.launch import build_runner

STEPS, COUNTED = 8, 5


def seconds_per_step(cfg: Config, batch: int) -> float | None:
    """The seconds that a step takes, loading included, by some real ones on one device.

    Args:
        cfg: of the training.
        batch: images a step.

    Returns:
        None if the GPU's memory is not enough.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = copy.deepcopy(cfg)
        trial.merge_from_dict(
            {
                "work_dir": folder,
                "experiment_name": "trial",
                "log_level": "ERROR",
                "launcher": "none",
                "train_dataloader.batch_size": batch,
                "train_cfg": dict(_delete_=True, by_epoch=False, max_iters=STEPS),
                "default_hooks": dict(checkpoint=None),
                "visualizer": dict(vis_backends=[]),
                "custom_hooks": [],
                "param_scheduler": [],
            }
        )
        try:
            runner = build_runner(trial)
            runner.train()
            if runner.stop_request.number is not None:  # which nothing in a trial acts upon
                signal.raise_signal(runner.stop_request.number)
        except torch.OutOfMemoryError:
            return None
        finally:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return float(runner.message_hub.get_scalar("train/time").mean(COUNTED))
