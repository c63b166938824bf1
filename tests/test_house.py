"""The house: what its signs say is what stands there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "midas_dfer"
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)
LARGEST = 15
"""As many modules may lie in a room without a reason that its docstring gives ("hence their number")."""


def _sign(room: Path) -> str:
    return ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""


def _named(sign: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", sign))


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_names_its_doors_and_what_is_in_it(room):
    sign = _sign(room)
    names = _named(sign)
    inside = {path.stem for path in room.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    inside -= {"__init__", "__main__"}
    text = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    for name in names:
        assert name in inside or re.search(rf"\b{name}\b", text.replace(sign, "")), name
    assert len(inside) <= LARGEST or "hence their number" in sign
    if "hence their number" not in sign:
        covered = {stem for pattern in re.findall(r"`(\w+)_\*`", sign) for stem in inside if stem.startswith(pattern)}
        assert inside - names - covered == set()


def test_tests_lie_where_what_they_test_lies():
    folders = [path.parent for path in (ROOT / "tests").rglob("__init__.py")]
    support = ROOT / "tests" / "support"
    beside = {ROOT / "tests" / name for name in ("studies", "benchmarks")}
    for folder in folders:
        if folder not in beside and support not in (folder, *folder.parents):
            assert (PACKAGE / folder.relative_to(ROOT / "tests")).is_dir(), folder
        sign = (folder / "__init__.py").read_text(encoding="utf-8")
        assert len(list(folder.glob("test_*.py"))) <= LARGEST or "hence their number" in sign, folder
