"""The groups of section 5.5, drawn from training clips and trained on."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
import torch

from midas_dfer.clips.batches.dataset import ClipDataset, ClipView, Draw
from midas_dfer.clips.batches.loader import BatchSampler, ClipLoader
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.labels import clear_clips
from midas_dfer.manifest.groups import draw_group
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.training.parts import part_clips
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import resume, train
from tests.support.factories import make_store

NAMES = ("happy", "sad", "angry")
SMALL = {"width": 8, "size": 24, "num_segments": 4, "num_threads": 1, "precision": "32", "epochs": 2, "mixer": "midas"}


def dfew_like(n: int = 600, seed: int = 0) -> Manifest:
    """Ten votes a clip; the third class is rare and hardly ever clear."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(3, n, p=[0.6, 0.34, 0.06])
    certainty = np.where(rng.random(n) < np.array([0.6, 0.4, 0.1])[kinds], 1.0, 0.6)
    shares = np.where(np.arange(3) == kinds[:, None], certainty[:, None], (1 - certainty[:, None]) / 2)
    votes = np.array([rng.multinomial(10, row) for row in shares])
    ids = [f"v{i:04}" for i in range(n)]
    table = pl.DataFrame({"video_id": ids, "path": ids, "votes": pl.Series(votes).cast(pl.List(pl.Int64))})
    return Manifest(NAMES, table, "made up").with_majority_labels()


def test_groups_have_equal_size_and_the_classes_in_the_shares_of_all():
    manifest = dfew_like()
    labels = manifest.labels
    shares = np.bincount(labels[labels >= 0], minlength=3) / (labels >= 0).sum()
    num_clear = int((clear_clips(manifest.votes) & (labels >= 0)).sum())
    groups = {name: draw_group(manifest, name, seed=4) for name in ("clear", "mixed")}
    for name, group in groups.items():
        assert group.times.sum() == num_clear
        assert np.abs(np.bincount(group.clips.labels, group.times, 3) / num_clear - shares).max() < 1 / num_clear
        assert group.clips == draw_group(manifest, name, seed=4).clips
        assert group.clips.video_ids == sorted(group.clips.video_ids)
        assert group.clips != draw_group(manifest, name, seed=5).clips
    assert clear_clips(groups["clear"].clips.votes).all()
    assert not clear_clips(groups["mixed"].clips.votes).all()
    rare = groups["clear"].times[groups["clear"].clips.labels == 2]
    assert rare.min() >= 2  # over-sampled
    assert np.ptp(rare) <= 1
    assert (groups["mixed"].times == 1).all()
    assert draw_group(manifest, "clear", size=50).times.sum() == 50


