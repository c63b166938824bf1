"""docs/peers.md, made from peers.json (what was observed) and peers_sources.json (what was read).

Nothing here imports a library: the tests compare the page with what this makes of the two files.
"""

import json
import textwrap
from pathlib import Path
from typing import Any

from benchmarks import page_of
from benchmarks.peers.shown import MIXERS_TEST, TESTS

OURS = "midas-dfer"

GROUPS: dict[str, dict[str, str]] = {
    "What goes in": {
        "soft labels": "probabilities [B, K] come back mixed in the shares of the pixels",
        "class numbers": "[B] come back one-hot and mixed so",
        "[B,T,C,H,W]": "a plain tensor of clips",
        "[B,C,H,W]": "a plain tensor of stills",
        "[B,L]": "a plain tensor of sounds",
        "uint8": "stills of uint8 are mixed within a rounding",
        "half precision": "stills of float16 and bfloat16",
    },
    "Who is mixed with whom, and how much": {
        "ratio": "how many ratios a batch has, as the mixer stands by default",
        "distribution": "of a clip's own share with α = 0.4: Kolmogorov-Smirnov at p = 0.001; *box*: the area outside "
        "a box whose side is √(1 - λ), clipped at the picture's border or wholly inside",
        "partner": "the rule, in 1000 draws",
        "with itself": "rows of a batch of 8 different clips that are mixed with themselves",
        "with its video": "one video in half of the rows, wherever they stand: how many of those rows get another of "
        "them as partner",
        "odd batch": "a batch of 7",
        "batch of one": "a clip without a partner",
    },
    "How it is used": {
        "whole set": "partners from outside the batch: the argument for it",
        "class-balanced": "partners drawn by class: the argument for it",
        "inputs kept": "clips and labels that went in still hold what they held",
        "generator": "draws come from a generator that is handed in, or from which global ones",
        "replay": "a plan drawn once gives the same batch again",
        "no read-back": "runs on torch's meta device, where reading a value back to the host fails; what is copied to "
        "the device is counted in peers.json",
        "normalised": "label normalisation or smoothing: the argument for it",
    },
}
"""The columns of each table, and what each says."""

Data = dict[str, Any]


def read(folder: Path) -> tuple[Data, Data]:
    """Read peers.json and peers_sources.json."""
    return tuple(json.loads((folder / name).read_text()) for name in ("peers.json", "peers_sources.json"))


def write_page(observed: Path) -> Path | None:
    """Write the page of peers.json; None where peers_sources.json is not beside it."""
    if not (observed.parent / "peers_sources.json").exists():
        return None
    page = page_of(observed)
    page.write_text(make_page(*read(observed.parent)))
    return page


class _Footnotes:
    """Sources by number, in the order in which they are first named."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """The mark to put behind a cell."""
        if text not in self.texts:
            self.texts.append(text)
        return f" [{self.texts.index(text) + 1}]"


def make_page(found: Data, sources: Data) -> str:
    """The whole page."""
    notes = _Footnotes()
    rows = sorted({*found["rows"], *sources["rows"]}, key=lambda row: (row.startswith(f"{OURS} "), _place(row, found)))
    parts = [_INTRODUCTION]
    for title, columns in GROUPS.items():
        lines = [[f"**{row}**" if row.startswith(f"{OURS} ") else row] for row in rows]
        for line, row in zip(lines, rows, strict=True):
            line += [_cell(row, column, found, sources, notes) for column in columns]
        legend = "\n".join(_item(f"*{column}*: {meaning}.") for column, meaning in columns.items())
        parts.append(f"## {title}\n\n{_markdown(['mixer', *columns], lines)}\n\n{legend}")
    parts.append(_mixers(found, sources, notes))
    parts.append("## Sources\n\n" + "\n".join(f"{n}. {text}" for n, text in enumerate(notes.texts, start=1)))
    parts.append(_ours())
    parts.append(_runs(found, sources))
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """# Mixers: ours beside other libraries

Every cell is backed. One without a number is what `python -m benchmarks.peers` observed when it ran that mixer on the
CPU: [peers.json](../benchmarks/results/peers.json) holds, under the same row and column, what the value was read from
(the error, the largest difference, the number of draws). A numbered cell was read in the library's source, listed
below. Our cells were observed by the same run, and the tests listed below hold them. *raises*: an error. *wrong*: no
error, but targets that do not fit the pixels, no mixing at all, or another shape. Label smoothing is off."""


def _place(row: str, found: Data) -> int:
    known = list(found["rows"])
    return known.index(row) if row in known else len(known)


def _cell(row: str, column: str, found: Data, sources: Data, notes: _Footnotes) -> str:
    read_cell = sources["rows"].get(row, {}).get(column)
    if read_cell is not None:
        return read_cell["value"] + notes.mark(read_cell["source"])
    value = found["rows"].get(row, {}).get(column, {"value": "–"})["value"]
    extra = [note for note in sources["notes"] if note["row"] == row and note["column"] == column]
    return value + "".join(notes.mark(f"{note['text']}: {note['source']}") for note in extra)


def _mixers(found: Data, sources: Data, notes: _Footnotes) -> str:
    names = next(iter(found["mixers"].values())).keys()
    libraries = sorted({*found["mixers"], *sources["mixers"]}, key=str.lower)
    lines = []
    for name in names:
        line = [name]
        for library in libraries:
            place = sources["mixers"].get(library, {}).get(name)
            seen = found["mixers"].get(library, {}).get(name)
            if place is not None:
                line.append(("yes" if place["value"] else "–") + notes.mark(place["source"]))
            else:
                line.append("yes" if seen else "–")
        ours = {"mixup": "Mixup", "one of several": "RandomChoice"}.get(name, name)
        line.append("yes" if f"{OURS} {ours}" in found["rows"] else "–")
        lines.append(line)
    text = (
        "A dash: no class, function or setting of that name in the package's files. The file and line of each `yes` "
        f"are in peers.json under `mixers`. Ours: `{MIXERS_TEST}`."
    )
    return f"## Which mixers there are\n\n{_markdown(['', *libraries, OURS], lines)}\n\n{textwrap.fill(text, 118)}"


def _ours() -> str:
    lines = [_item(f"*{column}*: {', '.join(f'`{test}`' for test in tests)}") for column, tests in TESTS.items()]
    return "## Our cells and the tests that hold them\n\n" + "\n".join(lines)


def _runs(found: Data, sources: Data) -> str:
    lines = []
    for library, what in found["libraries"].items():
        if "not run" in what:
            lines.append(_item(f"{library}: not run ({what['not run']})"))
            continue
        files = ", ".join(f"`{file}` (git blob {blob[:12]})" for file, blob in what["files"].items())
        about = "; ".join([part for part in (files, *what["notes"]) if part])
        lines.append(_item(f"{library} {what['version']}{': ' + about if about else ''}"))
    lines += [_item(f"{library}: {what}") for library, what in sources["libraries"].items()]
    machine = ", ".join(f"{name} {value}" for name, value in found["environment"].items() if name != "device")
    return f"## What was run\n\nOn the CPU with {machine}.\n\n" + "\n".join(lines)


def _item(text: str) -> str:
    return textwrap.fill(text, 118, initial_indent="- ", subsequent_indent="  ", break_long_words=False)


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    table = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)
