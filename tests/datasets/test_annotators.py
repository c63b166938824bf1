"""Annotators: each beside the others, in pairs, by habit; and soft labels that weigh them, stated where they count."""

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.cli import main
from midas_dfer.clips.batches.dataset import ClipDataset
from midas_dfer.clips.description.annotators import SHOWN, describe_annotators
from midas_dfer.clips.description.description import describe
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.labels import crowd_labels, crowdlab_labels
from midas_dfer.labels.annotators import compare_annotators, compare_pairs
from midas_dfer.manifest.aggregation import aggregate, aggregated_by
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.pages.description_page import description_page
from midas_dfer.report.tables.store_tables import description_table
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.predictions_file import unseen_predictions
from midas_dfer.training.scoring.readings import vote_reading
from midas_dfer.training.train import train
from tests.support.factories import CLASS_NAMES, write_clip

CLIPS = 24
VOTES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2)),
    min_size=1,
    max_size=30,
    unique_by=lambda v: v[:2],
)


def columns_of(votes):
    clips, people, classes = (np.array(column, dtype=np.int64) for column in zip(*votes, strict=True))
    return clips, people, classes


@given(VOTES)
def test_each_beside_the_others_as_plain_loops_count(votes):
    found = compare_annotators(*columns_of(votes), 3)
    for who in range(max(v[1] for v in votes) + 1):
        own = [v for v in votes if v[1] == who]
        assert found.votes[who] == len(own)
        confusion, agreed, compared = np.zeros((3, 3)), 0.0, 0
        for clip, _, said in own:
            others = [v[2] for v in votes if v[0] == clip and v[1] != who]
            if others:
                compared += 1
                agreed += others.count(said) / len(others)
                for other in others:
                    confusion[other, said] += 1 / len(others)
        assert found.compared[who] == compared
        np.testing.assert_allclose(found.confusion[who], confusion, atol=1e-12)
        if not compared:
            assert math.isnan(found.agreement[who])
            assert math.isnan(found.kappa[who])
            continue
        assert found.agreement[who] == pytest.approx(agreed / compared)
        chance = float(confusion.sum(axis=0) @ confusion.sum(axis=1)) / compared**2
        if chance < 1 - 1e-9:
            assert found.kappa[who] == pytest.approx((agreed / compared - chance) / (1 - chance))


@given(VOTES)
def test_pairs_as_plain_loops_count(votes):
    people = sorted({v[1] for v in votes})
    said = {who: {v[0]: v[2] for v in votes if v[1] == who} for who in people}
    found = {(p.first, p.second): p for p in compare_pairs(*columns_of(votes), 3, people)}
    for one, other in combinations(people, 2):
        common = said[one].keys() & said[other].keys()
        assert ((one, other) in found) == bool(common)
        if common:
            same = sum(said[one][c] == said[other][c] for c in common)
            assert (found[one, other].clips, found[one, other].agreement) == (len(common), same / len(common))


