"""docs/benchmarks.md: `page.md` filled in with the figures of results/; `python -m benchmarks.page` writes it."""

import json
from pathlib import Path
from typing import Any

from studies.pages import render, table

from benchmarks import RESULTS

PAGE = RESULTS.parents[1] / "docs" / "benchmarks.md"
FILES = ("benchmarks", "reading", "stores", "step")
CLOCKS = ("processor", "wall")
Figures = dict[str, Any]


def page() -> str:
    """The page of the documentation."""
    found: dict[str, Figures] = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in FILES}
    reading = found["reading"]
    peers, growth, stores = reading["peers"], reading["growth"], found["stores"]["clips"]
    return render(
        Path(__file__).with_name("page.md"),
        table=table,
        machine=found["benchmarks"]["machine"],
        rounds=peers["midas-dfer, windows"]["n"],
        peers=peers,
        files=reading["files"],
        start=reading["start"],
        seconds=lambda each: f"{each['median']:.2f} ({each['lowest']:.2f} to {each['highest']:.2f})",
        parts=[
            [row["what"], f"{row['median']:.1f} {row['unit']}", f"{row['min']:.1f} to {row['max']:.1f}", str(row["n"])]
            for row in found["benchmarks"]["results"]
        ],
        speed_rows=_rows(reading["speed"]),
        sizes_rows=[
            [*row, *(f"{way['peak_mb']:.0f}" for way in each.values())]
            for row, each in zip(_rows(reading["sizes"]), reading["sizes"].values(), strict=True)
        ],
        faces_rows=_rows(reading["faces"]),
        peers_rows=[[who, rate(row), f"{row['with_face']} of {row['frames']}"] for who, row in peers.items()],
        growth_rows=[
            [length, f"{row['read']['frames']:,}", *(cell for way in row.values() for cell in _growth(way))]
            for length, row in growth.items()
        ],
        step=found["step"],
        giga=lambda value: f"{value / 1e9:.1f}",
        step_rows=[
            [
                who,
                *(
                    f"{row[clock]['median']:.1f} ({row[clock]['lowest']:.1f} to {row[clock]['highest']:.1f})"
                    for clock in CLOCKS
                ),
                *(f"{row[f'times_the_loop_{clock}']['median']:.1f}" for clock in CLOCKS),
            ]
            for who, row in found["step"]["rates"].items()
        ],
        step_parts=[
            [part, f"{row['median']:.1f}", f"{row['lowest']:.1f} to {row['highest']:.1f}"]
            for part, row in found["step"]["parts"]["milliseconds"].items()
        ],
        store_rows=[[f"{int(clips):,}", *_store(steps)] for clips, steps in stores.items()],
    )


def write_page(figures: Path) -> None:
    """Write the page anew, if these are figures that it shows."""
    if figures.parent.resolve() == RESULTS and all((RESULTS / f"{name}.json").exists() for name in FILES):
        PAGE.write_text(page())


def _rows(videos: Figures) -> list[list[str]]:
    return [
        [name, str(next(iter(ways.values()))["frames"]), *(rate(way) for way in ways.values())]
        for name, ways in videos.items()
    ]


def _growth(way: Figures) -> tuple[str, str]:
    return f"{way['median']:.0f}", f"{way['peak_mb']:.0f}"


def _store(steps: Figures) -> list[str]:
    memory = steps["peak_mb"]["median"] - steps["idle_mb"]["median"]
    return [
        *(f"{steps[name]['median']:.2f}" for name in ("open", "fingerprint", "labels", "first batch")),
        f"{memory:.0f}",
    ]


def rate(each: Figures) -> str:
    """Frames a second, such as 152 (149 to 155)."""
    return f"**{each['median']:.0f}** ({each['lowest']:.0f} to {each['highest']:.0f})"


if __name__ == "__main__":
    PAGE.write_text(page())
