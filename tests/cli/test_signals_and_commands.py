"""How a command ends when it is told to, and the commands that it prints: they do what they say when pasted."""

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from midas_dfer.cli import main
from midas_dfer.cli import main as run_main
from midas_dfer.cli.main import VERBS, _parser
from midas_dfer.cli.parsing import underscored
from midas_dfer.commands import shell_command
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import TrainingInterruptedError, train
from tests.support.factories import make_store, write_dataset

SMALL = {"width": 8, "size": 24, "num_segments": 2, "num_threads": 1, "precision": "32", "epochs": 1}
NAMES = (
    "st copy",
    "it's",
    'a "b"',
    "100%d",
    "$HOME",
    "-x",
    "--out",
    "a;b",
    "~",
    "null",
    "*",
    "[a]",
    "é",
    "#1",
    "a=b",
    "a: b",
    "1e5",
    "true",
    "2001-01-01",
    "{a}",
    "&a",
    "!x",
    "@x",
    "%",
    "a #b",
    "..",
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "verb", ["list models", "describe store", "evaluate run --store store", "export run --out out"]
)
def test_a_signal_ends_every_verb_in_a_sentence(number, verb, monkeypatch, capsys):
    def told(request: object) -> None:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGHUP)  # a second one does no harm
        raise AssertionError("the signal was not heard")

    before = signal.getsignal(number)
    monkeypatch.setattr(VERBS[verb.split()[0]][0], "run", told)
    assert main(verb.split()) == 1
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(number) == before


def test_who_ignores_hangups_is_not_disturbed(monkeypatch):
    """As nohup has it."""
    monkeypatch.setattr(VERBS["list"][0], "run", lambda request: os.kill(os.getpid(), signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["list", "models"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_closed_output_is_no_trace(monkeypatch, capsys):
    class Closed:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert run_main(["list", "mixers"]) == 1
    sys.stdout.close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_command_is_read_as_it_was_meant(name):
    path = Path(name)
    line = shell_command("midas", "train", "--store", path, "--out", path)
    midas, *words = shlex.split(line)
    typed = [underscored(word) for word in words]
    request = _parser(typed).parse_args(typed)
    assert midas == "midas"
    assert (request.train.store, request.train.out) == (path, path)
    midas, *words = shlex.split(shell_command("midas", "evaluate", path, "--store", path))
    typed = [underscored(word) for word in words]
    request = _parser(typed).parse_args(typed)
    assert (request.evaluate.run, request.evaluate.store) == (path, path)


def commands_in(text: str) -> list[list[str]]:
    """The commands on the line `next:`, as a shell splits them."""
    (line,) = (line for line in text.splitlines() if line.startswith("next: "))
    words = shlex.split(line.removeprefix("next: "))
    starts = [place for place, word in enumerate(words) if word == "midas"]
    return [words[start + 1 : end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def test_what_is_printed_as_next_can_be_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "videos", clips=12).to_parquet(tmp_path / "votes.parquet")
    start = ["prepare", "table", "votes.parquet", "--videos", "videos", "--faces", "cropped", "--size", "32"]
    assert main([*start, "--jobs", "1", "--out=-it's 100%d"]) == 0
    describe, training = commands_in(capsys.readouterr().out)
    assert main([*describe, "--json"]) == 0
    flags = [f"--{name}={value}" for name, value in SMALL.items()]
    training[training.index("RUN")] = "a $run"
    capsys.readouterr()
    assert main([*training, *flags]) == 0
    (evaluation,) = commands_in(capsys.readouterr().out)
    assert main(evaluation) == 0


def test_the_present_store_is_named_where_it_was_moved(tmp_path, capsys, monkeypatch):
    store = make_store(tmp_path, clips=12)
    real = Recognizer.training_step

    def step(self, batch, number):
        raise KeyboardInterrupt

    monkeypatch.setattr(Recognizer, "training_step", step)
    with pytest.raises(TrainingInterruptedError) as told:
        train(RunConfig(**SMALL), store, tmp_path / "my run", say=lambda _: None)
    assert str(told.value) == f"interrupted; go on with: midas train --resume '{tmp_path / 'my run'}'"
    monkeypatch.setattr(Recognizer, "training_step", real)
    moved = store.path.rename(tmp_path / "moved store")
    _, *go_on = shlex.split(str(told.value).partition("go on with: ")[2])
    assert main([*go_on, "--store", str(moved)]) == 0
    (evaluation,) = commands_in(capsys.readouterr().out)
    assert evaluation == ["evaluate", str(tmp_path / "my run"), "--store", str(moved)]


def test_a_run_that_may_not_be_written_to_is_named(tmp_path, monkeypatch, capsys):
    store = make_store(tmp_path, clips=12)
    run = train(RunConfig(**SMALL), store, tmp_path / "run", say=lambda _: None)
    monkeypatch.setattr(Run, "finished", property(lambda self: False))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(["train", "--resume", str(run.path)]) == 1
    assert f"the run {run.path} may not be written to by this user" in capsys.readouterr().err
