"""Predictions of other tools, in files: read as they are, scored as our own, and refused in a sentence."""

import csv
import json
from dataclasses import asdict

import numpy as np
import pytest

from midas_dfer.cli.main import main
from midas_dfer.comparison.run_results import read_run
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.foreign import evaluate_file
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.training.scoring.scores import Evaluation, Predictions, score

pytestmark = pytest.mark.usefixtures("undrawn")

NAMES = ("happy", "sad", "angry")
VOTES = np.array([[4, 1, 0], [0, 5, 0], [1, 1, 3], [2, 2, 1], [5, 0, 0], [0, 1, 4]])
SHARES = np.array(
    [[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0.5, 0.3, 0.2], [0.8, 0.1, 0.1], [0.2, 0.5, 0.3]]
)
IDS = [f"clip{i}" for i in range(6)]


@pytest.fixture(scope="module")
def manifest():
    samples = []
    for i, votes in enumerate(VOTES):
        top = np.sort(votes)
        label = None if top[-1] == top[-2] else int(votes.argmax())
        person = f"p{i % 4}"
        samples.append(Sample(IDS[i], f"videos/{IDS[i]}.mp4", votes=tuple(votes.tolist()), label=label, subject=person))
    return Manifest.from_samples(NAMES, samples, "toy")


