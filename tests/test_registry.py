"""Registers: names of this package and of other distributions, loaded when they are used; faults told, not spread."""

import subprocess
import sys
from pathlib import Path

import pytest

from midas_dfer.errors import RequestError
from midas_dfer.losses import LOSSES, LossEntry
from midas_dfer.mixing import MIXERS, MixerEntry
from midas_dfer.registry import Registry
from tests.support.plug_ins import midas, write_distribution

GOOD = """
from midas_dfer.mixing import MixerEntry, Mixup
from midas_dfer.losses import LossEntry
ROW = MixerEntry(Mixup, 0.3, "as mixup")
LOSS = LossEntry("BrierLoss", "as brier")
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder of distributions that Python finds, and a module that they may name."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def fresh() -> Registry[MixerEntry]:
    return Registry("mixer", "midas_dfer.mixers", MixerEntry, MIXERS.own, reserved=("none",))


def test_a_row_of_another_distribution_is_loaded_when_it_is_used(place):
    (place / "good_plug_in.py").write_text(GOOD)
    write_distribution(place, "midas-good", {"midas_dfer.mixers": {"blend": "good_plug_in:ROW"}})
    mixers = fresh()
    assert "blend" in mixers
    assert list(mixers) == [*MIXERS.own, "blend"]
    assert len(mixers) == len(MIXERS.own) + 1
    assert mixers.distribution("blend") == "midas-good 1.0"
    assert mixers.distribution("midas") == ""
    assert "good_plug_in" not in sys.modules
    assert mixers["blend"].alpha == 0.3
    assert mixers["blend"] is mixers["blend"]
    with pytest.raises(KeyError):
        mixers["nothing"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("", "AttributeError: module"),
        ("ROW = 3", "is 3; expected a midas_dfer.mixing.entry.MixerEntry"),
    ],
)
def test_what_cannot_be_loaded_is_told_by_name_and_harms_nothing_else(code, said, place, monkeypatch):
    monkeypatch.delitem(sys.modules, "bad_plug_in", raising=False)
    (place / "bad_plug_in.py").write_text(code)
    write_distribution(place, "midas-bad", {"midas_dfer.mixers": {"blend": "bad_plug_in:ROW"}})
    mixers, told = fresh(), []
    assert list(mixers.usable(told.append)) == list(MIXERS.own)
    assert len(told) == 1
    assert told[0].startswith("the mixer blend of midas-bad 1.0 ")
    assert said in told[0]
    with pytest.raises(RequestError, match="the mixer blend of midas-bad"):
        mixers["blend"]


def test_names_that_others_may_not_take(place):
    (place / "good_plug_in.py").write_text(GOOD)
    names = dict.fromkeys(("midas", "none", "a, b", "blend"), "good_plug_in:ROW")
    write_distribution(place, "midas-good", {"midas_dfer.mixers": names})
    write_distribution(place, "midas-other", {"midas_dfer.mixers": {"blend": "elsewhere:ROW"}})
    mixers, told = fresh(), []
    assert list(mixers.usable(told.append)) == [*MIXERS.own, "blend"]
    assert mixers.distribution("blend") == "midas-good 1.0"
    assert mixers["midas"] is MIXERS["midas"]
    assert [line.partition(" is left out: ")[::2] for line in told] == [
        ("the mixer a, b of midas-good 1.0", "its name may consist of letters, digits, '_', '-' and '.'"),
        ("the mixer blend of midas-other 1.0", "midas-good 1.0 brings one of that name, too"),
        ("the mixer midas of midas-good 1.0", "midas-dfer has one of that name itself"),
        ("the mixer none of midas-good 1.0", "midas-dfer has one of that name itself"),
    ]


def test_entry_points_that_nobody_can_read(monkeypatch):
    def fail(group):
        raise OSError("broken")

    monkeypatch.setattr("midas_dfer.registry.entry_points", fail)
    mixers, told = fresh(), []
    assert list(mixers.usable(told.append)) == list(MIXERS.own)
    assert told == ["the entry points of the installed distributions cannot be read (broken)"]


def test_rows_that_are_added_in_a_process():
    mixers = fresh()
    row = MixerEntry("Mixup", 0.5, "as mixup")
    mixers.add("blend", row)
    assert mixers["blend"] is row
    assert "blend" not in MIXERS
    for name in ("blend", "midas", "none"):
        with pytest.raises(RequestError, match=f"There is a mixer '{name}' already"):
            mixers.add(name, row)
    with pytest.raises(
        RequestError, match=r"the mixer other is LossEntry.*expected a midas_dfer.mixing.entry.MixerEntry"
    ):
        mixers.add("other", LossEntry("BrierLoss", "as brier"))


def test_all_rows_of_this_package_can_be_made():
    settings = {"alpha": 0.4, "ratio_per": "clip", "class_balanced": False, "saliency": "model"}
    settings |= {"normalization": "softmax", "temperature": 1.0, "num_votes": None}
    for entry in MIXERS.own.values():
        assert type(entry.make(settings)).__name__ == entry.mixer
    for entry in LOSSES.own.values():
        assert type(entry.make({"class_weights": None, "label_smoothing": 0.0})).__name__ == entry.loss


def test_help_looks_for_no_distributions(tmp_path):
    (tmp_path / "bad_plug_in.py").write_text("raise SystemExit('imported')")
    groups = {f"midas_dfer.{kind}": {"blend": "bad_plug_in:ROW"} for kind in ("datasets", "mixers", "losses", "models")}
    write_distribution(tmp_path, "midas-bad", groups)
    code = (
        "import sys, importlib.metadata as m; m.entry_points = None; from midas_dfer.cli import main;"
        "sys.exit(main(['--help']) or main(['train', '--help']) or main(['list', 'recipes']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for verb, exit_status in ((("list", "mixers"), 0), (("list", "datasets"), 0), (("prepare", "--help"), 0)):
        done = midas(tmp_path, *verb)
        assert done.returncode == exit_status, done.stderr
        assert done.stderr.count("of midas-bad 1.0 cannot be loaded (SystemExit: imported)") == 1
    for line in ("prepare blend x --out y", "train --store s --out r --mixer blend"):
        done = midas(tmp_path, *line.split())
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("blend of midas-bad 1.0 cannot be loaded") == 1
        assert "Traceback" not in done.stderr
