"""Models of the Hugging Face Hub, through its own client and a stand-in of its API: got where asked for, and pushed."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from midas_dfer.cli import main
from midas_dfer.errors import JobError, RequestError
from midas_dfer.predict.predictor import Predictor
from midas_dfer.sharing import hub as hub_module
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.trained import asked_for, from_pretrained, open_trained
from tests.predict.test_predict import SIZE, make_run
from tests.support.factories import plain_environment
from tests.support.hub_stand_in import TOKEN, Repo, served

constants = pytest.importorskip("huggingface_hub.constants", reason="the extra hub is not installed")
NAME = "lab/faces"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("hub") / "run")


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "exported"
    save_pretrained(run, folder)
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with served() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture
def model(hub, folder):
    """An exported model on the Hub, beside files that must not be taken."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    others = {"pytorch_model.bin": b"a pickle", "code.py": b"raise SystemExit", "model.onnx": b"onnx", "a/b.txt": b"b"}
    repo = hub.repos[NAME] = Repo()
    repo.commit({**files, **others, "LICENCE.txt": b"terms"})
    return repo


def clips():
    return torch.randint(0, 256, (2, 4, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


# --- from the Hub ---------------------------------------------------------------------------------------------------


def test_a_model_of_the_hub_is_the_exported_one_and_nothing_else_is_taken(hub, model, folder, tmp_path, capsys):
    predictor = Predictor.from_pretrained(NAME, device="cpu")
    (sha, _), expected = model.commits[0], Predictor.from_pretrained(folder, device="cpu")
    assert torch.equal(predictor.predict_clips(clips())[0], expected.predict_clips(clips())[0])
    assert predictor.read_by.startswith(f"the Hub's model {NAME} (commit {sha[:7]}): ")
    trained = open_trained(f"hub:{NAME}")
    assert trained.named == f"hub:{NAME}@{sha}"
    assert {path.name for path in trained.path.iterdir()} == {
        *("config.json", "model.safetensors", "README.md", "LICENCE.txt")
    }
    assert not [line for line in hub.asked if line.endswith((".bin", ".py", ".onnx", "b.txt"))]
    with pytest.raises(RequestError, match=r"has no folder for results here; name one with --out"):
        trained.evaluation_folder()
    assert main(["report", f"hub:{NAME}", "--out", str(tmp_path / "page")]) == 2
    assert f"evaluate it with: midas evaluate hub:{NAME}@{sha}" in capsys.readouterr().err
    with pytest.raises(RequestError, match="lab/faces on the Hub has no revision 0000000"):
        open_trained(f"hub:{NAME}@0000000")


def test_a_revision_a_cache_and_no_network(hub, model, tmp_path):
    (first, files), told = model.commits[0], []
    second = model.commit({**files, "README.md": b"another card"})
    assert from_pretrained(NAME, revision=first)[1].class_names
    count = len(hub.asked)
    assert open_trained(f"hub:{NAME}@{first}").path.name == first  # a commit never changes: the Hub is not asked
    assert len(hub.asked) == count
    newest = open_trained(f"hub:{NAME}")
    assert (newest.path.name, (newest.path / "README.md").read_bytes()) == (second, b"another card")
    hub.status = 503
    assert open_trained(f"hub:{NAME}", tell=told.append).path == newest.path
    hub.status = None
    constants.HF_HUB_OFFLINE = True
    assert open_trained(f"hub:{NAME}", tell=told.append).path == newest.path
    assert len(told) == 2
    assert all(f"the copy of {NAME} (main) in its cache was taken, commit {second[:7]}" in each for each in told)
    with pytest.raises(JobError, match=r"while HF_HUB_OFFLINE is set, and lab/other \(main\) is not in its cache here"):
        open_trained("hub:lab/other")
    weights = newest.path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.resolve().chmod(0o644)
    weights.resolve().write_bytes(content)
    with pytest.raises(RequestError, match=r"model\.safetensors is damaged: it is not the file that lab/faces has"):
        open_trained(f"hub:{NAME}", tell=told.append)


def test_what_cannot_be_got_is_said(hub, model, monkeypatch):
    config, files = model.commits[0][1]["config.json"], dict(model.commits[0][1])

    def error(named=f"hub:{NAME}", kind=RequestError):
        with pytest.raises(kind) as caught:
            open_trained(named)
        return str(caught.value)

    assert "the Hub has no model lab/none, or it is private" in error("hub:lab/none")
    assert "expected hub:ORG/NAME or hub:ORG/NAME@REVISION" in error("hub:faces")
    model.commit({"config.json": config, "pytorch_model.bin": b"a pickle"})
    assert "lab/faces on the Hub is not a model of midas-dfer: it has no model.safetensors" in error()
    model.commit({**files, "config.json": b'{"library_name": "other"}'})
    assert "its config.json does not name midas-dfer" in error()
    model.commit({**files, "config.json": config + b" "})
    hub.sizes["model.safetensors"] = 3_000_000_000
    assert "model.safetensors of lab/faces on the Hub has 3000 MB; expected at most 2000" in error()
    hub.sizes.clear()
    hub.broken = {"model.safetensors"}
    assert "model.safetensors is damaged: it is not the file that lab/faces has on the Hub" in error()
    hub.broken = set()
    model.gated = True
    model.commit({**files, "config.json": config + b"\n"})
    assert "is gated: ask for access on its page, then run hf auth login" in error()
    hub.status = 500
    assert "the Hub answers with an error (" in error("hub:lab/new", JobError)
    hub.status = 403
    assert "the Hub does not let you read lab/new; run hf auth login" in error("hub:lab/new")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert re.search(
        r"cannot be reached \(.*\), and lab/new \(main\) is not in its cache", error("hub:lab/new", JobError)
    )
    monkeypatch.setattr(hub_module, "find_spec", lambda name: None)
    assert error().endswith('get it with: pip install "midas-dfer[hub]"')


def test_only_what_is_asked_for_is_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert asked_for(NAME, None) == f"hub:{NAME}"
    assert asked_for(NAME, "v1") == asked_for(f"hub:{NAME}@v0", "v1") == f"hub:{NAME}@v1"
    for named in ("ferplus", "./lab/faces", "/lab/faces", "a/b/c", Path(NAME)):
        assert asked_for(named, None) == named
        with pytest.raises(RequestError, match="revision is v1"):
            asked_for(named, "v1")
    (tmp_path / "lab").mkdir()  # then it is a typing error in a path
    assert asked_for(NAME, None) == NAME
    with pytest.raises(RequestError, match=r"there is no folder lab/faces; .* Hub is named hub:ORG/NAME"):
        open_trained(NAME)
    (tmp_path / "lab" / "faces").mkdir()
    assert asked_for(NAME, None) == NAME


# --- to the Hub -----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own
def test_a_run_is_pushed_and_read_again(hub, run, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["export", str(run), "--out", str(out), "--push", NAME]
    assert main([*words, "--message", "First"]) == 0
    said, repo = capsys.readouterr().out, hub.repos[NAME]
    sha, files = repo.commits[-1]
    assert (repo.private, repo.messages) == (True, ["First"])
    assert files == {path.name: path.read_bytes() for path in out.iterdir()}
    assert f"pushed to {NAME}, which is private: {hub.endpoint}/{NAME}/commit/{sha}\n" in said
    assert f"midas predict VIDEO --run hub:{NAME} --out DIR" in said
    # In a process of its own, as users have it; and what an earlier model had beside goes.
    repo.commit({**files, "model.onnx": b"onnx"})
    environment = plain_environment() | {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": TOKEN,
    }
    again = ["-m", "midas_dfer", "export", f"hub:{NAME}", "--out", "copy", "--half", "--push", NAME, "--json"]
    done = subprocess.run(
        [sys.executable, *again],
        env=environment | {"HF_HUB_DISABLE_XET": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    sha, files = repo.commits[-1]
    assert json.loads(done.stdout)["pushed"].endswith(sha)
    assert "model.onnx" not in files
    assert repo.messages[-1].startswith("Model exported by midas-dfer ")
    assert (
        hashlib.sha256(files["model.safetensors"]).digest()
        == hashlib.sha256((tmp_path / "copy" / "model.safetensors").read_bytes()).digest()
    )


def test_what_cannot_be_pushed_is_said_before_the_work(hub, run, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"

    def error(*flags, status=2):
        assert main(["export", str(run), "--out", str(out), *flags]) == status
        return " ".join(capsys.readouterr().err.split())

    assert "--message, --public would have no effect: without --push" in error("--public", "--message", "x")
    assert "--push faces: expected ORG/NAME" in error("--push", "faces")
    hub.repos[NAME] = Repo()
    hub.repos[NAME].commit({".gitattributes": b"", "README.md": b"empty yet"})
    assert "is there already, and private" in error("--push", NAME, "--public")
    hub.repos["lab/else"] = Repo()
    hub.repos["lab/else"].commit({"config.json": b"{}", "weights.bin": b"w"})
    assert "it holds something that is not a model of midas-dfer" in error("--push", "lab/else")
    hub.status = 500
    assert "nothing was pushed" in error("--push", NAME, status=1)
    hub.status = None
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_guest")
    assert "the Hub does not let you write to lab/new" in error("--push", "lab/new")
    assert out.exists()  # only whoever asks the Hub to write finds out
    monkeypatch.delenv("HF_TOKEN")
    assert "nobody is logged in to the Hugging Face Hub; run hf auth login" in error("--push", NAME)
    assert [each for each in hub.asked if each.startswith("POST") and "create" not in each] == []
