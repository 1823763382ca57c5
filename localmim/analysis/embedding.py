"""Features of any number of images, in a file that grows batch by batch."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import Compose
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from localmim.data.unusable import UnusableImage
from localmim.durable import written_aside

from .encoders import Encoder

SAVED_EVERY = 20  # batches


@dataclass
class Embedding:
    """What was written.

    Attributes:
        shape: (images, channels).
        begun_at: the image at which this call went on.
        unusable: why files gave no image, by path; their rows are NaN.
    """

    shape: tuple[int, int]
    begun_at: int
    unusable: dict[str, str] = field(default_factory=dict)


def embed(
    encoder: Encoder, paths: Sequence[str], out: Path, batch_size: int = 64, workers: int = 0
) -> Embedding:
    """Write a vector of each image to a .npy file, float32, in the order of the paths.

    Beside it ``OUT.txt`` has the paths, a line each. The memory that this takes does not depend on
    the number of images. What is interrupted goes on when it is called again with the same images
    and weights; the file has its name when it is complete.

    Args:
        encoder: on the device that computes.
        paths: of image files.
        out: ends in .npy.
        batch_size: images at a time.
        workers: processes that read them; 0 for this one.

    Raises:
        ValueError: ``out`` does not end in .npy, or there are no images.
    """
    if out.suffix != ".npy" or not paths:
        raise ValueError(f"{out} must end in .npy" if paths else "there are no images")
    partial, progress = (out.with_name(f".{out.name}.{end}") for end in ("partial", "json"))
    identity = _identity(encoder, paths)
    device = next(encoder.backbone.parameters()).device
    blank = torch.zeros(1, encoder.channels, *encoder.image_size, device=device)
    width = encoder.vectors(blank).shape[1]
    state = {"identity": identity, "done": 0, "unusable": {}}
    if progress.exists() and partial.exists():
        found = json.loads(progress.read_text())
        state = found if found["identity"] == identity else state
    mode = "r+" if state["done"] else "w+"
    rows = np.lib.format.open_memmap(partial, mode, np.float32, (len(paths), width))
    result = Embedding(rows.shape, state["done"], state["unusable"])
    loader = DataLoader(
        _Images(paths[state["done"] :], encoder.pipeline),
        batch_size,
        num_workers=workers,
        collate_fn=list,
    )
    with tqdm(total=len(paths), initial=state["done"], unit="image", desc=out.name) as bar:
        for number, batch in enumerate(loader, 1):
            _write(rows[state["done"] : state["done"] + len(batch)], batch, encoder, result)
            state["done"] += len(batch)
            bar.update(len(batch))
            if number % SAVED_EVERY == 0 or state["done"] == len(paths):
                rows.flush()
                with written_aside(progress) as aside:
                    aside.write_text(json.dumps(state))
    with written_aside(out.with_suffix(".txt")) as aside:
        aside.write_text("".join(f"{path}\n" for path in paths))
    os.replace(partial, out)
    progress.unlink()
    return result


def _identity(encoder: Encoder, paths: Sequence[str]) -> str:
    """What the result depends on, as a hash."""
    digest = hashlib.sha256(str(encoder).encode())
    for path in paths:
        digest.update(f"{path}\0".encode())
    tensors = dict(encoder.data_preprocessor.named_buffers()) | encoder.backbone.state_dict()
    for name, tensor in tensors.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _write(rows: np.ndarray, batch: list, encoder: Encoder, result: Embedding) -> None:
    """Compute the rows of a batch; NaN where there is no image."""
    rows[:] = np.nan
    usable = [k for k, sample in enumerate(batch) if isinstance(sample, dict)]
    result.unusable |= dict(sample for sample in batch if not isinstance(sample, dict))
    if usable:
        images = encoder.normalized([batch[k] for k in usable])
        rows[usable] = encoder.vectors(images).float().cpu().numpy()


class _Images(Dataset):
    """Images as the encoder wants them; of what is none, path and reason."""

    def __init__(self, paths: Sequence[str], pipeline: Compose) -> None:
        self.paths, self.pipeline = paths, pipeline

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict | tuple[str, str]:
        path = str(self.paths[index])
        try:
            return self.pipeline({"img_path": path})
        except UnusableImage as error:
            return path, error.reason.text
