"""What a checkpoint's pickle may name, call and give a state to, and with which arguments.

Everything here takes and returns what :mod:`pickle_scan` builds: plain containers, numbers and
text, with marks in the places of objects. Nothing of the file is called.
"""

import math
import pickle
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

HISTORY = "mmengine.logging.history_buffer.HistoryBuffer"
HISTORY_METHODS = ("min", "max", "mean", "current")
_KEYS = (str, bytes, int, float, bool, type(None))
_ITEM_SIZES = {
    "Byte": 1,
    "Char": 1,
    "Bool": 1,
    "Short": 2,
    "Half": 2,
    "BFloat16": 2,
    "Int": 4,
    "Float": 4,
    "Long": 8,
    "Double": 8,
    "ComplexFloat": 8,
    "ComplexDouble": 16,
}
STORAGES = {f"torch.{kind}Storage": size for kind, size in _ITEM_SIZES.items()}
STORAGES["torch.storage.UntypedStorage"] = 1
DTYPES = {
    str(value): value.itemsize
    for value in vars(torch).values()
    if isinstance(value, torch.dtype) and "q" not in str(value)
}


def refused(reason: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(reason)


@dataclass(frozen=True)
class Named:
    """In the place of something that the pickle names."""

    name: str


@dataclass(eq=False)
class Made:
    """In the place of an object.

    Attributes:
        kind: the name of what makes it.
        content: what it holds.
        nbytes: the memory of a tensor's own copy.
    """

    kind: str
    content: Any = None
    nbytes: int = 0


@dataclass(frozen=True)
class Storage:
    """In the place of the bytes of tensors: their key in the file, number and size of items."""

    key: str
    numel: int
    item_size: int
    location: str

    @property
    def nbytes(self) -> int:
        return self.numel * self.item_size

    @classmethod
    def read(cls, pid: Any) -> "Storage":
        """From what a pickle says of one; files of before torch 1.6 add None for "no view"."""
        if (
            type(pid) is not tuple
            or len(pid) not in (5, 6)
            or (len(pid) == 6 and pid[5] is not None)
        ):
            raise refused("invalid description of a storage")
        word, kind, key, location, numel = pid[:5]
        if type(kind) is not Named or kind.name not in STORAGES or not _is_count(numel):
            raise refused("invalid description of a storage")
        if (word, type(key), type(location)) != ("storage", str, str):
            raise refused("invalid description of a storage")
        return cls(key, numel, STORAGES[kind.name], location)


def checked_key(key: Any) -> Any:
    """A key of a dict that takes no time to hash, and collides with few others."""
    if type(key) not in _KEYS or (type(key) is int and abs(key) >= 2**61 - 1):
        raise refused(f"a {type(key).__name__} as a key is not allowed")
    return key


def _is_count(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _tensor(storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None) -> Made:
    return _view(storage, storage.item_size, offset, size, stride, hooks, metadata)


def _typed_tensor(storage, offset, size, stride, requires_grad, hooks, dtype, metadata=None):
    return _view(storage, DTYPES[dtype.name], offset, size, stride, hooks, metadata)


def _view(storage: Storage, item_size: int, offset, size, stride, hooks, metadata) -> Made:
    size, stride = tuple(size), tuple(stride)
    numbers = (offset, *size, *stride)
    if type(storage) is not Storage or len(size) != len(stride) or not all(map(_is_count, numbers)):
        raise refused("invalid description of a tensor")
    extent = offset + 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if 0 not in size and extent * item_size > storage.nbytes:
        raise refused(f"invalid: a tensor of {size} does not fit into its {storage.nbytes} bytes")
    if metadata or (hooks is not None and type(hooks) is not OrderedDict):
        raise refused("hooks and flags of tensors are not allowed")
    return Made("tensor", hooks, math.prod(size) * item_size)


def _parameter(data: Made, requires_grad: bool, hooks: OrderedDict) -> Made:
    if type(data) is not Made or data.kind != "tensor" or type(hooks) is not OrderedDict or hooks:
        raise refused("invalid description of a parameter")
    return Made("tensor", data.content)


def _ordered_dict(pairs: Any = ()) -> OrderedDict:
    if type(pairs) not in (list, tuple) or any(len(pair) != 2 for pair in pairs):
        raise refused("invalid description of an OrderedDict")
    return OrderedDict((checked_key(key), value) for key, value in pairs)


def _counter(counts: Any = None) -> Made:
    if counts is not None and type(counts) is not dict:
        raise refused("invalid description of a Counter")
    return Made("collections.Counter", Counter(counts))


def _set(items: Any = ()) -> set:
    if type(items) not in (list, tuple):
        raise refused("invalid description of a set")
    return {checked_key(item) for item in items}


def _size(sides: Any) -> tuple:
    if type(sides) is not tuple or not all(map(_is_count, sides)):
        raise refused("invalid description of a size")
    return sides


def _device(kind: Any, index: Any = 0) -> Made:
    if type(kind) is not str or not _is_count(index):
        raise refused("invalid description of a device")
    return Made("device")


def _bytes(text: Any, encoding: Any) -> bytes:
    """How pickle writes bytes in its protocol 2."""
    if type(text) is not str or encoding != "latin1":
        raise refused(f"encoding as {encoding!r} is not allowed")
    return text.encode("latin1")


def _history_method(owner: Any, name: Any) -> Made:
    """How log histories refer to their own methods."""
    if owner != Named(HISTORY) or name not in HISTORY_METHODS:
        raise refused(f"getattr({shown(owner)}, {name!r}) is not allowed")
    return Made("method")


def _empty_array(kind: Any, shape: Any, dtype: Any) -> Made:
    if kind != Named("numpy.ndarray") or shape != (0,) or dtype not in (b"b", "b"):
        raise refused("invalid description of an array")
    return Made("numpy.ndarray")


def _dtype(name: Any, align: Any = False, copy: Any = True) -> Made:
    if type(name) is not str or not re.fullmatch(r"b1|[iu][1248]|f[248]|c8|c16", name):
        raise refused(f"arrays of the dtype {name!r} are not allowed")
    return Made("numpy.dtype", np.dtype(name).itemsize)


def _scalar(dtype: Any, data: Any) -> Made:
    if type(dtype) is not Made or type(data) is not bytes or len(data) != dtype.content:
        raise refused("invalid description of a number")
    return Made("scalar")


def _build_dtype(target: Made, state: Any) -> None:
    if type(state) is not tuple or state[:1] != (3,) or state[2:] != (None, None, None, -1, -1, 0):
        raise refused("arrays of structures are not allowed")


def _build_array(target: Made, state: Any) -> None:
    _, shape, dtype, _, data = state
    if type(dtype) is not Made or dtype.kind != "numpy.dtype" or type(data) is not bytes:
        raise refused("arrays of objects are not allowed")
    if type(shape) is not tuple or not all(map(_is_count, shape)):
        raise refused("invalid description of an array")
    if math.prod(shape) * dtype.content != len(data):
        raise refused(f"invalid: an array of {shape} with {len(data)} bytes")


def _build_namespace(target: Made, state: Any) -> None:
    if type(state) is not dict or not all(type(key) is str for key in state):
        raise refused("invalid state of a Namespace")
    target.content = state


def _build_history(target: Made, state: Any) -> None:
    if type(state) is not dict:
        raise refused("invalid state of a HistoryBuffer")


def _build_dict(target: OrderedDict, state: Any) -> None:
    """The versions of a model's modules, or how yacs marks its settings."""
    marks = {"__immutable__", "__deprecated_keys__", "__renamed_keys__", "__new_allowed__"}
    if type(state) is not dict or not state.keys() <= {"_metadata", *marks}:
        raise refused("attributes of dicts are not allowed")
    versions = state.get("_metadata", {})
    if not isinstance(versions, dict) or not all(isinstance(v, dict) for v in versions.values()):
        raise refused("invalid versions of modules")


def shown(thing: Any) -> str:
    return thing.name if type(thing) is Named else f"a {type(thing).__name__}"


# Names that may be called, with what checks the arguments.
CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _counter,
    "builtins.set": _set,
    "builtins.getattr": _history_method,
    "_codecs.encode": _bytes,
    "torch.Size": _size,
    "torch.device": _device,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "numpy.dtype": _dtype,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # NumPy 1 and 2
    CALLS |= {f"{_module}._reconstruct": _empty_array, f"{_module}.scalar": _scalar}
# Classes of which there may be instances, and their content.
INSTANCES: dict[str, Callable[[], Any]] = {
    HISTORY: lambda: Made(HISTORY),
    "argparse.Namespace": lambda: Made("argparse.Namespace"),
    "yacs.config.CfgNode": OrderedDict,
}
# What may be given a state.
BUILDS: dict[str, Callable[[Any, Any], None]] = {
    "collections.OrderedDict": _build_dict,
    "argparse.Namespace": _build_namespace,
    HISTORY: _build_history,
    "numpy.dtype": _build_dtype,
    "numpy.ndarray": _build_array,
}
NAMES = {*CALLS, *INSTANCES, *DTYPES, *STORAGES, "numpy.ndarray"}
