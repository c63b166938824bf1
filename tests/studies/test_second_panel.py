"""Ten people against ten others: pairs are those with the same pixels, and the figures those of their votes."""

import numpy as np
import pytest
from studies.second_panel import copies, measured

from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample


def test_pictures_with_the_same_pixels_are_two_panels_each(tmp_path):
    import cv2

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 8, 8), dtype=np.uint8)
    for name, number in (("a", 0), ("b", 1), ("c", 0), ("d", 0)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels[number])
    votes = {"a": (8, 2), "b": (5, 5), "c": (6, 4), "d": (2, 8)}
    samples = [Sample(name, f"{name}.png", votes=each) for name, each in votes.items()]
    first, second, which = copies(Manifest.from_samples(("x", "y"), samples), tmp_path)
    assert first.tolist() == [[8, 2], [6, 4]]
    assert second.tolist() == [[6, 4], [2, 8]]
    assert which.tolist() == [0, 0]
    (tmp_path / "d.png").unlink()
    with pytest.raises(SystemExit, match=r"d\.png is missing"):
        copies(Manifest.from_samples(("x", "y"), samples), tmp_path)


def test_what_one_panel_says_of_another_is_what_it_expects():
    rng = np.random.default_rng(1)
    people = rng.dirichlet([0.4, 0.4, 0.4], 1500)
    first, second = (np.stack([rng.multinomial(10, each) for each in people]) for _ in range(2))
    lines = measured(first, second, np.arange(1500))
    assert lines[0] == "1,500 pairs of panels on 1,500 pictures"
    between = float(lines[1].split(": ")[1].split()[0])
    expected = [float(line.split(": ")[1].split()[0]) for line in lines[3:]]
    assert expected == pytest.approx([between] * 2, abs=0.012)
    halves = [float(line.split(", ")[1].split()[0]) for line in lines[3:]]
    assert min(halves) > between + 0.03
