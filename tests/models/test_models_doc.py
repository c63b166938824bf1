"""docs/models.md and its figures: every network is there, with the size that it has now."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks.learning import as_expected, markdown
from benchmarks.models import KINDS, MARK, page

from benchmarks import RESULTS
from midas_dfer.models import create_model, list_models
from midas_dfer.models.cost import model_cost
from midas_dfer.models.zoo import architecture
from midas_dfer.training.recipes import list_recipes, recipe

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def found():
    return json.loads((RESULTS / "models.json").read_text())


def test_the_page_holds_the_figures(found):
    assert (DOCS / "models.md").read_text().partition(MARK)[2].strip() == page(found).strip()


@pytest.mark.parametrize("name", list_models())
def test_every_network_was_measured_as_it_is_now(found, name):
    cost, entry = model_cost(name), architecture(name)
    assert found["costs"][name] == {
        "num_frames": entry.num_frames,
        "size": entry.size,
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "source": entry.source,
    }
    for kind in KINDS:
        rate = found["cpu"]["results"][name][kind]
        assert 0 < rate["min"] <= rate["median"] <= rate["max"]
    largest = max(1.0, found["traces"][name]["largest_logit"])
    assert found["traces"][name]["compiled"] < 1e-4 * largest
    assert found["traces"][name]["exported"] < 1e-4 * largest


def test_what_the_page_calls_as_published_has_the_publications_dropout():
    text = (DOCS / "models.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.S)
    assert code is not None
    made: dict[str, Any] = {}
    exec(compile(code[1], "models.md", "exec"), made)  # noqa: S102 - our own page
    assert "# as published" in next(line for line in code[1].splitlines() if line.startswith("model ="))
    assert made["model"].dropout.p == 0
    assert made["small"].dropout.p == 0.5
    sentence = re.search(r"The code of\n(.*?) has none; their recipes set it to 0", text, re.S)
    assert sentence is not None
    without = set(re.findall(r"`(\w+)`", sentence[1]))
    assert without == {name for name in list_recipes() if recipe(name).config().dropout == 0} & set(list_models())
    for name in without:
        assert recipe(name).config().dropout == 0
        assert create_model(name, 3, width=8).dropout.p == 0.5


def test_the_prose_names_every_network():
    prose = (DOCS / "models.md").read_text().partition(MARK)[0].partition("## What is as published")[2]
    for name in list_models():
        family, _, depth = name.rpartition("resnet")
        shown = f"`{name}`" in prose or (family == "tsm_" and re.search(rf"`tsm_resnet18`.*`{depth}`", prose))
        assert shown, name


@pytest.mark.parametrize("name", list_models())
def test_every_network_learned_the_order_of_frames(name):
    learned = json.loads((RESULTS / "learning.json").read_text())["models"]
    assert len(learned[name]["runs"]) >= 3
    assert as_expected(name, learned[name]["runs"])


def test_the_page_of_learning_holds_its_figures():
    assert (DOCS / "learning.md").read_text() == markdown(json.loads((RESULTS / "learning.json").read_text()))
