"""Registries: data sets, mixers, losses and networks by name, built in or from plug-ins (entry points)."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from midas_dfer.errors import RequestError

Row = TypeVar("Row")


class Registry(Mapping[str, Row]):
    """An explicit table of all data sets, mixers, losses or networks; docs/extending.md says how to add to each.

    Another distribution adds a row with an entry point, which has the row's name and refers to the row. It is imported
    only when that name is looked up, and it cannot replace a built-in row.

    Args:
        kind: what a row stands for, such as "mixer".
        group: of the entry points.
        row: the class of the rows.
        rows: the built-in ones.
        reserved: names that have another meaning on the command line.
    """

    def __init__(
        self, kind: str, group: str, row: type[Row], rows: Mapping[str, Row], *, reserved: tuple[str, ...] = ()
    ) -> None:
        self.kind, self.group = kind, group
        self.own = dict(rows)
        self._row, self._reserved = row, reserved
        self._loaded: dict[str, Row] = {}

    def add(self, name: str, row: Row) -> None:
        """Add a row in this process only.

        Raises:
            RequestError: the name is taken, or the row is of another class.
        """
        if name in self.own or name in self._reserved:
            raise RequestError(f"There is a {self.kind} {name!r} already; take another name")
        self.own[name] = self._checked(row, f"the {self.kind} {name}")

    def __getitem__(self, name: str) -> Row:
        """The row of a name.

        Raises:
            KeyError: there is none.
            RequestError: a plug-in that cannot be loaded.
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
        """Name and version of the distribution that provides a row; "" for a built-in one."""
        return "" if name in self.own else _distribution(self._found[0][name])

    def usable(self, tell: Callable[[str], None]) -> dict[str, Row]:
        """All rows that can be loaded; `tell` receives a sentence on each plug-in that cannot."""
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
        """The usable entry points by name, and why others are left out."""
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
