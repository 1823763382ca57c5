"""Where what is seen of a training goes: one place for all its starts."""

from pathlib import Path
from typing import Any

from .mlflow import ContinuedMLflowBackend
from .tensorboard import ContinuedTensorboardBackend

# Folders in the work dir.
FOLDERS = {
    ContinuedTensorboardBackend.__name__: "tensorboard",
    ContinuedMLflowBackend.__name__: "mlflow",
}


def share_folders(visualizer: Any, work_dir: str) -> None:
    """Give backends in the config of a visualizer that continue the training's folders."""
    backends = visualizer.get("vis_backends") if isinstance(visualizer, dict) else None
    for backend in backends or ():
        if isinstance(backend, dict) and backend.get("type") in FOLDERS:
            backend.setdefault("save_dir", str(Path(work_dir, FOLDERS[backend["type"]])))
