"""Every verb that takes a run takes an exported folder and a packaged reader's name, and says what it does not know."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch
from safetensors.torch import load_file

import midas_dfer
from midas_dfer.cli import main
from midas_dfer.errors import JobError, RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.files import read_json
from midas_dfer.predict.predictor import Predictor
from midas_dfer.readers import DEFAULT_READER, READERS
from midas_dfer.report.pages.run_page import report_page, runs_report
from midas_dfer.report.tables.terminal import folded
from midas_dfer.sharing.exported import read_info, weights_digest
from midas_dfer.sharing.folder import round_to_half, save_pretrained
from midas_dfer.sharing.trained import from_pretrained, open_trained, packaged_reader
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.train import train
from tests.predict.test_predict import ONE, scene, see_colors
from tests.support.factories import make_store

TINY = RunConfig(
    width=8, size=32, scales=(1.0,), num_segments=2, epochs=1, batch_size=8, test_fold=1, num_threads=1, num_workers=0
)
READER = DEFAULT_READER.name
KINDS = ["run", "exported", READER]

pytestmark = pytest.mark.usefixtures("undrawn", "blank_charts")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a store, a run on it, and its export."""
    folder = tmp_path_factory.mktemp("named")
    train(replace(TINY, device="cpu"), make_store(folder), folder / "run", say=lambda line: None)
    return folder


@pytest.fixture
def named(made, tmp_path):
    """Each kind of model by name, to be written to; the store stays where it is."""
    shutil.copytree(made / "run", tmp_path / "run")
    save_pretrained(tmp_path / "run", tmp_path / "exported", license_name="mit")
    return {"run": str(tmp_path / "run"), "exported": str(tmp_path / "exported"), READER: READER}


@pytest.fixture
def face(tmp_path, monkeypatch) -> Path:
    """A picture with a face that the detector of coloured squares finds."""
    see_colors(monkeypatch)
    cv2.imwrite(str(tmp_path / "face.png"), scene(0, ONE, size=(64, 64))[:, :, ::-1])
    return tmp_path / "face.png"


