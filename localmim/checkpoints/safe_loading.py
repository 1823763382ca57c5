"""Reading checkpoint files without executing what is in them."""

import argparse
import json
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError, safe_open


def _history_method(owner: type, name: str):
    """Stands in for ``getattr`` in a pickled log history, which refers to its own methods."""
    if owner is HistoryBuffer and name in ("min", "max", "mean", "current"):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"getattr({owner!r}, {name!r}) is not allowed")


# What checkpoints hold beside tensors and plain containers: mmengine's log history, the command
# line of a training script (the releases of MAE and its followers), the settings of the original
# Swin. torch's own restricted unpickler refuses everything else.
_ALLOWED = [
    HistoryBuffer,
    (_history_method, "builtins.getattr"),
    argparse.Namespace,
    (OrderedDict, "yacs.config.CfgNode"),  # a dict
    np.ndarray,
    np.dtype,
    np._core.multiarray._reconstruct,
    np._core.multiarray.scalar,
    *{type(np.dtype(name)) for name in ("bool", "int32", "int64", "uint32", "float32", "float64")},
]


@CheckpointLoader.register_scheme(prefixes="", force=True)
def load_from_file(
    filename: str,
    map_location: str | torch.device | None = "cpu",
    *,
    mmap: bool = False,
    unsafe: bool = False,
) -> dict:
    """Load a checkpoint from a local file, safely or not at all.

    Importing localmim makes this mmengine's loader for local files: OneDL's falls back to an
    unrestricted unpickler where the restricted one refuses, and OpenMMLab's refuses its own
    training checkpoints since torch 2.6.

    Args:
        filename: path of the file, of torch or of safetensors.
        map_location: as in ``torch.load``.
        mmap: leave tensors in the file until they are used.
        unsafe: let the file run code while it is read. For files that you trust as you trust a
            program.

    Returns:
        What was saved; of a safetensors file its tensors as "state_dict" and its metadata as
        "meta".

    Raises:
        FileNotFoundError: there is no such file.
        PermissionError: it may not be read.
        ValueError: the file is no checkpoint, is damaged, or needs code of its own to be loaded.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {filename} can not be found")
    try:
        if path.suffix == ".safetensors":
            return _load_safetensors(path, str(map_location or "cpu"))
        if unsafe:
            return torch.load(path, map_location=map_location, weights_only=False)
        with path.open("rb") as file, torch.serialization.safe_globals(_ALLOWED):
            # Only the present format of torch, a zip archive, can be mapped.
            source = str(path) if mmap and zipfile.is_zipfile(file) else file
            file.seek(0)
            mapped = source is not file
            return torch.load(source, map_location=map_location, weights_only=True, mmap=mapped)
    except PermissionError:
        raise
    except pickle.UnpicklingError as error:
        # torch's message advises to switch the protection off; only its reason is passed on.
        reason = re.search(r"(Unsupported|.*not allowed|invalid|Trying)[^.]*", str(error))
        raise ValueError(
            f"{filename} is no checkpoint, or holds objects other than tensors, numbers and text; "
            "it was not loaded because unpickling such a file can execute code "
            f"({reason.group(0).strip() if reason else 'not a pickle of tensors'})"
        ) from error
    except Exception as error:  # a damaged file makes the unpickler fail in any way it can
        raise ValueError(f"{filename} is no checkpoint or is damaged: {error}") from error


def _load_safetensors(path: Path, device: str) -> dict:
    try:
        with safe_open(path, framework="pt", device=device) as file:
            meta = {name: _plain(value) for name, value in (file.metadata() or {}).items()}
            return {"state_dict": {n: file.get_tensor(n) for n in file.keys()}, "meta": meta}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _plain(value: str):
    """Numbers and lists that were written as text."""
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
