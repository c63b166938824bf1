"""Kept frames: the batches of a training without them, to the bit; each frame decoded once, or as seldom as fits."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.batches import device_crops
from midas_dfer.clips.batches.augment import apply_crop, crop_sides
from midas_dfer.clips.batches.crops import CropAndFlip
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.device_cache import DeviceCache
from midas_dfer.clips.batches.device_crops import DeviceCrops
from midas_dfer.clips.batches.frame_cache import FrameCache
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.store import clip_store
from midas_dfer.errors import JobError, RequestError
from tests.support.factories import SIDE, make_store

CPU = torch.device("cpu")
TRAIN = ClipView(num_segments=4, size=24, train=True, seed=5)
BATCH = 5


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def decoded(monkeypatch):
    """How many frames are decoded, by whatever process."""
    count, decode = multiprocessing.Value("i", 0), clip_store.decode_frame

    def counted(*args, **kwargs):
        with count.get_lock():
            count.value += 1
        return decode(*args, **kwargs)

    monkeypatch.setattr(clip_store, "decode_frame", counted)
    return count


def kept(dataset: ClipDataset, where: str, most: int, *, shared: bool) -> FrameCache:
    view = dataset.view
    given = (dataset.store, dataset.manifest.video_ids, dataset.draws)
    if where == "ram":
        return FrameCache(*given, changes=view.train, most=most, shared=shared)
    crops = DeviceCrops(SIDE, view.size, crop_sides(SIDE, view.size, view.scales) if view.train else [SIDE], CPU)
    spare = 2 * (BATCH + 1) * view.num_segments
    return DeviceCache(*given, changes=view.train, most=most, crops=crops, spare=spare)


def partners(epoch, number, places):
    return [(7 * place + epoch) % 24 for place in places]


def epochs(dataset: ClipDataset, workers: int, which=range(3), *, pooled: bool = False):
    loader = ClipLoader(
        dataset,
        BATCH,
        shuffle=dataset.view.train,
        seed=2,
        num_workers=workers,
        partners=partners if pooled else None,
    )
    return [batch for epoch in which for batch in loader.at_epoch(epoch)]


def drawn_in(dataset: ClipDataset, which) -> set[tuple[str, int]]:
    return {(name, place) for epoch in which for name, places in dataset.draws(epoch) for place in places}


@pytest.mark.parametrize("where", ["ram", "device"])
@pytest.mark.parametrize(("workers", "part"), [(0, 1.0), (2, 1.0), (2, 0.3)])
@pytest.mark.parametrize("kind", ["training", "training with partners", "evaluation"])
def test_batches_are_the_same_to_the_bit(store, decoded, where, workers, part, kind):
    dataset = ClipDataset(store, view=replace(TRAIN, train=kind != "evaluation"))
    pooled = kind == "training with partners"
    plain = epochs(dataset, 0, pooled=pooled)
    each_time, decoded.value = decoded.value, 0
    distinct = drawn_in(dataset, range(3))
    everything = len(distinct) if kind == "evaluation" else sum(map(store.num_frames, store.manifest.video_ids))
    dataset.cache = cache = kept(dataset, where, int(part * everything), shared=workers > 0)
    assert (cache.wanted, cache.slots) == (everything, int(part * everything))
    for batch, expected in zip(epochs(dataset, workers, pooled=pooled), plain, strict=True):
        assert batch.video_ids == expected.video_ids
        for one, other in zip(batch[:3], expected[:3], strict=True):
            assert torch.equal(one, other)
    if part == 1.0 and not pooled:  # a clip that is also a partner may be read twice before its frames are there
        assert decoded.value == len(distinct)
    else:
        assert len(distinct) <= decoded.value < each_time


def test_copies_of_a_clip_have_draws_of_their_own(store, decoded):
    times = np.full(len(store.manifest), 3)
    dataset = ClipDataset(store, view=TRAIN, times=times)
    plain = epochs(dataset, 0, range(2))
    decoded.value = 0
    dataset.cache = kept(dataset, "ram", 10**6, shared=False)
    for batch, expected in zip(epochs(dataset, 0, range(2)), plain, strict=True):
        assert torch.equal(batch.clips, expected.clips)
    assert decoded.value == len(drawn_in(dataset, range(2)))


def test_what_comes_soonest_is_kept(store, decoded):
    """With room for a third of the frames, far more than a third of what is drawn is there, from any epoch on."""
    dataset = ClipDataset(store, view=replace(TRAIN, num_segments=2))
    frames = sum(map(store.num_frames, store.manifest.video_ids))
    dataset.cache = kept(dataset, "ram", frames // 3, shared=False)
    epochs(dataset, 0, [40])
    decoded.value = 0
    epochs(dataset, 0, range(41, 61))
    assert decoded.value < 0.5 * sum(len(drawn_in(dataset, [epoch])) for epoch in range(41, 61))


@st.composite
def crops_and_size(draw) -> tuple[int, int, list[CropAndFlip]]:
    """A picture's side, the size of the network's input, and crops: any, and such as whole pixels make up."""
    side, size = draw(st.integers(24, 90)), draw(st.integers(8, 100))
    lengths = st.one_of(st.integers(1, side), st.sampled_from([*range(size, side + 1, size), side]))
    crops = []
    for _ in range(draw(st.integers(1, 4))):
        high, wide = draw(lengths), draw(lengths)
        top, left = draw(st.integers(0, side - high)), draw(st.integers(0, side - wide))
        crops.append(CropAndFlip(top, left, high, wide, flip=draw(st.booleans())))
    return side, size, crops


@given(crops_and_size())
def test_crops_on_a_device_are_opencvs_to_the_bit(drawn):
    side, size, crops = drawn
    generator = torch.Generator().manual_seed(side)
    frames = torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8, generator=generator)
    rows = torch.randint(0, 3, (len(crops), 2), generator=generator)
    lengths = [length for crop in crops for length in (crop.height, crop.width)]
    clips = DeviceCrops(side, size, lengths, CPU)(frames, rows, crops)
    for clip, row, crop in zip(clips, rows, crops, strict=True):
        assert torch.equal(clip, apply_crop(frames[row].numpy(), crop, size))


def test_a_device_that_resizes_differently_is_refused(monkeypatch):
    monkeypatch.setattr(device_crops, "_ONE", 1024)
    with pytest.raises(RequestError, match="use --cache ram"):
        DeviceCrops(40, 48, [40, 30], CPU)


def test_no_room_in_shared_memory_is_told(store, monkeypatch):
    def full(self):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with pytest.raises(JobError, match=r"no room for 0\.0 GB of frames.*--cache_gb"):
        kept(ClipDataset(store, view=TRAIN), "ram", 10, shared=True)
