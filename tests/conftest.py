"""Settings and fixtures of all tests: shapes checked at run time, one thread, the real data if present."""

import gc
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch starts its threads

from pathlib import Path

import cv2
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook
from markupsafe import Markup

from tests.support.typechecker import use_beartype_alone_without_shapes

# Compiled modules are kept: that halves the time of collection, and the tests start many processes.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Every annotation of the package is checked when a function is called or a dataclass is made.
use_beartype_alone_without_shapes()
install_import_hook("midas_dfer", "tests.support.typechecker.checked")

# A deadline would test the machine: the suite shares its cores. HYPOTHESIS_PROFILE=thorough looks for longer.
settings.register_profile("house", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))

cv2.setNumThreads(1)
torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """What is there by now stays: the garbage collector need not look through all modules again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos and annotations beside the checkout."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"the real data are not there: {path}")
    return path


@pytest.fixture
def undrawn(monkeypatch):
    """`midas evaluate` draws no pictures, which take most of a small evaluation's time; other tests look at them."""
    monkeypatch.setattr("midas_dfer.report.pictures.evaluation_figures.draw_evaluation", lambda *of: [])


@pytest.fixture
def blank_charts(monkeypatch):
    """Reports whose charts are not drawn, which takes most of a small report's time; other tests look at them."""
    empty = Markup('<svg role="img" aria-label="{}"></svg>')
    monkeypatch.setattr("midas_dfer.report.pictures.chart.inline_svg", lambda figure, label: empty.format(label))
    monkeypatch.setattr("midas_dfer.report.pictures.chart.save_figure", lambda figure, path: path.touch())
