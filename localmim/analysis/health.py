"""When the signals of a pre-training say that something is off, and what usually causes it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MARGIN = 0.05  # of skill: what a scale loses by chance
PATIENCE = 3  # looks in a row


@dataclass
class Health:
    """Judges the signals of one look after the other, and says each thing once.

    Attributes:
        said: what it has said.
    """

    said: set[str] = field(default_factory=set)
    _best_skill: dict[int, float] = field(default_factory=dict)
    _best_rank: dict[int, float] = field(default_factory=dict)
    _row: Counter[str] = field(default_factory=Counter)

    def judge(self, skills: Sequence[float], ranks: Sequence[float], warm: bool) -> Iterator[str]:
        """Warnings, of which there are none as long as all is well.

        Args:
            skills: of the scales (see :class:`~localmim.analysis.signals.Skill`).
            ranks: effective ranks of the taps.
            warm: whether the warm-up of the learning rate is over.
        """
        for scale, skill in enumerate(skills):
            if self._in_a_row(f"no skill {scale}", warm and not skill > 0):
                yield from self._once(
                    f"no skill {scale}",
                    f"Scale {scale} is predicted no better than by the mean target (skill "
                    f"{skill:.1%}) after the warm-up. Usual causes: a learning rate that is much "
                    "too low or so high that training diverged, images that are all alike, or too "
                    "few iterations so far",
                )
            yield from self._judge_fall(scale, skill)
        for tap, rank in enumerate(ranks):
            best = self._best_rank[tap] = max(rank, self._best_rank.get(tap, rank))
            if warm and rank < best / 4:
                yield from self._once(
                    f"rank {tap}",
                    f"Features of tap {tap} use {rank:.0f} directions, and used {best:.0f} before: "
                    "they collapse. Usual causes: a learning rate that is too high, or weight "
                    "decay without a loss at this tap",
                )

    def _judge_fall(self, scale: int, skill: float) -> Iterator[str]:
        best = self._best_skill[scale] = max(skill, self._best_skill.get(scale, skill))
        if self._in_a_row(f"fall {scale}", skill < best - MARGIN):
            yield from self._once(
                f"fall {scale}",
                f"The loss of scale {scale} has risen: skill {skill:.1%}, and {best:.1%} before. "
                "Usual causes: a learning rate that is too high (optim_wrapper.clip_grad.max_norm=1"
                " helps), or data that has changed",
            )

    def _in_a_row(self, what: str, found: bool) -> bool:
        """Whether something has now been found often enough."""
        self._row[what] = self._row[what] + 1 if found else 0
        return self._row[what] == PATIENCE

    def _once(self, key: str, text: str) -> Iterator[str]:
        if key not in self.said:
            self.said.add(key)
            yield text
