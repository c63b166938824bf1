"""The examples of docs/labels.md run, and say what the page says."""

import re
from pathlib import Path

import numpy as np
import pytest

import midas_dfer.labels
from midas_dfer.labels import votes_to_soft_labels

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_the_examples_run(capsys):
    pytest.importorskip("crowdkit", reason="the extra `crowd` is not installed")
    names: dict = {}
    for block in BLOCKS[:-1]:
        exec(compile(block, "labels.md", "exec"), names)  # noqa: S102 - our own page
    np.testing.assert_allclose(names["soft"], [[0.6, 0.4, 0], [0.5, 0.5, 0], [0, 0, 1]])
    assert names["hard"].tolist() == [0, -1, 2]
    assert names["kept"].rows.tolist() == [0, 1]
    np.testing.assert_allclose(names["kept"].targets[0, [0, 4]], [4 / 7, 3 / 7])
    assert names["result"].soft_labels.argmax(axis=1).tolist() == [0, 1, 0]
    assert names["result"].annotators[int(names["result"].reliability.argmin())] == "sam"
    assert names["groups"].clear.tolist() == [2, 3, 3]
    assert "[False False  True] [0.67 0.69 0.  ]" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["proportion", "softmax_counts", "softmax_proportions", "laplace"])
def test_the_figures_of_the_table_of_methods(method):
    row = re.search(rf"\| `{method}` \|.*?\| ([\d.]+), ([\d.]+) \|", PAGE)
    assert row is not None
    soft = votes_to_soft_labels([[6, 4, 0, 0, 0, 0, 0]], method)[0]
    assert [f"{share:.3f}" for share in soft[:2]] == list(row.groups())


def test_every_function_named_is_there_and_every_public_one_is_named():
    functions = {name for name in midas_dfer.labels.__all__ if callable(getattr(midas_dfer.labels, name))}
    functions = {name for name in functions if name.islower() and name != "checked_distributions"}
    assert {name for name in functions if name not in PAGE} == set()
    called = set(re.findall(r"`([a-z_]+)\([a-z]", PAGE))
    assert {name for name in called if not hasattr(midas_dfer.labels, name)} == set()
