"""A choice, and why it was made."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """One setting of a training.

    Attributes:
        value: what was chosen.
        why: in a few words.
    """

    value: Any
    why: str


def asked(value: Any) -> Choice:
    """What the user said."""
    return Choice(value, "as you said")
