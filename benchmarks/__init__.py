"""Benchmarks: they measure and print; they pass no judgement and are not part of the tests.

`results/` holds the figures that the documentation shows.
"""

from pathlib import Path

RESULTS = Path(__file__).with_name("results")


def page_of(figures: Path) -> Path:
    """The page written with these figures: of those in `RESULTS` in docs/, else beside them."""
    folder = figures.parent
    return (RESULTS.parents[1] / "docs" if folder.resolve() == RESULTS else folder) / f"{figures.stem}.md"