def written(path, head, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def told(file, manifest, **settings):
    notes = []
    found = evaluate_file(file, manifest, tell=notes.append, **settings)
    return *found, notes


def test_the_scores_are_those_of_the_predictions(manifest, tmp_path):
    file = written(tmp_path / "p.csv", ["video_id", *NAMES], [[i, *p] for i, p in zip(IDS, SHARES, strict=True)])
    evaluation, predictions, notes = told(file, manifest)
    assert notes == ["Classes of p.csv: happy, sad, angry; clips by video_id."]
    np.testing.assert_allclose(predictions.probabilities, SHARES)
    q = VOTES / VOTES.sum(axis=1, keepdims=True)
    plain = Predictions(
        tuple(IDS), manifest.labels, np.ones(6, bool), q, predictions.probabilities, None, VOTES.sum(axis=1)
    )
    about = {"method": "m", "model": "m", "dataset": "toy", "part": "all", "caution": "", "class_names": NAMES}
    expected = score(plain, **about)
    assert (evaluation.uar, evaluation.confusion) == (expected.uar, expected.confusion)
    assert evaluation.agreement == expected.agreement
    assert evaluation.limits.by_person
    assert evaluation.judged_by == "probabilities"
    assert "not the annotators' distribution" in evaluation.no_vote_shares
    assert evaluation.human_line.num_clips == 6
    assert evaluation.baselines.source.startswith("the tested clips themselves")
    assert (evaluation.caution, evaluation.model) == ("", "p")
    as_votes, _, _ = told(file, manifest, reading="vote_shares", name="theirs")
    assert (as_votes.judged_by, as_votes.model, as_votes.no_vote_shares) == ("vote shares", "theirs", "")
    assert as_votes.judged == evaluation.judged


def test_py_feat_writes_a_row_a_frame_and_deepface_percent(manifest, tmp_path):
    feat, faces = [], []
    for i, p in zip(IDS, SHARES, strict=True):
        row = [0, *(0.8 * p).tolist(), 0.1, 0.05, 0.03, 0.02, f"/data/videos/{i}.mp4"]
        feat += [row, row, [1, *[""] * 7, row[-1]]]
        faces.append([*(80 * p).tolist(), 10.0, 5.0, 3.0, 2.0, "sad", rf"C:\videos\{i}.mp4"])
    feat.append([0, *[1 / 7] * 7, "/data/videos/another.mp4"])
    head = ["frame", "happiness", "sadness", "anger", "disgust", "fear", "surprise", "neutral", "input"]
    file = written(tmp_path / "feat.csv", head, feat)
    with pytest.raises(RequestError, match=r"row 2 \(line 3\): the same clip as row 1 .*--average_rows"):
        evaluate_file(file, manifest)
    evaluation, predictions, notes = told(file, manifest, average_rows=True)
    np.testing.assert_allclose(predictions.probabilities, SHARES)
    assert evaluation.mapping.absent == ("disgust", "fear", "surprise", "neutral")
    assert notes == [
        "Classes of feat.csv: happiness (happy), sadness (sad), anger (angry), disgust, fear, surprise, neutral; clips "
        "by input, as file names.",
        "1 row of no clip that is known, left out: /data/videos/another.mp4.",
        "6 rows without a number in any class (no face found?), left out.",
        "12 rows averaged to 6 clips.",
    ]
    head = [f"emotion.{name}" for name in ("happy", "sad", "angry", "disgust", "fear", "surprise", "neutral")]
    file = written(tmp_path / "deepface.csv", [*head, "dominant_emotion", "path"], faces)
    _, same, notes = told(file, manifest)
    np.testing.assert_allclose(same.probabilities, SHARES)
    assert notes[1] == "Read as percent."


@pytest.mark.parametrize("kind", ["list.json", "lists.json", "lines.jsonl"])
def test_deepface_as_json_has_an_object_of_emotions(manifest, tmp_path, kind):
    faces = [
        {"input": f"{i}.mp4", "region": {"x": 3}, "emotion": dict(zip(NAMES, (100 * p).tolist(), strict=True))}
        for i, p in zip(IDS, SHARES, strict=True)
    ]
    lines = "\n".join(map(json.dumps, faces))
    texts = {"list.json": faces, "lists.json": [[face] for face in faces]}
    (tmp_path / kind).write_text(json.dumps(texts[kind]) if kind in texts else lines)
    _, predictions, notes = told(tmp_path / kind, manifest)
    np.testing.assert_allclose(predictions.probabilities, SHARES)
    assert notes == [
        f"Classes of {kind}: emotion.happy (happy), emotion.sad (sad), emotion.angry (angry); clips by input, as file "
        "names.",
        "Read as percent.",
    ]


def test_json_that_is_no_table_is_refused(manifest, tmp_path):
    file = tmp_path / "p.json"
    for content, message in (
        ("[1]", "prediction 1 holds int"),
        ("[]", "holds no rows"),
        ("{", "p.json"),
        ("[[2]]", "int"),
    ):
        file.write_text(content)
        with pytest.raises(RequestError, match=message):
            evaluate_file(file, manifest)


def test_objects_that_ask_for_too_much_are_refused(manifest, tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps({"id": "clip0", "emotion.happy": 1, "emotion": {"happy": 1}}))
    with pytest.raises(RequestError, match=r"has emotion\.happy as a column and in an object"):
        evaluate_file(file, manifest)
    file.write_text("\n".join(json.dumps({"id": f"{n}", "emotion": {f"{n}": 1}}) for n in range(5000)))
    with pytest.raises(RequestError, match="the objects in emotion have 5000 names"):
        evaluate_file(file, manifest)


def test_numbers_may_be_written_as_spreadsheets_write_them(manifest, tmp_path):
    for sign, unit in (("", 1), (" %", 100)):
        rows = [[i, *(f"{unit * x:.4f}{sign}".replace(".", ",") for x in p)] for i, p in zip(IDS, SHARES, strict=True)]
        _, predictions, notes = told(written(tmp_path / "p.csv", ["video_id", *NAMES], rows), manifest)
        np.testing.assert_allclose(predictions.probabilities, SHARES)
        assert "Decimal commas read as points." in notes
        assert ("Percent signs left out." in notes) == ("Read as percent." in notes) == bool(sign)


def test_clips_without_a_prediction_are_left_out_with_a_warning(manifest, tmp_path):
    rows = [[i, *p] for i, p in zip(IDS[:4], SHARES, strict=False)]
    rows[1][1:] = [0.201, 0.699, 0.11]
    evaluation, predictions, notes = told(written(tmp_path / "p.csv", ["id", *NAMES], rows), manifest)
    assert evaluation.num_clips == 4
    assert "a prediction for 4 of 6 clips" in evaluation.caution
    assert notes[1] == "1 row not quite summing to 1, divided by the sum."
    assert predictions.probabilities.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("head", "row", "message"),
    [
        (["video_id", *NAMES], ["clip0", 0.5, 0.2, 0.1], r"row 1 \(line 2\): its classes sum to 0.8, not 1"),
        (["video_id", *NAMES], ["clip0", 1.5, -0.6, 0.1], "sad is below 0"),
        (["video_id", *NAMES], ["clip0", 0.5, "half", 0.1], "sad is no number"),
        (["video_id", *NAMES], ["clip0", 0.5, "", 0.5], "sad is empty where other classes are not"),
        (
            ["video_id", *NAMES],
            ["other", 0.5, 0.2, 0.3],
            "No clip of .* It names other .in video_id.; expected such as",
        ),
        (["id", "mp4", *NAMES], [0, "clip0", 0.5, 0.2, 0.3], "Its column mp4 names some: --id_column mp4"),
        (["video_id", *NAMES], ["clip0", "0,5", "1.0", "0,2"], "happy is no number"),
        (["video_id", *NAMES], ["clip0", "0.5%", "0.3%", "0.2%"], "its classes sum to 1, not 100"),
        (["name", *NAMES], ["clip0", 0.5, 0.2, 0.3], "say which it is with --id_column: name"),
        (
            ["video_id", "happy", "happiness"],
            ["clip0", 0.5, 0.5],
            "two columns of the class happy: happy and",
        ),
        (["video_id", "a", "b"], ["clip0", 0.5, 0.5], "expected one for each class, such as happy, sad, angry"),
        (["video_id", "happy", "fear"], ["clip0", 0.5, 0.5], "fewer than two are in both"),
    ],
)
def test_what_cannot_be_meant_is_refused(manifest, tmp_path, head, row, message):
    with pytest.raises(RequestError, match=message):
        evaluate_file(written(tmp_path / "p.csv", head, [row]), manifest)


