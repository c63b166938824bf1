"""docs/extending.md is true: its toys work in one process and from outside, and its files are all that one touches."""

import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from midas_dfer.cli import main
from midas_dfer.cli.sources import data_sets
from midas_dfer.losses import LOSSES
from midas_dfer.mixing import MIXERS
from midas_dfer.models.zoo import MODELS
from midas_dfer.training.learners import LEARNERS
from tests.support.factories import write_clip
from tests.support.plug_ins import midas, midas_in_turn, write_distribution

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
MODULE = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))
PROJECT = tomllib.loads(re.findall(r"```toml\n(.*?)```", PAGE, re.S)[0])["project"]
SMALL = ["--epochs", "1", "--batch_size", "4", "--num_segments", "2", "--size", "24", "--num_threads", "1"]
TRAIN = ["--mixer", "halves", "--loss", "absolute", "--learner", "short_features", "--model", "mean_colour", *SMALL]

EXAMPLES = {
    "data set": ("crema_d", 5),
    "mixer": ("cutout", 4),
    "loss": ("brier", 4),
    "learner": ("scn", 4),
    "network": ("stt", 4),
}
"""The example of each kind, and in how many files it stands."""
BESIDE = {
    "scn": {"src/midas_dfer/training/recipes/config.py"},
    "stt": {"src/midas_dfer/training/recipes/stt.yaml", "src/midas_dfer/reproduce/rows.py"},
}
"""Files of the package that name it for something else: a published training, a table of the paper, a setting."""


@pytest.fixture
def toy_root(tmp_path) -> Path:
    """Sixteen clips, one of them with a single vote."""
    root = tmp_path / "TOY"
    lines = []
    for number in range(16):
        write_clip(root / f"clip{number:02d}", number % 2, 3, number)
        lines.append(f"clip{number:02d} {'1 0' if number == 8 else '7 3' if number % 2 == 0 else '2 8'}")
    (root / "votes.txt").write_text("\n".join(lines) + "\n")
    return root


def prepared(root: Path, store: Path) -> list[str]:
    return ["prepare", "toy", str(root), "--out", str(store), "--size", "32", "--jobs", "1", "--least", "5", "--json"]


def test_the_toys_work_in_one_process(toy_root, tmp_path, monkeypatch, capsys):
    names: dict[str, object] = {"__name__": "midas_toy"}
    monkeypatch.setitem(sys.modules, "midas_toy", sys)  # where dataclasses look their module up
    exec(compile(MODULE, "docs/extending.md", "exec"), names)  # noqa: S102 - our own page
    toys = {"toy": data_sets(), "halves": MIXERS, "absolute": LOSSES, "short_features": LEARNERS, "mean_colour": MODELS}
    for name, registry in toys.items():
        monkeypatch.setattr(registry, "own", dict(registry.own))
        registry.add(name, names[name.upper()])
    store, run = tmp_path / "store", tmp_path / "run"
    assert main(prepared(toy_root, store)) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["usable"] == 15
    assert main(["prepare", "toy", "--help"]) == 0
    assert "--least N fewest votes of a clip (default: 1)" in " ".join(capsys.readouterr().out.split())
    (toy_root / "votes.txt").write_text("clip00 7 three\n")
    assert main(["check", "toy", str(toy_root)]) == 2
    assert "votes.txt: row 1 is 'clip00 7 three'" in capsys.readouterr().err
    assert main(["train", "--store", str(store), "--out", str(run), *TRAIN]) == 0
    assert main(["evaluate", str(run), "--store", str(store), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (scores["method"], scores["num_clips"]) == ("halves, short_features", 4)
    assert "the loss absolute is not smallest at the mean" in scores["no_vote_shares"]  # its row does not say so
    shares, votes = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.7, 0.3], [0.2, 0.8]])
    assert names["overlap"](shares, votes) == pytest.approx(0.5)


def test_the_toys_work_from_a_package_of_their_own(toy_root, tmp_path):
    place = tmp_path / "installed"
    place.mkdir()
    (place / "midas_toy.py").write_text(MODULE)
    write_distribution(place, PROJECT["name"], PROJECT["entry-points"])
    listed = {
        "datasets": "toy Toy: ROOT holds votes.txt, and a folder of pictures for each clip (midas-toy 1.0)",
        "mixers": "halves the first frames of one clip, the last of another (midas-toy 1.0)",
        "losses": "absolute absolute difference between probabilities (midas-toy 1.0)",
        "learners": "short_features small features (midas-toy 1.0)",
        "models": "mean_colour 0.0M 0.0 8x32 docs/extending.md (midas-toy 1.0)",
    }
    done = midas_in_turn(place, *(("list", kind) for kind in listed))
    assert (done.returncode, done.stderr) == (0, "")
    assert set(listed.values()) <= {" ".join(each.split()) for each in done.stdout.splitlines()}
    store, run = tmp_path / "store", tmp_path / "run"
    done = midas(place, *prepared(toy_root, store))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["usable"] == 15
    train = ("train", "--store", store, "--out", run, *TRAIN)
    done = midas_in_turn(place, train, ("evaluate", run, "--store", store, "--json"))
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "run.json").read_text())["versions"]["midas-toy"] == PROJECT["version"]
    assert json.loads(done.stdout.splitlines()[-1])["num_clips"] == 4
    assert main(["evaluate", str(run), "--store", str(store)]) == 2  # where midas-toy is not installed


def dedent_rows(text: str) -> str:
    """Rows of a table that is written in a call begin where the page shows them."""
    return re.sub(r'^ {8}(?=")', "", text, flags=re.M)


def test_what_the_page_shows_of_the_package_stands_there():
    shown = re.findall(r'```python title="(.*?)"\n(.*?)```', PAGE, re.S)
    assert len(shown) == 5
    for path, code in shown:
        assert code in dedent_rows((ROOT / path).read_text(encoding="utf-8")), path


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_thing_stands_in_as_few_files_as_the_page_says(kind):
    name, most = EXAMPLES[kind]
    section = PAGE.partition(f"\n## A {kind}\n")[2].partition("\n## ")[0]
    assert f"Example: `{name}`." in section
    files = re.findall(r"^\| `(.*?)` \|", section, re.M)
    assert len(files) == most
    words = re.compile(rf"\b({name}|{name.replace('_', '-')})", re.I)
    for file in files:
        assert words.search((ROOT / file).read_text(encoding="utf-8")), file
    sources = [path for path in (ROOT / "src" / "midas_dfer").rglob("*") if path.suffix in (".py", ".yaml")]
    naming = {str(path.relative_to(ROOT)) for path in sources if re.search(rf"\b{name}\b", path.read_text("utf-8"))}
    naming |= {str(path.relative_to(ROOT)) for path in sources if path.stem == name}
    assert naming - BESIDE.get(name, set()) == {file for file in files if file.startswith("src/")}


def test_files_of_a_score_are_there():
    section = PAGE.partition("\n## A score\n")[2].partition("\n## ")[0]
    files = re.findall(r"^\| `(.*?)` \|", section, re.M)
    assert len(files) == 5
    for file in files[:4]:
        assert "total_variation" in (ROOT / file).read_text(encoding="utf-8"), file
    assert (ROOT / files[4]).is_file()
