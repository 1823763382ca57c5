"""Reading a state dict by a table, and recognising by which."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from .neutral import expected_names
from .report import first
from .rules import Table, match, matches_any, spell
from .tables import TABLES, tables_of

StateDict = dict[str, Tensor]
COMPUTED = "computed where it is needed"


@dataclass
class Reading:
    """A state dict as one table reads it.

    Attributes:
        table: the table.
        state: the tensors in the neutral form.
        reordered: names in the neutral form whose numbers changed places.
        ignored: names in the file that carry nothing, with the reason.
        unknown: names in the file that the table does not have.
        missing: names in the neutral form, or in the file, that should be there.
        misshapen: names in the file with shapes that cannot be what their names say.
    """

    table: Table
    state: StateDict = field(default_factory=dict)
    reordered: set[str] = field(default_factory=set)
    ignored: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not (self.unknown or self.missing or self.misshapen)

    @property
    def ignored_count(self) -> int:
        """Tensors that carry something, but not for this table."""
        return sum(why != COMPUTED for why in self.ignored.values())

    def problems(self) -> str:
        """What keeps this from being a reading, in words."""
        kinds = ("unknown", "missing", "misshapen")
        found = [(kind, names) for kind in kinds if (names := getattr(self, kind))]
        return " and ".join(f"{len(names)} {kind} ({first(names)})" for kind, names in found)


def read(state_dict: Mapping[str, Tensor], table: Table) -> Reading:
    """Read a state dict by one table into the neutral form; say what does not fit."""
    names = table.whole(state_dict)
    reading = Reading(table)
    left = dict.fromkeys(names)
    for rule in table.rules:
        for name in [n for n in left if match(rule.theirs[0], n) is not None]:
            fields = match(rule.theirs[0], name)
            theirs = [spell(pattern, fields) for pattern in rule.theirs]
            for taken in theirs:
                left.pop(taken, None)
            absent = [t for t in theirs if t not in names]
            if absent:
                reading.missing += absent
                continue
            ours, tensors = spell(rule.ours, fields), [state_dict[names[t]] for t in theirs]
            try:
                reading.state[ours] = rule.read(*tensors)
            except (RuntimeError, IndexError):  # what torch raises on shapes that do not fit
                shapes = " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
                reading.misshapen.append(f"{names[theirs[0]]} {shapes}")
                continue
            if rule.reordered:
                reading.reordered.add(ours)
    fixed = [f.theirs for f in table.fixed]
    for name in left:
        if (pattern := matches_any(table.ignored, name)) is not None:
            reading.ignored[names[name]] = table.ignored[pattern]
        elif matches_any(fixed, name) is not None:
            reading.ignored[names[name]] = COMPUTED
        else:
            reading.unknown.append(names[name])
    reading.state = table.adapt_read(reading.state)
    _check_completeness(reading)
    return reading


def _check_completeness(reading: Reading) -> None:
    """Note what the family, and this model of it, has to have."""
    found = reading.state.keys()
    reading.missing += sorted(expected_names(reading.table.family, found) - found)
    for alternatives in reading.table.needs:
        if not any(name in found for name in alternatives.split("|")):
            reading.missing.append(alternatives.replace("|", " or "))


def recognise(
    state_dict: Mapping[str, Tensor], dialect: str = "auto", merge_order: str | None = None
) -> list[Reading]:
    """The readings of a state dict that fit entirely and ignore the least, else the nearest one.

    Args:
        state_dict: tensors by name.
        dialect: one of :data:`DIALECTS`, or "auto" for all.
        merge_order: as in :func:`convert`.
    """
    tables = TABLES if dialect == "auto" else tables_of(dialect, merge_order)
    readings = [read(state_dict, table) for table in tables]
    complete = [reading for reading in readings if reading.complete]
    if not complete:
        return [min(readings, key=lambda r: len(r.unknown) + len(r.missing))]
    fewest = min(reading.ignored_count for reading in complete)
    return [reading for reading in complete if reading.ignored_count == fewest]
