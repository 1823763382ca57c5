"""What a checkpoint's pickle would do, found out without doing it.

A pickle is a program. This module walks through it, building containers, numbers and text, but
calling nothing: where the program names or calls something, a mark is left that says what it was.
Only what checkpoints need is let through, with arguments that cannot take more memory than the
file has bytes. torch's restricted unpickler is a second lock behind this one: by itself it lets a
short program allocate any amount, reach its rebuilders with any arguments, or hash for hours.
"""

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from .pickle_calls import (
    BUILDS,
    CALLS,
    DTYPES,
    INSTANCES,
    NAMES,
    Made,
    Named,
    Storage,
    checked_key,
    refused,
    shown,
)

MAX_OPERATIONS = 2_000_000  # a few seconds; a ViT-L with its optimiser's state has 50,000
MAX_DEPTH = 100
MAX_REPEATS = 100  # how many times its own size a structure may have, written out
_MARK = object()


@dataclass
class Scan:
    """What a pickle holds.

    Attributes:
        root: the result, with marks in the places of objects.
        storages: by key, what the pickle says of the bytes of tensors.
        tensor_bytes: what all tensors take together when each has its own copy.
        operations: the length of the program.
    """

    root: Any = None
    storages: dict[str, Storage] = field(default_factory=dict)
    tensor_bytes: int = 0
    operations: int = 0


def scan_pickle(file: BinaryIO) -> Scan:
    """Walk through the pickle at a file's position, and leave the position behind it.

    Raises:
        pickle.UnpicklingError: it needs more than tensors, numbers, text and plain containers, or
            more memory than it has bytes.
    """
    scan = _Scanner(file).run()
    _check_structure(scan)
    return scan


class _Scanner:
    def __init__(self, file: BinaryIO) -> None:
        self.file, self.scan = file, Scan()
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Scan:
        for operation, argument, _ in self._operations():
            name = operation.name
            if name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name]())
            elif name in _LITERALS:
                self.stack.append(argument)
            elif name in _TUPLES:
                self.stack.append(tuple(self._pop(_TUPLES[name])))
            elif name == "STOP":
                (self.scan.root,) = self._pop(1)
                return self.scan
            elif name not in _HANDLERS:
                raise refused(f"the operation {name} is not allowed")
            else:
                _HANDLERS[name](self, argument)
        raise refused("it ends too early")

    def _operations(self) -> Iterator:
        for operation in pickletools.genops(self.file):
            self.scan.operations += 1
            if self.scan.operations > MAX_OPERATIONS:
                raise refused(f"more than {MAX_OPERATIONS} operations are not allowed")
            yield operation

    def _pop(self, count: int) -> list[Any]:
        taken = self.stack[-count:]
        if count > len(self.stack) or any(item is _MARK for item in taken):
            raise refused("invalid stack")
        del self.stack[-count:]
        return taken

    def _pop_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                taken = self.stack[place + 1 :]
                del self.stack[place:]
                return taken
        raise refused("invalid stack")

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise refused("invalid stack")
        return self.stack[-1]

    def protocol(self, version: int) -> None:
        if version != 2:
            raise refused(f"pickle protocol {version} is not allowed; torch.save writes 2")

    def text(self, text: str) -> None:
        """Of Python 2, which readers decode in different ways."""
        if not text.isascii():
            raise refused("text of Python 2 other than ASCII is not allowed")
        self.stack.append(text)

    def put(self, number: int) -> None:
        self.memo[number] = self._top()

    def get(self, number: int) -> None:
        if number not in self.memo:
            raise refused("invalid reference")
        self.stack.append(self.memo[number])

    def tuple_of_marked(self, _) -> None:
        self.stack.append(tuple(self._pop_mark()))

    def append(self, _) -> None:
        self._extend(self._pop(1))

    def appends(self, _) -> None:
        self._extend(self._pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self._top()) is not list:
            raise refused("invalid: only lists are appended to")
        self._top().extend(items)

    def set_item(self, _) -> None:
        self._update(self._pop(2))

    def set_items(self, _) -> None:
        self._update(self._pop_mark())

    def _update(self, items: list[Any]) -> None:
        target = self._top().content if type(self._top()) is Made else self._top()
        if not isinstance(target, dict) or len(items) % 2:
            raise refused("invalid: only dicts have items")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def name(self, words: str) -> None:
        module, name = words.split(" ", 1)
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        name = f"{IMPORT_MAPPING.get(module, module)}.{name}"
        if name not in NAMES:
            raise refused(f"Unsupported global {name}")
        self.stack.append(Named(name))

    def persistent(self, _) -> None:
        storage = Storage.read(*self._pop(1))
        if self.scan.storages.setdefault(storage.key, storage) != storage:
            raise refused(f"invalid: storage {storage.key} is described in two ways")
        self.stack.append(storage)

    def call(self, _) -> None:
        function, arguments = self._pop(2)
        called = function.name if type(function) is Named else None
        if called not in CALLS or type(arguments) is not tuple:
            raise refused(f"calling {shown(function)} is not allowed")
        made = CALLS[called](*arguments)
        self.scan.tensor_bytes += made.nbytes if type(made) is Made else 0
        self.stack.append(made)

    def instance(self, _) -> None:
        kind, arguments = self._pop(2)
        if type(kind) is not Named or kind.name not in INSTANCES or arguments != ():
            raise refused(f"making a {shown(kind)} is not allowed")
        self.stack.append(INSTANCES[kind.name]())

    def build(self, _) -> None:
        (state,), target = self._pop(1), self._top()
        kind = target.kind if type(target) is Made else "collections.OrderedDict"
        if type(target) not in (Made, OrderedDict) or kind not in BUILDS:
            raise refused(f"giving a state to {shown(target)} is not allowed")
        BUILDS[kind](target, state)


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_LITERALS = {"BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "LONG1"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_HANDLERS = {
    "PROTO": _Scanner.protocol,
    "SHORT_BINSTRING": _Scanner.text,
    "BINPUT": _Scanner.put,
    "LONG_BINPUT": _Scanner.put,
    "BINGET": _Scanner.get,
    "LONG_BINGET": _Scanner.get,
    "TUPLE": _Scanner.tuple_of_marked,
    "APPEND": _Scanner.append,
    "APPENDS": _Scanner.appends,
    "SETITEM": _Scanner.set_item,
    "SETITEMS": _Scanner.set_items,
    "GLOBAL": _Scanner.name,
    "BINPERSID": _Scanner.persistent,
    "REDUCE": _Scanner.call,
    "NEWOBJ": _Scanner.instance,
    "BUILD": _Scanner.build,
}


