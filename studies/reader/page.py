"""docs/reader.md: `page.md` filled in with the figures of results.json."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.pages import render, table
from studies.reader.comparison import METHODS, SEEDS
from studies.reader.shipping import TERMS

_CUTS = {
    "published": "the published crop",
    "aligned": "cut as out of a video: turned upright, more around it",
    "boxed": "the detector's box, not turned",
}
_TESTED = ("UAR", "WAR", "total variation, vote_shares")
_MEASURES = {
    "total variation": "total_variation",
    "JSD": "jensen_shannon",
    "calibration error": "expected_calibration_error",
}


def page(content: Mapping[str, Any]) -> str:
    """The whole page."""
    training, measures = content["training"], content["measures"]
    first, *further = training["rounds"]
    of_method: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in content["comparison"]:
        of_method[row["method"]].append(row)
    wanted = len(METHODS) * len(SEEDS)
    return render(
        Path(__file__).with_name("page.md"),
        **content,
        terms=TERMS,
        first=first,
        further=further,
        stills=[each for each in training["teachers"] if each["model"] != training["model"]],
        plain=next(iter(measures["by_change"].values())),
        by_cut={_CUTS[cut]: found for cut, found in measures["by_cut"].items()},
        scores=_scores,
        percent=_percent,
        wanted=wanted,
        complete=len(content["comparison"]) == wanted,
        comparison_table=_comparison(of_method),
        best=min(of_method, key=lambda name: statistics.mean(row["tv"] for row in of_method[name]), default=""),
        tested=_TESTED,
    )


def _comparison(of_method: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Means of each method, and each seed's total variation."""
    rows = []
    for name, found in of_method.items():
        war, uar, distance = (statistics.mean(row[key] for row in found) for key in ("war", "uar", "tv"))
        each = ", ".join(f"{row['tv']:.3f}" for row in found)
        rows.append([name, str(len(found)), _percent(war), _percent(uar), f"{distance:.3f}", each])
    return table(["method", "seeds", "WAR", "UAR", "total variation", "each seed's"], rows, left=(0, 5))


def _scores(what: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            name,
            _percent(each["war"]),
            _percent(each["uar"]),
            *(f"{each['votes'][key]:.3f}" for key in _MEASURES.values()),
        ]
        for name, each in found.items()
    ]
    return table([what, "WAR", "UAR", *_MEASURES], rows)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
