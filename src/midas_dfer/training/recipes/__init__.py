"""Reference recipes: how publications trained their networks, as configuration files that `midas train` takes by name.

Each is a YAML file beside this one. Its first two lines say what it is and where it comes from; behind each setting
stands the source of its value, or "ours" where nothing is published. What a recipe does not set is as `RunConfig` in
`config` has it. `settings_file` reads any such file; `problems` says what makes no sense in one; `idle_settings` and
`long_recipes` find settings without effect, and schedules cut too short. `losses` makes the loss that one names,
`schedule` its learning rate and optimiser.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

from midas_dfer.errors import RequestError
from midas_dfer.training.recipes.config import RunConfig

_FOLDER = Path(__file__).parent
_SOURCE = "# Source: "


@dataclass(frozen=True)
class Recipe:
    """A recipe as `midas list recipes` shows it.

    Attributes:
        name: as typed behind `midas train --recipe`.
        about: what it is, in a line.
        source: the publication or code that its values come from.
        path: its file, which `RunConfig.from_yaml` and `midas train --config` take as well.
    """

    name: str
    about: str
    source: str
    path: Path

    def config(self) -> RunConfig:
        """Read its settings."""
        return RunConfig.from_yaml(self.path)


def list_recipes() -> tuple[str, ...]:
    """Give the names that `recipe` knows, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def recipe(name: str) -> Recipe:
    """Look a recipe up.

    Raises:
        RequestError: an unknown name.
    """
    names = list_recipes()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else "."
        raise RequestError(f"There is no recipe '{name}'{hint} To see all: midas list recipes")
    path = _FOLDER / f"{name}.yaml"
    about, source = path.read_text(encoding="utf-8").splitlines()[:2]
    return Recipe(name, about.removeprefix("# "), source.removeprefix(_SOURCE), path)
