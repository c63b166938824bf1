"""evaluation.json, read back: the scores of a run, or a sentence about what is wrong with the file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from midas_dfer.errors import RequestError
from midas_dfer.files import json_kind, read_json
from midas_dfer.manifest.classes import DroppedClass, MappingReport
from midas_dfer.training.run_folder.runs import EVALUATION_FILE, EVALUATION_FOLDER, Run
from midas_dfer.training.scoring.baselines import MEASURES, Baselines, HumanLine, Reference
from midas_dfer.training.scoring.readings import vote_reading
from midas_dfer.training.scoring.scores import READINGS, Evaluation, VoteAgreement

T = TypeVar("T")

_MOST = 2**53
"""What a number of the file may be at most; NaN is not below it either."""

_TEXTS = ("method", "model", "dataset", "part", "caution")
_NEWER_TEXTS = ("no_vote_shares", "precision", "device", "read_by", "trained_on", "weights", "store_fingerprint")
_COUNTS = ("num_clips", "num_labelled", "num_voted")
_MAPPING_NAMES, _MAPPING_COUNTS = (
    ("source", "target", "absent"),
    ("num_clips", "num_label_dropped", "num_without_votes", "num_votes"),
)


def read_evaluation(run: Run, folder: Path | None = None) -> Evaluation | None:
    """Read what `midas evaluate` wrote of a run; None if it has not been evaluated.

    Files of earlier versions may score vote shares that are none, as `training.readings` tells; those are left out.

    Args:
        run: the run.
        folder: which of its evaluations; that of its own test part if None.

    Raises:
        RequestError: the file is damaged.
    """
    path = (run.path / EVALUATION_FOLDER if folder is None else folder) / Path(EVALUATION_FILE).name
    evaluation = read_evaluation_file(path) if path.exists() else None
    why_not = vote_reading(run.config, run.provenance).why_not
    return evaluation.without_vote_shares(why_not) if evaluation is not None and why_not else evaluation


def evaluation_folders(folder: Path) -> tuple[Path, ...]:
    """The folders of scores in that of a run or of an exported model: its own test part's first, if it is there."""
    file = Path(EVALUATION_FILE).name
    own = folder / EVALUATION_FOLDER
    others = sorted(each for each in folder.glob(f"{EVALUATION_FOLDER}-*") if (each / file).is_file())
    return (*([own] if (own / file).is_file() else []), *others)


def shown_folder(folder: Path) -> Path | None:
    """The folder of the scores that stand for a model: its own test part's, else the only ones there are."""
    found = evaluation_folders(folder)
    return found[0] if found and (found[0].name == EVALUATION_FOLDER or len(found) == 1) else None


def read_evaluation_file(path: Path) -> Evaluation:
    """Read an evaluation.json.

    Raises:
        RequestError: the file is missing or damaged.
    """
    cure = "evaluate anew, or remove it"
    content = read_json(path, cure)
    try:
        return evaluation_from(content)
    except ValueError as error:
        raise RequestError(f"{path} is damaged ({error}); {cure}") from error


def evaluation_from(values: object) -> Evaluation:
    """The inverse of `Evaluation.to_dict`, after a way through JSON.

    Raises:
        ValueError: these are not the values of an evaluation; says which is wrong.
    """
    values = _object(values, "the evaluation")
    names = _list(values, "class_names", _text)
    counts = {name: _count(_get(values, name), name) for name in _COUNTS}
    confusion = tuple(
        _of_length(tuple(_count(n, "confusion") for n in _sequence(row, "confusion")), len(names), "confusion")
        for row in _sequence(_get(values, "confusion"), "confusion")
    )
    scores = {name: _share(_get(values, name), name) for name in ("uar", "war")}
    floor = _number(_get(values, "votes_entropy"), "votes_entropy")
    if not names or len(set(names)) < len(names):
        raise ValueError("its class_names are none, or one is there twice")
    if max(counts.values()) > counts["num_clips"] or sum(map(sum, confusion)) != counts["num_labelled"]:
        raise ValueError("its num_clips, num_labelled, num_voted and confusion contradict each other")
    for name, value in scores.items():
        _there_if(counts["num_labelled"] > 0, value, name)
    agreement = _agreement(_get(values, "agreement"))
    if agreement is not None and (not counts["num_voted"] or floor is None):
        raise ValueError("its agreement, num_voted and votes_entropy contradict each other")
    no_vote_shares = _text(values.get("no_vote_shares", ""), "no_vote_shares")
    if agreement is not None and ("vote_shares" in agreement) == bool(no_vote_shares):
        raise ValueError("its agreement and no_vote_shares contradict each other")
    read: dict[str, Any] = {
        **{name: _text(_get(values, name), name) for name in _TEXTS},
        **{name: _text(values.get(name, ""), name) for name in _NEWER_TEXTS},
        **counts,
        **scores,
        "class_names": names,
        "recall": _of_length(_list(values, "recall", _share), len(names), "recall"),
        "confusion": _of_length(confusion, len(names), "confusion"),
        "votes_entropy": floor,
        "agreement": agreement,
        "mapping": None if values.get("mapping") is None else _mapping(values["mapping"]),
        "baselines": None if values.get("baselines") is None else _baselines(values["baselines"]),
        "human_line": None if values.get("human_line") is None else _human_line(values["human_line"]),
    }
    return Evaluation(**read)


