"""The command line: wrong requests end with 2 and a sentence, jobs that fail with 1, and nothing half-written."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from midas_dfer.cli import main
from midas_dfer.cli.parsing import complain
from tests.support.factories import make_store, plain_environment, write_clip
from tests.support.processes import run_program


def test_names_out_of_files_do_not_steer_the_terminal(capsys):
    assert complain("the column '\x1b[2J\u202ename' in é.csv", 2) == 2
    assert capsys.readouterr().err == "midas: the column '\\x1b[2J\\u202ename' in é.csv\n"


def refused(capsys, *arguments: object) -> str:
    """The sentence with which a wrong request is refused."""
    assert main([str(a) for a in arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    lines = told.err.strip().splitlines()
    assert len(lines) <= 2, told.err
    return lines[0]


@pytest.fixture
def videos(tmp_path) -> Path:
    write_clip(tmp_path / "videos" / "a", 0, 4, 1)
    write_clip(tmp_path / "videos" / "b", 1, 4, 2)
    return tmp_path / "videos"


HEADER = "video_id,happy,sad\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "empty"),
        (HEADER, "no rows"),
        (HEADER + "a,1,2\nb,-1,2\n", "row 2"),
        (HEADER + "a,1,2\nb,x,2\n", "row 2"),
        (HEADER + "a,0,0\nb,1,2\n", "row 1"),
        (HEADER + "a,1.5,0\nb,1,2\n", "row 1"),
        (HEADER + "a,1,2\nb,1,2\na,3,4\n", "row 3"),
        (HEADER + ",1,2\n", "row 1"),
        (HEADER + "../a,1,2\n", "row 1"),
        ("name,comment\na,fine\n", "column"),
    ],
)
def test_wrong_votes(content, named, videos, tmp_path, capsys):
    votes = tmp_path / "votes.csv"
    votes.write_text(content)
    sentence = refused(
        capsys, "prepare", "table", votes, "--videos", videos, "--out", tmp_path / "store", "--faces", "cropped"
    )
    assert "votes.csv" in sentence
    assert named in sentence
    assert not (tmp_path / "store").exists()


def test_missing_things(tmp_path, videos, capsys):
    store = tmp_path / "store"
    assert "nowhere.csv" in refused(capsys, "prepare", "table", tmp_path / "nowhere.csv", "--out", store)
    assert "nowhere" in refused(capsys, "prepare", "crema_d", tmp_path / "nowhere", "--out", store)
    (tmp_path / "votes.csv").write_text(HEADER + "a,1,2\n")
    told = refused(capsys, "prepare", "table", tmp_path / "votes.csv", "--videos", tmp_path / "nowhere", "--out", store)
    assert "nowhere is not a folder" in told
    assert "there is no folder" in refused(capsys, "describe", tmp_path / "nowhere")
    assert "not a clip store" in refused(capsys, "train", "--store", videos, "--out", tmp_path / "run")
    assert "there is no folder" in refused(capsys, "train", "--resume", tmp_path / "run")
    assert "there is no folder" in refused(capsys, "evaluate", tmp_path / "run", "--store", store)
    assert "there is no folder" in refused(capsys, "predict", "--run", tmp_path / "run", "x.mp4", "--out", "o")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["videos", "votes.csv"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "--epoch", "3"], "--epoch"),
        (["train", "--epochs", "many"], "--epochs"),
        (["train", "--labels", "fuzzy"], "--labels"),
        (["train"], "--store STORE --out RUN"),
        (["train", "--store", "s", "--out", "r", "--epochs", "0"], "--epochs is 0"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["prepare", "table", "v.csv"], "--out"),
        (["prepare", "dfeww", "v.csv", "--out", "s"], "dfeww"),
        (["prepare", "table", "v.csv", "--out", "s", "--jobs", "0"], "--jobs is 0"),
        (["prepare", "table", "v.csv", "--out", "s", "--size", "1"], "--size is 1"),
        (["prepare", "table", "v.csv", "--out", "s", "--search_every", "-1"], "--search_every is -1"),
        (["check", "table", "v.csv", "--search_every", "1"], "no flag --search_every"),  # it looks at single frames
        (["predict", "--out", "o"], "VIDEO|FOLDER missing"),
        (["fly"], "fly"),
        (["predict", "", "--out", "o"], "the argument '' is empty"),
        (["predict", "a.mp4", "--out="], "the argument '--out=' is empty"),
        (["train", "--store", " ", "--out", "r"], "the argument ' ' is empty"),
        (["train", "--store", "s", "--out", "r", "--mixer", "none,midas"], "none stands alone"),
        (["demo", "--seed", "-1"], "--seed is -1"),
        ([], "command"),
    ],
)
def test_wrong_flags(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named in refused(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_results_do_not_go_into_a_store_or_a_run(tmp_path, capsys):
    store = make_store(tmp_path, clips=8).path
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    for out in (store, store / "results" / "new"):
        for verb in (["predict", "a.mp4"], ["train", "--store", store], ["report", "x"], ["describe", store]):
            assert f"{store} is a clip store, which holds nothing else" in refused(capsys, *verb, "--out", out)
    for verb in (["predict", "a.mp4"], ["report", "x"], ["crossval", "--store", store]):
        assert "it is a run folder; name another" in refused(capsys, *verb, "--out", tmp_path / "run")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        (["predict", "a.mp4"], "summary.csv"),
        (["report", "run"], "tables.md"),
        (["explain", "ferplus", "--store", "s"], "explanation.json"),
        (["evaluate", "ferplus", "--store", "s"], "evaluation.json"),
    ],
)
def test_files_of_somebody_else_are_not_replaced(verb, name, tmp_path, capsys):
    (tmp_path / name).write_text("mine")
    assert f"{name} in it would be replaced" in refused(capsys, *verb, "--out", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_what_may_be_meant_by_a_name_that_is_not_there(tmp_path, capsys):
    store = make_store(tmp_path, clips=8).path
    (tmp_path / "votes.csv").write_text(HEADER)
    wrong = store.with_name(store.name + "s")
    told = refused(capsys, "train", "--store", wrong, "--out", tmp_path / "run")
    assert f"there is no folder {wrong} (did you mean {store}?); name the folder of a store" in told
    told = refused(capsys, "check", "table", tmp_path / "vots.csv")
    assert f"There is no file {tmp_path / 'vots.csv'} (did you mean {tmp_path / 'votes.csv'}?)" in told
    told = refused(capsys, "predict", tmp_path / "vots.csv", "--out", tmp_path / "out")
    assert told.endswith(f"vots.csv: no such file (did you mean {tmp_path / 'votes.csv'}?)")
    assert "did you mean" not in refused(capsys, "describe", tmp_path / "elsewhere")


def test_a_setting_of_a_file_that_is_none_is_said_to_be_one(tmp_path, capsys):
    (tmp_path / "other.json").write_text('{"extract": {"faces": "detect"}}')
    told = refused(capsys, "train", "--config", tmp_path / "other.json", "--store", "s", "--out", tmp_path / "run")
    assert "the file of --config names the setting extract" in told


def test_dashes_are_as_good_as_underscores(capsys):
    assert "--batch_size is 0" in refused(capsys, "train", "--store", "s", "--out", "r", "--batch-size", "0")
    assert "--batch_size is -1" in refused(capsys, "train", "--store", "s", "--out", "r", "--batch-size=-1")


def test_help_and_lists(capsys):
    for arguments in (["--help"], ["train", "--help"], ["prepare", "--help"], ["predict", "--help"], ["--version"]):
        assert main(arguments) == 0
        assert len(capsys.readouterr().out) > 4
    assert main(["list", "models", "--json"]) == 0
    assert "tsm_resnet18" in [each["name"] for each in json.loads(capsys.readouterr().out)]
    assert main(["list", "datasets"]) == 0
    assert "crema_d" in capsys.readouterr().out


def test_the_whole_way_on_a_table(videos, tmp_path, capsys):
    for number in range(2, 8):
        write_clip(videos / f"c{number}", number % 2, 5, number)
    lines = [
        f"{n},{3 - i % 2},{1 + 2 * (i % 2)},{1 + i // 2}"
        for i, n in enumerate(sorted(p.name for p in videos.iterdir()))
    ]
    (tmp_path / "votes.csv").write_text("video_id,happy,sad,fold\n" + "\n".join(lines) + "\n")
    store, run = tmp_path / "store", tmp_path / "run"
    prepare = ["prepare", "table", str(tmp_path / "votes.csv"), "--videos", str(videos), "--out", str(store)]
    assert main(["check", *prepare[1:5], "--faces", "cropped", "--jobs", "1"]) == 0
    assert "classes   happy 20 votes (4 clips), sad 16 (4)\n" in capsys.readouterr().out
    assert main([*prepare, "--faces", "cropped", "--size", "32"]) == 0
    assert "classes: happy 20 votes (4 clips), sad 16 (4)\n" in capsys.readouterr().out
    assert main(["describe", str(store)]) == 0
    assert "happy" in capsys.readouterr().out
    pictures = list((store / "description").glob("*.png"))
    assert len(pictures) >= 4
    small = ["--width", "8", "--size", "24", "--epochs", "2", "--num_threads", "1", "--num_segments", "2"]
    assert main(["train", "--store", str(store), "--out", str(run), *small]) == 0
    told = capsys.readouterr().out
    assert "classes: happy 15 votes (3 clips), sad 12 (3)\n" in told  # fold 1 is tested
    assert "epoch 2 of 2" in told
    assert "midas evaluate" in told
    assert (run / "logs" / "training.png").stat().st_size > 1000
    assert main(["evaluate", str(run), "--store", str(store)]) == 0
    assert "UAR" in capsys.readouterr().out
    assert (run / "evaluation" / "evaluation.json").exists()
    assert list((run / "evaluation").glob("*.png"))
    assert main(["train", "--resume", str(run)]) == 0
    assert "has ended already" in capsys.readouterr().out
    assert "holds a run already" in refused(capsys, "train", "--store", store, "--out", run)


def test_a_full_disk_in_training_keeps_what_was_good(tmp_path):
    """A limit on the size of files stands for the disk; the checkpoint is what does not fit."""
    store = make_store(tmp_path).path
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000));"
        "from midas_dfer.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    flags = ["--width", "8", "--size", "24", "--epochs", "2", "--num_threads", "1", "--num_segments", "2"]
    command = ["train", "--store", store, "--out", tmp_path / "run", *flags]
    done = run_program(code, *command, environment=plain_environment())
    assert done.returncode == 1, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("midas: the disk is full")
    assert "Traceback" not in done.stderr
    assert not [p for p in (tmp_path / "run").rglob("*") if p.suffix == ".tmp" or ".tmp" in p.name]
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_it_starts_quickly():
    """--help must not wait for torch."""
    began = time.monotonic()
    code = "import sys; from midas_dfer.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert time.monotonic() - began < 20
    code = (
        "import sys, midas_dfer.cli.sources, midas_dfer.clips.preparing.prepare, midas_dfer.report.tables.terminal;"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # prepare does without it, too


def test_files_that_are_no_configuration(tmp_path, capsys):
    start = ("train", "--store", "s", "--out", "o", "--config")
    (tmp_path / "bytes.yaml").write_bytes(b"epochs: \xff\xfe")
    assert "not text in UTF-8" in refused(capsys, *start, tmp_path / "bytes.yaml")
    (tmp_path / "kind.yaml").write_text("weights: {a: 1}")
    assert "--weights is {'a': 1}; expected text" in refused(capsys, *start, tmp_path / "kind.yaml")
    assert "--config: File does not exist" in refused(capsys, *start, tmp_path / "nowhere.yaml")


def test_a_name_that_cannot_be_written_down(capsys):
    assert "not in UTF-8" in refused(capsys, "predict", "bad\udcff.mp4", "--out", "o")


def test_an_impossible_place_for_results_is_refused_before_the_work(tmp_path, capsys):
    store = make_store(tmp_path).path
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert "file is a file" in refused(capsys, "describe", store, "--out", out)
        assert "file is a file" in refused(capsys, "evaluate", "ferplus", "--store", store, "--out", out)
        assert "file is a file" in refused(capsys, "predict", "video.mp4", "--out", out)


def test_nothing_usable_is_a_failure_with_json_too(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "votes.csv").write_text(HEADER + "a,1,2\n")
    out = tmp_path / "store"
    assert main(["prepare", "table", str(tmp_path / "votes.csv"), "--out", str(out), "--jobs", "1", "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["usable"] == 0
    assert "not one clip could be used" in told.err
