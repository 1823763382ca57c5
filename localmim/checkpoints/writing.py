"""Writing a state dict in the neutral form by a table."""

from collections.abc import Iterator, Set
from itertools import product

from torch import Tensor

from .architecture import Architecture
from .reading import StateDict
from .report import ConversionReport
from .rules import Fields, Rule, Table, match, matches_any, spell
from .tables import tables_of


def choose_table(dialect: str, family: str, state: StateDict) -> Table:
    """The table of a kind of checkpoint that has places for the most of a state dict.

    Raises:
        ValueError: the kind has no such models.
    """
    tables = [table for table in tables_of(dialect) if table.family == family]
    if not tables:
        known = ", ".join(f"{t.model} ({t.family})" for t in tables_of(dialect))
        raise ValueError(f"{dialect} is not for a model of the family {family}; it has {known}")

    def unfit(table: Table) -> int:
        lacking = sum(not _has(state, alternatives) for alternatives in table.needs)
        return lacking + sum(
            not matches_any(table.left_out, name) and _rule_for(table, name) is None
            for name in table.adapt_write(state)
        )

    return min(tables, key=unfit)


def write(
    state: StateDict,
    table: Table,
    architecture: Architecture,
    reordered: Set[str],
    report: ConversionReport,
) -> StateDict:
    """Write a state dict in the neutral form by one table, adding to the report.

    Args:
        state: tensors by name.
        table: of the target.
        architecture: sizes of the model.
        reordered: names whose numbers changed places in reading.
        report: to which is added what happens here.

    Raises:
        ValueError: the target needs what is not there.
    """
    for alternatives in table.needs:
        if not _has(state, alternatives):
            raise ValueError(
                f"{table.title} needs {alternatives.replace('|', ' or ')}, which this "
                f"{report.source} does not have"
            )
    filled = set()
    for pattern, make in table.fills.items():
        if not any(match(pattern, name) is not None for name in state):
            filled |= (made := make(state)).keys()
            state = state | made
    state = table.adapt_write(state)
    written: StateDict = {}
    for ours, tensor in state.items():
        if (pattern := matches_any(table.left_out, ours)) is not None:
            report.dropped[ours] = table.left_out[pattern]
            continue
        found = _rule_for(table, ours)
        if found is None:
            report.unplaced.append(ours)
            continue
        rule, fields = found
        names = [spell(pattern, fields) for pattern in rule.theirs]
        written |= dict(zip(names, rule.parts(tensor), strict=True))
        if rule.loses:
            report.dropped[f"part of {ours}"] = rule.loses
        if ours in filled:
            report.filled += names
        elif ours not in report.interpolated:
            moved = rule.reordered or ours in reordered
            (report.reordered if moved else report.matched).extend(names)
    for name, tensor in _constants(table, state, architecture):
        written[name] = tensor
        report.filled.append(name)
    for pattern, reason in table.left_to_model.items():
        for name in _instances(pattern, architecture):
            if name not in state:
                rule, fields = _rule_for(table, name)
                report.missing |= {spell(theirs, fields): reason for theirs in rule.theirs}
    prefix = table.prefix if table.bare else ""
    return {name.removeprefix(prefix): tensor for name, tensor in written.items()}


def _has(state: StateDict, alternatives: str) -> bool:
    return any(name in state for name in alternatives.split("|"))


def _rule_for(table: Table, ours: str) -> tuple[Rule, Fields] | None:
    for rule in table.rules:
        if (fields := match(rule.ours, ours)) is not None:
            return rule, fields
    return None


def _constants(
    table: Table, state: StateDict, architecture: Architecture
) -> Iterator[tuple[str, Tensor]]:
    """What the target stores although it can be computed."""
    for fixed in (fixed for fixed in table.fixed if fixed.written):
        for ours, tensor in state.items():
            if (fields := match(fixed.like, ours)) is None:
                continue
            value = fixed.value(tensor, fields, architecture)
            if value is not None:
                yield spell(fixed.theirs, fields), value


def _instances(pattern: str, architecture: Architecture) -> list[str]:
    """All names of a pattern: of every block, or of every stage but the last."""
    values = {
        "i": range(architecture.depths[0]),
        "s": range(len(architecture.depths) - 1),
        "p": ("weight", "bias"),
    }
    used = [field for field in values if f"{{{field}}}" in pattern]
    return [
        spell(pattern, dict(zip(used, map(str, chosen), strict=True)))
        for chosen in product(*(values[field] for field in used))
    ]
