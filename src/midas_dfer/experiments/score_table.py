"""The scores of a method as plain text for a terminal: a line for each fold, means, and all folds pooled."""

import textwrap
from collections.abc import Sequence

from midas_dfer.experiments.jobs import JobResult
from midas_dfer.experiments.results import MethodResult
from midas_dfer.metrics import MeanScore
from midas_dfer.training.scoring.baselines import Reference, mean_baselines, mean_reference, worse_than_guesses

WIDTH = 80
_MEASURES = (
    ("UAR %", "uar", 100.0, 2),
    ("WAR %", "war", 100.0, 2),
    ("cross-entropy", "soft_cross_entropy", 1.0, 3),
    ("total var.", "total_variation", 1.0, 3),
)
"""Heading, name of the score, its unit, decimals."""


def score_table(result: MethodResult) -> str:
    """Give the scores of each fold, mean and standard deviation, and pooled; seed by seed, beside constant guesses.

    Returns:
        lines of at most 80 columns.
    """
    lines = []
    for seed in result.seeds:
        lines += [*_of_seed(result, seed), ""]
    if len(result.seeds) > 1:
        lines += [f"over {len(result.seeds)} seeds: mean of the folds' mean \u00b1 standard deviation over seeds"]
        for measure in ("uar", "war"):
            score, interval = result.over_seeds(measure), result.interval(measure)
            if score is not None and interval is not None:
                span = f"{_number(interval.low, 100, 2)} to {_number(interval.high, 100, 2)}"
                lines.append(f"  {measure.upper()} {_spread(score, 100, 2)} %, 95 % interval {span}")
        lines.append("")
    said = [*_warnings(result), f"epoch kept: {_kept(result)}", *_cautions(result)]
    return "\n".join([*lines, *(line for each in said for line in textwrap.wrap(each, WIDTH))])


def _of_seed(result: MethodResult, seed: int) -> list[str]:
    results = result.of_seed(seed)
    measures = [m for m in _MEASURES if any(getattr(each.evaluation.reference, m[1]) is not None for each in results)]
    lines = [f"{result.name}, seed {seed}", _line("fold", "clips", [heading for heading, *_ in measures])]
    for each in results:
        fold = each.job.config.test_fold
        name = "split" if fold is None else str(fold)
        lines.append(_line(name, f"{each.evaluation.num_clips:,}", _cells([each.evaluation.reference], measures)))
    if len(results) > 1:
        lines.append(_line("mean \u00b1 sd", "", _cells([each.evaluation.reference for each in results], measures)))
    pooled = result.pooled(seed)
    if pooled is None:
        lines.append(result.why_not_pooled(seed))
    elif len(results) > 1:
        judged = pooled.agreement.get("vote_shares", pooled.agreement.get("probabilities", {}))
        scores = {"uar": pooled.uar, "war": pooled.war, **judged}
        cells = [_number(scores.get(name), scale, decimals) for _, name, scale, decimals in measures]
        lines.append(_line("pooled", f"{pooled.num_clips:,}", cells))
    return [*lines, *_guess_lines(results, measures)]


def _guess_lines(results: Sequence[JobResult], measures: Sequence[tuple[str, str, float, int]]) -> list[str]:
    """Guesses that say the same of every clip, each fold's made from its own training clips."""
    found = [each.evaluation.baselines for each in results]
    lines = []
    majorities = [each.majority for each in found if each is not None and each.majority is not None]
    if len(majorities) == len(results):
        lines.append(_line("majority class", "", _cells(majorities, measures)))
    means = [each.mean_vote for each in found if each is not None]
    if len(means) == len(results):
        lines.append(_line("mean vote", "", _cells(means, measures)))
    if lines:
        which = "The last two are constant guesses" if len(lines) > 1 else "The last is a constant guess"
        lines.append(f"{which}, made from each fold's training clips.")
    return lines


def _warnings(result: MethodResult) -> list[str]:
    """What makes the scores worth little, in words: of all folds and seeds together."""
    runs = result.results
    said = []
    alone = [each for each in runs if each.evaluation.only_class]
    if alone:
        names = ", ".join(each.job.name.rpartition("/")[2] for each in alone[:6])
        more = f" and {len(alone) - 6} more" if len(alone) > 6 else ""
        said.append(f"NOTE: one class was predicted for all labelled clips in {names}{more}.")
    baselines = mean_baselines([each.evaluation.baselines for each in runs])
    if baselines is not None:
        ours = mean_reference("this method", [each.evaluation.reference for each in runs])
        judged = runs[0].evaluation.judged_by
        said += [f"NOTE: on average over the runs: {each}" for each in worse_than_guesses(ours, baselines, judged)]
    return said


def _line(name: str, clips: str, cells: Sequence[str]) -> str:
    return f"{name:<15} {clips:>6}" + "".join(f" {cell:>13}" for cell in cells)


def _cells(references: Sequence[Reference], measures: Sequence[tuple[str, str, float, int]]) -> list[str]:
    cells = []
    for _, name, scale, decimals in measures:
        score = MeanScore.of([getattr(each, name) for each in references])
        cells.append("-" if score is None else _spread(score, scale, decimals))
    return cells


def _number(value: float | None, scale: float, decimals: int) -> str:
    return "-" if value is None else f"{scale * value:.{decimals}f}"


def _spread(score: MeanScore, scale: float, decimals: int) -> str:
    mean = _number(score.mean, scale, decimals)
    return mean if score.deviation is None else f"{mean} \u00b1 {_number(score.deviation, scale, decimals)}"


def _kept(result: MethodResult) -> str:
    ways = {
        "last": "the last",
        "best_validation": "the best on a validation part of the training clips",
        "best_test_fold": "the best ON THE TEST FOLD, an upper bound",
    }
    return ", ".join(sorted({ways[each.job.config.select] for each in result.results}))


def _cautions(result: MethodResult) -> list[str]:
    return sorted({each.evaluation.caution for each in result.results} - {""})
