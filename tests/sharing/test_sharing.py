"""A run becomes a folder that others can use, and the folder is the run's model to the bit; nothing is half-written."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import JobError, RequestError
from midas_dfer.evaluation.evaluate import Predictions, score
from midas_dfer.models import list_models
from midas_dfer.predict.predictor import Predictor
from midas_dfer.sharing.card import escaped, recipe_rows
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.info import FORMAT, ModelInfo
from midas_dfer.sharing.onnx import export_onnx, write_onnx
from midas_dfer.sharing.trained import from_pretrained
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Provenance, Run
from midas_dfer.training.scoring.blends import BlendReference, BlendScores
from midas_dfer.training.scoring.readings import vote_reading
from midas_dfer.training.scoring.temperature import TemperatureScaling
from tests.support.factories import CLASS_NAMES, make_store, write_clip
from tests.support.processes import run_program

SIZE = 32
AWKWARD = ("happy | sad", "<script>alert('x')</script>", "*a*\n---\n# b `c` [d](http://e) \x1b[2J{{ f }} &amp;: yes")


def make_run(path: Path, *, class_names=CLASS_NAMES, faces="cropped", store="store", fingerprint="0" * 16, **settings):
    config = RunConfig(**{"width": 8, "size": SIZE, "num_segments": 4, "precision": "32", "device": "cpu", **settings})
    extract = ExtractSettings(faces=faces, size=SIZE)
    provenance = Provenance("toy", class_names, store, fingerprint, extract, "fold 1 tests", 12, 0, 6)
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    run = Run(path, config, replace(provenance, started="2024-01-01T00:00:00+00:00", versions={"torch": "2.6"}))
    model = run.new_model()
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if name.startswith(model.heads):  # which start almost at zero
            nn.init.normal_(parameter, std=0.3, generator=generator)
    run.finish(model, "last")
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("sharing") / "run")


@pytest.fixture
def shared(run, tmp_path):
    save_pretrained(run, tmp_path / "shared")
    return tmp_path / "shared"


def front_matter(card: str):
    return yaml.safe_load(card.split("---\n")[1])


def some_clips(frames=4, count=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, frames, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def evaluate_made_up(run, caution="", *, limits=False, **changes):
    names = run.provenance.class_names
    rng = np.random.default_rng(0)
    shares = [rng.dirichlet(np.ones(len(names)), 9) for _ in range(3)]
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 0, -1])  # the last class does not occur, the first is the most frequent
    predictions = Predictions(tuple("abcdefghi"), labels, np.ones(9, dtype=bool), *shares)
    evaluation = score(
        predictions,
        method="MIDAS",
        model="m",
        dataset="toy",
        class_names=names,
        part="test",
        caution=caution,
        limits=limits,
    )
    evaluation = replace(evaluation, **changes)
    (run.path / "evaluation").mkdir(exist_ok=True)
    (run.path / "evaluation" / "evaluation.json").write_text(json.dumps(evaluation.to_dict()))
    return evaluation


# --- round trip -----------------------------------------------------------------------------------------------------


ANOTHER = next(
    (name for name in ("former_dfer", "cnn_gru_resnet18", "resnet3d_18") if name in list_models()), "tsm_resnet34"
)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mixer": "none", "labels": "hard", "frames_per_segment": 2},
        {"normalization": "softmax_counts", "num_votes": 10.0, "temperature": 2.0},
        {"model": ANOTHER, "mixer": "mixup", "dropout": 0.3},
    ],
)
def test_a_folder_is_the_runs_model_to_the_bit(settings, tmp_path):
    run = make_run(tmp_path / "run", **settings)
    save_pretrained(run.path, tmp_path / "shared")
    assert sorted(p.name for p in (tmp_path / "shared").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    shutil.move(tmp_path / "run", tmp_path / "gone")
    ours = Predictor.from_run(tmp_path / "gone", device="cpu")
    theirs = Predictor.from_pretrained(tmp_path / "shared", device="cpu")
    assert theirs.info == ours.info == ModelInfo.of(run)
    clips = some_clips(run.config.num_frames)
    given = 1 if theirs.info.no_vote_shares else 2
    for a, b in zip(ours.predict_clips(clips)[:given], theirs.predict_clips(clips)[:given], strict=True):
        assert torch.equal(a, b)
        assert a.std() > 0.001
    assert (theirs.predict_clips(clips)[1] is None) == (given == 1)
    write_clip(tmp_path / "video", 0, 30, 0)
    timelines = [
        json.loads(each.predict_video(tmp_path / "video", faces="cropped").to_json()) for each in (ours, theirs)
    ]
    named = f"{run.config.model}, trained with {run.config.method_name}"
    for timeline, title in zip(timelines, ("the run gone", "the exported model shared"), strict=True):
        assert timeline.pop("read_by").startswith(f"{title}: {named}")
    assert timelines[0] == timelines[1]
    logits = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    ours_of, theirs_of = vote_reading(run.config, run.provenance).vote_shares(logits), theirs.info.vote_shares(logits)
    assert (ours_of is None) == (theirs_of is None) == (given == 1)
    assert ours_of is None or torch.equal(theirs_of, ours_of)


def test_a_model_comes_back_ready_for_use(shared, run):
    model, info = from_pretrained(shared)
    assert not model.training
    assert info.class_names == run.provenance.class_names
    state, written = run.load_model().state_dict(), load_file(shared / "model.safetensors")
    assert state.keys() == written.keys()
    assert all(torch.equal(model.state_dict()[key], state[key]) for key in state)
    values = json.loads((shared / "config.json").read_text())
    assert values["id2label"] == {"0": "happy", "1": "sad", "2": "angry"}
    assert (values["architectures"], values["library_name"]) == (["tsm_resnet18"], "midas-dfer")
    assert str(run.path) not in json.dumps(values)


# --- the card -------------------------------------------------------------------------------------------------------


def test_the_card_says_what_is_known(tmp_path):
    store = make_store(tmp_path, clips=12)
    run = make_run(
        tmp_path / "run", store=str(store.path), fingerprint=store.fingerprint, weights="/home/me/resnet.pth"
    )
    rows = {"video_id": store.manifest.video_ids, "part": ["train"] * 9 + ["test"] * 3}
    pl.DataFrame(rows).write_parquet(run.path / "parts.parquet")
    evaluation = evaluate_made_up(run)
    save_pretrained(run, tmp_path / "my-model", license_name="CC-BY-NC-4.0")
    card = (tmp_path / "my-model" / "README.md").read_text()
    front = front_matter(card)
    assert front["license"] == "cc-by-nc-4.0"
    assert (front["library_name"], front["pipeline_tag"]) == ("midas-dfer", "video-classification")
    assert front["datasets"] == ["toy"]
    (entry,) = front["model-index"]
    assert entry["name"] == "my-model"
    metrics = {metric["name"]: metric["value"] for metric in entry["results"][0]["metrics"]}
    assert evaluation.uar != evaluation.war
    assert metrics == {"UAR": round(evaluation.uar, 4), "WAR": round(evaluation.war, 4)}
    assert f"| WAR (share of the clips) | {100 * evaluation.war:.2f} |" in card
    assert "| recall: angry |  |" in card  # it does not occur
    assert f"{evaluation.agreement['vote_shares'].jensen_shannon:.4f}" in card
    # Clips 0, 3, 6 are happy, of the nine; 4 and 9 are tied.
    labels = store.manifest.labels
    for number, name in enumerate(CLASS_NAMES):
        assert f"| {name} | {(labels[:9] == number).sum()} | {(labels[9:] == number).sum()} |" in card
    assert "| weights | resnet.pth | not set |" in card
    assert "| epochs | 450 |  |" in card
    assert "| width | 8 | 64 |" in card
    assert "12 train, 6 test clips" in card
    assert str(tmp_path) not in card
    assert "/home" not in card


def test_the_card_says_what_counts_where_people_disagree(tmp_path):
    run = make_run(tmp_path / "run")
    blends = BlendScores(9, 4, 0.1, 0.1, (BlendReference("this model", 0.5, 0.25),))
    evaluation = evaluate_made_up(run, limits=True, blends=blends)
    save_pretrained(run, tmp_path / "shared")
    card = (tmp_path / "shared" / "README.md").read_text()
    assert "\n\n\n" not in card
    limits = evaluation.limits
    shown = f"{100 * limits.war.low:.1f} to {100 * limits.war.high:.1f}"
    assert f"| WAR (share of the clips) | {100 * evaluation.war:.2f} | {shown} |" in card
    f1 = evaluation.judged.soft_macro_f1
    ends = limits.agreement["vote_shares"]["soft_macro_f1"]
    assert f"| soft macro F1 | {f1:.4f} | {ends.low:.4f} to {ends.high:.4f} | 1 is perfect" in card
    assert "errors among the surest 80 %" in card
    assert "Where people disagree, by vote shares" in card
    assert card.count("calibration error | overconfidence") == 1
    assert "| this model | 50.00 | 25.00 |" in card
    assert "Intervals: by the draw of 9 clips." in card


def test_the_card_of_a_run_alone(shared):
    card = (shared / "README.md").read_text()
    assert front_matter(card)["license"] == "unknown"
    assert "model-index" not in front_matter(card)
    assert "Not evaluated." in card
    assert "How often each class is in them is not known" in card
    assert "has not been stated" in card
    assert "onnx" not in card
    assert "\n\n\n" not in card
    assert card.endswith("```\n")


def test_scores_on_clips_of_the_training_are_not_given_to_the_hub(tmp_path):
    run = make_run(tmp_path / "run")
    evaluate_made_up(run, caution="3 of these 9 clips were used in training")
    save_pretrained(run, tmp_path / "shared", license_name="Ask the Owners!")
    card = (tmp_path / "shared" / "README.md").read_text()
    assert "model-index" not in front_matter(card)
    assert front_matter(card)["license"] == "other"
    assert front_matter(card)["license_name"] == "ask-the-owners"
    assert "**Caution:** 3 of these 9 clips were used in training." in card
    (run.path / "evaluation" / "evaluation.json").write_text("{}")
    with pytest.raises(RequestError, match=r"evaluation\.json is damaged"):
        save_pretrained(run, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_names_mean_nothing_to_markdown_html_and_yaml(tmp_path):
    run = make_run(tmp_path / "run", class_names=AWKWARD)
    model = run.load_model()
    run.update(dataset="a: b\n---\n<b> [x](y)", partition="{{ 1 + 1 }} | <i>")
    run.finish(model, "last")  # the weights say whose they are
    evaluate_made_up(run)
    save_pretrained(run, tmp_path / "shared")
    card = (tmp_path / "shared" / "README.md").read_text()
    assert front_matter(card)["library_name"] == "midas-dfer"
    assert "datasets" not in front_matter(card)
    body = card.split("---\n", 2)[2]
    assert "\x1b" not in card
    for found in re.findall(r"<\w+", body):
        assert found in re.findall(r"(?<=\\)<\w+", body)
    for line in body.splitlines():
        if "script" in line:
            assert re.search(r"(?<!\\)<", line) is None
        if line.startswith("| recall"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3
    assert "\n---\n" not in body
    assert "# b" not in re.findall(r"^#+ .*$", body, re.MULTILINE)
    assert from_pretrained(tmp_path / "shared")[1].class_names == AWKWARD


def test_escaping():
    assert escaped("tsm_resnet18, 50 % (a-b)") == "tsm_resnet18, 50 % (a-b)"
    assert escaped("_a_ b*c\\ \ud800\u202e") == "\\_a\\_ b\\*c\\\\ \ufffd\ufffd"
    assert len(escaped("x" * 5000)) == 200


def test_the_recipe_is_set_beside_the_papers():
    rows = {name: (value, published) for name, value, published in recipe_rows(RunConfig(epochs=3, flip=False))}
    assert rows["epochs"] == ("3", "450")
    assert rows["flip"] == ("no", "yes")
    assert rows["alpha"] == ("0.4", "")
    assert rows["scales"] == ("1, 0.875, 0.75, 0.66", "")
    assert "device" not in rows


def test_the_example_of_the_card_works(shared, tmp_path, monkeypatch, capsys):
    write_clip(tmp_path / "clip", 0, 12, 0)
    examples = re.findall(r"```python\n(.*?)```", (shared / "README.md").read_text(), re.DOTALL)
    assert len(examples) == 2
    for code in examples:
        code = code.replace("PATH/TO/THIS/FOLDER", str(shared)).replace(
            '"video.mp4"', f'"{tmp_path / "clip"}", faces="cropped"'
        )
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own card
    assert "clip: " in capsys.readouterr().out


def test_the_hubs_own_reader_takes_the_card(shared):
    hub = pytest.importorskip("huggingface_hub", reason="only where it is installed")
    data = hub.ModelCard.load(shared / "README.md").data
    assert (data.library_name, data.pipeline_tag) == ("midas-dfer", "video-classification")


# --- whole or not at all --------------------------------------------------------------------------------------------


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_of_something_else_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RequestError, match="is a file"):
        save_pretrained(run, tmp_path / "file")
    for name, text in (
        ("notes.txt", "x"),
        ("config.json", '{"model_type": "bert"}'),
        ("config.json", "["),
        ("README.md", "x"),
    ):
        folder = tmp_path / "taken"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(RequestError, match="is not an exported model"):
            save_pretrained(run, folder)
        assert content(folder) == {name: text.encode()}


def test_an_earlier_model_and_a_fresh_clone_are_written_over(shared, run, tmp_path):
    (shared / ".git").mkdir()
    (shared / "model.onnx").write_bytes(b"of the earlier model")
    (shared / "notes.txt").write_text("kept")
    other = make_run(tmp_path / "other", class_names=("a", "b"))
    save_pretrained(other, shared)
    assert sorted(p.name for p in shared.iterdir()) == [
        ".git",
        "README.md",
        "config.json",
        "model.safetensors",
        "notes.txt",
    ]
    assert from_pretrained(shared)[1].class_names == ("a", "b")
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    (tmp_path / "clone" / ".gitattributes").write_text("*.safetensors filter=lfs")
    save_pretrained(run, tmp_path / "clone")
    assert from_pretrained(tmp_path / "clone")[1] == ModelInfo.of(run)


def test_what_fails_leaves_everything_as_it_was(shared, run, tmp_path, monkeypatch):
    before = content(shared)
    other = make_run(tmp_path / "other", class_names=("a", "b"))

    writing = Path.write_bytes

    def full(path, content):
        writing(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    for folder in (shared, tmp_path / "new"):
        with pytest.raises(JobError, match="the disk is full: cannot write") as caught:
            save_pretrained(other, folder)
        assert f"{folder / 'model.safetensors'}." in str(caught.value)  # the file that was asked for
    assert content(shared) == before
    assert not (tmp_path / "new").exists()


def test_an_untrained_run_is_refused(run, tmp_path):
    with pytest.raises(RequestError, match="there is no folder"):
        save_pretrained(tmp_path / "nowhere", tmp_path / "out")
    shutil.copytree(run.path, tmp_path / "copy")
    (tmp_path / "copy" / "weights.safetensors").unlink()
    with pytest.raises(RequestError, match=r"weights\.safetensors is gone"):
        save_pretrained(tmp_path / "copy", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- damaged folders ------------------------------------------------------------------------------------------------


def refuse(folder, *messages):
    with pytest.raises(RequestError) as caught:
        Predictor.from_pretrained(folder)
    text = str(caught.value)
    assert str(folder) in text
    assert "\n" not in text
    for message in messages:
        assert message in text


def test_missing_folders_and_files_are_named(shared, run, tmp_path):
    refuse(tmp_path / "nowhere", "there is no folder", "a folder that midas export wrote", "hub:ORG/NAME")
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", "not a run folder: it has no run.json", "Nor is it an exported folder (config.json)")
    (shared / "model.safetensors").unlink()
    refuse(shared, "no model.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"library_name": "transformers"}, "model of 'transformers'"),
        ({"format": FORMAT + 1}, "get a newer one"),
        ({"format": True}, "format is True"),
        ({"architectures": ["resnet_of_tomorrow"]}, "no model 'resnet_of_tomorrow'"),
        ({"architectures": "tsm_resnet18"}, "list of one name"),
        ({"width": 16}, "weights of another model"),
        ({"width": "8"}, "width is '8'"),
        ({"width": 10**9}, "width is 1000000000"),
        ({"width": 12}, "multiple of 8"),
        ({"dropout": 2}, "dropout is 2"),
        ({"dropout": float("nan")}, "it holds NaN"),
        ({"dropout": 10**400}, "expected a number"),
        ({"num_classes": 4}, "each of 4 classes"),
        (
            {"num_classes": 2, "id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}},
            "weights of another model",
        ),
        ({"id2label": {"0": "a", "1": "a", "2": "b"}}, "a class twice"),
        ({"id2label": {"0": "a", "1": ["a"], "2": "b"}}, "not text"),
        ({"label2id": {"happy": 1}}, "the other way round"),
        ({"num_frames": 5}, "num_frames is 5; expected 4"),
        ({"image_mean": [0.5, 0.5, 0.5]}, "image_mean is [0.5, 0.5, 0.5]"),
        ({"sampling": "all"}, "sampling is 'all'"),
        ({"extract": {"size": 3}}, "`size` is 3"),
        ({"extract": {"sise": 3}}, "extract does not say"),
        ({"extract": None}, "extract does not say"),
        ({"label_normalization": "softmaxx"}, "softmaxx"),
        ({"label_normalization": "softmax_counts"}, "num_votes"),
        ({"label_temperature": -1}, "temperature is -1"),
        ({"precision": "8"}, "precision is '8'"),
        ({"method": 3}, "method is 3"),
        ({"dataset": 3}, "dataset is 3"),
        ({"license": None}, "license is None"),
        ({"weights": "int8"}, "weights are 'int8'; expected float32 or float16"),
        ({"weights": "float16"}, "weights in float32; expected float16"),
        ({"vote_shares": None}, "vote_shares are None"),
        ({"vote_shares": {"undo": [["softmax", 0]], "why_not": ""}}, "cannot be undone"),
        ({"vote_shares": {"undo": [["fold", 1]], "why_not": ""}}, "cannot be undone"),
        ({"vote_shares": {"undo": ["softmax"], "why_not": ""}}, "undo 'softmax'"),
        ({"vote_shares": {"undo": [], "why_not": None}}, "why_not is None"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(changes, message, shared):
    values = json.loads((shared / "config.json").read_text())
    (shared / "config.json").write_text(json.dumps(values | changes))
    refuse(shared, message, "config.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value, shared, run, tmp_path):
    state = load_file(shared / "model.safetensors")
    name = next(key for key in state if key.endswith("weight"))
    state[name].view(-1)[3] = value
    save_file(state, shared / "model.safetensors")
    refuse(shared, "model.safetensors is damaged", name, "not finite")
    shutil.copytree(run.path, tmp_path / "copy")
    save_file(state, tmp_path / "copy" / "weights.safetensors")
    with pytest.raises(RequestError, match=r"weights\.safetensors is damaged.* not finite"):
        save_pretrained(tmp_path / "copy", tmp_path / "out")


def test_an_output_that_overflows_is_refused(shared):
    """Each weight is finite, their sums are not."""
    state = load_file(shared / "model.safetensors")
    name = next(key for key in reversed(state) if key.endswith("weight"))
    state[name].fill_(3e38)
    save_file(state, shared / "model.safetensors")
    with pytest.raises(JobError, match="output is not finite"):
        Predictor.from_pretrained(shared, device="cpu").predict_clips(some_clips())


EARLIER = [
    ("MIDAS", "softmax", None),
    ("MIDAS", "softmax_counts", 10.0),
    ("soft", "none", None),
    ("hard", "none", None),
]


@pytest.mark.parametrize(("method", "normalization", "num_votes"), EARLIER)
def test_folders_of_earlier_versions_are_read(method, normalization, num_votes, shared):
    values = json.loads((shared / "config.json").read_text())
    for name in ("vote_shares", "dataset", "license", "weights"):
        del values[name]
    values |= {"format": 1, "method": method, "label_normalization": normalization, "label_num_votes": num_votes}
    (shared / "config.json").write_text(json.dumps(values))
    info = Predictor.from_pretrained(shared, device="cpu").info
    assert bool(info.no_vote_shares) == (method == "hard" or normalization == "softmax_counts")
    shares = torch.tensor([[0.6, 0.4, 0.0]])
    expected = {"softmax": shares, "none": shares.softmax(dim=1)}.get(normalization)
    if not info.no_vote_shares:
        torch.testing.assert_close(info.vote_shares(shares + 3), expected)


def test_damaged_files_are_refused(shared):
    whole = (shared / "config.json").read_text()
    for text in ("", whole[:90], "[" * 100_000, "[]", "3", "\x00"):
        (shared / "config.json").write_text(text)
        refuse(shared, "config.json")
    for missing in json.loads(whole):
        values = {name: value for name, value in json.loads(whole).items() if name != missing}
        (shared / "config.json").write_text(json.dumps(values))
        if missing not in ("midas_dfer_version", "label_num_votes", "dataset", "license", "weights"):
            refuse(shared, "config.json")
    (shared / "config.json").write_text(whole)
    weights = (shared / "model.safetensors").read_bytes()
    for length in (0, 5, 200, len(weights) - 1):
        (shared / "model.safetensors").write_bytes(weights[:length])
        refuse(shared, "not a whole safetensors file")
    save_file({"a": torch.zeros(2)}, shared / "model.safetensors")
    refuse(shared, "weights of another model")


# --- ONNX -----------------------------------------------------------------------------------------------------------


def test_onnx_without_its_packages_is_refused_before_anything_is_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr("midas_dfer.sharing.onnx.find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(RequestError, match=r'ONNX needs onnxscript, .*pip install "midas-dfer\[export\]"'):
        save_pretrained(run, tmp_path / "out", onnx=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(RequestError, match="there is no folder"):
        export_onnx(tmp_path / "nowhere", tmp_path / "model.onnx")


def test_a_model_that_is_too_large_for_one_file_is_refused(run, tmp_path):
    pytest.importorskip("onnxscript")
    model = nn.Linear(2**15, 2**15, bias=False, device="meta")
    with pytest.raises(RequestError, match=r"4\.3 GB"):
        write_onnx(model, tmp_path / "model.onnx", info=ModelInfo.of(run))


EXPORT = """
import sys
from pathlib import Path
import torch
from midas_dfer.errors import JobError
from midas_dfer.models.scaled import unscaled
from midas_dfer.sharing import onnx
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.trained import from_pretrained

