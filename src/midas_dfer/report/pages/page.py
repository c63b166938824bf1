"""One HTML page that holds all it shows: the shell that every page has, and how pictures get into it.

A page is one file: styles and pictures are inside it, there are no scripts, and a policy in its head forbids it to
load anything. What comes from a data set (names of clips, classes, notes) is escaped where it is written. The
templates are in `templates/`: `page.html` and `page.css` are the shell, `parts.html` holds what pages are made of.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from midas_dfer import wording
from midas_dfer.report.pictures import style
from midas_dfer.version import __version__

_LONGEST_TEXT, _LONGEST_NAME = 600, 32


def render_page(template: str, **content: Any) -> str:  # noqa: ANN401 -- whatever the template shows
    """Fill a template."""
    return page_environment().get_template(template).render(style=style, version=__version__, **content)


@cache
def page_environment() -> Environment:
    """What templates are read and filled with: every text is escaped, and cleaned by `clean_text`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean_if_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, percent=percent, short=_short, css=_css, count=wording.count)
    return environment


def percent(share: float) -> str:
    """A share as people read it, with a space that does not break."""
    return wording.percent(share).replace(" ", "\u202f")


def clean_text(text: str) -> str:
    """Text on one line that HTML can hold: what no page may contain is replaced, the middle of a very long one cut."""
    return wording.shortened(wording.harmless(text), _LONGEST_TEXT, tail=100)


def _clean_if_text(value: Any) -> Any:  # noqa: ANN401 -- any value of a template
    if isinstance(value, str) and not isinstance(value, Markup):
        return clean_text(value)
    return value


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _short(text: str) -> str:
    return wording.shortened(clean_text(text), _LONGEST_NAME)


def _css(value: float) -> str:
    """A number for a style: never in the notation with an exponent."""
    return f"{value:.3f}"