def crowd(clips: int = CLIPS, **people: object) -> Manifest:
    """Three classes in turn; anna and ben are mostly right, chloe says what `habit` says."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(clips):
        right = n % 3
        said = {
            "anna": right if rng.random() < 0.9 else (right + 1) % 3,
            "ben": right if rng.random() < 0.8 else (right + 2) % 3,
            "chloe": 2 if rng.random() < 0.9 else int(rng.integers(3)),
        }
        votes = [list(said.values()).count(k) for k in range(3)]
        rows.append(
            {
                "video_id": f"c{n}",
                "path": f"c{n}",
                "votes": votes,
                "annotators": list(said),
                "annotator_votes": [CLASS_NAMES[k] for k in said.values()],
                "fold": 1 + n % 2,
            }
        )
    return Manifest(CLASS_NAMES, pl.DataFrame(rows), "crowd").with_majority_labels()


def test_who_answers_by_habit_is_found():
    found = describe_annotators(crowd())
    assert found.by_habit == ("chloe",)
    assert [each.name for each in found.shown] == ["anna", "ben", "chloe"]
    assert {(p.first, p.second) for p in found.pairs} == {("anna", "ben"), ("anna", "chloe"), ("ben", "chloe")}
    anna, _, chloe = found.shown
    assert anna.kappa > 0.3 > 0.2 > chloe.kappa
    assert CLASS_NAMES[chloe.favourite()] == "angry"
    assert describe_annotators(crowd(clips=9)).by_habit == ()  # too few votes to say so
    table = crowd().table.drop("annotators", "annotator_votes")
    assert describe_annotators(Manifest(CLASS_NAMES, table)) is None


def test_table_and_page_tell_of_annotators():
    manifest = crowd()
    text = description_table(describe(manifest))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "Answers hardly depend on what the others see: chloe." in " ".join(text.split())
    assert "pairs, those that agree least first: " in text
    page = description_page(manifest, describe(manifest))
    assert "Who voted" in page
    assert "What they say where others see what" in page
    assert json.loads(json.dumps(describe(manifest).to_dict()))["annotators"]["by_habit"] == ["chloe"]


def test_of_a_crowd_a_few_are_shown():
    number = 40
    rows = {
        "video_id": ["a", "b"],
        "path": ["a", "b"],
        "votes": [[number, 0, 0], [number - 1, 1, 0]],
        "annotators": [[f"p{n:02d}" for n in range(number)]] * 2,
        "annotator_votes": [["happy"] * number, ["happy"] * (number - 1) + ["sad"]],
    }
    description = describe(Manifest(CLASS_NAMES, pl.DataFrame(rows)))
    assert (description.annotators.number, len(description.annotators.shown)) == (number, SHOWN)
    assert "and 28 more" in description_table(description)


def test_aggregated_labels_stand_beside_the_votes():
    pytest.importorskip("crowdkit")
    before = crowd()
    made = aggregate(before, "dawid_skene")
    assert made.votes.tolist() == before.votes.tolist()
    assert made.labels.tolist() == before.labels.tolist()
    assert aggregated_by(made) == "dawid_skene"
    assert aggregated_by(before) == ""
    names = [who for row in before.table["annotators"] for who in row]
    ids = [video_id for video_id in before.video_ids for _ in range(3)]
    said = [vote for row in before.table["annotator_votes"] for vote in row]
    expected = crowd_labels(ids, names, said, CLASS_NAMES, "dawid_skene")
    np.testing.assert_allclose(made.table["aggregated_label"].to_list(), expected.soft_labels)
    assert made.notes[-1].startswith(
        "Soft labels are those of dawid_skene, from 72 votes of 3 annotators; the counts are"
    )
    assert "name the true class): chloe 0." in made.notes[-1]


def test_what_cannot_be_aggregated_is_refused():
    pytest.importorskip("crowdkit")
    bare = Manifest(CLASS_NAMES, crowd().table.drop("annotators", "annotator_votes"), "bare")
    with pytest.raises(RequestError, match="dawid_skene weighs annotators, but bare does not say who voted"):
        aggregate(bare, "dawid_skene")
    twice = crowd().table.with_columns(pl.Series("annotators", [["anna", "anna", "ben"]] * CLIPS))
    with pytest.raises(RequestError, match=r"'anna' has several on 'c0'.*--several leave_out"):
        aggregate(Manifest(CLASS_NAMES, twice), "mace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("crowd")
    lines = ["video_id,annotator,emotion,fold"]
    for row in crowd().table.iter_rows(named=True):
        write_clip(root / row["path"], int(row["video_id"][1:]) % 3, 4, int(row["video_id"][1:]), side=16)
        for who, vote in zip(row["annotators"], row["annotator_votes"], strict=True):
            lines.append(f"{row['video_id']},{who},{vote},{row['fold']}")
    (root / "votes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def prepare(folder: Path, store: Path, *more: str) -> int:
    given = ["prepare", "table", str(folder / "votes.csv"), "--out", str(store), "--faces", "cropped"]
    return main([*given, "--size", "16", "--jobs", "1", *more])


CONFIG = RunConfig(
    width=8, size=32, num_segments=2, epochs=1, batch_size=4, precision="32", device="cpu", num_workers=0
)


def test_store_run_and_reading_say_what_was_learned_from(folder, tmp_path, capsys):
    pytest.importorskip("crowdkit")
    store = tmp_path / "store"
    assert prepare(folder, store, "--aggregate", "dawid_skene") == 0
    assert "note: Soft labels are those of dawid_skene" in capsys.readouterr().out
    opened = ClipStore.open(store)
    assert "to train on: dawid_skene of single votes" in description_table(describe(opened))
    labels = np.array(opened.manifest.table["aggregated_label"].to_list())
    np.testing.assert_allclose(ClipDataset(opened).soft_labels.numpy(), labels, rtol=1e-6)
    hard = ClipDataset(opened, labels="hard")
    assert hard.left_out == 0
    assert hard.labels.tolist() == labels.argmax(axis=1).tolist()
    for more in ({"method": "laplace"}, {"votes_used": 1}):
        with pytest.raises(RequestError, match=r"are those of dawid_skene; --.* makes others of the counts"):
            ClipDataset(opened, **more)
    said = []
    run = train(CONFIG, opened, tmp_path / "run", say=said.append)
    assert "labels: those that dawid_skene made of single annotators' votes; scores are of the counts" in said
    assert Run.open(tmp_path / "run").provenance.aggregated == "dawid_skene"
    assert "trained on labels that dawid_skene made" in vote_reading(run.config, run.provenance).why_not
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "model")]) == 0
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert (
        "It learned from labels that dawid\\_skene made of single" in card or "that dawid_skene made of single" in card
    )
    weighed = opened.fingerprint
    assert prepare(folder, store) == 0  # back to the votes: no clip is cut again
    assert ClipStore.open(store).fingerprint != weighed
    assert aggregated_by(ClipStore.open(store).manifest) == ""


def test_crowdlab_takes_predictions_of_unseen_clips(folder, tmp_path, capsys):
    pytest.importorskip("cleanlab")
    store, run = tmp_path / "store", tmp_path / "run"
    assert prepare(folder, store) == 0
    train(CONFIG, store, run, say=lambda line: None)
    evaluation, predictions = evaluate(run, store)
    evaluate(run, store, part="train", out=tmp_path / "seen")
    assert prepare(folder, store, "--aggregate", "crowdlab", "--predictions", str(run)) == 0
    told = " ".join(capsys.readouterr().out.split())
    tested = set(predictions.video_ids)
    assert f"Soft labels are those of crowdlab, from {3 * len(tested)} votes of 3 annotators" in told
    assert f"{CLIPS - len(tested)} clips that have no named annotators or no prediction keep the shares" in told
    manifest = ClipStore.open(store).manifest
    rows = [row for row, name in enumerate(manifest.video_ids) if name in tested]
    votes = manifest.select(rows).table.select("video_id", "annotators", "annotator_votes")
    columns = votes.explode("annotators", "annotator_votes").get_columns()
    predicted = dict(zip(predictions.video_ids, predictions.probabilities, strict=True))
    expected = crowdlab_labels(*columns, manifest.class_names, predicted)
    found = manifest.table["aggregated_label"].to_list()
    np.testing.assert_allclose([found[row] for row in rows], expected.soft_labels, atol=1e-6)
    assert [row for row, label in enumerate(found) if label is not None] == rows

    for more, message in (
        ([], "needs --predictions"),
        (["--predictions", str(folder)], "holds no evaluation.json; run midas evaluate, or midas crossval, first"),
        (["--predictions", str(tmp_path / "seen")], "is not of unseen clips"),
    ):
        assert prepare(folder, store, "--aggregate", "crowdlab", *more) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert prepare(folder, store, "--aggregate", "mace", "--predictions", str(run)) == 2
    assert "they are for --aggregate crowdlab" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(RequestError, match=r"expected sad, mad"):
        unseen_predictions([run], ("sad", "mad"))
    assert evaluation.part == "test"
