"""The figures of fine-tuning: the page has those of the file, and they are of the reader that is packaged."""

import json
import re

import numpy as np
import pytest
from studies.finetune.__main__ import ARMS, BEGIN, END, PAGE, RANDOM, RECIPE, RESULTS, SEEDS, results_table

from midas_dfer.sharing.trained import packaged_reader

FOUND = json.loads(RESULTS.read_text())


def test_the_page_has_the_figures_of_the_file():
    (shown,) = re.findall(f"{re.escape(BEGIN)}(.*?){re.escape(END)}", PAGE.read_text(), re.S)
    assert shown == results_table(FOUND)


def test_every_training_of_the_protocol_is_there():
    assert {name: [each["seed"] for each in rows] for name, rows in FOUND["trainings"].items()} == {
        name: [*SEEDS] for name in ARMS
    }
    assert FOUND["epochs"] == {name: config.epochs for name, config in ARMS.items()}
    assert (RECIPE.model, RECIPE.width, RECIPE.size) == (RANDOM.model, RANDOM.width, RANDOM.size)


def test_it_beats_random_weights_by_a_wide_margin():
    war = {name: np.array([each["war"] for each in rows]) for name, rows in FOUND["trainings"].items()}
    of_reader = war["from the reader"].min()
    assert of_reader > war["from random weights"].max() + 30
    assert of_reader > war["from random weights, 4 times the epochs"].max() + 15


def test_the_figures_are_of_the_packaged_reader():
    reader = packaged_reader()
    if reader.info.dataset == "made-up":
        pytest.skip("the packaged reader is a placeholder")
    assert FOUND["weights"] == reader.weights_digest, "run: python -m studies.finetune --out DIR"
