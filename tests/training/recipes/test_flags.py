"""Each mode of each verb refuses, by name, every flag that it does not read. The flags are those of the parser."""

from argparse import SUPPRESS

import pytest

from midas_dfer.cli import main
from midas_dfer.cli.main import VERBS
from midas_dfer.cli.parsing import typed_flags
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.idle_settings import without_effect

MODES = {
    "train --resume run": {"resume", "store", "json", "recipe", "config", *RunConfig().to_dict()},  # compared with it
    "train --print_config": {"print_config", "recipe", "config", *RunConfig().to_dict()},
}
"""A command line, and the flags that it reads; the verb's other flags are refused, also those of later versions."""

IDLE = {
    "check table votes.csv --all": "sample",
    "check table votes.csv --skip_duplicates": "duplicates",
    "describe store --json": "out",
    "explain run --store store --out out --clips a": "num",
    "crossval --store store --out out --ray local": "jobs",
    "reproduce figure-1 --store store --out out": "ray",
    "prepare dfew root --out store --lists [train.txt]": "layout",
    "prepare table votes.csv --out store": "votes",
    "prepare synthetic root --out store": "folds_seed",
    "train --store store --out run --mixer none": "alpha",
    "crossval --store store --out out --mixer mixup": "temperature",
}
"""A command line, and a flag that it leaves without effect, whatever its value; the default is typed here."""


def flags_of(verb: str) -> dict[str, object]:
    """A verb's flags by name, each with a value that it takes; None for those that take none."""
    found = {}
    for action in VERBS[verb][0].parser()._actions:
        if action.option_strings and action.dest != "help":
            name = action.option_strings[0].removeprefix("--")
            default = None if action.default is SUPPRESS else action.default
            found[name] = None if action.nargs == 0 else "midas" if name == "recipe" else default
    return found


def told(capsys, line: str, *more: str) -> str:
    assert main([*line.split(), *more]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("line", MODES)
def test_a_mode_refuses_all_flags_that_it_does_not_read(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yaml").write_text("epochs: 450\n")
    verb = line.split()[0]
    refused = {name: value for name, value in flags_of(verb).items() if name not in MODES[line]}
    assert len(refused) > 2
    for name, value in refused.items():
        if name == "config":
            value = "settings.yaml"
        more = [f"--{name}"] if name in ("print_config", "json") else [f"--{name}={'x' if value is None else value}"]
        sentence = told(capsys, line, *more)
        assert f"--{name}" in sentence, (name, sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.yaml"]


@pytest.mark.parametrize("line", IDLE)
def test_a_flag_without_effect_is_refused_though_it_has_its_default(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = {"alpha": "0.4", "out": "x", "duplicates": "keep", "ray": "local"}
    (name,) = (IDLE[line],)
    value = values.get(name, str(flags_of(line.split()[0])[name]))
    assert f"--{name}" in told(capsys, line, f"--{name}", value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "idle"),
    [
        ({}, {"saliency", "num_votes", "decay_factor"}),
        ({"mixer": "none"}, {"alpha", "ratio_per", "partners", "normalization", "temperature", "num_votes"}),
        ({"mixer": "none", "normalization": "none"}, {"alpha", "ratio_per", "partners", "temperature", "num_votes"}),
        ({"mixer": "mixup"}, {"normalization", "temperature", "num_votes"}),
        ({"normalization": "none"}, {"temperature", "num_votes"}),
        ({"normalization": "softmax_counts", "schedule": "exponential"}, {"saliency"}),
        ({"mixer": "cutout"}, {"alpha", "ratio_per", "partners", "normalization"}),
        ({"mixer": "transmix", "schedule": "step", "milestones": (3,)}, {"normalization", "temperature", "num_votes"}),
        ({"schedule": "step"}, {"decay_factor"}),
    ],
)
def test_settings_that_others_leave_without_effect(settings, idle):
    found = set(without_effect(RunConfig(**settings)))
    assert idle <= found
    assert found <= idle | {
        "saliency",
        "decay_factor",
        "temperature",
        "num_votes",
        "cache_gb",
        "annotator_map",
        "soft_label_weight",
        "relabel_epoch",
        "ramp_epochs",
        "similarity_weight",
    }
    assert ("decay_factor" in found) == (settings.get("schedule", "cosine") == "cosine" or "decay_factor" in idle)


def test_what_counts_as_typed():
    line = ["--epochs=3", "--seed", "1", "--classes+", "a", "-x", "value--odd", "--", "--width=3"]
    assert typed_flags(line) == {"epochs", "seed", "classes"}
    assert typed_flags([]) == frozenset()