torch.set_num_threads(1)
run, out = map(Path, sys.argv[1:])
exported, kept = onnx._exported, []

def broken(eager, info):
    kept.append(exported(eager, info))
    head = unscaled(eager.model).fc
    head.bias = torch.nn.Parameter(head.bias + 1e-3)
    return kept[0]

def impossible(*arguments, **settings):
    raise ValueError("no such operator\\nand pages of it")

onnx._exported = broken
try:
    save_pretrained(run, out, onnx=True)
except JobError as error:
    print("differs:", error)
print("left:", list(out.parent.glob("*")))
onnx._exported = lambda eager, info: kept[0]  # an export takes seconds
save_pretrained(run, out, onnx=True)
onnx.export_onnx(run, out.parent / "alone.onnx")
onnx._exported, torch.onnx.export = exported, impossible
try:
    model, info = from_pretrained(out)
    onnx.write_onnx(model, out / "again.onnx", info=info)
except JobError as error:
    print("impossible:", error)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """In a process without the checks of annotations, which the exporter would trace."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    place = tmp_path_factory.mktemp("onnx")
    run = make_run(place / "run", temperature=0.5)
    TemperatureScaling(1.7, 40, "votes", 1.2, 1.1).write(run)
    (place / "parent").mkdir()
    done = run_program(EXPORT, run.path, place / "parent" / "shared")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # the exporter's chatter is not the user's
    return place / "parent" / "shared", done.stdout.splitlines()


def test_onnx_is_the_model_and_both_readings(exported):
    import onnxruntime

    folder, _ = exported
    assert (folder.parent / "alone.onnx").stat().st_size == (folder / "model.onnx").stat().st_size
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.onnx", "model.safetensors"]
    predictor = Predictor.from_pretrained(folder, device="cpu")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 2, 5):
        clips = some_clips(count=count)
        logits, probabilities, shares = session.run(None, {"clips": clips.numpy()})
        expected = predictor.predict_clips(clips)
        np.testing.assert_allclose(probabilities, expected[0], atol=1e-5)
        np.testing.assert_allclose(shares, expected[1], atol=1e-5)
        np.testing.assert_allclose(torch.from_numpy(logits).softmax(1), expected[0], atol=1e-5)
        assert np.abs(shares - probabilities).max() > 0.01
    assert predictor.info.scaling is not None  # the logits are those of the network, divided
    np.testing.assert_allclose(logits, predict_logits(predictor.model, clips, torch.device("cpu")).numpy(), atol=1e-4)
    assert [each.name for each in session.get_outputs()] == ["logits", "probabilities", "vote_shares"]
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["class_names"]) == list(CLASS_NAMES)
    assert ModelInfo.from_dict(json.loads(about["config"])) == predictor.info
    code = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[2]
    names = {}
    exec(compile(code.replace("PATH/TO/THIS/FOLDER", str(folder)), "README.md", "exec"), names)  # noqa: S102
    assert names["vote_shares"].shape == (1, 3)


def test_onnx_that_differs_or_cannot_be_is_an_error_that_leaves_no_file(exported):
    differs, left, impossible = exported[1]
    assert re.search(
        r"differs: tsm_resnet18 in ONNX does not compute .* by 0\.000\d+, expected at most 0\.0001; it was", differs
    )
    assert left == "left: []"
    assert impossible == (
        "impossible: tsm_resnet18 could not be expressed in ONNX (no such operator); use it in PyTorch"
    )
