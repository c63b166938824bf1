"""What the folder of a run, or of another trained model, says of its training and its scores, for a report."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from midas_dfer.commands import shell_command
from midas_dfer.comparison.predictions import PooledPredictions, pool_predictions, score_together
from midas_dfer.errors import RequestError
from midas_dfer.sharing.trained import TrainedModel, is_model, open_trained
from midas_dfer.training.parts import watched_part
from midas_dfer.training.run_folder.metrics_file import Curves, read_curves
from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER, METRICS_FILE, Run
from midas_dfer.training.scoring.predictions_file import read_predictions
from midas_dfer.training.scoring.scores import EVALUATION_FILE, PREDICTIONS_FILE, Evaluation, Predictions
from midas_dfer.training.scoring.scores_file import evaluation_folders, read_evaluation, shown_folder

FOLD_AND_SEED = ("test_fold", "seed")
"""Settings that tell the trainings of one method apart."""

_NO_RUN = "Its recipe, its training curves and the clips that it learned from are not recorded there, and so not here."


@dataclass(frozen=True)
class RunResult:
    """A run as far as it has come; or what is known of a trained model without its run.

    Attributes:
        dataset: what it learned from; "" where that is not recorded.
        class_names: those that it knows.
        run: recipe and provenance; None of an exported model, and where only an evaluation is there.
        evaluation: None if it has not been evaluated.
        predictions: what the scores were computed from; None likewise, or where the file is gone.
        curves: loss and scores of each epoch; None where the file is gone.
        missing: a sentence for each thing that is not there, and what makes it.
    """

    name: str
    path: Path
    model: str
    method: str
    dataset: str
    class_names: tuple[str, ...]
    run: Run | None
    evaluation: Evaluation | None
    predictions: Predictions | None
    curves: Curves | None
    missing: tuple[str, ...]

    @property
    def place(self) -> tuple[int | None, int]:
        """The fold it is tested on, and its seed: what tells the trainings of one method apart."""
        return (None, 0) if self.run is None else (self.run.config.test_fold, self.run.config.seed)

    @property
    def watched(self) -> str:
        """What was scored after each epoch beside the training clips."""
        return "" if self.run is None else watched_part(self.run.config)


@dataclass(frozen=True)
class Entry:
    """What stands in the report as one: a run, or all runs of a method, over folds and seeds.

    Attributes:
        evaluation: the scores of the pooled predictions; a single run's own. None if no run has been evaluated, or
            where runs do not have the same classes.
        predictions: of all runs that have some.
    """

    name: str
    runs: tuple[RunResult, ...]
    evaluation: Evaluation | None
    predictions: PooledPredictions | None

    @property
    def trainings(self) -> tuple[Run, ...]:
        """The runs of it whose recipe and provenance are known."""
        return tuple(each.run for each in self.runs if each.run is not None)

    @property
    def missing(self) -> list[str]:
        """What its runs say of themselves; what all of them say is said once, of the whole."""
        named = [{said: _of_whole(said, run.name, self.name) for said in run.missing} for run in self.runs]
        shared = [text for text in named[0].values() if all(text in each.values() for each in named)]
        return [*dict.fromkeys(text if text in shared else said for each in named for said, text in each.items())]


def read_runs(paths: Sequence[Path]) -> tuple[RunResult, ...]:
    """Read the folders of runs and of other trained models, called as `folder_names` calls them."""
    return tuple(read_run(path, name) for path, name in zip(paths, folder_names(paths), strict=True))


def folder_names(paths: Sequence[Path]) -> list[str]:
    """What folders are called: by their own names, with as many of those above as it takes to differ."""
    if not paths:
        raise RequestError("no run is named; name one or more run folders, as midas train makes them")
    resolved = [path.resolve() for path in paths]
    for number, path in enumerate(resolved):
        if path in resolved[:number]:
            raise RequestError(f"{paths[number]} is named twice; name each run once")
    length = 1
    while len(set(names := ["/".join(path.parts[-length:]) for path in resolved])) < len(names):
        length += 1
    return names


def read_run(path: Path, name: str) -> RunResult:
    """Read a run folder, an exported folder, or a folder that `midas evaluate --out` wrote.

    Raises:
        RequestError: it is none of these, or its files are damaged.
    """
    if not is_model(path) and (path / EVALUATION_FILE).is_file():
        e = Evaluation.read(path)
        classes = e.class_names if e.mapping is None else e.mapping.target
        missing = [f"{name} is an evaluation of {e.read_by or 'a model'}. {_NO_RUN}"]
        return _result(name, path, (e.model, e.method, e.trained_on, classes), None, e, path, missing)
    missing = []
    trained = open_trained(path, tell=lambda note: missing.append(f"{note}."))
    if trained.reader is not None or trained.hub is not None:
        ask = shell_command("midas", "evaluate", trained.named, "--store", "STORE", "--out", "DIR")
        raise RequestError(f"{trained.title} has no scores in its folder; evaluate it with: {ask}; and name DIR here")
    run, folder, info = trained.run, shown_folder(path), trained.info
    evaluation = None if folder is None else _evaluation(trained, folder)
    if run is None:
        missing.append(f"{name} is an exported model. {_NO_RUN}")
    missing += _other_evaluations(name, path, folder, evaluation)
    if run is not None and not run.finished:
        missing.append(
            f"The training of {name} has not ended ({run.provenance.epochs_done} of {run.config.epochs} epochs). To go "
            f"on: {shell_command('midas', 'train', '--resume', path)}"
        )
    elif folder is None and not evaluation_folders(path):
        ask = shell_command("midas", "evaluate", path, "--store", "STORE" if run is None else run.provenance.store)
        missing.append(f"{name} has not been evaluated, so it has no scores here. To get them: {ask}")
    known = (info.model, info.method, info.dataset, info.class_names)
    return _result(name, path, known, run, evaluation, folder or path, missing)


def _evaluation(trained: TrainedModel, folder: Path) -> Evaluation | None:
    if trained.run is not None:
        return read_evaluation(trained.run, folder)
    evaluation = Evaluation.read(folder)
    if evaluation.weights not in ("", trained.weights_digest):
        raise RequestError(
            f"{folder} is of other weights than {trained.path} holds by now; evaluate again, or remove it"
        )
    return evaluation


def _result(
    name: str,
    path: Path,
    known: tuple[str, str, str, tuple[str, ...]],
    run: Run | None,
    evaluation: Evaluation | None,
    folder: Path,
    missing: list[str],
) -> RunResult:
    """Read the curves and predictions, too; `known`: model, method, data set, classes; `folder`: of the evaluation."""
    curves = predictions = None
    if run is not None and (path / METRICS_FILE).is_file():
        curves = read_curves(path / METRICS_FILE)
    elif run is not None:
        missing = [*missing, f"{name} has no {METRICS_FILE}, so there are no training curves of it here."]
    if evaluation is not None:
        file = folder / PREDICTIONS_FILE
        if file.is_file():
            predictions = read_predictions(file, evaluation)
        else:
            missing.append(
                f"The predictions of {name} are gone ({file}), so there is no calibration, no interval and no clip of "
                "it here; evaluate it again."
            )
        missing += _cautions(name, evaluation)
    return RunResult(name, path, *known, run, evaluation, predictions, curves, tuple(missing))


def _other_evaluations(name: str, path: Path, shown: Path | None, evaluation: Evaluation | None) -> list[str]:
    """Which of a model's evaluations is shown, where it is not that of its own test part or not the only one."""
    others, said = [str(each) for each in evaluation_folders(path) if each != shown], []
    if evaluation is not None and shown is not None:
        # An earlier version put the scores on any clips into one place.
        is_earlier = not evaluation.store_fingerprint and evaluation.part != "test"
        if shown.name != EVALUATION_FOLDER or is_earlier:
            clips = "all clips" if evaluation.part == "all" else f"the {evaluation.part} part"
            what = f"of {clips} of {evaluation.dataset} ({shown})"
            said.append(f"The scores of {name} are not of its own test part, but {what}.")
    if others and shown is not None:
        said.append(f"{name} was evaluated on other clips, too; to see that, name {' or '.join(others)}.")
    elif others:
        said.append(
            f"{name} has no scores on its own test part, but several others; to see one, name {' or '.join(others)}."
        )
    return said


