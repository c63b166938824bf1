"""What an install takes: each with the hashes of its files, none that is known to be harmful."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from midas_dfer import _PUBLIC

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = re.compile(r"^([\w.-]+)==([\w.+]+)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    return {name.lower().replace("_", "-"): version for name, version in PINNED.findall((ROOT / file).read_text())}


@pytest.mark.parametrize("name", ["core", *PROJECT["optional-dependencies"]])
def test_each_install_has_a_lock_with_hashes_at_the_versions_that_are_tested(name):
    locked, tested = pins(f"locks/{name}.txt"), pins("constraints.txt")
    assert not {each: version for each, version in locked.items() if tested.get(each, version) != version}
    blocks = re.split(r"^(?=[\w.-]+==)", (ROOT / f"locks/{name}.txt").read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) >= len(locked) > 30  # some have another version for another Python
    assert all("--hash=sha256:" in block for block in blocks)
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"].get(name, [])
    missing = [each for each in map(Requirement, wanted) if each.name.lower().replace("_", "-") not in locked]
    assert not missing, "make locks"


def test_harmful_releases_of_lightning_are_excluded():
    allowed = next(Requirement(each).specifier for each in PROJECT["dependencies"] if each.startswith("lightning"))
    assert [version for version in ("2.6.1", "2.6.2", "2.6.3", "2.6.6") if version in allowed] == ["2.6.1", "2.6.6"]


def test_what_is_beside_the_code_comes_with_the_wheel():
    """Files that are no Python are taken by the patterns of `package-data` alone."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["midas_dfer"]
    package = ROOT / "src" / "midas_dfer"
    taken = {path for pattern in patterns for path in package.glob(pattern)}
    there = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert there == {path for path in taken if path.is_file()}


def test_the_reference_has_each_public_name_once():
    listed = re.findall(r"^::: midas_dfer\.(\S+)\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), flags=re.MULTILINE)
    assert sorted((name, place) for place, name in listed) == sorted(_PUBLIC.items())
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert set(re.findall(r"\w+\.md", (ROOT / "mkdocs.yml").read_text())) == pages
