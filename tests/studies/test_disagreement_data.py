"""The study's pictures are dealt as its protocol says, and its trainings can be stopped."""

import numpy as np
import polars as pl
import pytest
from studies.disagreement.data import divide, facts_of, keep_training, make_store, study_store, without_copies
from studies.disagreement.running import FAILED_FILE, plan_jobs, read_failed, read_plan, run_all

from midas_dfer.clips.preparing.duplicates import DuplicateGroup
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.emotions import FERPLUS
from midas_dfer.errors import RequestError
from midas_dfer.experiments.jobs import load_result
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.synthetic.layouts.ferplus import write_ferplus
from tests.support.study import Quick, store_in_parts


def votes_of(rng, label):
    votes = np.zeros(8, int)
    votes[label] = 6
    votes += np.bincount(rng.integers(0, 8, 4), minlength=8)
    return tuple(votes.tolist())


@pytest.fixture(scope="module")
def manifest():
    """200 stills that do not exist, with ten votes each."""
    rng = np.random.default_rng(0)
    samples = [
        Sample(f"s{i:03d}", f"s{i:03d}.png", votes_of(rng, i % 4), None, "train", None, None, {}) for i in range(200)
    ]
    return Manifest.from_samples(FERPLUS.names, samples).with_majority_labels()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_in_parts(tmp_path_factory.mktemp("study"))


def parts(manifest):
    return dict(manifest.table["split"].value_counts().iter_rows())


def test_of_equal_pictures_the_first_is_kept(manifest):
    group = DuplicateGroup(("s003", "s007", "s100"), ("train",) * 3, (None,) * 3)
    kept = without_copies(manifest, [group])
    assert set(manifest.video_ids) - set(kept.video_ids) == {"s007", "s100"}
    assert "2 copies" in kept.notes[-1]


def test_every_class_has_the_same_share_of_every_part(manifest):
    divided = divide(manifest)
    assert parts(divided) == {"test": 40, "validation": 20, "train": 140}
    for label in range(4):
        one = divided.select(divided.labels == label)
        assert abs(parts(one)["test"] - 0.2 * len(one)) <= 2
    assert divide(manifest) == divided


def test_fewer_training_pictures_leave_the_other_parts_alone(manifest):
    divided = divide(manifest)
    few = keep_training(divided, 50)
    assert parts(few) == {"test": 40, "validation": 20, "train": 50}
    with pytest.raises(RequestError, match="expected fewer"):
        keep_training(divided, 140)


def test_a_store_has_no_pictures_but_those_it_trains_and_scores_on(store, tmp_path):
    for scored in ("validation", "test"):
        chosen = ClipStore.open(study_store(store, tmp_path, scored))
        part = store.manifest.partition()
        expected = {"validation": part.validation, "test": part.test}[scored]
        found = chosen.manifest.partition()
        assert found.train.video_ids == part.train.video_ids
        assert found.test.video_ids == expected.video_ids
        assert found.validation is None


def test_ferplus_becomes_a_store_without_its_test_part_and_without_copies(tmp_path):
    write_ferplus(tmp_path, clips=60)
    published = read_ferplus(tmp_path).table
    allowed = published.filter(pl.col("split") != "test")
    assert allowed.height < published.height
    store = make_store(tmp_path, tmp_path / "store", jobs=1)
    assert set(store.manifest.video_ids) < set(allowed["video_id"])  # the made-up copy has equal pictures, too
    pictures = [store.read(name, [0]).tobytes() for name in store.manifest.video_ids]
    assert len(set(pictures)) == len(pictures)
    parts_of = dict(store.manifest.table["split"].value_counts().iter_rows())
    facts = facts_of(store.manifest, parts_of["train"] - 1)
    assert {name: facts[name] for name in parts_of} == parts_of
    assert facts["copies"] == allowed.height - len(store.manifest)
    assert sum(facts["few"].values()) == parts_of["train"] - 1


def test_trainings_stop_and_go_on(store, tmp_path):
    plan = [Quick(method, "all", 0) for method in ("soft", "midas_none")]
    said: list[str] = []
    jobs = plan_jobs(plan, store, tmp_path)
    assert run_all(jobs, tmp_path, hours=0, say=said.append) == 2
    assert run_all(jobs[:1], tmp_path, hours=1, say=said.append) == 0
    assert run_all(jobs, tmp_path, hours=1, say=said.append) == 0
    assert "2 trainings, 1 of them ended before" in said
    assert read_plan(tmp_path) == jobs
    assert all(load_result(job, tmp_path) for job in jobs)


def test_a_training_that_diverges_is_left_alone(store, tmp_path, monkeypatch):
    monkeypatch.setattr(Quick, "learning_rate", 1e18)
    said: list[str] = []
    jobs = plan_jobs([Quick("soft", "all", 0)], store, tmp_path)
    assert run_all(jobs, tmp_path, hours=1, say=said.append) == 0
    assert "smaller --learning_rate" in said[-1]
    assert "smaller --learning_rate" in read_failed(tmp_path / FAILED_FILE)[jobs[0].name]
    assert run_all(jobs, tmp_path, hours=1, say=said.append) == 0
    assert said[-1] == "1 trainings, 1 of them ended before"
    assert load_result(jobs[0], tmp_path) is None
