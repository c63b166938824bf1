"""`midas app`: its address opens it, Ctrl-C ends it, and what cannot be served is refused in a sentence."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import torch

from midas_dfer.cli.main import main
from tests.support.app import listening_socket
from tests.support.factories import plain_environment

server = pytest.importorskip("midas_dfer.app.server", reason="the app's packages are not installed")


def test_the_command_says_its_address_and_ends_in_order():
    command = [sys.executable, "-m", "midas_dfer", "app", "--port", "0", "--no_browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=plain_environment()
    ) as app:
        found = re.fullmatch(r"midas app: (http://127\.0\.0\.1:\d+)/enter#[\w-]{43}\n", app.stdout.readline())
        with urllib.request.urlopen(f"{found[1]}/enter", timeout=30) as answer:  # noqa: S310 - our own
            assert answer.status == 200
        app.send_signal(signal.SIGINT)
        said, wrong = app.communicate(timeout=60)
    assert (app.returncode, said.splitlines()[-1], wrong) == (0, "midas app: ended", "")


def test_what_cannot_be_served(capsys, tmp_path):
    for flags, words in (
        (["--folder", str(tmp_path / "none")], "is no folder"),
        (["--port", "70000"], "expected 0 to 65535"),
        (["--window", "0"], "--window is 0.0; expected a number of seconds"),
        (["--window", "90"], "take a stride of at least"),
        (["--run", str(tmp_path / "none")], "there is no folder"),
        (["--abstain_by", str(tmp_path)], "without --abstain the model always answers"),
        (["--mc_dropout", "1"], "expected 2 or more passes"),
        (["--abstain", "0.001"], "take --abstain 0.012 or more"),
        (["--ensemble", str(tmp_path / "none")], "there is no folder"),
        (["--consent", str(tmp_path / "none")], "without --out"),
        (["--out", str(tmp_path), "--consent", str(tmp_path / "none")], "there is no file"),
    ):
        assert main(["app", "--no_browser", *flags]) == 2
        assert words in capsys.readouterr().err
    with listening_socket() as taken:
        assert main(["app", "--no_browser", "--port", str(taken.getsockname()[1])]) == 1
    assert "(Address already in use); take another --port" in capsys.readouterr().err


def test_flags_of_the_model_have_an_effect(monkeypatch, capsys):
    served = []
    monkeypatch.setattr(server, "serve", lambda settings, **_: served.append(settings))
    assert main(["app", "--ensemble", "ferplus"]) == 2
    assert "an ensemble of the same model twice" in capsys.readouterr().err
    assert main(["app", "--abstain", "0.05", "--precision", "bf16"]) == 0
    assert "silent" in capsys.readouterr().out
    for run in (None, Path("ferplus")):  # and of a model that is chosen in a page
        predictor = served[0].load(run)
        assert (predictor.abstention.risk, predictor.dtype) == (0.05, torch.bfloat16)


def test_without_its_packages_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "midas_dfer.app.server", None)
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert main(["app", "--no_browser"]) == 2
    assert "pip install 'midas-dfer[app]'" in capsys.readouterr().err