def _agreement(values: object) -> dict[str, VoteAgreement] | None:
    if values is None:
        return None
    found = _object(values, "agreement")
    if "probabilities" not in found or not set(found) <= set(READINGS):
        raise ValueError(
            f"its agreement is of {', '.join(map(str, found)) or 'nothing'}; expected {' and '.join(READINGS)}"
        )
    read = {}
    for name in READINGS:
        if name in found:
            measures = _object(found[name], f"agreement of {name}")
            numbers = {each.name: _number(_get(measures, each.name), each.name) for each in fields(VoteAgreement)}
            for needed in ("soft_cross_entropy", "jensen_shannon", "total_variation"):
                _there_if(True, numbers[needed], needed)
            read[name] = VoteAgreement(**numbers)  # type: ignore[arg-type]
    return read


def _baselines(values: object) -> Baselines:
    found = _object(values, "baselines")
    majority = _get(found, "majority")
    return Baselines(
        source=_text(_get(found, "source"), "source"),
        majority=None if majority is None else _reference(majority),
        mean_vote=_reference(_get(found, "mean_vote")),
    )


def _human_line(values: object) -> HumanLine:
    found = _object(values, "human_line")
    votes = _number(_get(found, "num_votes"), "num_votes")
    _there_if(True, votes, "num_votes")
    return HumanLine(
        num_clips=_count(_get(found, "num_clips"), "num_clips"),
        num_votes=votes or 0.0,
        people=_reference(_get(found, "people")),
        model=_reference(_get(found, "model")),
    )


def _reference(values: object) -> Reference:
    found = _object(values, "a baseline")
    read = {name: (_share if name in ("uar", "war") else _number)(_get(found, name), name) for name in MEASURES}
    return Reference(_text(_get(found, "name"), "name"), **read)


def _mapping(values: object) -> MappingReport:
    found = _object(values, "mapping")
    dropped = []
    for each in _sequence(_get(found, "dropped"), "dropped"):
        lost = _object(each, "dropped")
        dropped.append(
            DroppedClass(
                name=_text(_get(lost, "name"), "name"),
                **{name.name: _count(_get(lost, name.name), name.name) for name in fields(DroppedClass)[1:]},
            )
        )
    read: dict[str, Any] = {
        "dataset": _text(_get(found, "dataset"), "dataset"),
        **{name: _list(found, name, _text) for name in _MAPPING_NAMES},
        **{name: _count(_get(found, name), name) for name in _MAPPING_COUNTS},
        "dropped": tuple(dropped),
    }
    return MappingReport(**read)


def _get(values: Mapping[str, Any], name: str) -> object:
    if name not in values:
        raise ValueError(f"it has no {name}")
    return values[name]


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {json_kind(value)}; expected an object")
    return value


def _sequence(value: object, name: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"its {name} holds {json_kind(value)}; expected a list")
    return value


def _list(values: Mapping[str, Any], name: str, read: Callable[[object, str], T]) -> tuple[T, ...]:
    return tuple(read(each, name) for each in _sequence(_get(values, name), name))


def _of_length(found: tuple[T, ...], length: int, name: str) -> tuple[T, ...]:
    if len(found) != length:
        raise ValueError(f"its {name} is of {len(found)} classes, and there are {length}")
    return found


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"its {name} holds {json_kind(value)}; expected text")
    return value


def _count(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise ValueError(f"its {name} holds {json_kind(value)} that is no count")
    return value


def _number(value: object, name: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not -_MOST <= value <= _MOST:
        raise ValueError(f"its {name} holds {json_kind(value)}; expected a finite number")
    return float(value)


def _share(value: object, name: str) -> float | None:
    number = _number(value, name)
    if number is not None and not 0.0 <= number <= 1.0:
        raise ValueError(f"its {name} holds {number:g}; expected a share from 0 to 1")
    return number


def _there_if(expected: bool, value: object, name: str) -> None:
    if expected != (value is not None):
        raise ValueError(f"its {name} is {'null' if expected else 'there without any clip that it could be of'}")
