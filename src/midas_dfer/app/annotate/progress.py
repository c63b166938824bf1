"""What the organiser sees: votes and soft label of each clip, which need more, agreement, and each person's habits."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from midas_dfer.app.annotate.counting import Counted
from midas_dfer.app.annotate.project import Project
from midas_dfer.app.annotate.reliability import Agreement, fleiss, krippendorff
from midas_dfer.app.annotate.votes import Annotator, Vote
from midas_dfer.labels.annotators import AnnotatorComparison, compare_annotators
from midas_dfer.labels.expected_change import SETTLED, expected_change, votes_to_settle


@dataclass(frozen=True)
class ClipProgress:
    """The votes on a clip.

    Attributes:
        path: of the clip.
        people: who voted; where several emotions may be chosen there may be more votes.
        unsure: who answered unsure.
        votes: for each class.
        soft_label: share of each class among them; None without votes.
        expected_change: total variation by which one more vote is expected to move the soft label.
        settled: whether that is at most `SETTLED`.
        needs_more: whether fewer people voted than are wanted; where no number is wanted, whether it is not settled.
    """

    path: str
    people: int
    unsure: int
    votes: tuple[int, ...]
    soft_label: tuple[float, ...] | None
    expected_change: float
    settled: bool
    needs_more: bool


@dataclass(frozen=True)
class Habits:
    """How one person votes; None for what is not known.

    Attributes:
        annotator: the person.
        votes: clips voted on.
        unsure: clips answered unsure.
        seconds: median time of an answer.
        shares: of each class among the person's votes.
        agreement: mean share of the others' votes on a clip that are for the person's class, gold clips left out.
        kappa: the same beyond chance; see `labels.annotators`.
        by_habit: whether answers hardly depend on what others see.
        repeats: clips answered twice.
        self_agreement: share of these with the same answer; of several emotions, the share that is common.
        gold: gold clips answered, unsure included.
        gold_score: share of these that are right; of several emotions, the right one's part.
    """

    annotator: Annotator
    votes: int
    unsure: int
    seconds: float | None
    shares: tuple[float, ...] | None
    agreement: float | None
    kappa: float | None
    by_habit: bool
    repeats: int
    self_agreement: float | None
    gold: int
    gold_score: float | None


@dataclass(frozen=True)
class VotingProgress:
    """The state of a project; gold clips do not count for agreement, since they were chosen to be clear.

    `votes_left` is about how many more are needed: up to the number that is wanted, or until every clip is settled.
    """

    clips: tuple[ClipProgress, ...]
    people: tuple[Habits, ...]
    alpha: Agreement
    kappa: Agreement
    votes: int
    votes_left: int
    threshold: float = SETTLED

    @property
    def enough(self) -> bool:
        """Whether no clip needs more votes."""
        return not any(clip.needs_more for clip in self.clips)


def voting_progress(project: Project, annotators: Sequence[Annotator], votes: Sequence[Vote]) -> VotingProgress:
    """Sum up all votes of a project; nothing of this is for annotators.

    Args:
        project: the clips, classes and rules.
        annotators: everybody.
        votes: all of them, as `VoteStore.votes` gives them.
    """
    counted = Counted.of(project, votes)
    counts, wanted = counted.counts(), project.rules.votes_wanted
    changes, unsure = expected_change(counts), _numbers_of_unsure(counted)
    clips = []
    for clip, row, change in zip(project.clips, counts, changes.tolist(), strict=True):
        people, settled = len(counted.by_clip[clip.path]), change <= SETTLED
        shares = tuple((row / row.sum()).tolist()) if people else None
        needs_more = not settled if wanted is None else people < wanted
        clips.append(
            ClipProgress(
                clip.path, people, unsure.get(clip.path, 0), tuple(row.tolist()), shares, change, settled, needs_more
            )
        )
    to_wanted = sum(max(0, (wanted or 0) - clip.people) for clip in clips)
    left = int(votes_to_settle(counts).sum()) if wanted is None else to_wanted
    answers = [
        [frozenset(vote.answer.emotions) for vote in counted.by_clip[clip.path]]
        for clip in project.clips
        if not clip.gold
    ]
    return VotingProgress(
        tuple(clips), _habits(counted, annotators), krippendorff(answers), fleiss(answers), int(counts.sum()), left
    )


def _numbers_of_unsure(counted: Counted) -> dict[str, int]:
    found: dict[str, int] = {}
    for vote in counted.standing:
        if vote.answer.unsure and vote.presentation != "repeat":
            found[vote.clip] = found.get(vote.clip, 0) + 1
    return found


def _habits(counted: Counted, annotators: Sequence[Annotator]) -> tuple[Habits, ...]:
    compared = _compared(counted)
    return tuple(_habits_of(counted, each, compared) for each in annotators)


def _compared(counted: Counted) -> AnnotatorComparison | None:
    """Each person beside the others, where there are votes; by the number less one."""
    gold = counted.project.by_path
    columns = counted.numbered([vote for vote in counted.votes if not gold[vote.clip].gold])
    return compare_annotators(*columns, len(counted.project.classes)) if len(columns[0]) else None


def _habits_of(counted: Counted, annotator: Annotator, compared: AnnotatorComparison | None) -> Habits:
    own = [vote for vote in counted.standing if vote.annotator == annotator.number]
    first = {vote.clip: set(vote.answer.emotions) for vote in own if vote.presentation != "repeat"}
    again = [(first[vote.clip], set(vote.answer.emotions)) for vote in own if vote.presentation == "repeat"]
    right = {clip.path: clip.gold for clip in counted.project.clips if clip.gold}
    scores = [(right[path] in chosen) / max(1, len(chosen)) for path, chosen in first.items() if path in right]
    same = [len(one & two) / len(one | two) if one | two else 1.0 for one, two in again]
    chosen = counted.numbered([vote for vote in counted.votes if vote.annotator == annotator.number])[2]
    shares = np.bincount(chosen, minlength=len(counted.project.classes)) / max(1, len(chosen))
    place = annotator.number - 1
    known = compared is not None and place < len(compared.votes)
    return Habits(
        annotator=annotator,
        votes=sum(map(bool, first.values())),
        unsure=sum(not each for each in first.values()),
        seconds=median(vote.answer.ms for vote in own) / 1000 if own else None,
        shares=tuple(shares.tolist()) if len(chosen) else None,
        agreement=_number(compared.agreement[place]) if known and compared else None,
        kappa=_number(compared.kappa[place]) if known and compared else None,
        by_habit=bool(known and compared and compared.by_habit[place]),
        repeats=len(again),
        self_agreement=sum(same) / len(same) if same else None,
        gold=len(scores),
        gold_score=sum(scores) / len(scores) if scores else None,
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
