"""Batches: what is drawn depends on (seed, epoch, video id) alone, and every clip comes exactly once."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.batches.dataset import ClipDataset, ClipView, Draw
from midas_dfer.clips.batches.frame_cache import FrameCache
from midas_dfer.clips.batches.loader import BatchSampler, ClipLoader, collate_clips
from midas_dfer.errors import RequestError
from tests.support.factories import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("dataset"))


TRAIN = ClipView(num_segments=8, size=24, train=True, seed=5)


def test_a_sample_depends_on_seed_epoch_and_video_alone(store):
    whole = ClipDataset(store, view=TRAIN)
    part = ClipDataset(store, store.manifest.select([7, 3]), view=TRAIN)
    first = whole[Draw(4, 3)]
    whole[Draw(9, 0)]  # what was drawn in between does not matter
    for again in (whole[Draw(4, 3)], part[Draw(4, 1)]):
        assert torch.equal(first.clips, again.clips)
        assert again.video_ids == ("clip03",)
    assert not torch.equal(first.clips, whole[Draw(5, 3)].clips)
    other_seed = ClipDataset(store, view=ClipView(num_segments=8, size=24, train=True, seed=6))
    assert not torch.equal(first.clips, other_seed[Draw(4, 3)].clips)


def test_evaluation_sees_the_middle_frames_whole(store):
    dataset = ClipDataset(store, view=ClipView(num_segments=4, size=32))
    for place, video_id in enumerate(store.manifest.video_ids):
        count = store.num_frames(video_id)
        edges = [segment * count // 4 for segment in range(5)]
        middle = [(a + b) // 2 for a, b in itertools.pairwise(edges)]
        expected = store.read(video_id, middle).transpose(0, 3, 1, 2)
        assert np.array_equal(dataset[place].clips[0].numpy(), expected)


def test_labels(store):
    soft = ClipDataset(store)
    hard = ClipDataset(store, labels="hard")
    assert torch.allclose(soft[0].soft_labels, torch.tensor([[4 / 6, 1 / 6, 1 / 6]]))
    assert soft[4].labels.item() == -1
    assert hard.left_out == 4  # of 24 clips, every fifth is tied
    assert len(hard) == 20
    assert torch.equal(hard[0].soft_labels, torch.tensor([[1.0, 0, 0]]))
    tied = store.manifest.select([4, 9])
    with pytest.raises(RequestError, match="--labels soft"):
        ClipDataset(store, tied, labels="hard")
    with pytest.raises(IndexError):
        soft[24]


@given(num_clips=st.integers(1, 40), batch_size=st.integers(1, 9), epoch=st.integers(0, 3), shuffle=st.booleans())
def test_every_clip_comes_once(num_clips, batch_size, epoch, shuffle):
    sampler = BatchSampler(num_clips, batch_size, shuffle=shuffle, seed=1)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    drawn = Counter(draw.place for batch in batches for draw in batch)
    assert drawn == Counter(range(num_clips))
    assert {draw.epoch for batch in batches for draw in batch} == {epoch}
    if shuffle and num_clips > 1 and batch_size > 1:
        assert min(map(len, batches)) >= 2  # nobody is alone without a partner
    if not shuffle:
        assert [d.place for b in batches for d in b] == list(range(num_clips))
    assert batches == list(sampler)


def test_the_order_changes_with_epoch_and_seed():
    orders = set()
    for seed in range(3):
        sampler = BatchSampler(30, 4, shuffle=True, seed=seed)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            orders.add(tuple(d.place for b in sampler for d in b))
    assert len(orders) == 9


def test_workers_change_nothing(store):
    dataset = ClipDataset(store, view=TRAIN)
    alone = list(ClipLoader(dataset, 5, shuffle=True, seed=2).at_epoch(3))
    helped = list(ClipLoader(dataset, 5, shuffle=True, seed=2, num_workers=2).at_epoch(3))
    assert len(alone) == len(helped) == 5
    for a, b in zip(alone, helped, strict=True):
        assert a.video_ids == b.video_ids
        assert torch.equal(a.clips, b.clips)
        assert torch.equal(a.soft_labels, b.soft_labels)


@pytest.mark.parametrize("labels", ["soft", "hard", "votes", "drawn_vote"])
def test_a_batch_is_its_clips_one_after_the_other(store, labels):
    for view in (TRAIN, ClipView(num_segments=1, size=16, train=True)):
        dataset = ClipDataset(store, view=view, labels=labels)
        plain = ClipDataset(store, view=view, labels=labels)
        dataset.cache = FrameCache(store, tuple(store.manifest.video_ids), dataset.draws, changes=True, most=10**6)
        draws = [Draw(3, 4), Draw(3, 0), Draw(5, 4)]
        for _ in range(2):  # from the store, and from memory
            (batch,) = dataset.__getitems__(draws)
            alone = collate_clips([plain[draw] for draw in draws])
            assert batch.video_ids == alone.video_ids
            for one, other in zip(batch[:3] + batch[4:], alone[:3] + alone[4:], strict=True):
                assert torch.equal(one, other)
            batch.clips.zero_()  # frames in memory are not the batch's own
    with pytest.raises(RequestError, match="expected at least 1"):
        ClipDataset(store, view=ClipView(size=0))
    with pytest.raises(RequestError, match="at least 1"):
        ClipDataset(store, view=ClipView(num_segments=0))


def test_collate_and_move(store):
    dataset = ClipDataset(store, view=ClipView(num_segments=2, size=16))
    batch = collate_clips([dataset[0], dataset[1], dataset[0]])
    assert batch.clips.shape == (3, 2, 3, 16, 16)
    assert batch.clips.dtype == torch.uint8
    assert batch.video_ids == ("clip00", "clip01", "clip00")
    moved = batch.to("meta")
    assert moved.clips.device.type == "meta"
    assert moved.video_ids == batch.video_ids


def test_single_votes(store):
    """Each vote comes once an epoch, with draws of its own; or one of a clip's votes is drawn in each epoch."""
    soft, votes = ClipDataset(store, view=TRAIN), ClipDataset(store, view=TRAIN, labels="votes")
    counts = store.manifest.votes
    assert len(votes) == counts.sum()
    assert torch.equal(soft.num_votes, torch.from_numpy(counts.sum(axis=1)).float())
    assert set(votes.num_votes.tolist()) == {1.0}
    names = np.array(votes.video_ids)
    for video_id, row in zip(store.manifest.video_ids, counts, strict=True):
        own = votes.soft_labels[torch.from_numpy(names == video_id)]
        assert own.sum(dim=0).tolist() == row.tolist()
    first, second = (votes[Draw(2, place)] for place in (0, 1))
    assert first.video_ids == second.video_ids
    assert not torch.equal(first.clips, second.clips)
    twice = ClipDataset(store, view=TRAIN, labels="votes", times=np.full(len(counts), 2))
    assert torch.equal(twice.soft_labels.sum(dim=0), 2 * votes.soft_labels.sum(dim=0))
    one = ClipDataset(store, view=TRAIN, labels="votes", votes_used=1)
    assert len(one) == len(counts)

    drawn = ClipDataset(store, view=TRAIN, labels="drawn_vote")
    assert len(drawn) == len(counts)
    of_epochs = torch.stack([drawn.targets(epoch, range(len(drawn))) for epoch in range(400)])
    assert torch.equal(drawn[Draw(7, 3)].soft_labels, of_epochs[7, 3:4])
    assert (of_epochs.sum(dim=2) == 1).all()
    assert (of_epochs.mean(dim=0) - drawn.soft_labels).abs().max() < 0.12  # 4.8 standard deviations of 400 draws
    assert drawn[Draw(7, 3)].num_votes.tolist() == [1.0]
