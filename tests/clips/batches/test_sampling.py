import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.clips.batches.sampling import generator_for, sample_segments
from midas_dfer.errors import RequestError

lengths = st.integers(1, 300)
segment_counts = st.integers(1, 40)


def segment(s, num_frames, num_segments):
    return math.floor(s * num_frames / num_segments), math.floor((s + 1) * num_frames / num_segments)


@settings(deadline=None)
@given(lengths, segment_counts, st.one_of(st.none(), st.integers(0, 2**40)))
def test_each_frame_lies_in_its_segment(num_frames, num_segments, seed):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    frames = sample_segments(num_frames, num_segments, generator=generator)
    assert frames.dtype == torch.int64
    assert frames.shape == (num_segments,)
    for s, frame in enumerate(frames.tolist()):
        start, end = segment(s, num_frames, num_segments)
        assert start <= frame < max(end, start + 1)
        assert 0 <= frame < num_frames
    assert frames.tolist() == sorted(frames.tolist())


@settings(deadline=None)
@given(lengths, segment_counts)
def test_evaluation_takes_the_middle_and_draws_nothing(num_frames, num_segments):
    expected = []
    for s in range(num_segments):
        start, end = segment(s, num_frames, num_segments)
        expected.append((start + end) // 2)
    assert sample_segments(num_frames, num_segments).tolist() == expected


@settings(deadline=None)
@given(st.integers(1, 8))
def test_short_clips_use_every_frame(num_frames):
    for generator in (None, torch.Generator().manual_seed(num_frames)):
        frames = sample_segments(num_frames, 8, generator=generator)
        assert set(frames.tolist()) == set(range(num_frames))


def test_known_middles():
    assert sample_segments(80).tolist() == [5, 15, 25, 35, 45, 55, 65, 75]
    assert sample_segments(1, 3).tolist() == [0, 0, 0]
    assert sample_segments(3, 6).tolist() == [0, 0, 1, 1, 2, 2]


def test_training_reaches_every_frame_equally_often():
    generator = torch.Generator().manual_seed(3)
    draws = torch.stack([sample_segments(20, 4, generator=generator) for _ in range(4000)])
    counts = torch.bincount(draws.flatten(), minlength=20).double()
    # 20 frames, 800 draws expected of each; standard deviation 25.
    assert (counts - 800.0).abs().max() < 120


def test_training_draws_are_reproducible():
    one, two = (sample_segments(100, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, sample_segments(100, generator=torch.Generator().manual_seed(6)))


@pytest.mark.parametrize(("num_frames", "num_segments"), [(0, 8), (-1, 8), (8, 0)])
def test_nothing_to_sample_is_refused(num_frames, num_segments):
    with pytest.raises(RequestError, match="at least 1"):
        sample_segments(num_frames, num_segments)


def test_generator_depends_on_each_value_and_on_nothing_else():
    def draw(*key):
        return torch.randint(2**62, (4,), generator=generator_for(*key)).tolist()

    base = (1, 2, "1001_DFA_ANG_XX", "crop")
    torch.manual_seed(0)
    first = draw(*base)
    torch.manual_seed(1)
    assert draw(*base) == first
    others = [(2, 2, *base[2:]), (1, 3, *base[2:]), (1, 2, "b", "crop"), (*base[:3], "segments"), base[:3]]
    others += [(12, 2, "x"), (1, 22, "x"), (0, 0, "a", "b"), (0, 0, 'a", "b'), (0, 0, "é"), (0, 0, "\udce9")]
    drawn = [tuple(draw(*key)) for key in others] + [tuple(first)]
    assert len(set(drawn)) == len(drawn)


def test_generator_is_the_same_in_every_process():
    assert generator_for(0, 0, "video", "segments").initial_seed() == 13125492937377520037
    code = (
        "from midas_dfer.clips.batches.sampling import generator_for;"
        "print(generator_for(7, 3, 'Gesicht/ä', 'mix').initial_seed())"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) == generator_for(7, 3, "Gesicht/ä", "mix").initial_seed()
