"""From one kind of checkpoint to another, over a neutral form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .architecture import Architecture, describe
from .reading import COMPUTED, Reading, StateDict, recognise
from .report import ConversionReport, first
from .resize import Size, resize
from .rules import Table, match, spell
from .shapes import check_shapes
from .tables import tables_of
from .writing import choose_table, write


@dataclass
class Conversion:
    """The result of :func:`convert`.

    Attributes:
        state_dict: the tensors, as the target names and lays them out. Those whose numbers did not
            move share their memory with the source's.
        table: of the target.
        architecture: sizes of the model.
        report: what was done.
    """

    state_dict: StateDict
    table: Table
    architecture: Architecture
    report: ConversionReport


def convert(
    state_dict: Mapping[str, Tensor],
    target: str,
    source: str = "auto",
    *,
    image_size: Size | None = None,
    window: int | None = None,
    merge_order: str | None = None,
    hints: Mapping[str, Any] | None = None,
    strict: bool = True,
) -> Conversion:
    """Convert the weights of a model from one kind of checkpoint to another.

    Args:
        state_dict: tensors by name, without the prefix of a wrapper (``read_checkpoint`` takes it
            off).
        target: one of :data:`DIALECTS`.
        source: one of :data:`DIALECTS`, or "auto" to recognise it.
        image_size: (height, width) in pixels for which positions are resized.
        window: side of a Swin's windows, in tokens, to which tables are resized.
        merge_order: "row" or "column", for a Swin of localmim-release: how the children of a patch
            merging are ordered. The default is "row", as it was trained; the authors' fine-tuning
            reads the same weights as "column".
        hints: what the file says of the model besides its weights: ``image_size``, ``num_heads``
            per stage, ``targets``.
        strict: raise on names that are unknown, missing or have no place; otherwise leave them out
            and report them.

    Returns:
        The new state dict with a report.

    Raises:
        ValueError: nothing like the source, an unknown, missing or unplaced tensor (``strict``),
            shapes that contradict each other, a stored constant that differs from what its model
            computes, or a size that does not fit.
    """
    tables_of(target)  # a misspelt target is an error before the work
    if merge_order is not None and source == "auto":
        source = "localmim-release"
    reading, *others = recognise(state_dict, source, merge_order)
    if reading.misshapen or (strict and not reading.complete):
        raise ValueError(_no_reading(reading, source))
    if reading.table.stored_size is not None:
        hints = {"image_size": reading.table.stored_size(state_dict)} | dict(hints or {})
    try:
        check_shapes(reading.table.family, reading.state)
        architecture = describe(reading.table.family, reading.state, hints)
    except KeyError as error:  # strict is False and too little is there
        raise ValueError(_no_reading(reading, source)) from error
    _check_constants(reading, state_dict, architecture)
    state, architecture, resized = resize(reading.state, architecture, image_size, window)
    table = choose_table(target, reading.table.family, state)
    report = ConversionReport(
        reading.table.title,
        table.title,
        alternatives=sorted({r.table.title for r in others} - {reading.table.title}),
        interpolated=resized,
        dropped={name: why for name, why in reading.ignored.items() if why != COMPUTED},
        missing=dict.fromkeys(reading.missing, "not in the source"),
        unknown=reading.unknown,
    )
    written = write(state, table, architecture, reading.reordered, report)
    if strict and report.unplaced:
        raise ValueError(
            f"{table.title} has no place for {len(report.unplaced)} tensors of "
            f"{reading.table.title}: {first(report.unplaced)}. Without them the model would "
            "compute something else"
        )
    return Conversion(written, table, architecture, report)


def _no_reading(reading: Reading, source: str) -> str:
    """Why a state dict is not of a kind."""
    if source == "auto":
        text = f"not recognised; it comes nearest to {reading.table.title}, with "
    else:
        text = f"not a checkpoint of {reading.table.title}: "
    return f"{text}{reading.problems()}"


def _check_constants(
    reading: Reading, state_dict: Mapping[str, Tensor], architecture: Architecture
) -> None:
    """Refuse stored constants that differ from what takes their place."""
    names = reading.table.whole(state_dict)
    for fixed in reading.table.fixed:
        for ours, tensor in reading.state.items():
            if (fields := match(fixed.like, ours)) is None:
                continue
            stored = state_dict.get(names.get(spell(fixed.theirs, fields)))
            computed = None if stored is None else fixed.value(tensor, fields, architecture)
            if computed is None:
                continue
            if stored.shape != computed.shape or not torch.allclose(
                stored.double(), computed.double(), rtol=0, atol=fixed.tolerance
            ):
                raise ValueError(
                    f"{spell(fixed.theirs, fields)} {tuple(stored.shape)} is not what "
                    f"{reading.table.title} computes, {tuple(computed.shape)}: it was changed, or "
                    "the model differs from that kind"
                )
