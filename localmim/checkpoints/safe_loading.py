"""Reading checkpoint files without executing what is in them."""

import pickle
import re
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader


def _history_method(owner: type, name: str):
    """Stands in for ``getattr`` in a pickled log history, which refers to its own methods."""
    if owner is HistoryBuffer and name in ("min", "max", "mean", "current"):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"getattr({owner!r}, {name!r}) is not allowed")


# What mmengine's training checkpoints hold beside tensors and plain containers: the log history.
# torch's own restricted unpickler refuses everything else.
_ALLOWED = [
    HistoryBuffer,
    (_history_method, "builtins.getattr"),
    np.ndarray,
    np.dtype,
    np._core.multiarray._reconstruct,
    np._core.multiarray.scalar,
    *{type(np.dtype(name)) for name in ("bool", "int32", "int64", "uint32", "float32", "float64")},
]


@CheckpointLoader.register_scheme(prefixes="", force=True)
def load_from_file(filename: str, map_location: str | torch.device | None = "cpu") -> dict:
    """Load a checkpoint from a local file, safely or not at all.

    Importing localmim makes this mmengine's loader for local files: OneDL's falls back to an
    unrestricted unpickler where the restricted one refuses, and OpenMMLab's refuses its own
    training checkpoints since torch 2.6.

    Args:
        filename: path of the file.
        map_location: as in ``torch.load``.

    Raises:
        FileNotFoundError: there is no such file.
        PermissionError: it may not be read.
        ValueError: the file is no checkpoint, is damaged, or needs code of its own to be loaded.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {filename} can not be found")
    try:
        with path.open("rb") as file, torch.serialization.safe_globals(_ALLOWED):
            return torch.load(file, map_location=map_location, weights_only=True)
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
