"""What a conversion did, tensor by tensor."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class ConversionReport:
    """How the tensors of a converted checkpoint came about.

    Attributes:
        source, target: the two kinds of checkpoint and the models that they are of.
        alternatives: other kinds of checkpoint with the same names in the source.
        matched: names of the target whose numbers were kept as they were.
        reordered: names of the target whose numbers changed their places.
        interpolated: names in the neutral form that were resized, with both sizes.
        dropped: names of the source, or in the neutral form, that were left out, with the reason.
        filled: names of the target that were computed because the source has none.
        missing: names of the target that were left to the model, or names that the source should
            have had, with the reason.
        unknown: names of the source that its kind of checkpoint does not have.
        unplaced: names in the neutral form for which the target has no place.
    """

    source: str
    target: str
    alternatives: list[str] = field(default_factory=list)
    matched: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    interpolated: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    filled: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.source} -> {self.target}"]
        for kind in ("matched", "reordered", "filled"):
            lines.append(f"  {len(getattr(self, kind)):4d} {kind}")
        for kind in ("interpolated", "dropped", "missing"):
            entries = getattr(self, kind)
            lines.append(f"  {len(entries):4d} {kind}")
            lines += [f"       {line}" for line in _by_reason(entries)]
        for kind, text in (
            ("unknown", "unknown in the source"),
            ("unplaced", "without a place in the target"),
        ):
            if names := getattr(self, kind):
                lines.append(f"  {len(names):4d} {text}: {first(names)}")
        return "\n".join(lines)


def first(names: Iterable[str], limit: int = 3) -> str:
    """The first few of several names."""
    names = list(names)
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


def _by_reason(entries: dict[str, str]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for name, reason in entries.items():
        reasons.setdefault(reason, []).append(name)
    return [f"{reason}: {first(names, 2)}" for reason, names in reasons.items()]
