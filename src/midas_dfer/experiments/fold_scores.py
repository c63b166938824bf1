"""The scores of a method as text for a terminal: a line for each fold, means, and all folds pooled."""

from collections.abc import Sequence

from midas_dfer.experiments.results import MethodResult
from midas_dfer.metrics import MeanScore
from midas_dfer.report.tables.table_data import TableData, cells
from midas_dfer.report.tables.terminal import blocks, terminal_table, wrapped
from midas_dfer.training.recipes.config import SELECTED_ON_TEST
from midas_dfer.training.scoring.baselines import Reference, mean_baselines, mean_reference, worse_than_guesses
from midas_dfer.training.scoring.measures import DISTANCES, RECOGNITION
from midas_dfer.wording import and_more

EPOCH_KEPT = {
    "last": "the last",
    "best_validation": "the best on a validation part of the training clips",
    "best_test_fold": f"the best, {SELECTED_ON_TEST}",
}
"""What the setting `select` says, in words."""

_SHOWN = (*RECOGNITION, *(each for each in DISTANCES if each.key != "jensen_shannon"))
_MOST_NAMED = 6


def fold_scores(result: MethodResult) -> str:
    """Give the scores of each fold, mean and standard deviation, and pooled; seed by seed, beside constant guesses."""
    over_seeds = []
    if len(result.seeds) > 1:
        over_seeds.append(f"over {len(result.seeds)} seeds: mean of the folds' mean ± standard deviation over seeds")
        for measure in RECOGNITION:
            score, interval = result.over_seeds(measure.key), result.interval(measure.key)
            if score is not None and interval is not None:
                span = f"{measure.text(interval.low)} to {measure.text(interval.high)}"
                over_seeds.append(f"  {measure.name} {measure.spread(score)} %, 95 % interval {span}")
    kept = ", ".join(sorted({EPOCH_KEPT[each.job.config.select] for each in result.results}))
    cautions = sorted({each.evaluation.caution for each in result.results} - {""})
    said = [*_warnings(result), f"epoch kept: {kept}", *cautions]
    return blocks(
        *(_of_seed(result, seed) for seed in result.seeds),
        over_seeds,
        [line for each in said for line in wrapped(each)],
    )


def _of_seed(result: MethodResult, seed: int) -> list[str]:
    results = result.of_seed(seed)
    references = [each.evaluation.reference for each in results]
    measures = [m for m in _SHOWN if any(m.of(each) is not None for each in references)]

    def line(name: str, clips: str, scores: Sequence[Reference]) -> tuple[str, ...]:
        return (name, clips, *(m.spread(MeanScore.of([m.of(each) for each in scores])) for m in measures))

    rows, below = [], []
    for each, scores in zip(results, references, strict=True):
        fold = each.job.config.test_fold
        rows.append(line("split" if fold is None else str(fold), f"{each.evaluation.num_clips:,}", [scores]))
    pooled = result.pooled(seed)
    if len(results) > 1:
        rows.append(line("mean ± sd", "", references))
    if pooled is None:
        below.append(result.why_not_pooled(seed))
    elif len(results) > 1:
        rows.append(line("pooled", f"{pooled.num_clips:,}", [pooled.reference]))
    found = [each.evaluation.baselines for each in results if each.evaluation.baselines is not None]
    majorities = [each.majority for each in found if each.majority is not None]
    guesses = [("majority", majorities), ("mean vote", [each.mean_vote for each in found])]
    guesses = [(name, scores) for name, scores in guesses if len(scores) == len(results)]
    rows += [line(name, "", scores) for name, scores in guesses]
    if guesses:
        which = "The last two are constant guesses" if len(guesses) > 1 else "The last is a constant guess"
        below.append(f"{which}, made from each fold's training clips.")
    columns = ("fold", "clips", *(f"{m.short} %" if m.unit == "%" else m.short for m in measures))
    table = TableData("folds", f"{result.name}, seed {seed}", columns, tuple(cells(*row) for row in rows))
    return [terminal_table(table), *below]


def _warnings(result: MethodResult) -> list[str]:
    """What makes the scores worth little, in words: of all folds and seeds together."""
    runs = result.results
    alone = [each.job.name.rpartition("/")[2] for each in runs if each.evaluation.only_class]
    said = []
    if alone:
        said.append(f"NOTE: one class was predicted for all labelled clips in {and_more(alone, _MOST_NAMED)}.")
    baselines = mean_baselines([each.evaluation.baselines for each in runs])
    if baselines is not None:
        ours = mean_reference("this method", [each.evaluation.reference for each in runs])
        judged = runs[0].evaluation.judged_by
        said += [f"NOTE: on average over the runs: {each}" for each in worse_than_guesses(ours, baselines, judged)]
    return said
