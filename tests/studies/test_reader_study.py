"""The study behind the packaged reader: parts without twins, cuts, pooled votes, and all of it at the smallest size."""

import csv
import hashlib
import json
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from studies.reader import __main__ as command
from studies.reader import comparison, views
from studies.reader.page import page
from studies.reader.parts import ALIKE, deal, near_twins, read_kept_back, with_parts
from studies.reader.shipping import TERMS, calibrated
from studies.reader.teaching import WHOLE, in_whole_votes, mixed, taught_store
from studies.reader.views import cut_face, make_store, pool_copies, read_pictures

from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.faces.detection import TEMPLATE, Face
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.progress import NoProgress
from midas_dfer.readers import READERS
from midas_dfer.sharing.trained import open_trained
from midas_dfer.synthetic.layouts.ferplus import write_ferplus
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.run_folder.runs import Run

DOCS = Path(__file__).resolve().parents[2] / "docs"
RESULTS = command.RESULTS


def smooth(rng: np.random.Generator) -> np.ndarray:
    """A picture of a few large blots, 48 x 48."""
    return cv2.resize(rng.integers(0, 255, (6, 6)).astype(np.uint8), (48, 48), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def ferplus(tmp_path_factory):
    """A made-up copy, and a list of kept-back pictures of it."""
    root = tmp_path_factory.mktemp("reader") / "ferplus"
    write_ferplus(root, clips=40)
    names = read_ferplus(root).video_ids
    with (root / "kept_back.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("picture", "part"), *((n, "validation") for n in names[2:6]), *((n, "test") for n in names[8:14:2])]
        )
    return root


def test_twins_are_found_as_a_loop_over_pairs_finds_them():
    rng = np.random.default_rng(1)
    plain = [smooth(rng) for _ in range(12)]
    changed = [
        plain[2][:, ::-1],  # mirrored
        cv2.convertScaleAbs(plain[4], alpha=0.6, beta=40),  # darker
        cv2.GaussianBlur(plain[4][:, ::-1], (5, 5), 0),  # a twin by way of the one before
        cv2.imdecode(cv2.imencode(".jpg", plain[7], [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_GRAYSCALE),
    ]
    pictures = np.stack([*plain, *changed])

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        a, b = (cv2.resize(each, (16, 16), interpolation=cv2.INTER_AREA).ravel() for each in (a, b))
        return float(np.corrcoef(a, b)[0, 1])

    expected = np.arange(len(pictures))
    for i, one in enumerate(pictures):
        for j, other in enumerate(pictures[:i]):
            if max(correlation(one, other), correlation(one, other[:, ::-1])) > ALIKE:
                expected[expected == max(expected[i], expected[j])] = min(expected[i], expected[j])
    found = near_twins(pictures)
    np.testing.assert_array_equal(found, expected)
    assert found[12:].tolist() == [2, 4, 4, 7]
    assert len(set(found[:12].tolist())) == 12


def test_twins_across_blocks(monkeypatch):
    monkeypatch.setattr("studies.reader.parts._BLOCK", 3)
    rng = np.random.default_rng(2)
    pictures = np.stack([smooth(rng) for _ in range(8)])
    pictures[7] = pictures[1][:, ::-1]
    assert near_twins(pictures).tolist() == [0, 1, 2, 3, 4, 5, 6, 1]


def test_groups_are_dealt_whole_and_in_the_stated_shares():
    groups = np.repeat(np.arange(20_000), 2)
    parts = deal(groups)
    assert parts[::2] == parts[1::2]
    shares = {name: count / len(parts) for name, count in Counter(parts).items()}
    assert shares == pytest.approx({"test": 0.12, "validation": 0.08, "train": 0.80}, abs=0.005)


def test_the_kept_back_list_has_each_picture_once():
    parts = read_kept_back()
    assert Counter(parts.values()) == {"validation": 2_506, "test": 3_791}


@pytest.mark.slow
def test_the_kept_back_list_is_what_the_real_pictures_give(shared_data, tmp_path):
    with tarfile.open(shared_data / "ferplus.tar.xz", "r|xz") as archive:
        archive.extractall(tmp_path, filter="data")
    manifest, pictures = read_pictures(tmp_path / "ferplus")
    assert deal(near_twins(pictures)) == manifest.table["split"].to_list()


def test_other_data_is_refused(ferplus):
    manifest = read_ferplus(ferplus)
    with pytest.raises(RequestError, match=r"2 pictures .* are missing, such as fer7777777; expected FER"):
        with_parts(manifest, {"fer9999999": "test", "fer7777777": "validation", manifest.video_ids[0]: "test"})
    with pytest.raises(RequestError, match="missing, such as fer"):
        read_pictures(ferplus)  # the real list


def test_training_copies_are_one_clip_with_all_votes(ferplus):
    manifest, pictures = read_pictures(ferplus, ferplus / "kept_back.csv")
    twice = np.concatenate([pictures, pictures[:3]])  # of training, training, validation
    names = [f"again{number}" for number in range(3)]
    again = manifest.select([0, 1, 2]).table.with_columns(video_id=np.array(names))

    both = Manifest(manifest.class_names, pl.concat([manifest.table, again.select(manifest.table.columns)]), "ferplus")
    pooled = pool_copies(both, twice)
    assert names[2] in pooled.video_ids  # a copy that is kept back stays a picture of its own
    assert not set(names[:2]) & set(pooled.video_ids)
    splits = both.table["split"].to_list()
    for row, name in enumerate(pooled.video_ids):
        here = both.video_ids.index(name)
        same = [n for n in range(len(twice)) if splits[n] == "train" and np.array_equal(twice[n], twice[here])]
        expected = both.votes[same if splits[here] == "train" else [here]].sum(axis=0)
        np.testing.assert_array_equal(pooled.votes[row], expected)
        label = pooled.labels[row]
        assert (label >= 0) == (np.sort(expected)[-1] > np.sort(expected)[-2])
        assert label < 0 or expected[label] == expected.max()


class Sees:
    """A detector that finds the face where it is told to be, or none."""

    def __init__(self, face: Face | None) -> None:
        self.face, self.asked = face, 0

    def detect(self, image: np.ndarray) -> list[Face]:
        self.asked += 1
        assert image.shape == (192, 192, 3)
        return [] if self.face is None else [self.face]


def face_at(left: float, top: float, width: float, height: float, scale: float = 64.0) -> Face:
    box = np.array([left, top, width, height], dtype=np.float32)
    return Face(box, 0.9, (np.array([left, top]) + TEMPLATE * scale - 0.5).astype(np.float32))


def test_the_three_cuts():
    picture = smooth(np.random.default_rng(0))
    large = cv2.resize(picture, (192, 192), interpolation=cv2.INTER_CUBIC)
    published = cut_face(picture, "published", Sees(None))
    np.testing.assert_array_equal(published, np.repeat(picture[:, :, None], 3, axis=2))
    assert cut_face(picture, "aligned", Sees(None)) is None
    assert cut_face(picture, "boxed", Sees(None)) is None
    aligned = cut_face(picture, "aligned", Sees(face_at(40, 60, 64, 64)))
    assert np.abs(aligned[:, :, 0].astype(int) - large[60:124, 40:104]).max() <= 1
    boxed = cut_face(picture, "boxed", Sees(face_at(50, 30, 48, 64)))  # the square of 64 around its middle
    assert np.abs(boxed[:, :, 0].astype(int) - large[30:94, 42:106]).max() <= 1


def test_a_store_of_cuts_goes_on_where_it_stopped(ferplus, tmp_path, monkeypatch):
    manifest, pictures = read_pictures(ferplus, ferplus / "kept_back.csv")
    manifest, pictures = manifest.select(range(5)), pictures[:5]
    sees = Sees(face_at(40, 60, 64, 64))
    monkeypatch.setattr(views, "FaceDetector", lambda: sees)
    real, written = views.write_file, []

    def ends(path, content):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(path)
        real(path, content)

    monkeypatch.setattr(views, "write_file", ends)
    with pytest.raises(KeyboardInterrupt):
        make_store(manifest, pictures, ("published", "aligned"), tmp_path / "store", progress=NoProgress())
    monkeypatch.setattr(views, "write_file", real)
    store = make_store(manifest, pictures, ("published", "aligned"), tmp_path / "store", progress=NoProgress())
    assert sees.asked == 6  # the third picture was half done
    assert [store.num_frames(name) for name in manifest.video_ids] == [2] * 5
    first = store.read(manifest.video_ids[0], [0, 1])
    assert first.shape == (2, 64, 64, 3)
    assert np.abs(first[0, :, :, 0].astype(int) - cv2.resize(pictures[0], (64, 64))).mean() < 3
    sees.face = None
    without = make_store(manifest, pictures, ("published", "aligned"), tmp_path / "without", progress=NoProgress())
    assert without.num_frames(manifest.video_ids[0]) == 1


def test_the_page_holds_the_figures_of_the_reader_that_is_packaged():
    content = json.loads(RESULTS.read_text())
    assert (DOCS / "reader.md").read_text() == page(content)
    weights = (READERS["ferplus"].folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == content["sha256"]
    assert len(weights) <= 6_000_000
    assert content["measures"]["part"] == "test"
    assert content["measures"]["by_change"]["as published"]["pictures"] == 3_791
    assert content["faces_per_second"] >= 100


def test_the_board_shows_the_reader_that_is_packaged():
    """The board gives it the published picture in another size on the way, so not to the last digit."""
    study = json.loads(RESULTS.read_text())["measures"]["by_change"]["as published"]
    board = (DOCS / "leaderboard.md").read_text()
    row = next(line for line in board.splitlines() if line.startswith("| **midas-dfer ferplus** |"))
    war, _, distance = (float(cell.split()[0].strip("°")) for cell in row.split("|")[2:5])
    assert war == pytest.approx(100 * study["war"], abs=0.5)
    assert distance == pytest.approx(study["votes"]["total_variation"], abs=0.002)


def test_methods_differ_in_labels_and_mixing_alone():
    for name, config in comparison.METHODS.items():
        plain = replace(config, labels="soft", mixer="none", alpha=None, normalization="softmax")
        assert plain == comparison.BUDGET, name
    assert len({json.dumps(config.to_dict()) for config in comparison.METHODS.values()}) == 5
    assert len(comparison.SEEDS) >= 3


def test_the_whole_study_at_the_smallest_size(ferplus, tmp_path, monkeypatch, capsys):
    face = Sees(face_at(40, 60, 64, 64))
    monkeypatch.setattr(views, "FaceDetector", lambda: face)
    monkeypatch.setattr(command, "read_pictures", lambda root: read_pictures(root, ferplus / "kept_back.csv"))
    small = {name: replace(c, epochs=1, width=8, size=24) for name, c in comparison.METHODS.items()}
    monkeypatch.setattr(comparison, "METHODS", {name: small[name] for name in ("hard", "midas_none")})
    monkeypatch.setattr(comparison, "SEEDS", (0, 1))
    reader = replace(small["soft"], model="still_resnet18", epochs=2)
    monkeypatch.setattr(command, "READER", reader)
    monkeypatch.setattr(command, "TEACHERS", {"still": small["soft"], command.BEGINNING: reader})
    out = tmp_path / "study"
    arguments = [
        str(ferplus),
        "--out",
        str(out),
        "--results",
        str(tmp_path / "reader.json"),
        "--page",
        str(tmp_path / "reader.md"),
    ]
    command.main(arguments)
    runs = sorted(path.name for path in (out / "comparison").iterdir())
    assert runs == ["hard_0", "hard_1", "midas_none_0", "midas_none_1"]
    run = Run.open(out / "comparison" / "midas_none_1")
    scores = json.loads((run.path / "evaluation" / "evaluation.json").read_text())
    assert (scores["part"], scores["num_clips"]) == ("validation", 4)
    parts = read_kept_back(ferplus / "kept_back.csv")
    assert run.part("validation") == {name for name, part in parts.items() if part == "validation"}

    content = json.loads((tmp_path / "reader.json").read_text())
    assert content["parts"] == {"train": run.provenance.num_train, "validation": 4, "test": 3}
    assert [(row["method"], row["seed"]) for row in content["comparison"]] == [
        ("hard", 0),
        ("hard", 1),
        ("midas_none", 0),
        ("midas_none", 1),
    ]
    assert content["comparison"][3]["tv"] == scores["agreement"]["vote_shares"]["total_variation"]
    assert content["training"]["changed_settings"]["jitter"] == 0.35
    assert not {"alpha", "num_threads", "model"} & content["training"]["changed_settings"].keys()
    measures = content["measures"]
    assert measures["part"] == "test"
    assert measures["by_cut"].keys() == set(views.CUTS)
    assert measures["by_cut"]["published"]["pictures"] == 3
    assert measures["by_cut"]["published"] == measures["by_change"]["as published"]
    text = (tmp_path / "reader.md").read_text()
    assert text == page(content)
    assert f"{content['temperature']:.3f}" in text
    assert "4 of its 15 trainings have finished" in " ".join(text.split())

    # What is shipped: the run's network, its logits divided, rounded to float16, shown eight frames.
    shipped = open_trained(out / "ferplus")
    assert (shipped.info.num_segments, shipped.info.extract.faces, shipped.info.weights) == (8, "detect", "float16")
    assert (out / "ferplus" / "model.safetensors").stat().st_size < 400_000  # 700 kB as float32
    card = (out / "ferplus" / "README.md").read_text()
    assert card.index("## Terms of what it learned from") < card.index("## Licence") < card.index("pictures that were")
    assert TERMS in card
    assert f"| WAR (share of the clips) | {100 * measures['by_cut']['published']['war']:.2f} |" in card
    assert " ".join(TERMS.split()) in " ".join(text.split())
    clips = torch.rand(5, 1, 3, 24, 24)
    with torch.inference_mode():
        states = [Run.open(path).load_model().state_dict() for path in command.trainings(out)]
        network = Run.open(out / "reader_2").load_model()
        network.load_state_dict({name: sum(state[name] for state in states) / 3 for name in states[0]})
        own = (network(clips) + network(clips.flip(-1))) / 2 / content["temperature"]
        torch.testing.assert_close(shipped.load()(clips), own, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(shipped.load()(clips.expand(5, 8, 3, 24, 24)), own, atol=2e-3, rtol=2e-3)

    before = (run.path / "weights.safetensors").stat().st_mtime_ns
    command.main([*arguments, "--stages", "compare", "train"])
    assert (run.path / "weights.safetensors").stat().st_mtime_ns == before


@pytest.fixture(scope="module")
def store(ferplus, tmp_path_factory):
    """The pictures as published."""
    pictures = read_pictures(ferplus, ferplus / "kept_back.csv")
    return make_store(*pictures, ("published",), tmp_path_factory.mktemp("published") / "store", progress=NoProgress())


def test_what_a_picture_is_taught_by_is_half_its_votes(store, tmp_path):
    votes = np.array([[10, 0, 0], [1, 1, 1], [0, 4, 6]])
    predictions = np.stack([np.full((3, 3), 1 / 3), np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])])
    expected = (votes / votes.sum(axis=1, keepdims=True) + predictions.mean(axis=0)) / 2
    np.testing.assert_allclose(mixed(votes, predictions), expected)

    teachers = {"one": replace(comparison.BUDGET, epochs=1, width=8, size=24)}
    taught = taught_store(store, teachers, tmp_path, say=print)
    said = np.load(tmp_path / "taught_by" / "one.npy")
    training = (store.manifest.table["split"] == "train").to_numpy()
    assert taught.manifest.video_ids == store.manifest.video_ids
    np.testing.assert_array_equal(taught.manifest.votes[~training], store.manifest.votes[~training])
    shares = taught.manifest.votes[training] / WHOLE
    np.testing.assert_allclose(shares, mixed(store.manifest.votes[training], said[None]), atol=1 / WHOLE)
    first = store.manifest.video_ids[int(np.flatnonzero(training)[0])]
    network = open_trained(tmp_path / "teachers" / "one").load()
    picture = apply_crop(store.read(first, [0]), None, 24)
    logits = [predict_logits(network, clip[None], torch.device("cpu")) for clip in (picture, picture.flip(-1))]
    np.testing.assert_allclose(said[0], ((logits[0] + logits[1]) / 2).softmax(dim=1)[0].numpy(), atol=1e-5)


@given(
    shares=st.lists(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3), min_size=1, max_size=5),
)
def test_whole_votes_are_the_nearest_with_their_sum(shares):
    exact = np.array(shares) / np.array(shares).sum(axis=1, keepdims=True) * WHOLE
    votes = in_whole_votes(np.array(shares))
    assert (votes.sum(axis=1) == WHOLE).all()
    assert (np.abs(votes - exact) < 1).all()


def test_only_a_network_of_the_votes_own_shares_has_one_temperature(store, tmp_path):
    config = replace(comparison.METHODS["midas_softmax"], epochs=1, width=8, size=24)
    run = comparison.train_once(config, store, tmp_path / "run", say=print)
    with pytest.raises(RequestError, match="did not learn the votes' own shares"):
        calibrated([run], store)
