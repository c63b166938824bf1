"""What a run's folder says of its training and its scores, read back for a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midas_dfer.commands import shell_command
from midas_dfer.comparison.predictions import PooledPredictions, pool_predictions
from midas_dfer.errors import RequestError
from midas_dfer.report.training_curves import Curves, read_curves
from midas_dfer.training.predictions_file import PREDICTIONS_FILE, read_predictions
from midas_dfer.training.runs import EVALUATION_FOLDER, METRICS_FILE, Run
from midas_dfer.training.scores import Evaluation, Predictions, score
from midas_dfer.training.scores_file import read_evaluation

OF_RUNS = ("test_fold", "seed")
"""Settings that tell the trainings of one method apart."""


@dataclass(frozen=True)
class RunResult:
    """A run as far as it has come.

    Attributes:
        name: what the report calls it.
        run: recipe and provenance.
        evaluation: its scores; None if it has not been evaluated.
        predictions: what they were computed from; None likewise, or where the file is gone.
        curves: loss and scores of each epoch; None where the file is gone.
        missing: a sentence for each thing that is not there, and what makes it.
    """

    name: str
    run: Run
    evaluation: Evaluation | None
    predictions: Predictions | None
    curves: Curves | None
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """What stands in the report as one: a run, or all runs of a method, over folds and seeds.

    Attributes:
        name: of the run or the method.
        runs: at least one.
        evaluation: the scores of the pooled predictions; a single run's own. None if no run has been evaluated, or
            where runs do not have the same classes.
        predictions: of all runs that have some.
    """

    name: str
    runs: tuple[RunResult, ...]
    evaluation: Evaluation | None
    predictions: PooledPredictions | None


def read_runs(paths: Sequence[Path]) -> tuple[RunResult, ...]:
    """Read run folders; each is called by its folder's name, with as many of those above as it takes to differ.

    Raises:
        RequestError: none is named, one is named twice, one is no run folder, or its files are damaged.
    """
    if not paths:
        raise RequestError("no run is named; name one or more run folders, as midas train makes them")
    resolved = [path.resolve() for path in paths]
    for number, path in enumerate(resolved):
        if path in resolved[:number]:
            raise RequestError(f"{paths[number]} is named twice; name each run once")
    length = 1
    while len(set(names := ["/".join(path.parts[-length:]) for path in resolved])) < len(names):
        length += 1
    return tuple(read_run(path, name) for path, name in zip(paths, names, strict=True))


def read_run(path: Path, name: str) -> RunResult:
    """Read a run folder.

    Raises:
        RequestError: it is none, or its files are damaged.
    """
    run = Run.open(path)
    folder = path / EVALUATION_FOLDER
    evaluation, predictions, curves, missing = read_evaluation(run), None, None, []
    if not run.finished:
        done = run.provenance.epochs_done
        missing.append(
            f"The training of {name} has not ended ({done} of {run.config.epochs} epochs). To go on: "
            f"{shell_command('midas', 'train', '--resume', path)}"
        )
    if evaluation is None and run.finished:
        missing.append(
            f"{name} has not been evaluated, so it has no scores here. To get them: "
            f"{shell_command('midas', 'evaluate', path, '--store', Path(run.provenance.store))}"
        )
    if evaluation is not None and (folder / PREDICTIONS_FILE).is_file():
        predictions = read_predictions(folder / PREDICTIONS_FILE, evaluation)
    elif evaluation is not None:
        missing.append(
            f"The predictions of {name} are gone ({folder / PREDICTIONS_FILE}), so there is no calibration, no "
            "interval and no clip of it here; evaluate it again."
        )
    if (path / METRICS_FILE).is_file():
        curves = read_curves(path / METRICS_FILE)
    else:
        missing.append(f"{name} has no {METRICS_FILE}, so there are no training curves of it here.")
    if evaluation is not None and not evaluation.num_voted:
        missing.append(f"No clip that {name} was evaluated on has votes, so there is no agreement with them.")
    if evaluation is not None and not evaluation.num_labelled:
        missing.append(f"No clip that {name} was evaluated on has a single label, so there is no UAR and no WAR.")
    if evaluation is not None and evaluation.mapping is not None:
        missing.append(
            f"{name} and the clips it was evaluated on do not have the same classes; its scores are over "
            f"{', '.join(evaluation.class_names)}. " + " ".join(evaluation.mapping.sentences())
        )
    if evaluation is not None and evaluation.no_vote_shares:
        missing.append(f"The output of {name} is {evaluation.no_vote_shares}. It is judged by its probabilities.")
    if evaluation is not None and evaluation.precision == "bf16":
        missing.append(f"{name} was scored in bfloat16 on {evaluation.device}: another machine may give other digits.")
    if evaluation is not None and evaluation.caution:
        missing.append(f"CAUTION, {name}: {evaluation.caution}.")
    return RunResult(name, run, evaluation, predictions, curves, tuple(missing))


def pooled(name: str, runs: Sequence[RunResult]) -> Entry:
    """Take runs together, as those of a method over folds and seeds: their predictions are scored as one set."""
    known = [(each, each.evaluation, each.predictions) for each in runs]
    scored = [(run.run.config, e, p) for run, e, p in known if e is not None and p is not None]
    if not scored or len({e.class_names for _, e, _ in scored}) > 1:
        return Entry(name, tuple(runs), runs[0].evaluation if len(runs) == 1 else None, None)
    first = scored[0][1]
    together = pool_predictions(first.class_names, [(p, config.test_fold, config.seed) for config, _, p in scored])
    if len(runs) == 1:
        return Entry(name, tuple(runs), first, together)
    evaluation = score(
        together,
        method=first.method,
        model=first.model,
        dataset=first.dataset,
        class_names=first.class_names,
        part=first.part,
        caution=next((each.caution for _, each, _ in scored if each.caution), ""),
        mapping=first.mapping,
        no_vote_shares=next((each.no_vote_shares for _, each, _ in scored if each.no_vote_shares), ""),
    )
    return Entry(name, tuple(runs), evaluation, together)


def by_clip(predictions: Predictions) -> Predictions:
    """Each clip once: its readings are the means over the runs that predicted it."""
    ids, first, groups = np.unique(np.array(predictions.video_ids), return_index=True, return_inverse=True)
    if len(ids) == len(predictions.video_ids):
        return predictions
    counts = np.bincount(groups).astype(np.float64)[:, None]

    def mean(values: Any) -> Any:  # noqa: ANN401 -- an array of clips and classes
        total = np.zeros((len(ids), values.shape[1]))
        np.add.at(total, groups, values)
        return total / counts

    return Predictions(
        video_ids=tuple(str(each) for each in ids),
        labels=predictions.labels[first],
        has_votes=predictions.has_votes[first],
        votes=predictions.votes[first],
        probabilities=mean(predictions.probabilities),
        vote_shares=None if predictions.vote_shares is None else mean(predictions.vote_shares),
    )
