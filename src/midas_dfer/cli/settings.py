"""The settings of a training as flags: from a recipe, from a file, or typed."""

from argparse import SUPPRESS, Action
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, Namespace  # type: ignore[attr-defined]

from midas_dfer.cli.parsing import Parser, refuse_typed
from midas_dfer.training.recipes import recipe
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.idle_settings import without_effect
from midas_dfer.training.recipes.settings_file import check_settings_text, read_settings_file, read_settings_text

_WHOLE = ("--recipe", "--config")


class _UseFile(ActionConfigFile):
    """Reads the file of --config, once it is seen to be one: what reads YAML may not end with some texts."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:  # noqa: ANN401 - argparse's own
        """Put the file's settings in the place of those before it."""
        self.apply_config(parser, namespace, "config", _text_of(values))


class _UseRecipe(Action):
    """Reads a recipe's file where --recipe stands, as --config reads any file."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        super().__init__(**{**settings, "default": SUPPRESS})

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:  # noqa: ANN401 - argparse's own
        """Put the recipe's settings in the place of those before it."""
        ActionConfigFile.apply_config(parser, namespace, "config", str(recipe(values).path))


class _UseFileWithoutRun(_UseRecipe):
    """Reads a file of settings but for fold and seed, which an experiment of several has flags of its own for."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:  # noqa: ANN401 - argparse's own
        """Put the file's settings in the place of those before it."""
        path = Path(values)
        RunConfig.from_yaml(path)  # says what is wrong with the file
        settings = read_settings_file(path)
        kept = {name: value for name, value in settings.items() if name not in ("test_fold", "seed")}
        ActionConfigFile.apply_config(parser, namespace, "config", yaml.safe_dump(kept))


def _text_of(value: str) -> str:
    """What stands in the file that --config names; the value itself where it is settings and no file."""
    try:
        there = Path(value).exists()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if there:
        return read_settings_text(Path(value))
    if ": " in value or "{" in value:
        check_settings_text(value, "what is given with --config")
    return value


def add_settings(flags: Parser, *, several_runs: bool = False) -> None:
    """Add --recipe, --config and a flag for each setting of `RunConfig`."""
    flags.add_argument("--recipe", action=_UseRecipe, help="settings from a publication; see midas list recipes")
    reader = _UseFileWithoutRun if several_runs else _UseFile
    flags.add_argument("--config", action=reader, help="settings from a YAML or JSON file")
    flags.add_class_arguments(RunConfig, as_group=True, skip={"test_fold", "seed"} if several_runs else None)


def whole_recipes_first(arguments: Sequence[str]) -> list[str]:
    """A command line with --recipe and --config before all other flags, so that no flag gives way to either."""
    ends = arguments.index("--") if "--" in arguments else len(arguments)
    first: list[str] = []
    rest: list[str] = []
    place = 1
    while place < ends:
        taken = 2 if arguments[place] in _WHOLE else 1
        whole = arguments[place].partition("=")[0] in _WHOLE
        (first if whole else rest).extend(arguments[place : min(place + taken, ends)])
        place += taken
    return [*arguments[:1], *first, *rest, *arguments[ends:]]


def read_settings(request: Namespace) -> RunConfig:
    """The settings as they were typed."""
    asked = {f.name: request[f.name] for f in fields(RunConfig) if f.name in request}
    return RunConfig(**{name: value for name, value in asked.items() if value is not None})


def refuse_without_effect(request: Namespace, config: RunConfig) -> None:
    """Refuse settings that were typed and that the rest of the recipe leaves without effect."""
    for name, why in without_effect(config).items():
        refuse_typed(request, (name,), why)
