"""The scores of a method as plain text for a terminal: a line for each fold, means, and all folds pooled."""

from midas_dfer.experiments.results import MethodResult
from midas_dfer.metrics import MeanScore


def score_table(result: MethodResult) -> str:
    """Give fold, clips, UAR and WAR in per cent, mean and standard deviation over folds, and pooled; seed by seed."""
    lines = []
    for seed in result.seeds:
        lines += [*_of_seed(result, seed), ""]
    if len(result.seeds) > 1:
        lines += [f"over {len(result.seeds)} seeds: mean of the folds' mean +- standard deviation over seeds"]
        for measure in ("uar", "war"):
            score, interval = result.over_seeds(measure), result.interval(measure)
            if score is not None and interval is not None:
                span = f"{_percent(interval.low)} to {_percent(interval.high)}"
                lines.append(f"  {measure.upper()} {_spread(score)} %, 95 % interval {span}")
        lines.append("")
    return "\n".join([*lines, f"epoch kept: {_kept(result)}", *_cautions(result)])


def _of_seed(result: MethodResult, seed: int) -> list[str]:
    results = result.of_seed(seed)
    lines = [f"{result.name}, seed {seed}", _line("fold", "clips", "UAR %", "WAR %")]
    for each in results:
        fold, scores = each.job.config.test_fold, each.evaluation
        name = "split" if fold is None else str(fold)
        lines.append(_line(name, str(scores.num_clips), _percent(scores.uar), _percent(scores.war)))
    uar, war = result.over_folds("uar", seed), result.over_folds("war", seed)
    if uar is not None and war is not None and len(results) > 1:
        lines.append(_line("mean +- sd", "", _spread(uar), _spread(war)))
    pooled = result.pooled(seed)
    if pooled is None:
        lines.append(result.why_not_pooled(seed))
    elif len(results) > 1:
        lines.append(_line("pooled", str(pooled.num_clips), _percent(pooled.uar), _percent(pooled.war)))
    return lines


def _line(name: str, clips: str, uar: str, war: str) -> str:
    return f"{name:<10} {clips:>7} {uar:>15} {war:>15}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _spread(score: MeanScore) -> str:
    if score.deviation is None:
        return _percent(score.mean)
    return f"{_percent(score.mean)} +- {_percent(score.deviation)}"


def _kept(result: MethodResult) -> str:
    ways = {
        "last": "the last",
        "best_validation": "the best on a validation part of the training clips",
        "best_test_fold": "the best ON THE TEST FOLD, an upper bound",
    }
    return ", ".join(sorted({ways[each.job.config.select] for each in result.results}))


def _cautions(result: MethodResult) -> list[str]:
    return sorted({each.evaluation.caution for each in result.results} - {""})
