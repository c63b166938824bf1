"""docs/peers.md says what was observed and read, and nothing else; what it says about us is held by tests."""

import ast
import json
import re
from pathlib import Path

import pytest
from benchmarks.peers.shown import MIXERS_TEST, TESTS
from benchmarks.peers.table import GROUPS, OURS, make_page, read

from benchmarks import RESULTS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
COLUMNS = [column for columns in GROUPS.values() for column in columns]
NAMED = ("torchvision", "timm", "mmaction2", "PySlowFast", "PyTorchVideo", "kornia", "OpenMixup", "mixup")


@pytest.fixture(scope="module")
def data():
    return read(RESULTS)


def test_the_page_is_what_the_two_files_say(data):
    assert (DOCS / "peers.md").read_text() == make_page(*data)


def test_a_changed_cell_changes_the_page(data):
    found, sources = json.loads(json.dumps(data))
    found["rows"]["torchvision MixUp"]["soft labels"]["value"] = "changed"
    assert make_page(found, sources) != make_page(*data)


def test_every_cell_about_others_was_observed_or_read(data):
    found, sources = data
    others = {row for row in {*found["rows"], *sources["rows"]} if not row.startswith(f"{OURS} ")}
    assert all(any(row.startswith(f"{library} ") for row in others) for library in NAMED)
    for row in others:
        for column in COLUMNS:
            cell = found["rows"].get(row, {}).get(column) or sources["rows"].get(row, {}).get(column)
            if cell is None:  # a dash: nothing is said
                assert row in sources["rows"]
                continue
            assert cell["value"]
            assert cell.get("observed") or re.search(r"line|\.py", cell["source"])
    for library in {row.split(" ", maxsplit=1)[0] for row in found["rows"]} - {OURS}:
        what = found["libraries"][library]
        assert what["version"]
        assert all(re.fullmatch(r"[0-9a-f]{40}", blob) for blob in what["files"].values())
    for note in sources["notes"]:
        assert note["row"] in found["rows"]
        assert note["column"] in COLUMNS
        assert re.search(r"[0-9a-f]{40}.*line", note["source"])
    for places in sources["mixers"].values():
        assert all(place["source"] for place in places.values())


def defined_tests(path):
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("column", COLUMNS)
def test_our_cells_are_held_by_tests_that_exist(data, column):
    assert TESTS[column]
    for test in (*TESTS[column], MIXERS_TEST):
        file, name = test.split("::")
        assert name in defined_tests(ROOT / file), f"{test} is not there"
    rows = [cells for row, cells in data[0]["rows"].items() if row.startswith(f"{OURS} ")]
    assert rows
    assert all(cells[column]["observed"] for cells in rows)


def test_tests_are_named_for_columns_that_are_there():
    assert set(TESTS) == set(COLUMNS)


def test_what_sets_us_apart_is_what_was_observed(data):
    """Soft labels, clips, a ratio per clip, and never its own video: all of it at once, and no other mixer."""
    wanted = {"soft labels": "yes", "[B,T,C,H,W]": "yes", "ratio": "per clip", "with its video": "never"}
    rows = data[0]["rows"]
    able = {
        row for row, cells in rows.items() if all(cells[column]["value"] == want for column, want in wanted.items())
    }
    assert f"{OURS} MIDAS" in able
    assert all(row.startswith(f"{OURS} ") for row in able)