def told(capsys, *words: str | Path) -> tuple[str, str]:
    """What a command that succeeds prints, and what it says on stderr."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    said = capsys.readouterr()
    return said.out, said.err


def refused(capsys, *words: str | Path) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def outputs(trained: str | Path) -> torch.Tensor:
    model, info = from_pretrained(trained)
    shape = (4, info.num_frames, 3, info.size, info.size)
    with torch.inference_mode():
        return model(torch.randn(shape, generator=torch.Generator().manual_seed(0)))


# --- the verbs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_predict(kind, named, face, tmp_path, capsys):
    asked = [] if kind is None else ["--run", named[kind]]
    out, _ = told(capsys, "predict", *asked, face, "--out", tmp_path / "out", "--no_video")
    timeline = json.loads((tmp_path / "out" / "face" / "timeline.json").read_text())
    assert out.startswith(folded(f"read by {timeline['read_by']}") + "\n")
    assert str(tmp_path) not in timeline["read_by"]
    if kind in (None, READER):
        assert timeline["read_by"] == f"the packaged reader {READER}: {DEFAULT_READER.about}; {DEFAULT_READER.limits}"
        assert tuple(timeline["class_names"]) == packaged_reader().info.class_names
    else:
        title = {"run": "the run run", "exported": "the exported model exported"}[kind]
        assert timeline["read_by"] == f"{title}: tsm_resnet18, trained with MIDAS on toy"
    _, err = told(capsys, "predict", *asked, face, "--out", tmp_path / "out", "--no_video", "--json")
    assert folded(f"read by {timeline['read_by']}") + "\n" in err


@pytest.mark.parametrize("kind", KINDS)
def test_the_old_form_of_predict_is_answered_with_the_new_one(kind, named, tmp_path, capsys):
    said = refused(capsys, "predict", named[kind], "x.mp4", "--out", tmp_path / "out")
    assert f"midas predict --run {named[kind]} x.mp4 --out {tmp_path / 'out'}\n" in said
    assert "not a video" in said
    assert " VIDEO --out" in refused(capsys, "predict", named[kind], "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_evaluate(kind, made, named, tmp_path, capsys):
    trained = open_trained(named[kind])
    asked = ["evaluate", named[kind], "--store", made / "store"]
    if kind == READER:
        before = sorted(READERS[READER].folder.iterdir())
        assert "name one with --out" in refused(capsys, *asked)
        assert sorted(READERS[READER].folder.iterdir()) == before
        asked += ["--out", tmp_path / "evaluation"]
    out, _ = told(capsys, *asked)
    folder = tmp_path / "evaluation" if kind == READER else Path(named[kind]) / "evaluation"
    found = read_json(folder / "evaluation.json", "")
    assert (found["part"], found["num_clips"]) == ("test", 6)
    assert (found["read_by"], found["trained_on"]) == (trained.title, trained.info.dataset)
    assert found["weights"] == trained.weights_digest
    learned = "learned from toy, and which clips of it is not recorded in its folder"
    assert (learned in found["caution"]) == (learned in " ".join(out.split())) == (kind == "exported")
    assert (found["mapping"] is None) == (kind != READER)
    if kind == "exported":
        ours, _ = evaluate(named["run"], made / "store", device="cpu")
        assert ours.confusion == tuple(map(tuple, found["confusion"]))
        assert ours.agreement is not None
        assert found["agreement"]["vote_shares"]["jensen_shannon"] == ours.agreement["vote_shares"].jensen_shannon
        assert refused(capsys, *asked, "--part", "validation").startswith("midas: the store")


def test_a_model_of_unknown_data_is_evaluated_with_a_caution(made, named):
    config = Path(named["exported"]) / "config.json"
    config.write_text(json.dumps(read_json(config, "") | {"dataset": ""}))
    evaluation, _ = evaluate(named["exported"], made / "store", device="cpu")
    assert evaluation.caution.startswith("The exported model exported learned from clips that are not recorded")
    config.write_text(json.dumps(read_json(config, "") | {"dataset": "another"}))
    assert evaluate(named["exported"], made / "store", device="cpu")[0].caution == ""


@pytest.mark.parametrize("kind", KINDS)
def test_explain(kind, made, named, tmp_path, capsys):
    told(capsys, "explain", named[kind], "--store", made / "store", "--out", tmp_path / "out", "--num", "2")
    found = read_json(tmp_path / "out" / "explanation.json", "")
    assert found["read_by"] == open_trained(named[kind]).title
    assert [clip["trained_on"] for clip in found["clips"]] == [False if kind == "run" else None] * 2
    assert ("not recorded in its folder" in found["caution"]) == (kind == "exported")


@pytest.mark.parametrize("kind", KINDS)
def test_export(kind, named, tmp_path, capsys):
    source = open_trained(named[kind])
    out, _ = told(capsys, "export", named[kind], "--out", tmp_path / "copy")
    assert f"the model of {named[kind]}, to be used with Predictor.from_pretrained('{tmp_path / 'copy'}')" in out
    assert read_info(tmp_path / "copy") == source.info
    assert torch.equal(outputs(tmp_path / "copy"), outputs(named[kind]))
    card = (tmp_path / "copy" / "README.md").read_text()
    assert (f"its card stays that of {source.title}\n" in out) == (kind != "run")
    if kind != "run":
        assert weights_digest(tmp_path / "copy") == source.weights_digest
        assert card == (source.path / "README.md").read_text()
    told(capsys, "export", tmp_path / "copy", "--out", tmp_path / "copy", "--license", "CC-BY-NC-4.0")
    assert read_info(tmp_path / "copy").license == "CC-BY-NC-4.0"
    changed = (tmp_path / "copy" / "README.md").read_text()
    assert changed.startswith("---\nlicense: cc-by-nc-4.0\nlibrary_name: midas-dfer\n")
    assert "\n## Licence\n\nCC-BY-NC-4.0. The data that it learned from has terms of its own.\n\n## Citation" in changed

    def rest(text: str) -> str:
        return re.sub(r"\nlicense(_name)?: .*|## Licence\n\n.*", "", text)

    assert rest(changed) == rest(card)
    (tmp_path / "copy" / "README.md").write_text("my own words\n")
    assert "--license finds no place" in refused(
        capsys, "export", tmp_path / "copy", "--out", tmp_path / "b", "--license", "mit"
    )
    told(capsys, "export", tmp_path / "copy", "--out", tmp_path / "b")
    assert (tmp_path / "b" / "README.md").read_text() == "my own words\n"


def test_report(made, named, tmp_path, capsys):
    for kind in ("run", "exported"):
        told(capsys, "evaluate", named[kind], "--store", made / "store")
    told(capsys, "evaluate", READER, "--store", made / "store", "--out", tmp_path / "panel")
    asked = [named["run"], named["exported"], tmp_path / "panel"]
    out, _ = told(capsys, "report", *asked, "--out", tmp_path / "report")
    lines = " ".join(out.split())
    assert f"panel is an evaluation of the packaged reader {READER}. Its recipe, its training curves" in lines
    assert "exported is an exported model. Its recipe, its training curves" in lines
    assert "CAUTION, exported: The exported model exported learned from toy" in lines
    page = (tmp_path / "report" / "report.html").read_text()
    assert "exported and panel: how the weights were chosen is not recorded." in page
    assert 'id="recipe"' in page
    found = runs_report(list(map(Path, asked)))
    run, exported, panel = found.entries
    assert exported.evaluation.uar == run.evaluation.uar
    assert [each.runs[0].dataset for each in found.entries] == ["toy", "toy", packaged_reader().info.dataset]
    assert {(each.first, each.second) for each in found.differences} >= {("exported", "run")}
    alone = report_page(runs_report([tmp_path / "panel"]))
    assert 'id="recipe"' not in alone
    assert 'href="#recipe"' not in alone
    assert "No frames are shown: where the clips are is not recorded." in alone
    assert f"{panel.runs[0].model}, trained with" in alone
    assert f" on {panel.runs[0].dataset}, {len(packaged_reader().info.class_names)} classes." in alone
    assert "midas evaluate ferplus --store STORE --out DIR" in refused(capsys, "report", READER)


def test_scores_of_other_weights_are_not_shown(made, named, tmp_path, capsys):
    told(capsys, "evaluate", named["exported"], "--store", made / "store")
    told(capsys, "export", named["exported"], "--out", named["exported"], "--half")
    assert "is of other weights than" in refused(capsys, "report", named["exported"], "--out", tmp_path / "report")
    shutil.rmtree(Path(named["exported"]) / "evaluation")
    out, _ = told(capsys, "report", named["exported"], "--out", tmp_path / "report")
    assert "exported has not been evaluated, so it has no scores here." in " ".join(out.split())


def test_list_readers(capsys):
    out, _ = told(capsys, "list", "readers")
    assert max(map(len, out.splitlines())) < 80
    out = " ".join(out.split())
    assert out.startswith(f"{READER} {DEFAULT_READER.about} ")
    for text in (", ".join(packaged_reader().info.class_names), DEFAULT_READER.limits, DEFAULT_READER.source, " MB;"):
        assert text in out
    (entry,) = json.loads(told(capsys, "list", "readers", "--json")[0])
    assert entry["name"] == READER
    assert entry["bytes"] == (DEFAULT_READER.folder / "model.safetensors").stat().st_size


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_path_wins_over_a_readers_name_and_it_is_said(named, face, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(named["exported"], tmp_path / READER)
    out, err = told(capsys, "predict", "--run", READER, face, "--out", "out", "--no_video")
    assert out.startswith(f"read by the exported model {READER}: ")
    assert f"note: ./{READER} is a folder here; the packaged reader of that name was not taken\n" in err
    with pytest.warns(UserWarning, match="the packaged reader of that name was not taken"):
        assert Predictor.from_pretrained(READER, device="cpu").class_names == ("happy", "sad", "angry")
    assert f"./{READER} is a folder here" in " ".join(runs_report([Path(READER)]).notes)
    out, err = told(capsys, "predict", face, "--out", "out2", "--no_video")  # nothing was named
    assert out.startswith(f"read by the packaged reader {READER}: ")
    assert "note" not in err
    shutil.rmtree(tmp_path / READER)
    (tmp_path / READER).mkdir()  # of data, perhaps
    out, err = told(capsys, "predict", "--run", READER, face, "--out", "out3", "--no_video")
    assert out.startswith(f"read by the packaged reader {READER}: ")
    assert f"note: ./{READER} is neither a run folder nor an exported folder; the packaged reader" in err


def test_what_is_no_model_is_refused_with_the_names_there_are(tmp_path, capsys, made):
    (tmp_path / "empty").mkdir()
    for words in (
        ["predict", "--run", "ferpluss", "x.mp4", "--out", tmp_path / "o"],
        ["evaluate", "ferpluss", "--store", made / "store"],
        ["explain", "ferpluss", "--store", made / "store", "--out", tmp_path / "o"],
        ["export", "ferpluss", "--out", tmp_path / "o"],
        ["report", "ferpluss", "--out", tmp_path / "o"],
    ):
        said = refused(capsys, *words)
        assert f"there is no model ferpluss; did you mean {READER}?" in said
        assert f"a packaged reader ({', '.join(READERS)})" in said
        assert "--out ferpluss" not in said  # nobody is told to make what was mistyped
    with pytest.raises(RequestError, match=r"empty is not a run folder: it has no run\.json"):
        from_pretrained(tmp_path / "empty")
    answers = {
        tmp_path / "nowhere": f"midas: there is no folder {tmp_path / 'nowhere'}; expected a run folder, ",
        made / "store": "is a clip store, not a run folder; train on it with: midas train --store STORE --out RUN",
        made: f"{made} is not a run folder, but a run lies in it; name one, such as {made / 'run'}",
        made / "run" / "config.yaml": "config.yaml is a file, not a run folder",
    }
    for named, answer in answers.items():
        assert answer in refused(capsys, "report", named, "--out", tmp_path / "o")
        assert answer in refused(capsys, "export", named, "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_a_packaged_reader_named_by_its_path_is_one():
    trained = open_trained(DEFAULT_READER.folder)
    assert trained.reader is DEFAULT_READER
    with pytest.raises(RequestError, match="part of the installation"):
        trained.evaluation_folder()


@pytest.mark.parametrize("name", READERS)
def test_each_packaged_reader_is_whole_and_small(name):
    predictor = midas_dfer.Predictor.from_pretrained(name, device="cpu")
    assert predictor.info.weights == "float16"
    files = sorted(READERS[name].folder.iterdir())
    of_the_reader = [file.name for file in files if file.suffix != ".txt"]  # beside them, licences of what it began as
    assert of_the_reader == ["README.md", "abstention.json", "config.json", "model.safetensors"]
    assert sum(file.stat().st_size for file in files) < 6.5e6
    assert torch.isfinite(outputs(name)).all()


# --- half precision -------------------------------------------------------------------------------------------------


def test_half_precision_is_half_the_size_and_nearly_the_same(named, tmp_path, capsys):
    told(capsys, "export", named["run"], "--out", tmp_path / "half", "--half")
    state = load_file(tmp_path / "half" / "model.safetensors")
    assert {values.dtype for values in state.values() if values.is_floating_point()} == {torch.float16}
    sizes = [(path / "model.safetensors").stat().st_size for path in (tmp_path / "half", Path(named["exported"]))]
    assert sizes[0] < 0.55 * sizes[1]
    assert read_json(tmp_path / "half" / "config.json", "")["weights"] == "float16"
    model, info = from_pretrained(tmp_path / "half")
    assert {each.dtype for each in model.state_dict().values() if each.is_floating_point()} == {torch.float32}
    assert info == replace(open_trained(named["run"]).info, weights="float16")
    full, half = outputs(named["run"]), outputs(tmp_path / "half")
    assert not torch.equal(full, half)
    assert (full - half).abs().max() < 0.01 * full.abs().max()
    told(capsys, "export", tmp_path / "half", "--out", tmp_path / "again")  # what was stored so stays so
    assert weights_digest(tmp_path / "again") == weights_digest(tmp_path / "half")


def test_a_weight_that_float16_cannot_hold_is_refused():
    layer = torch.nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight[0, 0] = 70_000
    with pytest.raises(JobError, match="weight of weight is larger than 65504"):
        round_to_half(layer)


# --- quick ----------------------------------------------------------------------------------------------------------


def test_reading_a_video_does_not_wait_for_what_trains():
    code = (
        "import sys, midas_dfer.predict.predictor, midas_dfer.report.video.write_prediction;"
        "sys.exit(bool({'lightning', 'torchmetrics', 'jinja2', 'tensorboard'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("name", READERS)
def test_licences_go_where_the_weights_go(name, tmp_path):
    save_pretrained(name, tmp_path / "copy")
    for licence in READERS[name].folder.glob("*.txt"):
        assert (tmp_path / "copy" / licence.name).read_bytes() == licence.read_bytes()
    written = {path.name for path in (tmp_path / "copy").iterdir()}
    assert written == {path.name for path in READERS[name].folder.iterdir()}