def _check_structure(scan: Scan) -> None:
    """Refuse what is endless, or would be when it is compared, copied or written out."""
    measured: dict[int, tuple[int, int]] = {}  # by id: parts, levels
    opened: set[int] = set()
    pending = [(scan.root, False)]
    while pending:
        node, finished = pending.pop()
        if finished:
            opened.discard(id(node))
            below = [measured.get(id(child), (1, 0)) for child in _children(node)]
            parts = 1 + sum(n for n, _ in below)
            levels = 1 + max((n for _, n in below), default=0)
            if levels > MAX_DEPTH:
                raise refused(f"more than {MAX_DEPTH} levels are not allowed")
            if parts > 1000 + MAX_REPEATS * scan.operations:
                raise refused("a structure that repeats its parts without measure is not allowed")
            measured[id(node)] = (parts, levels)
        elif id(node) in opened:
            raise refused("a structure that contains itself is not allowed")
        elif id(node) not in measured and (children := _children(node)):
            opened.add(id(node))
            pending.append((node, True))
            pending += [(child, False) for child in children]


def _children(node: Any) -> list[Any]:
    """What a container holds; refuse what is no data."""
    if isinstance(node, dict):
        return list(node.values())
    if isinstance(node, (list, tuple, set)):
        return list(node)
    if type(node) is Named and node.name not in DTYPES:
        raise refused(f"{node.name} among the data is not allowed")
    if type(node) is Made and node.kind == "method":
        raise refused("functions among the data are not allowed")
    if type(node) is Made and node.kind == "tensor" and node.content:
        raise refused("hooks of tensors are not allowed")
    if type(node) is Made and isinstance(node.content, dict):
        return [node.content]
    return []
