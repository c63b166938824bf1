"""midas explain: the telling clips, the evidence in them, files that say the same, and pictures."""

import json

import cv2
import numpy as np
import pytest
import torch

from midas_dfer.cli import main
from midas_dfer.cli.main import VERBS
from midas_dfer.cli.verbs import explain as verb
from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.evaluation.evaluate import Predictions
from midas_dfer.evaluation.explain import choose_shown, explain
from midas_dfer.report.pictures.activation_figure import draw_explanation, overlaid, strengths
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.train import train
from tests.support.factories import CLASS_NAMES, make_store

SMALL = RunConfig(width=8, size=64, num_segments=3, num_threads=1, precision="32", epochs=1, batch_size=6)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("explain"), clips=16)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return train(SMALL, store, tmp_path_factory.mktemp("run") / "run", say=lambda line: None)


@pytest.fixture(autouse=True)
def verbs(monkeypatch):
    monkeypatch.setitem(VERBS, "explain", (verb, "which pixels and which frames a run goes by"))


def explained(capsys, run, store, *arguments):
    status = main(["explain", str(run.path), "--store", str(store.path), *(str(a) for a in arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_the_command(run, store, tmp_path, capsys):
    status, out, _ = explained(capsys, run, store, "--out", tmp_path, "--num", "5", "--json")
    assert status == 0
    found = json.loads(out)
    assert found == json.loads((tmp_path / "explanation.json").read_text())
    assert (found["part"], found["caution"], tuple(found["class_names"])) == ("test", "", CLASS_NAMES)
    ids = [clip["video_id"] for clip in found["clips"]]
    assert len(set(ids)) == len(ids) == min(5, len(run.part("test")))
    assert set(ids) <= run.part("test")
    groups = {clip["group"] for clip in found["clips"]}
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert groups == pictures  # none has more clips than a picture takes
    for path in tmp_path.glob("*.png"):
        assert min(cv2.imread(str(path)).shape[:2]) > 300

    with np.load(tmp_path / "maps.npz") as arrays:
        maps = dict(arrays)
    assert maps["video_ids"].tolist() == ids
    model = run.load_model()
    for row, clip in enumerate(found["clips"]):
        said = clip["predicted"]
        assert clip["target"] == said == maps["targets"][row]
        if clip["group"] in ("right", "wrong"):
            assert (clip["label"] == said) == (clip["group"] == "right")
        chosen = store.manifest.select([store.manifest.video_ids.index(clip["video_id"])])
        batch = ClipDataset(store, chosen, view=ClipView(3, 64))[0]
        with torch.no_grad():
            logits = model(normalize_pixels(batch.clips))[0]
        place = CLASS_NAMES.index(said)
        assert logits.argmax() == place
        assert clip["logit"] == pytest.approx(logits[place].item(), abs=1e-5)
        rest = logits[place].item() - model.fc.bias[place].item()
        assert maps["maps"][row].sum() == pytest.approx(rest, abs=1e-5)
        for t, frame in enumerate(clip["frames"]):
            assert frame["frame"] == maps["positions"][row, t]
            assert frame["share"] == pytest.approx(maps["frame_shares"][row, t])
            cells = maps["maps"][row, t]
            if frame["peak"] is not None:
                y, x = (int(part * side) for part, side in zip(frame["peak"], cells.shape, strict=True))
                assert cells[y, x] == cells.max() > 0
            else:
                assert cells.max() <= 0


def test_clips_by_name_and_a_class(run, store, tmp_path, capsys):
    trained_on = sorted(run.part("train"))[0]
    tested = sorted(run.part("test"))[0]
    status, out, _ = explained(
        capsys, run, store, "--out", tmp_path, "--clips", trained_on, tested, tested, "--target", "sadness"
    )
    assert status == 0
    assert "CAUTION: 1 of these 2 clips were used in training" in out
    assert out.count("evidence for sad: most in frame") == 2
    assert str(tmp_path / "clips.png") in out
    found = json.loads((tmp_path / "explanation.json").read_text())
    assert [(c["video_id"], c["trained_on"], c["target"]) for c in found["clips"]] == [
        (trained_on, True, "sad"),
        (tested, False, "sad"),
    ]


def test_the_label_and_again_the_same(run, store, tmp_path, capsys):
    for name in ("a", "b"):
        status, _, _ = explained(capsys, run, store, "--out", tmp_path / name, "--target", "label", "--num", "3")
        assert status == 0
    found = json.loads((tmp_path / "a" / "explanation.json").read_text())
    assert all(clip["target"] == clip["label"] is not None for clip in found["clips"])
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "b").iterdir())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num", "0"], "--num is 0; expected 1 or more"),
        (["--target", "bored"], "expected predicted, label or a class of the model: happy, sad, angry"),
        (["--clips", "clip0"], "has no clip clip0 that the model could be asked about; did you mean clip"),
        (["--clips", "clip04", "--target", "label"], "the clip clip04 has no single label"),
    ],
)
def test_wrong_requests(arguments, message, run, store, tmp_path, capsys):
    status, out, err = explained(capsys, run, store, "--out", tmp_path / "out", *arguments)
    assert status == 2
    assert out == ""
    assert message in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def predictions(labels, votes, probabilities):
    shares = np.array(probabilities, np.float64)
    return Predictions(
        video_ids=tuple(f"v{n}" for n in range(len(labels))),
        labels=np.array(labels, np.int64),
        has_votes=np.ones(len(labels), bool),
        votes=np.array(votes, np.float64),
        probabilities=shares,
        vote_shares=shares,
    )


