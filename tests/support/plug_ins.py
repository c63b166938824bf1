"""Distributions with entry points, as an installer leaves them; and the command line with them on its path."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.factories import plain_environment
from tests.support.processes import run_program


def write_distribution(place: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Write what says that a distribution is installed in a folder: its entry points by group and name."""
    folder = place / f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{point} = {target}" for point, target in points.items()), ""]
    (folder / "entry_points.txt").write_text("\n".join(lines))


def midas(place: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line with a folder of distributions on its path."""
    return midas_in_turn(place, arguments)


def midas_in_turn(place: Path, *commands: Sequence[object]) -> subprocess.CompletedProcess[str]:
    """Run some commands in one process, up to one that fails."""
    known = plain_environment()
    path = os.pathsep.join(filter(None, (str(place), known.get("PYTHONPATH"))))
    code = (
        "import json, sys; from midas_dfer.cli import main;"
        "sys.exit(next((s for c in json.loads(sys.argv[1]) if (s := main(c))), 0))"
    )
    asked = json.dumps([[str(each) for each in command] for command in commands])
    return run_program(code, asked, environment={**known, "PYTHONPATH": path})
