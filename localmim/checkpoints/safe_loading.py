"""Reading checkpoint files without executing what is in them."""

import argparse
import json
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError, safe_open

from .containers import check_container, is_archive
from .disarm import disarm
from .pickle_calls import HISTORY, HISTORY_METHODS

_MAX_METADATA = 1 << 16  # characters of a value of safetensors' metadata that are parsed


class _History(HistoryBuffer):
    """Takes the numbers of a pickled log history, then is a plain one.

    mmengine's own would put the functions that the file names among the methods of its class.
    """

    def __setstate__(self, state: dict) -> None:
        numbers = (state["_log_history"], state["_count_history"])
        if not all(isinstance(x, np.ndarray) and x.ndim == 1 for x in numbers):
            raise pickle.UnpicklingError("invalid log history")
        length = state["max_length"]
        if numbers[0].shape != numbers[1].shape or not isinstance(length, int) or length < 1:
            raise pickle.UnpicklingError("invalid log history")
        self.__class__ = HistoryBuffer
        self.__init__(*numbers, max_length=length)


def _history_method(owner: type, name: str):
    """Stands in for ``getattr`` in a pickled log history, which refers to its own methods."""
    if owner is _History and name in HISTORY_METHODS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f"getattr({owner!r}, {name!r}) is not allowed")


# What checkpoints hold beside tensors and plain containers: mmengine's log history, the command
# line of a training script (the releases of MAE and its followers), the settings of the original
# Swin. torch's own restricted unpickler refuses everything else.
_ALLOWED = [
    (_History, HISTORY),
    (_history_method, "builtins.getattr"),
    argparse.Namespace,
    (OrderedDict, "yacs.config.CfgNode"),  # a dict
    np.ndarray,
    np.dtype,
    *(
        (getattr(np._core.multiarray, name), f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")  # of NumPy 1 and 2
        for name in ("_reconstruct", "scalar")
    ),
    *{type(np.dtype(name)) for name in ("bool", "c8", "c16")},
    *{type(np.dtype(f"{kind}{size}")) for kind in "iu" for size in (1, 2, 4, 8)},
    *{type(np.dtype(f"f{size}")) for size in (2, 4, 8)},
]


@CheckpointLoader.register_scheme(prefixes="", force=True)
def load_from_file(
    filename: str,
    map_location: str | torch.device | None = "cpu",
    *,
    mmap: bool = False,
    unsafe: bool = False,
    verify: bool = True,
) -> dict:
    """Load a checkpoint from a local file, safely or not at all.

    Importing localmim makes this mmengine's loader for local files: OneDL's falls back to an
    unrestricted unpickler where the restricted one refuses, and OpenMMLab's refuses its own
    training checkpoints since torch 2.6.

    The memory taken is a small multiple of the file's size, whatever the file says. What mmengine
    would execute or delete when it resumes is left out: see :func:`.disarm.disarm`.

    Args:
        filename: path of the file, of torch or of safetensors.
        map_location: as in ``torch.load``.
        mmap: leave tensors in the file until they are used.
        unsafe: let the file run code while it is read. For files that you trust as you trust a
            program.
        verify: compare the checksums that torch writes, but does not read (about 2 GB/s).
            safetensors and torch before 1.6 write none.

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
        return disarm(_load_torch(path, map_location, mmap, verify), path)
    except PermissionError:
        raise
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{filename} is no checkpoint, or holds objects other than tensors, numbers and text; "
            "it was not loaded because unpickling such a file can execute code "
            f"({_reason(str(error))})"
        ) from error
    except Exception as error:  # a damaged file makes the unpickler fail in any way it can
        raise ValueError(f"{filename} is no checkpoint or is damaged: {error}") from error


def _load_torch(path: Path, map_location, mmap: bool, verify: bool):
    with path.open("rb") as file, torch.serialization.safe_globals(_ALLOWED):
        check_container(file, verify)
        # Only the present format of torch, a zip archive, can be mapped.
        mapped = mmap and is_archive(file)
        file.seek(0)
        source = str(path) if mapped else file
        return torch.load(source, map_location=map_location, weights_only=True, mmap=mapped)


def _reason(message: str) -> str:
    """What torch says without its advice to switch the protection off."""
    found = re.search(r"(Unsupported|.*not allowed|invalid|Trying)[^\n]*", message)
    return found.group(0).strip() if found else "not a pickle of tensors"


def _load_safetensors(path: Path, device: str) -> dict:
    try:
        with safe_open(path, framework="pt", device=device) as file:
            meta = {name: _plain(value) for name, value in (file.metadata() or {}).items()}
            return {"state_dict": {n: file.get_tensor(n) for n in file.keys()}, "meta": meta}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _plain(value: str):
    """Numbers and lists that were written as text."""
    if len(value) > _MAX_METADATA:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
