"""The settings of a training as flags: from a recipe, from a file, or typed."""

from argparse import SUPPRESS, Action
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, Namespace  # type: ignore[attr-defined]

from midas_dfer.cli.parsing import Parser
from midas_dfer.errors import RequestError
from midas_dfer.training.config import RunConfig
from midas_dfer.training.recipes import recipe


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
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        kept = {name: value for name, value in settings.items() if name not in ("test_fold", "seed")}
        ActionConfigFile.apply_config(parser, namespace, "config", yaml.safe_dump(kept))


def add_settings(flags: Parser, *, several_runs: bool = False) -> None:
    """Add --recipe, --config and a flag for each setting of `RunConfig`.

    Args:
        flags: where to.
        several_runs: leave out test_fold and seed, and ignore them in the file of --config.
    """
    flags.add_argument("--recipe", action=_UseRecipe, help="settings of a publication; see midas list recipes")
    reader = _UseFileWithoutRun if several_runs else ActionConfigFile
    flags.add_argument("--config", action=reader, help="settings from a YAML or JSON file")
    flags.add_class_arguments(RunConfig, as_group=True, skip={"test_fold", "seed"} if several_runs else None)


def read_settings(request: Namespace) -> RunConfig:
    """The settings as they were typed.

    Raises:
        RequestError: one of them makes no sense.
    """
    return RunConfig(**{f.name: request[f.name] for f in fields(RunConfig) if f.name in request})


def check_numbers(name: str, values: Iterable[int] | None) -> None:
    """Refuse numbers below 0."""
    for value in values or ():
        if value < 0:
            raise RequestError(f"--{name} is {value}; expected 0 or more")
