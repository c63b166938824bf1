"""The scores of a run as its card shows them, out of what `midas evaluate` wrote."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from midas_dfer.errors import RequestError
from midas_dfer.training.runs import EVALUATION_FOLDER, Run
from midas_dfer.training.scores import READINGS


@dataclass(frozen=True)
class CardScores:
    """Scores of a run on a set of clips; see `midas_dfer.training.scores.Evaluation`.

    Attributes:
        dataset: of the clips.
        part: which clips.
        caution: a sentence, if these scores must not be taken for those of unseen clips; else "".
        num_clips: how many.
        num_labelled: how many of them have a single label.
        num_voted: how many of them have votes.
        uar: mean recall over the classes; None if no clip has a label.
        war: share of clips whose class was found; None if no clip has a label.
        recall: of each class that was scored, by name; None where the class does not occur.
        votes_entropy: the floor of the soft cross-entropy, in nats; None if no clip has votes.
        agreement: measures of agreement with the votes, by reading; empty if no clip has votes.
    """

    dataset: str
    part: str
    caution: str
    num_clips: int
    num_labelled: int
    num_voted: int
    uar: float | None
    war: float | None
    recall: Mapping[str, float | None]
    votes_entropy: float | None
    agreement: Mapping[str, Mapping[str, float | None]]


_MEASURES = ("soft_cross_entropy", "jensen_shannon", "total_variation", "expected_calibration_error")


def read_scores(run: Run) -> CardScores | None:
    """What a run's folder says of its scores; None if it has not been evaluated.

    Raises:
        RequestError: the file is damaged.
    """
    path = run.path / EVALUATION_FOLDER / "evaluation.json"
    if not path.is_file():
        return None
    try:
        return _scores(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(f"{path} is damaged ({error}); evaluate anew, or remove it") from error


def _scores(values: dict[str, Any]) -> CardScores:
    names, recall = values["class_names"], values["recall"]
    agreement = values["agreement"] or {}
    return CardScores(
        dataset=str(values["dataset"]),
        part=str(values["part"]),
        caution=str(values["caution"]),
        num_clips=int(values["num_clips"]),
        num_labelled=int(values["num_labelled"]),
        num_voted=int(values["num_voted"]),
        uar=_number(values["uar"]),
        war=_number(values["war"]),
        recall={str(name): _number(share) for name, share in zip(names, recall, strict=True)},
        votes_entropy=_number(values["votes_entropy"]),
        agreement={
            reading: {measure: _number(agreement[reading][measure]) for measure in _MEASURES}
            for reading in READINGS
            if agreement
        },
    )


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
