"""midas export: a run becomes a folder to share; wrong requests end with 2 and a sentence."""

import json

import pytest

from midas_dfer.cli.verbs import export
from midas_dfer.errors import RequestError
from midas_dfer.predict.predictor import Predictor
from tests.sharing.test_sharing import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("verb") / "run")


def ask(*arguments):
    export.run(export.parser().parse_args([str(each) for each in arguments]))


def test_a_run_is_written_and_the_paths_are_told(run, tmp_path, capsys):
    out = tmp_path / "a" / "shared"
    ask(run.path, "--out", out)
    told = capsys.readouterr()
    assert told.err == ""
    assert f"Predictor.from_pretrained('{out}')" in told.out
    assert told.out.startswith("its card has no scores: the run was not evaluated\n")
    paths = [line.strip() for line in told.out.splitlines()[2:]]
    assert paths == [str(out / name) for name in ("config.json", "README.md", "model.safetensors")]
    assert Predictor.from_pretrained(out, device="cpu").class_names == run.provenance.class_names


def test_json_and_licence(run, tmp_path, capsys):
    ask(run.path, "--out", tmp_path / "shared", "--json", "--license", "mit")
    told = json.loads(capsys.readouterr().out)
    assert told["out"] == str(tmp_path / "shared")
    assert told["files"][0] == str(tmp_path / "shared" / "config.json")
    assert "\nlicense: mit\n" in (tmp_path / "shared" / "README.md").read_text()


def test_wrong_requests(run, tmp_path, capsys):
    with pytest.raises(RequestError, match="there is no folder"):
        ask(tmp_path / "nowhere", "--out", tmp_path / "shared")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RequestError, match="is a file"):
        ask(run.path, "--out", tmp_path / "file")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("x")
    with pytest.raises(RequestError, match="name another --out"):
        ask(run.path, "--out", tmp_path / "taken")
    with pytest.raises(SystemExit) as leaving:
        ask(run.path)
    assert leaving.value.code == 2
    assert "--out missing" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]
