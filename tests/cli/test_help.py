"""Help pages that people can read, and what is said of a word that is not known."""

import shlex
from pathlib import Path

import pytest

from midas_dfer.cli import main
from midas_dfer.cli.help import PAGES, did_you_mean
from midas_dfer.cli.main import VERBS, _parse
from midas_dfer.cli.sources import data_sets

DATASETS = tuple(data_sets())
OWN = {name: {flag.name for flag in row.flags} for name, row in data_sets().items()}


def page(capsys, *words: str) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_pages_are_for_people(verb, capsys):
    text = page(capsys, verb)
    assert text.startswith(f"usage: midas {verb}")
    assert max(map(len, text.splitlines()[1:])) <= 80
    assert not [word for word in ("Literal", "type:", ": null", "<class", "typing", "%(", "Path |") if word in text]
    assert "\nexamples:\n  midas " in text
    assert text.count("(default") == text.count("(default:")  # each once
    for flag in (action for action in VERBS[verb][0].parser()._actions if action.option_strings):
        foreign = verb in ("prepare", "check") and any(flag.dest in own for own in OWN.values())
        assert (f"\n  --{flag.dest} " in text if foreign else f"--{flag.dest}" in text) != foreign, flag.dest


@pytest.mark.parametrize("verb", VERBS)
def test_examples_can_be_typed(verb):
    for line in PAGES[verb].examples:
        words = shlex.split(line)
        assert words[:2] == ["midas", verb]
        assert _parse(words[1:]).verb == verb


@pytest.mark.parametrize("verb", VERBS)
def test_sections_name_flags_that_there_are(verb):
    there = {action.dest for action in VERBS[verb][0].parser()._actions}
    shared = () if verb == "train" else PAGES["train"].sections  # others have some of the settings
    named = [name for title, names in PAGES[verb].sections.items() for name in names if title not in shared]
    assert len(named) == len(set(named))
    assert set(named) <= there


@pytest.mark.parametrize("dataset", DATASETS)
def test_only_the_flags_of_the_data_set_that_is_named(dataset, capsys):
    text = page(capsys, "prepare", dataset)
    own = OWN[dataset]
    assert all(f"  --{name}" in text for name in own)
    foreign = set().union(*OWN.values()) - own
    assert not [name for name in foreign if f"  --{name} " in text]
    assert data_sets()[dataset].line.split(":")[0] in text
    assert "midas check DATASET --help" in page(capsys, "check")
    assert not [name for name in DATASETS if name != dataset and f"\n  {name} " in text]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("verb", ["check", "prepare"])
def test_the_page_of_a_data_set_shows_its_own_example_and_defaults(verb, dataset, capsys):
    text = page(capsys, verb, dataset)
    assert text.startswith(f"usage: midas {verb} {dataset} ROOT")
    example = text.partition("examples:\n")[2].strip()
    request = _parse(shlex.split(example)[1:])
    assert (request.verb, request[verb].dataset) == (verb, dataset)
    said = " ".join(text.split())
    assert "crema_d, dfew and mafw" not in said
    assert f"without a file (default: {data_sets()[dataset].missing})" in said
    assert f"in one fold (default: {data_sets()[dataset].duplicates})" in said


@pytest.mark.parametrize("whole", ["--recipe midas_clear", "--config settings.yaml", "--config=settings.yaml"])
@pytest.mark.parametrize("verb", ["train", "crossval"])
def test_single_flags_override_whole_recipes_wherever_they_stand(whole, verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("settings.yaml").write_text("epochs: 9\ngroup: clear\n")
    for line in (f"--epochs 3 {whole} --alpha 0.7", f"{whole} --alpha=0.7 --epochs 3"):
        request = _parse([verb, "--store", "s", "--out", "o", *line.split()])[verb]
        assert (request.epochs, request.alpha, request.group) == (3, 0.7, "clear")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train --recipe", "--recipe needs a value\n"),
        ("train --epochs 3 --config", "--config needs a value\n"),
        ("crossval --store s --out o --folds", "--folds needs a value\n"),
        ("train --epoch 1", "there is no flag --epoch; did you mean --epochs?"),
        ("train --lr 0.1", "there is no flag --lr; did you mean --learning_rate?"),
        ("train --batch-sise=4", "there is no flag --batch_sise; did you mean --batch_size?"),
        ("train --qqq", "there is no flag --qqq\n"),
        ("trian", "there is no command trian; did you mean train?"),
        ("frobnicate", "there is no command frobnicate; there are demo, check,"),
        ("", "name a command, such as predict or demo"),
        ("prepare dfwe ROOT --out x", "did you mean dfew?"),
        ("list model", "did you mean models?"),
        ("describe a b", "b is one name too many"),
        ("train --optimizer adamm --store s --out r", "expected sgd, adam, adamw; did you mean adam?"),
        ("train --epochs many --store s --out r", "--epochs is many; expected a whole number\n"),
    ],
)
def test_what_may_have_been_meant(line, said, capsys):
    assert main(line.split()) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.endswith("--help\n")


def test_suggestions_are_close_or_none():
    assert did_you_mean("--epoch", ["--epochs", "--epochs+"]) == "--epochs"
    assert did_you_mean("--see", ["--seed", "--seeds"]) in ("--seed", "--seeds")
    assert did_you_mean("--x", ["--seed"]) == ""
    assert did_you_mean("--output", ["--out"]) == "--out"
