"""predictions.csv: what a run says of each clip, beside what the annotators said; a row for each clip."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.errors import RequestError
from midas_dfer.files import csv_cell, csv_text, from_csv_cell
from midas_dfer.labels import NO_LABEL
from midas_dfer.metrics import Uncertainty
from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER
from midas_dfer.training.scoring.scores import EVALUATION_FILE, PREDICTIONS_FILE, Evaluation, Predictions

_KINDS = ("votes", "probability")
_VOTE_SHARE = "vote_share"
_NO_VOTE_SHARES = "no_vote_shares"
_NUM_VOTES, _CONCENTRATION = "num_votes", "concentration"
_UNCERTAINTY = Uncertainty._fields
_YES_OR_NO = {"true": True, "false": False}


def predictions_table(predictions: Predictions, class_names: Iterable[str], no_vote_shares: str = "") -> str:
    """Give a CSV file: video_id, label, predicted, has_votes, num_votes, votes and both readings; to nine digits.

    The column num_votes is left out where their number is not known, and concentration where the model gives none;
    expected_disagreement and not_knowing (in nats, docs/measures.md) where one network read each clip once.

    Where the output is not the annotators' distribution, the column no_vote_shares says why, in each row, in the place
    of the vote shares. What a spreadsheet would run as a formula has an apostrophe in front.
    """
    names, p = tuple(class_names), predictions
    kinds: tuple[str, ...] = _KINDS
    tables = [p.votes, p.probabilities]
    if p.vote_shares is not None:
        kinds, tables = (*kinds, _VOTE_SHARE), [*tables, p.vote_shares]
    columns = [f"{kind}_{name}" for kind in kinds for name in names]
    reasons = [no_vote_shares] if p.vote_shares is None else []
    parts = [] if p.uncertainty is None else list(p.uncertainty)
    numbers: list[list[str]] = [[] for _ in p.labels]
    for column, digits in ((p.num_votes, "d"), (p.concentration, ".9g")):
        for cells, number in zip(numbers, () if column is None else column, strict=column is not None):
            cells.append(format(number, digits))
    head = [
        "video_id",
        "label",
        "predicted",
        "has_votes",
        *([] if p.num_votes is None else [_NUM_VOTES]),
        *([] if p.concentration is None else [_CONCENTRATION]),
        *columns,
        *(_UNCERTAINTY if parts else ()),
        *([_NO_VOTE_SHARES] if reasons else []),
    ]
    shares = np.concatenate([*tables, *(part[:, None] for part in parts)], axis=1).tolist()
    labels = ["" if label == NO_LABEL else names[label] for label in p.labels]
    predicted = [names[place] for place in p.predicted]
    voted = ["true" if has else "false" for has in p.has_votes]
    rows = (
        [*map(csv_cell, words), *number, *(f"{share:.9g}" for share in row), *reasons]
        for *words, number, row in zip(p.video_ids, labels, predicted, voted, numbers, shares, strict=True)
    )
    return csv_text([head, *rows])


def read_predictions(path: Path, evaluation: Evaluation) -> Predictions:
    """Read what `predictions_table` gave, and `evaluation` was computed from.

    Raises:
        RequestError: the file is missing, damaged, or belongs to other scores.
    """
    names = evaluation.class_names
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        columns = dict(zip(head, zip(*rows, strict=True), strict=True))
        if len(rows) != evaluation.num_clips:
            raise ValueError(f"it has {len(rows)} clips, evaluation.json has {evaluation.num_clips}")
        kinds = _KINDS if evaluation.no_vote_shares else (*_KINDS, _VOTE_SHARE)
        tables = [np.array([columns[f"{kind}_{name}"] for name in names], dtype=np.float64).T for kind in kinds]
        if not all(((each >= 0) & (each <= 1)).all() and (each.sum(axis=1) > 0).all() for each in tables):
            raise ValueError("it holds what is no share")
        votes, probabilities, *shares = tables
        places = {"": NO_LABEL, **{name: place for place, name in enumerate(names)}}
        labels, predicted = (
            np.array([places[from_csv_cell(cell)] for cell in columns[column]], dtype=np.int64)
            for column in ("label", "predicted")
        )
        has_votes = np.array([_YES_OR_NO[word] for word in columns["has_votes"]])
        if has_votes.sum() != evaluation.num_voted:
            raise ValueError(f"{has_votes.sum()} of its clips have votes, in evaluation.json {evaluation.num_voted}")
        num_votes = None
        if _NUM_VOTES in columns:  # not in files of earlier versions
            num_votes = np.array([int(cell) for cell in columns[_NUM_VOTES]], dtype=np.int64)
            if (num_votes[has_votes] < 1).any():
                raise ValueError("num_votes is not above 0 where has_votes is true")
        concentration = None
        if _CONCENTRATION in columns:
            concentration = np.array(columns[_CONCENTRATION], dtype=np.float64)
            if not (np.isfinite(concentration) & (concentration > 0)).all():
                raise ValueError("a concentration is not a number above 0")
        uncertainty = None
        if _UNCERTAINTY[0] in columns:
            uncertainty = Uncertainty(*(np.array(columns[name], dtype=np.float64) for name in _UNCERTAINTY))
            if not all((part >= 0).all() and np.isfinite(part).all() for part in uncertainty):
                raise ValueError(f"{' or '.join(_UNCERTAINTY)} is below 0")
        return Predictions(
            video_ids=tuple(map(from_csv_cell, columns["video_id"])),
            labels=labels,
            has_votes=has_votes,
            votes=_whole(votes),
            probabilities=_as_chosen(_whole(probabilities), predicted),
            vote_shares=_whole(shares[0]) if shares else None,
            num_votes=num_votes,
            concentration=concentration,
            uncertainty=uncertainty,
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, csv.Error) as error:
        raise RequestError(f"{path} is missing or damaged ({error}); run midas evaluate again") from error


def unseen_predictions(folders: Iterable[Path], class_names: Sequence[str]) -> dict[str, Float64[np.ndarray, " K"]]:
    """Probabilities by clip, of all evaluations in some folders; the mean of those of a clip that is in several.

    Raises:
        RequestError: there is no evaluation, one has other classes, or is of clips that the model was trained on.
    """
    found: dict[str, list[Float64[np.ndarray, " K"]]] = {}
    for folder in folders:
        below = sorted(each.parent for each in folder.rglob(f"{EVALUATION_FOLDER}/{EVALUATION_FILE}"))
        places = [folder] if (folder / EVALUATION_FILE).is_file() else below
        if not places:
            raise RequestError(f"{folder} holds no {EVALUATION_FILE}; run midas evaluate, or midas crossval, first")
        for place in places:
            evaluation = Evaluation.read(place)
            if evaluation.caution:
                raise RequestError(f"{place} is not of unseen clips: {evaluation.caution}; name other predictions")
            if set(evaluation.class_names) != set(class_names):
                raise RequestError(
                    f"{place} is of the classes {', '.join(evaluation.class_names)}; expected {', '.join(class_names)}"
                )
            columns = [evaluation.class_names.index(name) for name in class_names]
            read = read_predictions(place / PREDICTIONS_FILE, evaluation)
            for video_id, row in zip(read.video_ids, read.probabilities[:, columns], strict=True):
                found.setdefault(video_id, []).append(row)
    return {video_id: np.mean(rows, axis=0) for video_id, rows in found.items()}


def _whole(shares: Float64[np.ndarray, "N K"]) -> Float64[np.ndarray, "N K"]:
    """The sums made exact again, after rounding."""
    whole: Float64[np.ndarray, "N K"] = shares / shares.sum(axis=1, keepdims=True)
    return whole


def _as_chosen(
    probabilities: Float64[np.ndarray, "N K"], predicted: Int64[np.ndarray, " N"]
) -> Float64[np.ndarray, "N K"]:
    """Where rounding made two classes equal, the one that the network chose is the larger by a bit."""
    rows = np.arange(len(probabilities))
    chosen = probabilities[rows, predicted]
    if (predicted == NO_LABEL).any() or (chosen < probabilities.max(axis=1)).any():
        raise ValueError("a predicted class is not the likeliest")
    tied = np.flatnonzero(probabilities.argmax(axis=1) != predicted)
    probabilities[tied, predicted[tied]] = np.nextafter(chosen[tied], 2.0)
    return probabilities
