"""``localmim embed`` as a function."""

import os
from pathlib import Path

import torch

from localmim.analysis import Embedding, image_files, load_encoder
from localmim.analysis import embed as embed_files


def embed(
    data: str | Path,
    weights: str | Path,
    out: str | Path,
    *,
    image_size: int | None = None,
    batch: int = 64,
    workers: int | None = None,
    patches: bool = False,
) -> Embedding:
    """Write a vector of each image of a folder to a file.

    Args:
        data: the folder, or an image file.
        weights: of a pre-training here, or any that ``localmim convert`` reads.
        out: ends in .npy or .parquet; see :func:`localmim.analysis.embed`.
        image_size: side in pixels; that of the weights by default.
        batch: images at a time.
        workers: processes that read images; one for each core by default.
        patches: a vector of each position in the place of their mean, as .npy.

    Raises:
        OSError, ValueError: see :func:`~localmim.analysis.load_encoder`.
    """
    size = (image_size, image_size) if image_size else None
    encoder = load_encoder(str(weights), image_size=size)
    encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    paths = image_files([str(data)], encoder.extensions)
    workers = os.cpu_count() or 1 if workers is None else workers
    return embed_files(encoder, paths, Path(out), batch, workers, patches)
