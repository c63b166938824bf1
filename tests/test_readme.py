"""What the README shows is true: its example runs, its paths exist, its commands are the Makefile's."""

import ast
import re
from pathlib import Path

import torch

import midas_dfer
from midas_dfer.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


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
    tree = re.search(r"## Where things are\n\n```\n(.*?)```", README, re.S)
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
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert f"\n{target}:" in makefile
    for verb in re.findall(r"^midas (\w+)", README, re.M):
        assert verb in VERBS


def test_every_public_name_is_there():
    for name in midas_dfer.__all__:
        assert getattr(midas_dfer, name) is not None
    assert set(midas_dfer.__all__) <= set(dir(midas_dfer))
    source = ast.parse(Path(midas_dfer.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.asname
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("midas_dfer")
        for alias in node.names
    }
    assert typed - {"__version__"} == set(midas_dfer.__all__)  # what type checkers see is what is there
