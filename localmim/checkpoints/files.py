"""Checkpoint files: where the weights are in them, and writing new ones."""

import errno
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from localmim.durable import written_aside

from .origin import origin_of
from .safe_loading import load_from_file

_WEIGHTS = ("state_dict", "model", "module", "net")
_AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_WRAPPERS = ("module.", "_orig_mod.", "model.")


@dataclass(frozen=True)
class Checkpoint:
    """The weights in a file.

    Attributes:
        state_dict: tensors by name, without the prefixes of wrappers.
        hints: what the file says of the model and its training.
        taken: the entry of the file that held the weights, or None.
        left_out: entries of the file beside the weights, such as the optimiser's state.
    """

    state_dict: dict[str, Tensor]
    hints: dict[str, Any]
    taken: str | None
    left_out: tuple[str, ...]


def read_checkpoint(path: str | Path, *, ema: bool = False, unsafe: bool = False) -> Checkpoint:
    """Find the weights in a checkpoint file.

    Args:
        path: a file of torch or of safetensors.
        ema: take the averaged weights where the file has both. (mmengine keeps the average under
            ``state_dict``, as what one deploys, so that it is taken in any case.)
        unsafe: as in :func:`load_from_file`.

    Raises:
        FileNotFoundError, PermissionError: as in :func:`load_from_file`.
        ValueError: no weights were found, or the file cannot be loaded.
    """
    content = load_from_file(str(path), mmap=True, unsafe=unsafe)
    taken, weights = _find_weights(content, ema, str(path))
    state = {str(name): tensor for name, tensor in weights.items() if isinstance(tensor, Tensor)}
    if len(state) < len(weights):
        others = [name for name in weights if not isinstance(weights[name], Tensor)]
        raise ValueError(f"{path}: {others[0]!r} among the weights is no tensor")
    left_out = tuple(name for name in content if taken is not None and name != taken)
    return Checkpoint(unwrapped(state), origin_of(content), taken, left_out)


def _find_weights(content: Any, ema: bool, path: str) -> tuple[str | None, Mapping[str, Tensor]]:
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dict with weights")
    averages = [name for name in _AVERAGES if isinstance(content.get(name), Mapping)]
    if ema and not averages:
        raise ValueError(f"{path} holds no averaged weights (none of {', '.join(_AVERAGES)})")
    by_mmengine = "ema_state_dict" in averages and "state_dict" in content
    order = (*averages, *_WEIGHTS) if ema and not by_mmengine else _WEIGHTS
    for name in order:
        if isinstance(content.get(name), Mapping) and content[name]:
            return name, content[name]
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return None, content
    raise ValueError(
        f"{path} holds no weights: none of {', '.join(order)} among its entries "
        f"({', '.join(map(str, list(content)[:5])) or 'none'})"
    )


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes of distributed, compiled or averaged models."""
    state = {name: x for name, x in state.items() if name != "n_averaged"}
    for prefix in _WRAPPERS * 2:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): x for name, x in state.items()}
    return state


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_destination(path: Path, size: int, overwrite: bool) -> None:
    """Refuse a destination to which nothing can be written, before the work.

    Args:
        path: of the file to be written.
        size: in bytes, about what is needed.
        overwrite: whether there may be a file already.
    """
    if path.suffix not in (".pth", ".pt", ".safetensors"):
        raise ValueError(f"{path} must end in .pth, .pt or .safetensors")
    if path.is_dir() or (path.exists() and not overwrite):
        raise FileExistsError(f"{path} exists; give another name, or --overwrite to replace a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(
            error.errno, f"no file can be written in {path.parent}: {error.strerror}"
        ) from error
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise OSError(
            errno.ENOSPC,
            f"{path} needs about {size / 1e6:.0f} MB, but only {free / 1e6:.0f} MB are free",
        )


def write_checkpoint(
    path: str | Path,
    state_dict: Mapping[str, Tensor],
    meta: Mapping[str, Any],
    container: str = "state_dict",
) -> None:
    """Write weights; the file appears under its name only when it is complete.

    Args:
        path: ending in .safetensors, or in .pth or .pt for a file of torch.
        state_dict: tensors by name.
        meta: plain numbers, text and lists.
        container: entry of a file of torch that holds the weights.

    Raises:
        OSError: it could not be written. What was there before is unchanged.
    """
    path = Path(path)
    # Views would bring all of their storage along.
    state = {
        name: x.clone(memory_format=torch.contiguous_format)
        if x.untyped_storage().nbytes() != x.nbytes or not x.is_contiguous()
        else x
        for name, x in state_dict.items()
    }
    with written_aside(path) as partial:
        try:
            if path.suffix == ".safetensors":
                text = {k: v if isinstance(v, str) else json.dumps(v) for k, v in meta.items()}
                save_file(state, partial, metadata={"format": "pt"} | text)
            else:
                torch.save({container: state, "meta": dict(meta)}, partial)
        except OSError:
            raise
        except Exception as error:  # a full disk is a RuntimeError or SafetensorError by then
            raise OSError(f"{path} could not be written: {error}") from error
