"""Features of any number of images, in a file that grows batch by batch."""

import hashlib
import importlib
import json
import os
from collections.abc import Mapping, Sequence
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
ENDINGS = (".npy", ".parquet")
ROWS = 8192  # of a row group


@dataclass
class Embedding:
    """What was written.

    Attributes:
        shape: (images, channels), or (images, h, w, channels).
        begun_at: the image at which this call went on.
        unusable: why files gave no image, by path; their rows are NaN.
    """

    shape: tuple[int, ...]
    begun_at: int
    unusable: dict[str, str] = field(default_factory=dict)


def embed(
    encoder: Encoder,
    paths: Sequence[str],
    out: Path,
    batch_size: int = 64,
    workers: int = 0,
    patches: bool = False,
) -> Embedding:
    """Write a vector of each image to a file, float32, in the order of the paths.

    A .npy file has a row for each; beside it ``OUT.txt`` has the paths, a line each. A .parquet
    file has the columns "path" and "features". The memory that this takes does not depend on the
    number of images. What is interrupted goes on when it is called again with the same images and
    weights; the file has its name when it is complete.

    Args:
        encoder: on the device that computes.
        paths: of image files.
        out: ends in .npy or .parquet (which needs pyarrow).
        batch_size: images at a time.
        workers: processes that read them; 0 for this one.
        patches: a vector of each position in the place of their mean: (images, h, w, channels),
            as .npy.

    Raises:
        ValueError: ``out`` has another ending, there are no images, or the encoder gives no more
            than a vector of each.
        ImportError: pyarrow is not installed.
    """
    _check(out, paths, patches)
    partial, progress = (out.with_name(f".{out.name}.{end}") for end in ("partial", "json"))
    identity = f"{_identity(encoder, paths)}{' patches' if patches else ''}"
    device = next(encoder.backbone.parameters()).device
    blank = torch.zeros(1, encoder.channels, *encoder.image_size, device=device)
    shape = (encoder.maps(blank).permute(0, 2, 3, 1) if patches else encoder.vectors(blank)).shape
    state = {"identity": identity, "done": 0, "unusable": {}}
    if progress.exists() and partial.exists():
        found = json.loads(progress.read_text())
        state = found if found["identity"] == identity else state
    mode = "r+" if state["done"] else "w+"
    rows = np.lib.format.open_memmap(partial, mode, np.float32, (len(paths), *shape[1:]))
    result = Embedding(rows.shape, state["done"], state["unusable"])
    loader = DataLoader(
        _Images(paths[state["done"] :], encoder.pipeline),
        batch_size,
        num_workers=workers,
        collate_fn=list,
    )
    with tqdm(total=len(paths), initial=state["done"], unit="image", desc=out.name) as bar:
        for number, batch in enumerate(loader, 1):
            part = rows[state["done"] : state["done"] + len(batch)]
            _write(part, batch, encoder, result, patches)
            state["done"] += len(batch)
            bar.update(len(batch))
            if number % SAVED_EVERY == 0 or state["done"] == len(paths):
                rows.flush()
                with written_aside(progress) as aside:
                    aside.write_text(json.dumps(state))
    if out.suffix == ".parquet":
        _write_parquet(out, paths, rows, result.unusable)
        partial.unlink()
    else:
        with written_aside(out.with_suffix(".txt")) as aside:
            aside.write_text("".join(f"{path}\n" for path in paths))
        os.replace(partial, out)
    progress.unlink()
    return result


def _check(out: Path, paths: Sequence[str], patches: bool) -> None:
    if out.suffix not in ENDINGS:
        raise ValueError(f"{out} must end in {' or '.join(ENDINGS)}")
    if not paths:
        raise ValueError("there are no images")
    if out.suffix == ".parquet":
        if patches:
            raise ValueError(f"{out}: features of each patch are written as .npy")
        try:
            importlib.import_module("pyarrow")
        except ImportError as error:
            raise ImportError(f"{out} needs pyarrow: pip install pyarrow") from error


def _write_parquet(
    out: Path, paths: Sequence[str], rows: np.ndarray, unusable: Mapping[str, str]
) -> None:
    """Paths and rows as columns; null where there is no image."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    width = rows.shape[1]
    kind = pa.list_(pa.float32(), width)
    schema = pa.schema([("path", pa.string()), ("features", kind)])
    with written_aside(out) as aside, pq.ParquetWriter(aside, schema) as writer:
        for begin in range(0, len(paths), ROWS):
            named = paths[begin : begin + ROWS]
            values = pa.array(np.asarray(rows[begin : begin + ROWS]).reshape(-1))
            missing = pa.array([path in unusable for path in named])
            features = pa.FixedSizeListArray.from_arrays(values, type=kind, mask=missing)
            writer.write_table(pa.table([pa.array(map(str, named)), features], schema))


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


def _write(
    rows: np.ndarray, batch: list, encoder: Encoder, result: Embedding, patches: bool
) -> None:
    """Compute the rows of a batch; NaN where there is no image."""
    rows[:] = np.nan
    usable = [k for k, sample in enumerate(batch) if isinstance(sample, dict)]
    result.unusable |= dict(sample for sample in batch if not isinstance(sample, dict))
    if usable:
        images = encoder.normalized([batch[k] for k in usable])
        found = encoder.maps(images).permute(0, 2, 3, 1) if patches else encoder.vectors(images)
        rows[usable] = found.float().cpu().numpy()


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