def test_groups_that_cannot_be_drawn():
    manifest = dfew_like()
    clear = clear_clips(manifest.votes)
    labels = manifest.labels
    with pytest.raises(RequestError, match=r"No clip of angry has over 0\.9 .*--group_size"):
        draw_group(manifest.select(~(clear & (labels == 2))), "clear")
    with pytest.raises(RequestError, match=r"has over 0\.9 of its votes in one class\. Give --group_size"):
        draw_group(manifest.select(~clear), "mixed")
    assert len(draw_group(manifest.select(~(clear & (labels == 2))), "clear", size=3).clips) == 3
    with pytest.raises(RequestError, match="size of the groups is 0"):
        draw_group(manifest, "clear", size=0)
    hard = Manifest(NAMES, manifest.table.with_columns(pl.lit(None).alias("votes")))
    with pytest.raises(RequestError, match="both votes and a single label"):
        draw_group(hard, "mixed")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    """The toy store, in which two of three clips with a label have all votes in one class."""
    toy = make_store(tmp_path_factory.mktemp("groups"))
    votes = []
    for number, sample in enumerate(toy.annotations):
        clear = sample.label is not None and (number // 3) % 3 != 2
        votes.append([6 * (kind == sample.label) for kind in range(3)] if clear else list(sample.votes or ()))
    return ClipStore(toy.path, toy.dataset, toy.settings, toy.annotations.with_columns(votes=votes), toy.outcomes)


def test_a_clip_that_comes_twice_looks_different_each_time(store):
    manifest = store.manifest.select([3, 5, 6])
    view = ClipView(num_segments=8, size=24, train=True, seed=5)
    once = ClipDataset(store, manifest, view=view)
    often = ClipDataset(store, manifest, view=view, times=np.array([1, 3, 2]))
    assert len(often) == 6
    assert often.video_ids == ("clip03", "clip05", "clip05", "clip05", "clip06", "clip06")
    assert often.labels.tolist() == [once.labels[row] for row in (0, 1, 1, 1, 2, 2)]
    assert often.soft_labels.tolist() == [once.soft_labels[row].tolist() for row in (0, 1, 1, 1, 2, 2)]
    assert torch.equal(often[Draw(2, 1)].clips, once[Draw(2, 1)].clips)
    assert not torch.equal(often[Draw(2, 1)].clips, often[Draw(2, 2)].clips)
    assert not torch.equal(often[Draw(2, 2)].clips, often[Draw(2, 3)].clips)
    assert often[Draw(2, 5)].video_ids == ("clip06",)
    tied = ClipDataset(store, store.manifest.select([3, 4, 5]), labels="hard", times=np.array([2, 5, 1]))
    assert tied.video_ids == ("clip03", "clip03", "clip05")
    for times in ([1, 2], [1, 0, 2]):
        with pytest.raises(RequestError, match="Give each 1 or more"):
            ClipDataset(store, manifest, times=np.array(times))


def test_no_batch_holds_nothing_but_one_video():
    videos = ["a"] * 4 + ["b", "c"]
    alone = 0
    for epoch in range(60):
        plain, parted = (BatchSampler(6, 2, shuffle=True, seed=1, videos=v) for v in (None, videos))
        for sampler in (plain, parted):
            sampler.set_epoch(epoch)
        alone += any(len({videos[d.place] for d in batch}) == 1 for batch in plain)
        batches = [[videos[d.place] for d in batch] for batch in parted]
        assert sum(len(set(batch)) == 1 for batch in batches) <= 1  # two other videos: one batch is left over
        assert Counter(d.place for batch in parted for d in batch) == Counter(range(6))
        assert list(parted) == list(parted)
    assert alone > 30
    for epoch in range(60):
        parted = BatchSampler(7, 3, shuffle=True, seed=1, videos=["a", "a", "a", "a", "b", "c", "d"])
        parted.set_epoch(epoch)
        assert all(len({"aaaabcd"[d.place] for d in batch}) > 1 for batch in parted)


def test_training_on_a_group(store, tmp_path, monkeypatch):
    config = RunConfig(**SMALL, group="clear", group_size=12, seed=2)
    parts = part_clips(store.manifest, config)
    drawn = dict(zip(parts.train.video_ids, parts.times.tolist(), strict=True))
    assert parts.test == store.manifest.partition().test
    assert sum(drawn.values()) == 12 > len(drawn)
    assert parts.rule.endswith(f"of the 18 training clips, a clear group of 12 samples drawn from {len(drawn)} clips")
    assert clear_clips(parts.train.votes).all()
    seen: list[list[str]] = [[], []]
    real = Recognizer.training_step

    def step(self, batch, batch_idx):
        if self.current_epoch == 1 and not seen[1] and tmp_path.joinpath("break").exists():
            raise JobError("the lights went out")
        seen[self.current_epoch] += batch.video_ids
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", step)
    said: list[str] = []
    (tmp_path / "break").touch()
    with pytest.raises(JobError, match="lights"):
        train(config, store, tmp_path / "run", say=said.append)
    (tmp_path / "break").unlink()
    assert f"{len(drawn)} clips in 12 samples" in said[0]
    run = Run.open(tmp_path / "run")
    assert run.times("train") == drawn
    assert run.part("train") == set(drawn)
    assert run.provenance.num_train == len(drawn)
    resume(tmp_path / "run", store)
    assert [Counter(ids) for ids in seen] == [Counter(drawn)] * 2
    assert seen[0] != seen[1]


def test_validation_is_cut_before_the_group_is_drawn(store):
    config = RunConfig(group="mixed", group_size=9, validation_fraction=0.3)
    plain = part_clips(store.manifest, RunConfig(validation_fraction=0.3))
    parts = part_clips(store.manifest, config)
    assert (parts.validation, parts.test) == (plain.validation, plain.test)
    assert set(parts.train.video_ids) < set(plain.train.video_ids)
    assert (parts.times.sum(), plain.times) == (9, None)


def test_clips_in_no_fold_are_trained_on_when_asked_for(store):
    fold = [None if sample.label is None else sample.fold for sample in store]
    manifest = store.manifest.with_columns(fold=fold, subject=[None] * 24)
    plain, joined = (part_clips(manifest, RunConfig(use_unassigned=use)) for use in (False, True))
    assert set(joined.train.video_ids) - set(plain.train.video_ids) == {"clip04", "clip09", "clip14", "clip19"}
    assert joined.test == plain.test
    assert joined.rule == f"{plain.rule}; and 4 clips in no fold and no split"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_unassigned": True, "labels": "hard"}, "hard labels cannot use; take `labels` soft"),
        ({"use_unassigned": True, "group": "clear"}, "leave out `use_unassigned`"),
        ({"group_size": 9}, "take `group` clear or `group` mixed"),
        ({"group": "clear", "group_size": 0}, "`group_size` is 0; expected a whole number from 1 to 1,000,000"),
    ],
)
def test_settings_that_do_not_go_together(changes, message):
    with pytest.raises(RequestError, match=message):
        RunConfig(**changes)


def test_the_loader_parts_copies(store):
    dataset = ClipDataset(store, store.manifest.select([0, 1, 2]), times=np.array([4, 1, 2]))
    assert dataset.has_copies
    for epoch in range(10):
        batches = list(ClipLoader(dataset, 3, shuffle=True).at_epoch(epoch))
        assert all(len(set(batch.video_ids)) > 1 for batch in batches)