def test_our_own_file_and_the_verb(manifest, tmp_path, capsys):
    manifest.to_parquet(tmp_path / "manifest.parquet")
    file = written(tmp_path / "p.csv", ["clip", *NAMES], [[i, *p] for i, p in zip(IDS, SHARES, strict=True)])
    asked = ["evaluate", "--store", str(tmp_path / "manifest.parquet"), "--out", str(tmp_path / "out")]
    assert main([*asked, "--predictions", str(file), "--reading", "vote_shares", "--json"]) == 0
    out = capsys.readouterr()
    found = Evaluation.from_dict({k: v for k, v in json.loads(out.out).items() if k != "warnings"})
    assert found == Evaluation.read(tmp_path / "out")
    assert "Classes of p.csv" in out.err
    assert read_run(tmp_path / "out", "theirs").evaluation == found
    again, _, notes = told(tmp_path / "out" / "predictions.csv", manifest, reading="vote_shares")
    for name, each in asdict(found.judged).items():
        if name != "calibration_by_ambiguity" and each is not None:
            assert getattr(again.judged, name) == pytest.approx(each, abs=1e-7), name
    assert "vote_share_happy (happy)" in notes[0]
    assert main([*asked, "run", "--predictions", str(file)]) == 2
    assert main([*asked, "--predictions", str(file), "--device", "cpu"]) == 2
    assert main(["evaluate", "--store", "s", "--predictions", str(file)]) == 2
    assert main(["evaluate", "run", "--store", "s", "--average_rows"]) == 2
    said = capsys.readouterr().err
    assert "name either the model to be scored, RUN" in said
    assert "--device would have no effect: --predictions is a file" in said
    assert "--average_rows would have no effect: it is of --predictions FILE" in said
