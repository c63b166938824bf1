"""What a page is made of, without its figures: sections, headings, tables with their columns and rows, drawings."""

import re
from html.parser import HTMLParser
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"
_TEXTS = {"h1", "h2", "h3", "caption", "th"}


class Outline(HTMLParser):
    """A line for each part.

    Numbers, how many bins hold clips, and the clips that are shown are left out, for they differ from machine to
    machine; so is the column git, which is there in a checkout alone.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._cells: list[str] = []
        self._text: list[str] | None = None
        self._section = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "section":
            self.lines.append(f"section {values.get('id', '')}".rstrip())
            self._section = values.get("id") or ""
        elif tag == "tr":
            self._cells = []
        elif tag in _TEXTS:
            self._text = []
        elif tag == "svg" and self._section != "clips":
            self.lines.append(f"  drawing: {_masked(values.get('aria-label') or 'for the eye alone')}")

    def handle_endtag(self, tag):
        if tag == "section":
            self._section = ""
        elif tag == "tr" and self._cells and self._section not in ("clips", "calibration"):
            self.lines.append("    " + " | ".join(self._cells))
        elif tag in _TEXTS and self._text is not None:
            text, self._text = _masked(" ".join("".join(self._text).split())), None
            if tag == "th":
                self._cells += [text] if text != "git" else []
            else:
                self.lines.append(f"  {tag}: {text}")

    def handle_data(self, data):
        if self._text is not None:
            self._text.append(data)


def _masked(text: str) -> str:
    return re.sub(r"[-\u2212]?\d+(\.\d+)?( ?%)?", "#", text)


def assert_outline(page: str, name: str) -> None:
    """Compare with `tests/golden/<name>.txt`; remove the file and run the test twice to renew it."""
    file = GOLDEN / f"{name}.txt"
    text = "\n".join(Outline(page).lines) + "\n"
    if not file.exists():
        file.write_text(text, encoding="utf-8")
        raise AssertionError(f"{file} was not there and has been written; look at it and run the test again.")
    assert text == file.read_text(encoding="utf-8")
