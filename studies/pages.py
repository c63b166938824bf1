"""How the studies' pages of the documentation are written: templates filled in with figures, tables, wrapped lines."""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from jinja2 import Environment, StrictUndefined

WIDTH = 120
"""Columns of a line."""

_FILTERS = {
    "count": "{:,}".format,
    "percent": lambda share: f"{100 * share:.1f}",
    "fixed": lambda value, digits: f"{value:.{digits}f}",
    "short": "{:g}".format,
    "facts": lambda machine: facts(machine),
}


def render(template: Path, **values: object) -> str:
    """Fill in a Jinja template of Markdown, and wrap its paragraphs and list items; a name without a value raises."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701 - no HTML
    environment.filters |= _FILTERS
    text = environment.from_string(template.read_text(encoding="utf-8")).render(values)
    return wrapped(text).rstrip() + "\n"


def wrapped(text: str) -> str:
    """Wrap paragraphs and list items of Markdown; code, tables and headings stay."""
    lines: list[str] = []
    open_line, is_code = "", False
    for line in [*text.splitlines(), ""]:
        is_code ^= line.startswith("```")
        fixed = is_code or not line or line.startswith(("#", "|", "```"))
        if open_line and (fixed or line.startswith("- ")):
            indent = "  " if open_line.startswith("- ") else ""
            lines += textwrap.wrap(
                open_line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
            open_line = ""
        if fixed:
            lines.append(line)
        else:
            open_line = f"{open_line} {line.strip()}" if open_line else line
    return "\n".join(lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A Markdown table; columns are aligned to the right, except for those at `left`."""
    rule = "|" + "".join("---|" if place in left else "--:|" for place in range(len(head)))
    first, *others = ("|" + "".join(f" {cell} |" if cell else " |" for cell in cells) for cells in (head, *rows))
    return "\n".join([first, rule, *others])


def mean_and_deviation(values: Sequence[float | None], digits: int, factor: float = 1) -> str:
    """Such as 67.32 ± 0.41, of one value without a deviation; empty where there is none."""
    scaled = [factor * value for value in values if value is not None]
    if not scaled:
        return ""
    return f"{fmean(scaled):.{digits}f}" + (f" ± {stdev(scaled):.{digits}f}" if len(scaled) > 1 else "")


def facts(machine: Mapping[str, object]) -> str:
    """What `benchmarks.machine.machine` says, in a line."""
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def broken_json(value: object, indent: str = "") -> str:
    """JSON whose lines end after a record, which is what has no more than 4,000 characters."""
    text = json.dumps(value)
    if len(text) <= 4000 or not isinstance(value, dict | list):
        return text
    inner = indent + " "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {broken_json(each, inner)}" for key, each in value.items()]
    else:
        items = [broken_json(each, inner) for each in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(items) + f"\n{indent}{closing}"
