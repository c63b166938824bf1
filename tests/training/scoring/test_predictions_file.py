"""predictions.csv: what was written is read back, and what cannot be is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midas_dfer.errors import RequestError
from midas_dfer.training.scoring.predictions_file import predictions_table, read_predictions
from midas_dfer.training.scoring.scores import Evaluation, Predictions, score

NAMES = ("happy", "a, b", "sad")


def make(voted: list[bool], seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    votes, first, second = (rng.dirichlet(np.full(3, 0.3), len(voted)) for _ in range(3))
    first[0] = 1 - 3e-10, 2e-10, 1e-10
    return Predictions(
        tuple(f'clip "{i}", é' for i in range(len(voted))),
        np.arange(len(voted)) % 4 - 1,
        np.array(voted),
        votes,
        first,
        second,
    )


def scores_of(predictions: Predictions) -> Evaluation:
    return score(
        predictions,
        method="m",
        model="m",
        dataset="toy",
        class_names=NAMES,
        part="test",
        caution="",
    )


def write(folder: Path, predictions: Predictions) -> tuple[Path, Evaluation]:
    evaluation, path = scores_of(predictions), folder / "predictions.csv"
    path.write_text(predictions_table(predictions, evaluation.class_names), encoding="utf-8")
    return path, evaluation


def test_nine_digits_and_which_clips_have_votes_come_back(tmp_path):
    predictions = make([True, False, True, True, False])
    path, evaluation = write(tmp_path, predictions)
    assert path.read_text().startswith('video_id,label,predicted,has_votes,votes_happy,"votes_a, b",votes_sad,prob')
    read = read_predictions(path, evaluation)
    assert read.video_ids == predictions.video_ids
    assert read.labels.tolist() == predictions.labels.tolist()
    assert read.has_votes.tolist() == [True, False, True, True, False]
    for name in ("votes", "probabilities", "vote_shares"):
        np.testing.assert_allclose(getattr(read, name), getattr(predictions, name), rtol=1e-8, atol=1e-300)
    assert scores_of(read).agreement["probabilities"].soft_cross_entropy == pytest.approx(
        evaluation.agreement["probabilities"].soft_cross_entropy, rel=1e-8
    )


def test_the_number_of_votes_comes_back_and_is_not_needed(tmp_path):
    plain = make([True, False, True, True, False])
    counts = np.array([[1, 2, 7], [0, 0, 0], [5, 0, 0], [1, 0, 0], [0, 0, 0]])
    votes = np.where(counts > 0, counts, plain.votes * ~plain.has_votes[:, None])
    predictions = replace(plain, votes=votes / votes.sum(axis=1, keepdims=True), num_votes=counts.sum(axis=1))
    path, evaluation = write(tmp_path, predictions)
    assert path.read_text().startswith('video_id,label,predicted,has_votes,num_votes,votes_happy,"votes_a, b"')
    read = read_predictions(path, evaluation)
    assert read.num_votes is not None
    assert read.num_votes.tolist() == [10, 0, 5, 1, 0]
    assert scores_of(read).votes_noise == pytest.approx(evaluation.votes_noise) != None  # noqa: E711
    path.write_text(path.read_text().replace("true,10,", "true,0,"))
    with pytest.raises(RequestError, match="num_votes is not above 0 where has_votes is true"):
        read_predictions(path, evaluation)
    assert read_predictions(*write(tmp_path, plain)).num_votes is None


def test_concentrations_come_back(tmp_path):
    predictions = replace(make([True, False]), concentration=np.array([3.25, 1e4 / 3]))
    path, evaluation = write(tmp_path, predictions)
    assert path.read_text().startswith("video_id,label,predicted,has_votes,concentration,votes_")
    read = read_predictions(path, evaluation).concentration
    np.testing.assert_allclose(read, predictions.concentration, rtol=1e-8)
    path.write_text(path.read_text().replace("true,3.25,", "true,-3.25,"))
    with pytest.raises(RequestError, match="a concentration is not a number above 0"):
        read_predictions(path, evaluation)


def test_classes_that_rounding_makes_equal(tmp_path):
    predictions = make([True, True])
    predictions.probabilities[1] = 0.2, 0.4 - 1e-12, 0.4 + 1e-12
    read = read_predictions(*write(tmp_path, predictions))
    assert predictions.predicted[1] == read.predicted[1] == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("true", "false", "1 of its clips have votes, in evaluation.json 2"),
        ("true", "maybe", "maybe"),
        ("has_votes", "voted", "'has_votes'"),
        ("happy,true", "sad,true", "not the likeliest"),
        ("1e-10", "nan", "no share"),
        ("1e-10", "", "could not convert"),
        ("1e-10", "1,1", "damaged"),
    ],
)
def test_damaged_files(tmp_path, old, new, message):
    path, evaluation = write(tmp_path, make([True, True]))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(RequestError, match=message):
        read_predictions(path, evaluation)


def test_files_of_other_scores(tmp_path):
    path, evaluation = write(tmp_path, make([True, True]))
    with pytest.raises(RequestError, match="it has 2 clips"):
        read_predictions(path, scores_of(make([True, True, True])))
    path.write_text("")
    with pytest.raises(RequestError, match=r"predictions\.csv is missing or damaged"):
        read_predictions(path, evaluation)
    path.unlink()
    with pytest.raises(RequestError, match="run midas evaluate again"):
        read_predictions(path, evaluation)