def _cautions(name: str, e: Evaluation) -> list[str]:
    """What a reader must know of the scores of a run, in sentences."""
    said = []
    if not e.num_voted:
        said.append(f"No clip that {name} was evaluated on has votes, so there is no agreement with them.")
    if not e.num_labelled:
        said.append(f"No clip that {name} was evaluated on has a single label, so there is no UAR and no WAR.")
    if e.mapping is not None:
        said.append(
            f"{name} and the clips it was evaluated on do not have the same classes; its scores are over "
            f"{', '.join(e.class_names)}. {e.mapping.paragraph()}"
        )
    if e.no_vote_shares:
        said.append(f"The output of {name} is {e.no_vote_shares}. It is judged by its probabilities.")
    if e.precision == "bf16":
        said.append(f"{name} was scored in bfloat16 on {e.device}: another machine may give other digits.")
    if e.caution:
        said.append(f"CAUTION, {name}: {e.caution}.")
    return said


def _of_whole(said: str, run: str, entry: str) -> str:
    """A sentence that names a run, of the entry that it is in: the name is the first word that looks like it."""
    return re.sub(rf"(?<!\w){re.escape(run)}(?!\w)", lambda _: entry, said, count=1)


def pooled(name: str, runs: Sequence[RunResult]) -> Entry:
    """Take runs together, as those of a method over folds and seeds: their predictions are scored as one set."""
    known = [(each, each.evaluation, each.predictions) for each in runs]
    scored = [(run.place, e, p) for run, e, p in known if e is not None and p is not None]
    if not scored or len({e.class_names for _, e, _ in scored}) > 1:
        return Entry(name, tuple(runs), runs[0].evaluation if len(runs) == 1 else None, None)
    evaluations = [e for _, e, _ in scored]
    together = pool_predictions(evaluations[0].class_names, [(p, *place) for place, _, p in scored])
    evaluation = evaluations[0] if len(runs) == 1 else score_together(together, evaluations)
    return Entry(name, tuple(runs), evaluation, together)


def by_clip(predictions: Predictions) -> Predictions:
    """Each clip once: its readings are the means over the runs that predicted it."""
    ids, first, groups = np.unique(np.array(predictions.video_ids), return_index=True, return_inverse=True)
    if len(ids) == len(predictions.video_ids):
        return predictions
    counts = np.bincount(groups).astype(np.float64)[:, None]

    def mean(values: Float64[np.ndarray, "M K"]) -> Float64[np.ndarray, "N K"]:
        total = np.zeros((len(ids), values.shape[1]))
        np.add.at(total, groups, values)
        means: Float64[np.ndarray, "N K"] = total / counts
        return means

    return Predictions(
        video_ids=tuple(str(each) for each in ids),
        labels=predictions.labels[first],
        has_votes=predictions.has_votes[first],
        votes=predictions.votes[first],
        probabilities=mean(predictions.probabilities),
        vote_shares=None if predictions.vote_shares is None else mean(predictions.vote_shares),
        num_votes=None if predictions.num_votes is None else predictions.num_votes[first],
    )