def test_the_choice_takes_turns():
    sure, torn = (1.0, 0.0), (0.5, 0.5)
    given = predictions(
        [0, 0, 1, 1, 0, -1, -1],
        [sure, sure, (0.0, 1.0), (0.0, 1.0), (0.6, 0.4), torn, (0.7, 0.3)],
        [(0.9, 0.1), (0.8, 0.2), (0.3, 0.7), (0.6, 0.4), (0.45, 0.55), (0.9, 0.1), (0.5, 0.5)],
    )
    # Right: the surest of class 0, then of class 1, then the second of class 0; wrong: 3 (sure), 4.
    assert choose_shown(given, 5) == [(0, "right"), (2, "right"), (3, "wrong"), (4, "wrong"), (5, "ambiguous")]
    assert choose_shown(given, 1) == [(0, "right")]
    assert sorted(row for row, _ in choose_shown(given, 99)) == list(range(7))
    assert {row for row, _ in choose_shown(given, 99, labelled=True)} == {0, 1, 2, 3, 4}
    assert choose_shown(predictions([-1], [sure], [sure]), 3, labelled=True) == []


def test_colour_only_where_there_is_evidence():
    frame = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    strength = np.zeros((32, 32), np.float32)
    strength[:8], strength[-8:] = 1.0, -1.0
    picture = overlaid(frame, strength).astype(int)
    red, blue = picture[..., 0], picture[..., 2]
    assert (red[:8] > blue[:8]).all()
    assert (red[-8:] < blue[-8:]).all()
    assert (picture[8:-8].min(axis=-1) == picture[8:-8].max(axis=-1)).all()
    # The stronger the lighter, on any one grey.
    ramp = overlaid(np.full((4, 4, 3), 90, np.uint8), np.linspace(0.3, 1, 64, dtype=np.float32)[None]).astype(float)
    assert (np.diff(ramp[0] @ (0.2126, 0.7152, 0.0722)) >= -0.5).all()


def test_the_strongest_cell_of_a_clip_sets_the_scale():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0, 1, 1], maps[1, 3, 3] = 0.5, -2.0
    scaled = strengths(maps, 8)
    assert scaled.min() == -1.0
    assert 0.1 < scaled[0].max() <= 0.25
    assert not strengths(np.zeros((1, 2, 2), np.float32), 4).any()


def test_long_clips_and_many_of_them_go_onto_several_lines_and_pictures(run, store, tmp_path):
    long = explain(run, store, clips=["clip00"])
    clip = long.clips[0]
    repeat = 20
    many = type(clip)(
        **{
            **vars(clip),
            "frames": np.repeat(clip.frames[:1], repeat, axis=0),
            "positions": tuple(range(repeat)),
            "maps": np.repeat(clip.maps[:1], repeat, axis=0),
            "frame_shares": np.full(repeat, 1 / repeat, np.float32),
        }
    )
    paths = draw_explanation(type(long)(**{**vars(long), "clips": (many, many, many)}), tmp_path)
    assert [path.name for path in paths] == ["clips.png", "clips_2.png"]
