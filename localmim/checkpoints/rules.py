"""How the tensors of a model are named and laid out in one kind of checkpoint.

A :class:`Table` relates the names of one kind of checkpoint (*theirs*) to a neutral form (*ours*)
that every kind shares. Names are patterns: ``{p}`` stands for ``weight`` or ``bias``, ``{b}`` for
the tensors of a batch norm, ``{i}``, ``{s}`` and so on for numbers, ``{i+1}`` for a number that is
one higher than in the other pattern, ``*`` for anything.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor

Fields = dict[str, str]
_FIELD = re.compile(r"\{(\w+)(?:\+(\d+))?\}|(\*)")
_NUMBER = r"\d+"
_VALUES = {
    "p": "weight|bias",
    "b": "weight|bias|running_mean|running_var|num_batches_tracked",
}


@cache
def _regex(pattern: str) -> re.Pattern:
    parts, end = [], 0
    for found in _FIELD.finditer(pattern):
        parts.append(re.escape(pattern[end : found.start()]))
        name, _, wildcard = found.groups()
        parts.append(".*" if wildcard else f"(?P<{name}>{_VALUES.get(name, _NUMBER)})")
        end = found.end()
    return re.compile("".join(parts) + re.escape(pattern[end:]))


def match(pattern: str, name: str) -> Fields | None:
    """The fields of a name that has a pattern, else None."""
    found = _regex(pattern).fullmatch(name)
    if found is None:
        return None
    fields = found.groupdict()
    for name, offset in ((f[1], f[2]) for f in _FIELD.finditer(pattern) if f[2]):
        fields[name] = str(int(fields[name]) - int(offset))
    return fields


def spell(pattern: str, fields: Fields) -> str:
    """The name that a pattern gives with these fields."""

    def value(found: re.Match) -> str:
        text, offset = fields[found[1]], found[2]
        return str(int(text) + int(offset)) if offset else text

    return _FIELD.sub(value, pattern)


def matches_any(patterns: Iterable[str], name: str) -> str | None:
    """The first of several patterns that a name has."""
    return next((pattern for pattern in patterns if match(pattern, name) is not None), None)


def _identity(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True)
class Rule:
    """One tensor of ours and the one or several of theirs that hold the same numbers.

    Attributes:
        ours, theirs: patterns.
        read: their tensors -> ours.
        write: ours -> one of theirs, or a tuple where there are several.
        reordered: whether the numbers change their places, for the report.
        loses: what of ours has no place in theirs and changes no feature, said in the report.
    """

    ours: str
    theirs: tuple[str, ...]
    read: Callable[..., Tensor] = _identity
    write: Callable[[Tensor], Tensor | tuple[Tensor, ...]] = _identity
    reordered: bool = False
    loses: str | None = None

    def parts(self, ours: Tensor) -> tuple[Tensor, ...]:
        """Theirs, from ours."""
        written = self.write(ours)
        return written if isinstance(written, tuple) else (written,)


@dataclass(frozen=True)
class Fixed:
    """A tensor of theirs that can be computed, such as an index buffer or a sine-cosine table.

    Attributes:
        theirs: its pattern.
        like: the pattern of ours that has one of these each.
        value: (ours that it is like, fields, architecture) -> the tensor, or None where this
            checkpoint has none.
        tolerance: how far what is read may be from what is computed.
        written: whether files of this kind should have it. mmseg and mmdet resize tables to their
            windows when they load, but not the indices that go with them.
    """

    theirs: str
    like: str
    value: Callable[[Tensor, Fields, Any], Tensor | None]
    tolerance: float = 0.0
    written: bool = True


@dataclass(frozen=True)
class Table:
    """One model in one kind of checkpoint.

    Attributes:
        dialect: name of the kind of checkpoint.
        family: "vit", "swin", "resnet" or "convnext", whose neutral form it shares.
        model: what the weights belong to, for messages.
        rules: how names and layouts correspond.
        fixed: what is computed rather than stored.
        ignored: patterns of theirs that are dropped when reading, with the reason.
        left_out: patterns of ours that are dropped when writing, with the reason.
        fills: patterns of ours that are made when writing if there is none, with a function of the
            neutral state dict that gives the tensors by name.
        left_to_model: patterns of ours that may be absent when writing, with what happens then.
        needs: names of ours without which the model gives no features.
        prefix: of the backbone's names in a file of the whole model. Names of the backbone have it
            in all patterns; a file of the backbone alone is read as well.
        bare: whether the backbone alone is written, without the prefix.
        container: the key under which a .pth file has the state dict.
        stored_size: the image size (height, width) that a state dict tells in a way of its own.
        adapt_read, adapt_write: what patterns cannot say, on the neutral state dict.
    """

    dialect: str
    family: str
    model: str
    rules: tuple[Rule, ...]
    fixed: tuple[Fixed, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    fills: Mapping[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = field(
        default_factory=dict
    )
    left_to_model: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    prefix: str = ""
    bare: bool = False
    container: str = "state_dict"
    stored_size: Callable[[Mapping[str, Tensor]], tuple[int, int]] | None = None
    adapt_read: Callable[[dict[str, Tensor]], dict[str, Tensor]] = _identity
    adapt_write: Callable[[dict[str, Tensor]], dict[str, Tensor]] = _identity

    def whole(self, names: Mapping[str, Any]) -> dict[str, str]:
        """Their names as in a file of the whole model -> as they are here."""
        if self.prefix and not any(name.startswith(self.prefix) for name in names):
            return {self.prefix + name: name for name in names}
        return {name: name for name in names}

    @property
    def title(self) -> str:
        return f"{self.dialect} ({self.model})"


def same(ours: str, theirs: str) -> Rule:
    """The same numbers in the same layout."""
    return Rule(ours, (theirs,))


def joined(ours: str, *theirs: str) -> Rule:
    """Ours is theirs one after the other, such as queries, keys and values."""
    return Rule(
        ours,
        theirs,
        read=lambda *parts: torch.cat(parts),
        write=lambda x: x.chunk(len(theirs)),
        reordered=True,
    )


def linear_for_conv(ours: str, theirs: str) -> Rule:
    """Ours is a 1x1 convolution, (out, in, 1, 1), theirs a linear layer."""
    return Rule(ours, (theirs,), lambda x: x[..., None, None], lambda x: x.flatten(1))


def renamed(ours: str, theirs: str, names: Mapping[str, str]) -> tuple[Rule, ...]:
    """The weight and bias of several layers under a common beginning of their names."""
    return tuple(same(f"{ours}{a}.{{p}}", f"{theirs}{b}.{{p}}") for a, b in names.items())
