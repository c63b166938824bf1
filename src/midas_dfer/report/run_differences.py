"""Intervals of the scores of runs, and differences between them with their verdicts, as `metrics` has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from midas_dfer import metrics
from midas_dfer.labels import NO_LABEL
from midas_dfer.metrics.bootstrap import (
    Interval,
    PairedBootstrap,
    paired_bootstrap,
    paired_bootstrap_of_values,
    score_intervals,
)
from midas_dfer.metrics.significance import holm, mcnemar, verdict
from midas_dfer.report.run_charts import Intervals
from midas_dfer.report.run_results import Entry
from midas_dfer.report.run_tables import NONE
from midas_dfer.report.table_data import Cell, TableData

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """A score of an entry against that of the baseline.

    Attributes:
        name: of the entry.
        baseline: what it is compared with.
        measure: UAR, WAR, or JSD: the mean Jensen-Shannon divergence of vote shares from votes.
        found: the paired bootstrap, entry minus baseline.
        p_value: of the paired randomisation test, corrected for the number of comparisons on the page.
        p_mcnemar: of McNemar's test (mid-p) for WAR of single networks, uncorrected; else None.
        verdict: in words.
    """

    name: str
    baseline: str
    measure: str
    found: PairedBootstrap
    p_value: float
    p_mcnemar: float | None
    verdict: str


@dataclass(frozen=True)
class _Grid:
    """The predictions of an entry: every seed on the same clips, each clip once."""

    video_ids: tuple[str, ...]
    labels: Int64[np.ndarray, " N"]
    predicted: Int64[np.ndarray, "S N"]
    folds: tuple[str, ...]
    class_names: tuple[str, ...]
    voted: Bool[np.ndarray, " N"]
    distances: Float64[np.ndarray, "S N"]


def score_limits(entry: Entry, subjects: Mapping[str, str]) -> Intervals | None:
    """95 % intervals of recalls, UAR and WAR; None without predictions, or where seeds had different clips.

    Args:
        entry: whose.
        subjects: who is in each clip, as far as that is known: the clips of a person are drawn together.
    """
    grid = _grid(entry)
    if grid is None:
        return None
    found = score_intervals(
        grid.labels,
        grid.predicted,
        num_classes=len(grid.class_names),
        folds=grid.folds,
        clusters=_clusters(grid, subjects),
        confidence=_CONFIDENCE,
    )
    return Intervals(tuple(_limits(each) for each in found.recall), _limits(found.uar), _limits(found.war))


def compare(
    entries: Sequence[Entry], baseline: Entry, subjects: Mapping[str, str]
) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    """Compare entries with a baseline, on the clips that both were scored on.

    Args:
        entries: what is compared; the baseline among them is passed over.
        baseline: with what.
        subjects: as for `score_limits`.

    Returns:
        UAR, WAR and, where there are votes, JSD of each entry, and a sentence for each that cannot be compared.
    """
    found, refused = [], []
    base = _grid(baseline)
    for entry in entries:
        if entry is baseline:
            continue
        grid = _grid(entry)
        reason = _why_not(grid, base)
        if grid is None or base is None or reason:
            refused.append(f"{entry.name} cannot be compared with {baseline.name}: {reason}.")
            continue
        order = {video_id: place for place, video_id in enumerate(grid.video_ids)}
        places = [order[video_id] for video_id in base.video_ids]
        mine = grid.predicted[:, places]
        clusters = _clusters(base, subjects)
        test = mcnemar(base.labels, mine[0], base.predicted[0]) if len(mine) == 1 else None
        for measure in ("uar", "war"):
            each = paired_bootstrap(
                base.labels,
                mine,
                base.predicted,
                score="uar" if measure == "uar" else "war",
                folds=base.folds,
                clusters=clusters,
                confidence=_CONFIDENCE,
            )
            found.append((entry.name, measure, each, test.p_mid if test is not None and measure == "war" else None))
        voted = base.voted
        if voted.any():
            distant = paired_bootstrap_of_values(
                grid.distances[:, places][:, voted],
                base.distances[:, voted],
                folds=[fold for fold, has in zip(base.folds, voted, strict=True) if has],
                clusters=None if clusters is None else [who for who, has in zip(clusters, voted, strict=True) if has],
                confidence=_CONFIDENCE,
            )
            found.append((entry.name, "jsd", distant, None))
    corrected = holm([each.p_value for _, _, each, _ in found])
    return tuple(
        Comparison(
            name=name,
            baseline=baseline.name,
            measure=measure.upper(),
            found=each,
            p_value=p_value,
            p_mcnemar=p_mcnemar,
            verdict=_verdict(name, baseline.name, each, p_value),
        )
        for (name, measure, each, p_mcnemar), p_value in zip(found, corrected, strict=True)
    ), tuple(refused)


def difference_table(comparisons: Sequence[Comparison]) -> TableData | None:
    """The comparisons as a table; None if there are none."""
    if not comparisons:
        return None
    baseline = comparisons[0].baseline
    rows = tuple(
        (
            Cell(each.name),
            Cell(each.measure),
            Cell(_signed(each.found.difference, each.measure)),
            Cell(f"{_signed(each.found.low, each.measure)} to {_signed(each.found.high, each.measure)}"),
            Cell(_p(each.p_value)),
            Cell(NONE if each.p_mcnemar is None else _p(each.p_mcnemar)),
            Cell(each.verdict),
        )
        for each in comparisons
    )
    drawn = comparisons[0].found
    people = "people" if drawn.units < drawn.clips else "clips"
    seeds = f", seeds too ({drawn.seeds} of each)" if drawn.seeds > 1 else ""
    footnotes: tuple[str, ...] = (
        "UAR and WAR in percentage points; JSD, the mean Jensen-Shannon divergence of vote shares from the votes, in "
        "nats: the smaller the better.",
        f"Interval: paired bootstrap: {people} are drawn with replacement, the same for both{seeds}; {drawn.repeats:,} "
        "times.",
        f"p: paired randomisation test over {people}, two-sided, corrected after Holm for {len(comparisons)} "
        "comparisons.",
        "McNemar's p: his test of WAR, mid-p, over clips, not corrected.",
        "Verdict: a difference is called one where its interval excludes 0 and its corrected p is below 0.05.",
    )
    if drawn.seeds == 1:
        footnotes = (
            *footnotes,
            "One training of each: how differently it would come out with another seed is in none of these figures.",
        )
    return TableData(
        name="differences",
        title=f"Differences from {baseline}",
        columns=("run", "score", "difference", "95 % interval", "p", "McNemar's p", "verdict"),
        rows=rows,
        footnotes=footnotes,
    )


def _grid(entry: Entry) -> _Grid | None:
    """None where there are no predictions, or not the same clips of every seed."""
    if entry.evaluation is None or entry.predictions is None or not entry.evaluation.num_labelled:
        return None
    seeds: dict[int, dict[str, tuple[int, int, str, bool, float]]] = {}
    for each in entry.runs:
        if each.predictions is None:
            continue
        p = each.predictions
        rows = seeds.setdefault(each.run.config.seed, {})
        fold = str(each.run.config.test_fold)
        distances = metrics.jensen_shannon(p.vote_shares, p.votes, reduction="none")
        columns = (p.labels, p.probabilities.argmax(axis=1), p.has_votes, distances)
        for video_id, label, predicted, voted, distance in zip(p.video_ids, *columns, strict=True):
            if video_id in rows:
                return None
            rows[video_id] = int(label), int(predicted), fold, bool(voted), float(distance)
    first = next(iter(seeds.values()))
    if any(rows.keys() != first.keys() for rows in seeds.values()):
        return None
    return _Grid(
        video_ids=tuple(first),
        labels=np.array([row[0] for row in first.values()], dtype=np.int64),
        predicted=np.array([[rows[each][1] for each in first] for rows in seeds.values()], dtype=np.int64),
        folds=tuple(row[2] for row in first.values()),
        class_names=entry.evaluation.class_names,
        voted=np.array([row[3] for row in first.values()], dtype=np.bool_),
        distances=np.array([[rows[each][4] for each in first] for rows in seeds.values()], dtype=np.float64),
    )


def _why_not(grid: _Grid | None, base: _Grid | None) -> str:
    if grid is None or base is None:
        return "one of them has no predictions of labelled clips, or its seeds were not scored on the same clips"
    if grid.class_names != base.class_names:
        return "they have other classes"
    if set(grid.video_ids) != set(base.video_ids):
        both = len(set(grid.video_ids) & set(base.video_ids))
        return f"they were scored on other clips ({both:,} in common)"
    if len(grid.predicted) != len(base.predicted):
        return f"they have {len(grid.predicted)} and {len(base.predicted)} seeds"
    return ""


def _clusters(grid: _Grid, subjects: Mapping[str, str]) -> tuple[str, ...] | None:
    """Who is in each clip; None where that is not known of all labelled clips, or people are in several folds."""
    known = [
        label == NO_LABEL or video_id in subjects for video_id, label in zip(grid.video_ids, grid.labels, strict=True)
    ]
    who = tuple(subjects.get(video_id, "") for video_id in grid.video_ids)
    if not all(known) or len(set(zip(who, grid.folds, strict=True))) > len(set(who)):
        return None
    return who


def _limits(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (interval.low, interval.high)


def _verdict(name: str, baseline: str, found: PairedBootstrap, p_value: float) -> str:
    said = verdict(found.low, found.high, p_value, alpha=1 - _CONFIDENCE)
    return {"A is better": f"{name} is better", "B is better": f"{baseline} is better"}.get(said, said)


def _signed(value: float, measure: str) -> str:
    text = f"{value:+.4f}" if measure == "JSD" else f"{100 * value:+.2f}"
    return text.replace("-", "\u2212")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
