"""What a training step costs by count: floating-point operations and bytes, of each part."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import conv_flop_count, flop_registry, sdpa_backward_flop, sdpa_flop

aten = torch.ops.aten
REST = "rest"  # what no part does: sums of losses, gradients' accumulation
_ALLOCATIONS = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty}
_METHODS = ("forward", "loss")  # by which models call their parts


def _conv_backward_flop(grad, images, weight, *args, out_val=None) -> int:
    """Each gradient of a convolution takes the operations of its forward.

    torch's own formula forgets the groups in the weights' gradient.
    """
    transposed, output_mask = args[4], args[7]
    forward = conv_flop_count(images.shape, weight.shape, grad.shape, transposed)
    return forward * (bool(output_mask[0]) + bool(output_mask[1]))


FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    aten.convolution_backward: _conv_backward_flop,
    aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: sdpa_backward_flop,
}


@dataclass
class Cost:
    """Floating-point operations, and bytes that are read and written."""

    flops: int = 0
    bytes: int = 0

    def add(self, other: "Cost") -> None:
        """Add another cost to this one."""
        self.flops += other.flops
        self.bytes += other.bytes


class Parts:
    """Which part of a model runs, forward and backward.

    The parts are the children of a model (backbone, neck, head, ...). A part's backward are the
    nodes of the graph that its forward made: autograd numbers them in their order.

    Args:
        model: its children are called by ``forward`` or ``loss``.
        on_change: called whenever another part begins.
    """

    def __init__(self, model: nn.Module, on_change: Callable[[], None] = lambda: None) -> None:
        self.running = (REST, "forward")
        self._model, self._on_change = model, on_change
        self._numbers, self._names = [0], [REST]

    @contextmanager
    def watched(self) -> Iterator["Parts"]:
        """Follow the model's forward."""
        children = list(self._model.named_children())
        for name, child in children:
            for method in filter(lambda method: hasattr(child, method), _METHODS):
                setattr(child, method, self._marked(name, getattr(child, method)))
        try:
            yield self
        finally:
            for _, child in children:
                for method in _METHODS:
                    child.__dict__.pop(method, None)

    def _marked(self, name: str, method: Callable) -> Callable:
        def marked(*args, **kwargs):
            before = self.running
            self._begin(name)
            try:
                return method(*args, **kwargs)
            finally:
                self._begin(before[0])

        return marked

    def _begin(self, name: str) -> None:
        self._numbers.append(torch._C._autograd._get_sequence_nr())
        self._names.append(name)
        self.switch((name, "forward"))

    def switch(self, running: tuple[str, str]) -> None:
        """Say which part runs, and whether forward or backward."""
        if running != self.running:
            self._on_change()
            self.running = running

    def follow(self, node: Any) -> None:
        """Say that a node of the graph runs backward."""
        number = node._sequence_nr()
        if number < 2**62:  # else a gradient's accumulation, which belongs to the node before it
            self.switch((self._names[bisect_right(self._numbers, number) - 1], "backward"))

    def follow_backward(self, loss: Tensor) -> None:
        """Follow the backward that ``loss.backward()`` will run, without a dispatch mode."""
        seen, waiting = set(), [loss.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            node.register_prehook(lambda _gradients, node=node: self.follow(node))
            waiting.extend(following for following, _ in node.next_functions)


class StepCounter(TorchDispatchMode):
    """Counts what operations cost while it is active; results stay what they are.

    Operations are those of matrix products, convolutions and attention, by torch's formulas, two
    for a multiply-add. Bytes are what each operation would read and write if nothing stayed in a
    cache or was fused with another: an upper bound.

    Args:
        parts: whose parts the costs belong to; None counts everything as the rest.

    Attributes:
        costs: by (part, "forward" or "backward").
    """

    def __init__(self, parts: Parts | None = None) -> None:
        super().__init__()
        self.costs: dict[tuple[str, str], Cost] = defaultdict(Cost)
        self._parts = parts

    @property
    def total(self) -> Cost:
        """Of everything."""
        total = Cost()
        for cost in self.costs.values():
            total.add(cost)
        return total

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        packet = getattr(func, "_overloadpacket", None)
        if packet is not None and packet not in FORMULAS and func is not torch.ops.prim.device:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        formula = FORMULAS.get(packet)
        flops = formula(*args, **kwargs, out_val=result) if formula else 0
        self.costs[self._running()].add(Cost(flops, _bytes(func, args, kwargs, result)))
        return result

    def _running(self) -> tuple[str, str]:
        if self._parts is None:
            return REST, "forward"
        if (node := torch._C._current_autograd_node()) is not None:
            self._parts.follow(node)
        return self._parts.running


def _bytes(func: Any, args: tuple, kwargs: dict, result: Any) -> int:
    """Bytes that an operation reads and writes; a view moves none."""
    schema = getattr(func, "_schema", None)
    if schema is None or getattr(func, "_overloadpacket", None) in _ALLOCATIONS or func.is_view:
        return 0
    read = sum(map(_size, tree_leaves((args, kwargs))))
    changed = sum(
        sum(map(_size, tree_leaves(value)))
        for value, argument in _bound(schema, args, kwargs)
        if argument.alias_info is not None and argument.alias_info.is_write
    )
    inputs = {id(leaf) for leaf in tree_leaves((args, kwargs))}
    made = sum(_size(leaf) for leaf in tree_leaves(result) if id(leaf) not in inputs)
    return read + changed + made


def _bound(schema: Any, args: tuple, kwargs: dict) -> Iterator[tuple[Any, Any]]:
    """Values that were given, each with what the schema says of it."""
    for number, argument in enumerate(schema.arguments):
        if number < len(args):
            yield args[number], argument
        elif argument.name in kwargs:
            yield kwargs[argument.name], argument


def _size(value: Any) -> int:
    """Bytes of a tensor; one that repeats its elements has those it stores."""
    if not isinstance(value, Tensor):
        return 0
    distinct = 1
    for size, stride in zip(value.shape, value.stride(), strict=True):
        distinct *= size if stride else min(size, 1)
    return distinct * value.element_size()
