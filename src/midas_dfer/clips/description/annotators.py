"""The annotators of a data set: each compared with the others, in pairs, and who answers by habit."""

import math
from dataclasses import dataclass

import numpy as np

from midas_dfer.labels.annotators import HABIT_VOTES, compare_annotators, compare_pairs
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.vote_counts import numbered_votes
from midas_dfer.wording import and_more

SHOWN = 12
"""So many annotators are shown one by one, and in pairs."""


@dataclass(frozen=True)
class Annotator:
    """One annotator compared with the others; see `labels.annotators.AnnotatorComparison`.

    Attributes:
        shares: of the classes among them.
        compared: those on clips that others judged, too.
        agreement: with the others' votes; None without such clips.
        kappa: the same beyond chance; None likewise, or where it is not defined.
        confusion: rows: what others said; columns: what this annotator said; in votes.
        by_habit: whether the answers hardly depend on what others see.
    """

    name: str
    votes: int
    shares: tuple[float, ...]
    compared: int
    agreement: float | None
    kappa: float | None
    confusion: tuple[tuple[float, ...], ...]
    by_habit: bool

    def favourite(self) -> int:
        """The number of the class that is chosen most."""
        return int(np.argmax(self.shares))


@dataclass(frozen=True)
class AnnotatorPair:
    """Two annotators on their common clips; kappa is None where it is not defined."""

    first: str
    second: str
    clips: int
    agreement: float
    kappa: float | None


@dataclass(frozen=True)
class Annotators:
    """Who cast the votes.

    Of many, those are shown, one by one and in pairs, who answer by habit and who voted most.
    """

    number: int
    shown: tuple[Annotator, ...]
    by_habit: tuple[str, ...]
    pairs: tuple[AnnotatorPair, ...]


def describe_annotators(manifest: Manifest) -> Annotators | None:
    """Compare the annotators; None where nobody is named."""
    votes, num_classes = numbered_votes(manifest), len(manifest.class_names)
    names, clips, people, chosen = votes.annotators, votes.clips, votes.people, votes.chosen
    if not names:
        return None
    compared = compare_annotators(clips, people, chosen, num_classes)
    habits = compared.by_habit
    order = sorted(range(len(names)), key=lambda n: (not habits[n] or len(names) <= SHOWN, -int(compared.votes[n]), n))
    order = order[:SHOWN]
    shown = tuple(
        Annotator(
            name=names[n],
            votes=int(compared.votes[n]),
            shares=tuple(compared.shares[n].tolist()),
            compared=int(compared.compared[n]),
            agreement=_number(compared.agreement[n]),
            kappa=_number(compared.kappa[n]),
            confusion=tuple(tuple(row) for row in compared.confusion[n].tolist()),
            by_habit=habits[n],
        )
        for n in order
    )
    pairs = tuple(
        AnnotatorPair(names[p.first], names[p.second], p.clips, p.agreement, _number(p.kappa))
        for p in compare_pairs(clips, people, chosen, num_classes, order)
    )
    return Annotators(len(names), shown, tuple(n for n, habit in zip(names, habits, strict=True) if habit), pairs)


def habit_sentence(annotators: Annotators) -> str:
    """Say who answers by habit; "" where nobody does."""
    if not annotators.by_habit:
        return ""
    named = and_more(annotators.by_habit, SHOWN)
    hardly = "Answers hardly depend on what the others see: "
    return f"{hardly}{named}. (Kappa clearly below 0.2, of {HABIT_VOTES} votes or more.)"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
