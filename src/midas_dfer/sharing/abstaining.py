"""Where the rule comes from by which a model is silent: its own evaluation on clips that it did not learn from."""

from pathlib import Path

from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError
from midas_dfer.sharing.ensemble import Ensemble
from midas_dfer.training.scoring.held_out import ABSTENTION_FILE, HeldOut
from midas_dfer.training.scoring.predictions_file import read_predictions
from midas_dfer.training.scoring.scores import EVALUATION_FILE, PREDICTIONS_FILE, Evaluation
from midas_dfer.training.scoring.scores_file import evaluation_folders


def held_out_of(read: Ensemble, folder: Path | None = None) -> HeldOut:
    """What is known of a model's errors on held-out clips.

    Args:
        read: the model, or the ensemble.
        folder: of an evaluation; None looks where the model's own are: of a run on its validation part, else on its
            test part; else in its exported folder.

    Raises:
        RequestError: there is none, or it is of another model, other classes, or read otherwise.
    """
    trained = read.first
    if folder is not None:
        if not (folder / EVALUATION_FILE).is_file():
            below = evaluation_folders(folder)
            what = "is no folder" if not folder.is_dir() else f"holds no {EVALUATION_FILE}"
            meant = f"; expected such as {below[0]}" if below else ""
            raise RequestError(f"--abstain_by {folder} {what}; name the folder that midas evaluate wrote{meant}")
        if not _is_of(Evaluation.read(folder), read):
            raise RequestError(f"{folder} is not an evaluation of {read.title}, read as it is now; evaluate again")
        return _kept(folder)
    if trained.run is None:
        if not read.is_plain or not (trained.path / ABSTENTION_FILE).is_file():
            raise RequestError(_none(read))
        return HeldOut.read(trained.path)
    by_part: dict[str, Path] = {}
    for each in evaluation_folders(trained.path):
        evaluation = Evaluation.read(each)
        if _is_of(evaluation, read) and evaluation.dataset == trained.info.dataset:
            by_part.setdefault(evaluation.part, each)
    found = by_part.get("validation", by_part.get("test"))
    if found is None:
        raise RequestError(_none(read))
    return _kept(found)


def _is_of(evaluation: Evaluation, read: Ensemble) -> bool:
    """Whether scores are of this model, read in this way."""
    now = (read.weights_digest, read.read_with, read.info.class_names)
    return (evaluation.weights, evaluation.read_with, evaluation.class_names) == now


def _kept(folder: Path) -> HeldOut:
    evaluation = Evaluation.read(folder)
    try:
        return HeldOut.of(evaluation, read_predictions(folder / PREDICTIONS_FILE, evaluation))
    except RequestError as error:
        raise RequestError(f"--abstain cannot go by {folder}: {error}") from error


def _none(read: Ensemble) -> str:
    options = [] if len(read.members) == 1 else ["--ensemble", *(each.named for each in read.members[1:])]
    options += ["--mc_dropout", str(read.mc_dropout)] if read.mc_dropout else []
    by = "" if read.is_plain and read.first.run is not None else ", and name its folder with --abstain_by"
    out = ["--out", "DIR"] if by else []
    part = "validation" if read.first.run is not None and read.first.run.part("validation") else "test"
    command = shell_command("midas", "evaluate", read.first.named, *options, "--store", "STORE", "--part", part, *out)
    return (
        f"--abstain needs an evaluation of {read.title} on held-out clips, as it is read now, and there is none; "
        f"make one: {command}{by}"
    )
