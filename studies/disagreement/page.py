"""docs/disagreement.md, all of it: `page.md` and `answers.md` filled in with the figures."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from midas_dfer.wording import joined
from studies.disagreement.figures import Figures
from studies.disagreement.grid import BUDGET_METHODS, METHODS, SCHEDULES, STAGES, VOTES_PER_PICTURE, VOTES_USED
from studies.disagreement.measured import COMPARISONS, TESTED, Comparison, Scores
from studies.disagreement.names import LOWER_IS_BETTER, NAMES, RECALL, in_percent, shown
from studies.disagreement.pictures import CURVES, DIFFERENCES, RECALLS
from studies.pages import mean_and_deviation, render, table

WRITTEN = "<!-- Written by `python -m studies.disagreement page` from its results.json and page.md; do not edit. -->"
ANSWERS = Path(__file__).with_name("answers.md")
"""What the study answers to the questions of its protocol."""
_SCORES = ("WAR", "UAR", "rare", "TV", "KL", "soft macro F1", "ECE", "AURC", "risk at .8")
_FURTHER = ("rare", "KL", "soft macro F1", "ECE", "AURC", "risk at .8")
_HEADS = {name: f"{name} %" for name in _SCORES if in_percent(name)}


def page(figures: Figures, answers: Path | None = None) -> str:
    """The whole page; `answers` is `ANSWERS` where the figures are those of the study, which its sentences are about.

    Raises:
        ValueError: the figures do not carry a sentence of the answers.
    """
    sections = [_section(figures, name) for name in SCHEDULES if figures.trainings[name]]
    return (
        WRITTEN
        + "\n\n"
        + render(
            Path(__file__).with_name("page.md"),
            figures=figures,
            trainings=sum(len({(each.row, each.seed) for each in figures.trainings[stage]}) for stage in STAGES),
            planned=sum(figures.planned.values()),
            missing={stage: figures.missing(stage) for stage in STAGES if figures.missing(stage)},
            hours=sum(each.seconds for stage in STAGES for each in figures.trainings[stage] if each.judged) / 3600,
            family=sum(each.corrected is not None for each in figures.comparisons),
            glance=_glance(figures.comparisons),
            schedules=[(name, schedule_name(name)) for name in SCHEDULES if figures.trainings[name]],
            sections=sections,
            readings=_readings(figures),
            votes=_votes(figures),
            votes_seeds=" or ".join(
                str(number) for number in sorted({each.seeds for each in figures.points if each.schedule == "short"})
            ),
            budget=_budget(figures),
            more_steps=f"{_views(figures, 'all') / _views(figures, 'short'):.1f}",
            choice=_choice(figures),
            answers="" if answers is None else render(answers, of=Answers(figures)).strip(),
            pictures={"differences": DIFFERENCES, "recalls": RECALLS, "votes": CURVES},
        )
    )


class Answers:
    """What the page's sentences say of single comparisons; a sentence that the data do not carry is refused.

    In `answers.md`: `of.gain("short", "midas_none", "soft", "WAR")` is a difference with its interval and p; and
    `of.holds(...)` raises where what a sentence claims in words is not what was found.
    """

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._found = {(each.schedule, each.first, each.second, each.score): each for each in figures.comparisons}
        self._points = {(each.schedule, each.method, each.votes_used, each.score): each for each in figures.points}

    def gain(self, schedule: str, first: str, second: str, score: str) -> str:
        """Such as +1.2 (0.3 to 2.1; p = .012)."""
        each = self._found[schedule, first, second, score]
        low, high = (shown(score, end, signed=True) for end in (each.low, each.high))
        tested = "" if each.corrected is None else f"; {_p(each.corrected)}"
        return f"{shown(score, each.difference, signed=True)} ({low} to {high}{tested})"

    def found(self, schedule: str, first: str, second: str, score: str) -> str:
        """The name of the better method, or noise."""
        return self._found[schedule, first, second, score].found

    def always(self, found: str, schedule: str, firsts: Sequence[str], second: str, scores: Sequence[str]) -> bool:
        """Whether that was found in all of these comparisons."""
        return all(self.found(schedule, first, second, score) == found for first in firsts for score in scores)

    def better(self, first: str, second: str) -> list[tuple[str, str]]:
        """The schedules and scores in which the first is better than the second, outside the noise."""
        return [key[0::3] for key, each in self._found.items() if key[1:3] == (first, second) and each.found == first]

    def worse(self, first: str, second: str) -> list[tuple[str, str]]:
        """Those in which the first is worse."""
        return [key[0::3] for key, each in self._found.items() if key[1:3] == (first, second) and each.found == second]

    def classes(self, schedule: str, first: str, second: str) -> str:
        """The classes whose recalls differ, with intervals that leave out 0: such as +3.1 happy and -4.0 fear."""
        of_pair = (self._found.get((schedule, first, second, RECALL + name)) for name in self._figures.class_names)
        clear = [each for each in of_pair if each is not None and (each.low > 0 or each.high < 0)]
        told = [f"{shown(e.score, e.difference, signed=True)} {e.score.removeprefix(RECALL)}" for e in clear]
        return joined(told) if told else "no class"

    def mean(self, schedule: str, method: str, score: str, reading: str | None = None) -> float:
        """A score, the mean over seeds, by a reading of the output or by the one that the method is judged by."""
        row = f"{method}/{schedule}"
        of_row = [each for each in self._figures.trainings[schedule] if each.row == row]
        values = [e.values[score] for e in of_row if (e.judged if reading is None else e.reading == reading)]
        return fmean(value for value in values if value is not None)

    def point(self, method: str, votes_used: int, score: str, schedule: str = "short") -> str:
        """A score with some votes of each picture, in percent."""
        return f"{100 * self._points[schedule, method, votes_used, score].mean:.1f}"

    def apart(
        self,
        first: tuple[str, int],
        second: tuple[str, int],
        score: str,
        schedules: tuple[str, str] = ("short", "short"),
    ) -> bool:
        """Whether the interval of one method and its number of votes is wholly above that of another."""
        one, other = (
            self._points[schedule, *row, score] for schedule, row in zip(schedules, (first, second), strict=True)
        )
        return one.high < other.low if score in LOWER_IS_BETTER else one.low > other.high

    def above(self, first: str, second: str, score: str) -> list[int]:
        """The numbers of votes with which the interval of one method is wholly better than that of another."""
        numbers = sorted(n for schedule, m, n, s in self._points if (schedule, m, s) == ("short", first, score))
        both = [number for number in numbers if ("short", second, number, score) in self._points]
        return [number for number in both if self.apart((first, number), (second, number), score)]

    @staticmethod
    def holds(claim: bool, words: str) -> str:
        """The words, if the claim is true.

        Raises:
            ValueError: it is not; the page must be written anew.
        """
        if not claim:
            raise ValueError(f"the data do not carry it: {words}")
        return words


def schedule_name(name: str) -> str:
    """Such as 2,500 pictures, 90 epochs."""
    schedule = SCHEDULES[name]
    return f"{'all' if schedule.num_train is None else f'{schedule.num_train:,}'} pictures, {schedule.epochs} epochs"


def _glance(comparisons: Sequence[Comparison]) -> str:
    """Of each pair the tested differences in all schedules; bold where they are outside the noise."""
    found = {(each.first, each.second, each.score, each.schedule): each for each in comparisons}
    columns = [(score, name) for score in TESTED for name in SCHEDULES if any(e.schedule == name for e in comparisons)]
    rows = []
    for first, second in COMPARISONS:
        cells = [found.get((first, second, *column)) for column in columns]
        if any(cells):
            shown_cells = ["" if each is None else _bold(each) for each in cells]
            rows.append([NAMES[first], NAMES[second], *shown_cells])
    return table(["method", "less", *(f"{score}, {name}" for score, name in columns)], rows, left=(0, 1))


def _bold(each: Comparison) -> str:
    text = shown(each.score, each.difference, signed=True)
    return text if each.found == "noise" else f"**{text}**"


def _section(figures: Figures, schedule: str) -> dict[str, Any]:
    trainings = [each for each in figures.trainings[schedule] if each.judged]
    rows = []
    for method in METHODS:
        of_method = [each for each in trainings if each.row.partition("/")[0] == method]
        if of_method:
            rows.append([NAMES[method], str(len(of_method)), *_cells(of_method)])
    of_schedule = [each for each in figures.comparisons if each.schedule == schedule]
    likelihoods = [each.values["DM NLL"] for each in trainings]
    return {
        "title": schedule_name(schedule).capitalize(),
        "scores": table(["method", "n", *(_HEADS.get(name, name) for name in _SCORES)], rows),
        "tests": _tests(of_schedule),
        "further": _further(of_schedule),
        "likelihood": mean_and_deviation(likelihoods, 2),
    }


def _cells(trainings: Sequence[Scores]) -> list[str]:
    return [
        mean_and_deviation([each.values[name] for each in trainings], *((1, 100) if in_percent(name) else (3, 1)))
        for name in _SCORES
    ]


def _tests(comparisons: Sequence[Comparison]) -> str:
    rows = [
        [
            NAMES[each.first],
            NAMES[each.second],
            each.score,
            shown(each.score, each.difference, signed=True),
            f"{shown(each.score, each.low, signed=True)} to {shown(each.score, each.high, signed=True)}",
            _error(each.score, each.seeds_error),
            _error(each.score, each.pictures_error),
            _p_value(each.p),
            _p_value(each.corrected),
            "noise" if each.found == "noise" else f"**{NAMES[each.found]}**",
        ]
        for each in comparisons
        if each.score in TESTED
    ]
    head = ["method", "less", "", "difference", "95 % interval", "± seeds", "± pictures", "p", "corrected", "better"]
    return table(head, rows, left=(0, 1, 2, 9))


def _error(score: str, error: float | None) -> str:
    return "" if error is None else shown(score, error)


def _further(comparisons: Sequence[Comparison]) -> str:
    rows = []
    for first, second in COMPARISONS:
        pair = {each.score: each for each in comparisons if (each.first, each.second) == (first, second)}
        if pair:
            cells = [
                f"{shown(s, pair[s].difference, signed=True)} ({shown(s, pair[s].low)} to {shown(s, pair[s].high)})"
                if s in pair
                else ""
                for s in _FURTHER
            ]
            rows.append([NAMES[first], NAMES[second], *cells])
    return table(["method", "less", *(_HEADS.get(name, name) for name in _FURTHER)], rows, left=(0, 1))


def _readings(figures: Figures) -> str:
    """Of the methods whose two readings of the output differ, the distances of both."""
    rows = []
    for schedule in SCHEDULES:
        for method in METHODS:
            of_method = [e for e in figures.trainings[schedule] if e.row.partition("/")[0] == method]
            readings = sorted({each.reading for each in of_method}, reverse=True)
            distances = {tuple(e.values["TV"] for e in of_method if e.reading == reading) for reading in readings}
            for reading in readings if len(distances) > 1 else ():
                values = [each.values for each in of_method if each.reading == reading]
                cells = [mean_and_deviation([each[name] for each in values], 3) for name in ("TV", "KL", "ECE")]
                rows.append([schedule_name(schedule), NAMES[method], reading.replace("_", " "), *cells])
    return table(["schedule", "method", "read as", "TV", "KL", "ECE"], rows, left=(0, 1, 2))


def _votes(figures: Figures) -> str:
    numbers = (*VOTES_USED, VOTES_PER_PICTURE)
    points = {(e.method, e.score, e.votes_used): e for e in figures.points if e.schedule == "short"}
    rows = []
    for score in TESTED:
        for method in METHODS:
            found = [points.get((method, score, number)) for number in numbers]
            if any(found):
                rows.append(
                    [score, NAMES[method], *("" if e is None else _interval(e.mean, e.low, e.high) for e in found)]
                )
    return table(["", "method", *(f"{number} vote{'s' * (number > 1)}" for number in numbers)], rows, left=(0, 1))


def _budget(figures: Figures) -> str:
    """Few votes of many pictures beside many votes of few pictures; nothing if that was not trained."""
    points = {(each.schedule, each.method, each.votes_used, each.score): each for each in figures.points}
    pictures = {name: _num_train(figures, name) for name in SCHEDULES}
    rows = []
    for schedule, number in (("short", VOTES_PER_PICTURE), ("all", 1), ("all", VOTES_PER_PICTURE)):
        for method in BUDGET_METHODS:
            found = [points.get((schedule, method, number, score)) for score in TESTED]
            if ("all", method, 1, TESTED[0]) in points:
                cells = ["" if e is None else _interval(e.mean, e.low, e.high) for e in found]
                votes = (number, pictures[schedule] * number)
                rows.append([f"{pictures[schedule]:,}", *(f"{each:,}" for each in votes), NAMES[method], *cells])
    head = ["pictures", "votes of each", "votes in all", "method", *(f"{score} %" for score in TESTED)]
    return table(head, rows, left=(3,)) if rows else ""


def _num_train(figures: Figures, schedule: str) -> int:
    return SCHEDULES[schedule].num_train or int(figures.data["train"])


def _views(figures: Figures, schedule: str) -> int:
    """How many pictures a training sees, those that it sees again among them."""
    return SCHEDULES[schedule].epochs * _num_train(figures, schedule)


def _interval(mean: float, low: float, high: float) -> str:
    return f"{100 * mean:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _choice(figures: Figures) -> str:
    rows = []
    for each in figures.trainings["choose"]:
        method, _, schedule = each.row.partition("/")
        if each.judged:
            name = method.removeprefix("soft_regularised-")
            war, uar = each.values["WAR"] or 0.0, each.values["UAR"] or 0.0
            chosen = "chosen" if figures.chosen.get(schedule) == name else ""
            rows.append(
                [schedule_name(schedule), name.replace("_", " "), *(f"{100 * e:.1f}" for e in (war, uar)), chosen]
            )
    return table(["schedule", "regulariser", "WAR %", "UAR %", ""], rows, left=(0, 1, 4))


def _p_value(p: float | None) -> str:
    return "" if p is None else "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _p(p: float) -> str:
    return f"p {'' if p < 0.001 else '= '}{_p_value(p)}"
