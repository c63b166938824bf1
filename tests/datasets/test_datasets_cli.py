"""Every data set on the whole way, on its made-up copy: prepare, train for an epoch, evaluate."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midas_dfer.cli import main
from midas_dfer.cli.sources import data_sets
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.emotions import AFEW, DFEW, FERPLUS, FERV39K, MAFW
from midas_dfer.report.pictures import evaluation_figures, training_curves
from midas_dfer.synthetic.layouts import WRITERS, dfew, drawn_clips
from midas_dfer.synthetic.layouts.afew import write_afew
from midas_dfer.synthetic.layouts.dfew import write_dfew
from midas_dfer.synthetic.layouts.ferplus import write_ferplus
from midas_dfer.synthetic.layouts.ferv39k import write_ferv39k
from midas_dfer.synthetic.layouts.mafw import write_mafw
from midas_dfer.synthetic.performances import render_clip
from tests.support.factories import write_clip
from tests.support.layouts.cvat import write_cvat
from tests.support.layouts.folders import write_folders
from tests.support.layouts.label_studio import write_label_studio

# The writer and its settings, the file or folder to read, further flags, and the classes.
WAYS = {
    "dfew": (write_dfew, {"clips": 24, "frames": 2}, "", [], DFEW.names),
    "ferv39k": (write_ferv39k, {"clips": 21}, "", [], FERV39K.names),
    "afew": (write_afew, {"clips": 14, "frames": 2}, "", [], AFEW.names),
    "mafw": (write_mafw, {"clips": 55, "source": "faces", "frames": 1}, "", [], MAFW.names),
    "ferplus": (write_ferplus, {}, "", [], FERPLUS.names),
    "ferplus_pixels": (write_ferplus, {"form": "pixels"}, "", [], FERPLUS.names),
    "folders": (
        write_folders,
        {"frames": 2},
        "",
        ["--classes", "[angry, disgust, happy, sad, scorn]", "--faces", "cropped"],
        None,
    ),
    "label_studio": (
        write_label_studio,
        {"clips": 12, "frames": 2},
        "export.json",
        ["--videos", "videos", "--question", "emotion", "--ignore", "[unclear]", "--faces", "cropped"],
        None,
    ),
    "cvat": (
        write_cvat,
        {"clips": 12},
        "exports",
        ["--videos", "media", "--ignore", "[unclear]", "--faces", "cropped", "--folds", "3"],
        None,
    ),
}
SMALL = [
    "--width",
    "8",
    "--size",
    "24",
    "--num_segments",
    "2",
    "--epochs",
    "1",
    "--num_threads",
    "1",
    "--precision",
    "32",
]


def test_every_data_set_is_here_or_has_tests_of_its_own():
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("test_*.py"))
    elsewhere = {name for name in data_sets() if f'"prepare", "{name}"' in tests}
    assert {name.removesuffix("_pixels") for name in WAYS} | elsewhere == set(data_sets())


@pytest.fixture
def _without_pictures(monkeypatch):
    """They have tests of their own and take seconds."""
    monkeypatch.setattr(training_curves, "draw_training", lambda *_, **__: None)
    monkeypatch.setattr(evaluation_figures, "draw_evaluation", lambda *_: [])


@pytest.mark.usefixtures("_without_pictures")
@pytest.mark.parametrize("way", WAYS)
def test_the_whole_way(way, tmp_path, capsys):
    write, settings, part, flags, class_names = WAYS[way]
    root, store, run = tmp_path / "root", tmp_path / "store", tmp_path / "run"
    write(root, seed=1, **settings)
    flags = [str(root / flag) if flag in ("videos", "media") else flag for flag in flags]
    name = way.removesuffix("_pixels")
    asked = [name, str(root / part) if part else str(root), *flags]

    assert main(["prepare", *asked, "--out", str(store), "--size", "32", "--jobs", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["usable"] >= 10
    assert report["failed"] == {}
    opened = ClipStore.open(store)
    assert class_names is None or opened.class_names == class_names

    assert main(["train", "--store", str(store), "--out", str(run), *SMALL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["epochs"] == 1
    assert main(["evaluate", str(run), "--store", str(store), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scores["part"] == "test"
    assert 0 < scores["num_clips"] < len(opened)
    assert scores["class_names"] == list(opened.class_names)


def test_lists_of_other_code_bases(tmp_path, capsys):
    root = tmp_path / "DFEW_Face"
    for number in range(8):
        write_clip(root / f"{number:05d}", number % 2, 3, number)
    for part, numbers in (("train", range(6)), ("test", (6, 7))):
        lines = [f"/home/user/DFEW_Face/{n:05d} 3 {n % 7}" for n in numbers]
        (tmp_path / f"{part}_set_1.txt").write_text("\n".join(lines) + "\n")
    lists = f"[{tmp_path}/train_set_1.txt, {tmp_path}/test_set_1.txt]"
    asked = ["prepare", "dfew", str(root), "--out", str(tmp_path / "store"), "--jobs", "1", "--size", "32"]
    assert main([*asked, "--lists", f"[{tmp_path}/set_1.txt]"]) == 2
    assert "does not say which part it is for" in capsys.readouterr().err
    assert main([*asked, "--lists", lists]) == 0
    manifest = ClipStore.open(tmp_path / "store").manifest
    assert [sample.label for sample in manifest] == [n % 7 for n in range(8)]
    assert [sample.split for sample in manifest] == ["train"] * 6 + ["test"] * 2


@pytest.fixture
def rolling_faces(monkeypatch):
    """Imitated clips whose first frame alone is drawn; the others are that one, moved."""

    def rolled(performance, *of, **size):
        first = next(iter(render_clip(replace(performance, num_frames=1), *of, **size)))
        return [np.roll(first, number, 1) for number in range(performance.num_frames)]

    for module in (drawn_clips, dfew):
        monkeypatch.setattr(module, "render_clip", rolled)


@pytest.mark.usefixtures("rolling_faces")
@pytest.mark.parametrize("dataset", WRITERS)
def test_an_imitation_is_read_as_the_data_set(dataset, tmp_path, capsys):
    clips = {"ferplus": "30", "mafw": "55"}.get(dataset, "24")  # as few as all traps need
    assert main(["imitate", dataset, str(tmp_path / "root"), "--seed", "3", "--clips", clips]) == 0
    said = capsys.readouterr().out
    assert "synthetic copy" in said
    command = next(line for line in said.splitlines() if line.startswith("next: midas check"))
    assert main(shlex.split(command.removeprefix("next: midas"))) == 0
    assert "0 errors" in capsys.readouterr().out
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert main(["imitate", dataset, str(tmp_path / "root")]) == 2
    assert "exists already and is not overwritten" in capsys.readouterr().err
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_impossible_imitations(tmp_path, capsys):
    for words, said in (
        (("dfew", "--clips", "0"), "--clips is 0; expected 1 to 100,000"),
        (("dfew", "--seed", "-1"), "--seed is -1"),
        (("crema_d",), "DATASET is crema_d; expected dfew"),
        (("dfew", "--clips", "4"), "The five folds need"),
    ):
        assert main(["imitate", words[0], str(tmp_path / "x"), *words[1:]]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
