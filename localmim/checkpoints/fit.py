"""Whether a state dict fits a model."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from .report import first


@dataclass(frozen=True)
class FitReport:
    """How the tensors of a checkpoint relate to those of a model.

    Attributes:
        matched: names with the same shape on both sides.
        missing: names that only the model has.
        unexpected: names that only the checkpoint has.
        mismatched: names whose shapes differ, and a text with name and both shapes.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: dict[str, str]

    @property
    def complete(self) -> bool:
        """Whether every tensor has its counterpart."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        parts = [f"{len(self.matched)} tensors fit"]
        for kind in ("missing", "unexpected", "mismatched"):
            if names := getattr(self, kind):
                texts = names.values() if isinstance(names, dict) else names
                parts.append(f"{len(names)} {kind} ({first(texts)})")
        return "; ".join(parts)


def compare_state_dicts(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> FitReport:
    """Compare the tensors of a checkpoint (source) with those of a model (target)."""
    common = [name for name in target if name in source]
    return FitReport(
        matched=tuple(n for n in common if source[n].shape == target[n].shape),
        missing=tuple(n for n in target if n not in source),
        unexpected=tuple(n for n in source if n not in target),
        mismatched={
            n: f"{n} {tuple(source[n].shape)} for {tuple(target[n].shape)}"
            for n in common
            if source[n].shape != target[n].shape
        },
    )


def load_into(model: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict that has to fit a model entirely.

    Args:
        model: the module.
        state_dict: its tensors by name.
        source: where they came from, for the error message.

    Raises:
        ValueError: a tensor is missing, unexpected or has another shape. The model is unchanged.
    """
    report = compare_state_dicts(state_dict, model.state_dict())
    if not report.complete:
        raise ValueError(f"{source} does not fit the model of this config: {report}")
    model.load_state_dict(state_dict)
