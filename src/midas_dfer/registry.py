"""What there is of a kind, by name: the rows of this package, and those that other distributions bring."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from midas_dfer.errors import RequestError

Row = TypeVar("Row")


class Registry(Mapping[str, Row]):
    """An explicit table of the data sets, mixers, losses or networks there are; docs/extending.md shows each.

    Another distribution adds to it by an entry point that has the row's name and leads to the row. Nothing of it is
    imported before that name is looked up, and it cannot take the name of a row of this package.

    Args:
        kind: what a row is, in words.
        group: of the entry points.
        row: the class of all rows.
        rows: those of this package.
        reserved: names that mean something else where a name is given.
    """

    def __init__(
        self, kind: str, group: str, row: type[Row], rows: Mapping[str, Row], *, reserved: tuple[str, ...] = ()
    ) -> None:
        self.kind, self.group = kind, group
        self.own = dict(rows)
        self._row, self._reserved = row, reserved
        self._loaded: dict[str, Row] = {}

    def add(self, name: str, row: Row) -> None:
        """Add a row for this process alone.

        Raises:
            RequestError: the name is taken, or no row is given.
        """
        if name in self.own or name in self._reserved:
            raise RequestError(f"There is a {self.kind} {name!r} already; take another name")
        self.own[name] = self._checked(row, f"the {self.kind} {name}")

    def __getitem__(self, name: str) -> Row:
        """The row of a name.

        Raises:
            KeyError: there is none.
            RequestError: it is another distribution's, and cannot be loaded.
        """
        if name in self.own:
            return self.own[name]
        if name not in self._loaded:
            point = self._found[0][name]
            what = f"the {self.kind} {name} of {_distribution(point)}"
            try:
                row = point.load()
            except (Exception, SystemExit) as error:
                text = " ".join(str(error).split())
                raise RequestError(
                    f"{what} cannot be loaded ({type(error).__name__}: {text}); mend or uninstall that distribution"
                ) from error
            self._loaded[name] = self._checked(row, what)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._found[0]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.own, *(name for name in self._found[0] if name not in self.own)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def distribution(self, name: str) -> str:
        """Name and version of the distribution that brings a row; "" for a row of this package."""
        return "" if name in self.own else _distribution(self._found[0][name])

    def usable(self, tell: Callable[[str], None]) -> dict[str, Row]:
        """All rows that can be loaded.

        Args:
            tell: takes a sentence for each row of another distribution that cannot be used.
        """
        rows = {}
        for fault in self._found[1]:
            tell(fault)
        for name in self:
            try:
                rows[name] = self[name]
            except RequestError as error:
                tell(str(error))
        return rows

    def _checked(self, row: object, what: str) -> Row:
        if not isinstance(row, self._row):
            raise RequestError(f"{what} is {row!r:.80}; expected a {self._row.__module__}.{self._row.__name__}")
        return row

    @cached_property
    def _found(self) -> tuple[dict[str, EntryPoint], list[str]]:
        """The entry points that may be used, by name; and why others may not."""
        points: dict[str, EntryPoint] = {}
        faults: list[str] = []
        try:
            found = sorted(entry_points(group=self.group), key=lambda point: (point.name, _distribution(point)))
        except Exception as error:  # somebody else's fault is no reason to stop
            return {}, [f"the entry points of the installed distributions cannot be read ({error})"]
        for point in found:
            what = f"the {self.kind} {point.name} of {_distribution(point)} is left out"
            if point.name in self.own or point.name in self._reserved:
                faults.append(f"{what}: midas-dfer has one of that name itself")
            elif point.name in points:
                faults.append(f"{what}: {_distribution(points[point.name])} brings one of that name, too")
            elif not re.fullmatch(r"\w[\w.-]*", point.name):
                faults.append(f"{what}: its name may consist of letters, digits, '_', '-' and '.'")
            else:
                points[point.name] = point
        return points, faults


def _distribution(point: EntryPoint) -> str:
    return "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"
