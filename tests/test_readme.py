"""What the README shows is true: its example runs, its paths exist, its commands are the Makefile's."""

import ast
import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from studies.leaderboard.page import short_table, with_short_table

import midas_dfer
import midas_dfer.losses
import midas_dfer.mixing
from midas_dfer.cli.main import VERBS
from midas_dfer.training.recipes import list_recipes, recipe
from midas_dfer.training.recipes.config import RunConfig

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}


def test_the_mixer_example_runs_in_somebody_elses_loop():
    code = re.search(r"```python\n(from midas_dfer import MIDAS.*?)```", README, re.S)
    assert code is not None
    clips = torch.rand(4, 2, 3, 8, 8)
    soft_labels = torch.tensor([[0.7, 0.3, 0.0]]).repeat(4, 1)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * 3 * 8 * 8, 3))
    names = {"loader": [(clips, soft_labels, ["a", "b", "c", "a"])], "model": model}
    exec(compile(code[1], "README.md", "exec"), names)  # noqa: S102 - our own README
    assert names["loss"].requires_grad
    assert not torch.equal(names["clips"], clips)


def test_the_file_tree_is_the_file_tree():
    tree = re.search(r"# Where things are\n\n```\n(.*?)```", DOCS["house.md"], re.S)
    assert tree is not None
    folders: list[str] = []
    missing = []
    for line in tree[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        for name in line.strip().split("  ")[0].split():
            path = Path(*folders[:depth], name)
            if not (ROOT / path).exists():
                missing.append(str(path))
        if line.strip().split("  ")[0].endswith("/"):
            folders[depth:] = [line.strip().split("  ")[0].rstrip("/")]
    assert not missing


def test_links_and_commands():
    pages = [(ROOT, README), *((ROOT / "docs", text) for text in DOCS.values())]
    for folder, text in pages:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)):
            if not link.startswith("http"):
                assert (folder / link).exists(), link
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert f"\n{target}:" in makefile
    for verb in re.findall(r"^midas (\w+)", README + DOCS["guide.md"], re.M):
        assert verb in VERBS


def test_it_is_short_and_the_index_names_every_page():
    assert len(README.split()) <= 900
    assert set(re.findall(r"\]\((\w+\.md)\)", DOCS["README.md"])) == DOCS.keys() - {"README.md"}


def test_its_table_is_the_boards():
    content = json.loads((ROOT / "studies" / "leaderboard" / "results.json").read_text(encoding="utf-8"))
    assert with_short_table(README, content) == README
    assert short_table(content) in README


@pytest.mark.parametrize("package", [midas_dfer, midas_dfer.mixing, midas_dfer.losses], ids=lambda each: each.__name__)
def test_every_public_name_is_there(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
    source = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (typed,) = (node for node in source.body if isinstance(node, ast.If))
    names = {alias.asname for node in typed.body for alias in node.names}
    assert names == set(package.__all__)  # what type checkers see is what is there


def test_the_table_of_readings_says_what_the_defaults_are():
    section = DOCS["paper.md"]
    rows = {
        cells[1]: cells[2:4] for line in section.splitlines() if len(cells := [c.strip() for c in line.split("|")]) == 5
    }
    default = RunConfig()
    assert default.flip
    assert "half of the training clips, baselines too" in rows["mirroring"][1]
    assert all(recipe(name).config().flip for name in list_recipes())
    assert default.weights is None
    assert "random, unless `--weights" in rows["initial weights"][1]
    papers_own = [n for n in list_recipes() if not n.startswith(("tsm_sface", "tsm_efficientnet", "finetune_reader"))]
    assert {recipe(name).config().weights for name in papers_own} == {None}
    assert "every clip of a batch is replaced by a mixture" in rows["which clips are mixed"][1]
    assert "YuNet" in rows["faces"][1]
    assert default.normalization == "softmax"
    assert f"{default.learning_rate}, batch {default.batch_size}, {default.epochs} epochs" in rows["learning rate"][0]


def test_the_follow_up_is_cited_alike():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (follow_up,) = [each for each in citation["references"] if each["year"] == 2025]
    assert follow_up["url"] in DOCS["paper.md"]
    assert all(author["family-names"] in DOCS["paper.md"] for author in follow_up["authors"])


def test_what_a_fold_of_dfew_takes_is_computed_from_what_was_measured():
    """450 epochs of a fold's 9,356 training clips; a step is three forward passes, a multiply-add two operations."""
    measured = json.loads((ROOT / "benchmarks" / "results" / "models.json").read_text(encoding="utf-8"))
    clips = RunConfig().epochs * 9356
    rate = measured["cpu"]["results"]["tsm_resnet18"]["train_bf16"]["median"]
    told = re.search(
        r"takes (\d+) days of a CPU core \(computed from ([\d.]+) clips a second", " ".join(README.split())
    )
    assert told is not None
    assert (float(told[2]), int(told[1])) == (round(rate, 1), round(clips / rate / 86_400))
    hours = clips * measured["costs"]["tsm_resnet18"]["multiply_adds"] * 2 * 3 / 45e12 / 3600
    assert "2 to 3 hours of a GPU that sustains 45 TFLOPS" in " ".join(README.split())
    assert 2 < hours < 3
