"""docs/synthetic_clips.md: `page.md` filled in with the figures of results.json."""

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from midas_dfer.synthetic import EMOTIONS
from studies.pages import mean_and_deviation, render, table
from studies.readings import reading_biases
from studies.synthetic_clips.clips import COMMONNESS, RARE, VOTES
from studies.synthetic_clips.learning import BASE, COUNTS, METHODS
from studies.synthetic_clips.measures import SeedDifference, judged

READINGS = ("vote_shares", "probabilities")
_COLUMNS = {
    "KL, usual": ("kl", "usual"),
    "JSD, usual": ("js", "usual"),
    "TV, usual": ("tv", "usual"),
    "JSD, rare": ("js", "rare"),
    "TV, rare": ("tv", "rare"),
}
_CLAIMS = {
    ("tv", "usual"): "TV to the truth",
    ("tv", "rare"): "TV to the truth, rare classes",
    ("error", "usual"): "the class, as common as in training",
    ("error", "rare"): "the class, rare classes",
}


def page(content: Mapping[str, Any]) -> str:
    """The page of the documentation."""
    rates = content["training"]["rates"]
    differences = judged(content)
    ten_votes = content["bounds"]["annotators"][str(VOTES)]["tv"]["usual"]
    return render(
        Path(__file__).with_name("page.md"),
        **{**content, "differences": _differences_table(differences)},
        disgust=COMMONNESS["disgust"] / sum(COMMONNESS.values()),
        rare=RARE,
        seeds=[run["seed"] for run in content["runs"][BASE]],
        steps=content["corpus"]["train"] // content["training"]["batch"] * content["training"]["epochs"],
        rates=[f"{rate:g}" for rate in rates],
        biases=reading_biases(len(EMOTIONS), VOTES),
        distances=_distances_table(content),
        all_kept=all(item.interval for item in differences.values()),
        ten_votes=ten_votes,
        closer=[name for name, far in _mean_distances(content).items() if far < ten_votes],
        verdicts=[(what, *_clear(content, differences, *key)) for key, what in _CLAIMS.items()],
        at_an_end=[method for method, rate in content["chosen"].items() if rate in (min(rates), max(rates))],
        recognition=_recognition_table(content),
        other_reading=_other_reading_table(content),
        rates_table=_rates_table(content),
    )


def shown(methods: Iterable[str]) -> list[tuple[str, str, str]]:
    """Each method as tables of distances call it, and the reading: both of them after a softmax of counts."""
    rows = []
    for method in methods:
        if method == COUNTS:
            rows += [(f"{method}, by its {name.replace('_', ' ')}", method, name) for name in READINGS]
        else:
            rows.append((method, method, READINGS[0]))
    return rows


def worth(distance: float, annotators: Mapping[str, Any], measure: str = "tv", view: str = "usual") -> str:
    """Say between how many annotators' votes and how many more a distance to the truth lies."""
    closer = [int(count) for count, found in annotators.items() if distance <= found[measure][view]]
    if not closer:
        return "less than 1"
    return f"{VOTES} or more" if max(closer) == VOTES else f"{max(closer)} to {max(closer) + 1}"


def _column(runs: Iterable[Mapping[str, Any]], *keys: str, digits: int = 3) -> str:
    """Mean and deviation over the runs of what lies behind the keys."""
    values = []
    for run in runs:
        value: Any = run
        for key in keys:
            value = value[key]
        values.append(value)
    return mean_and_deviation(values, digits)


def _mean_distances(content: Mapping[str, Any]) -> dict[str, float]:
    """TV to the truth of each row of the first table, over the seeds."""
    return {
        name: statistics.fmean(run["distances"]["truth"][reading]["tv"]["usual"] for run in content["runs"][method])
        for name, method, reading in shown(content["runs"])
    }


def _distances_table(content: Mapping[str, Any]) -> str:
    limits, far = content["bounds"], _mean_distances(content)
    rows = []
    for name, method, reading in shown(content["runs"]):
        cells = [_column(content["runs"][method], "distances", "truth", reading, *keys) for keys in _COLUMNS.values()]
        rows.append([name, f"{content['chosen'][method]:g}", *cells, worth(far[name], limits["annotators"])])
    references = {
        "the classes' shares of the training votes, for every clip": limits["prior"],
        **{f"votes of {count} of the ten": limits["annotators"][count] for count in ("1", "3", "5", "10")},
    }
    for name, found in references.items():
        rows.append([f"*{name}*", "", *(f"{found[measure][view]:.3f}" for measure, view in _COLUMNS.values()), ""])
    rows.append(["*the truth*", "", *["0"] * len(_COLUMNS), ""])
    return table(["method", "rate", *_COLUMNS, "as far as so many votes"], rows)


def _differences_table(differences: Mapping[tuple[str, str, str, str], SeedDifference]) -> str:
    columns = {
        "JSD to the truth": ("js", 1, 3),
        "TV to the truth": ("tv", 1, 3),
        "classes not found, %": ("error", 100, 1),
    }
    rows = []
    for name, method, reading in shown(name for name in METHODS if name != BASE):
        for view in ("usual", "rare"):
            found = [differences.get((kind, method, reading, view)) for kind, _, _ in columns.values()]
            sizes = [sizes for _, *sizes in columns.values()]
            rows.append(
                [name, view, *("" if f is None else _difference(f, *s) for f, s in zip(found, sizes, strict=True))]
            )
    return table(["method", "view", *columns], rows, left=range(5))


def _difference(item: SeedDifference, scale: float, digits: int) -> str:
    interval, each = (
        "not kept" if values is None else ", ".join(f"{scale * value:+.{digits}f}" for value in values)
        for values in (item.interval, item.seeds)
    )
    p = "" if item.corrected is None else " p < 0.001" if item.corrected < 0.001 else f" p = {item.corrected:.3f}"
    return f"{scale * item.mean:+.{digits}f} [{interval}] ({each}){p} {'**clear**' if item.clear else 'noise'}"


def _clear(
    content: Mapping[str, Any], differences: Mapping[tuple[str, str, str, str], SeedDifference], kind: str, view: str
) -> tuple[list[str], list[str]]:
    """What is clearly better than soft labels, and clearly worse."""
    items = {
        method if kind == "error" else name: differences[kind, method, reading, view]
        for name, method, reading in shown(content["runs"])
        if (kind, method, reading, view) in differences
    }
    clear = {name: item.mean for name, item in items.items() if item.clear}
    return [name for name, mean in clear.items() if mean < 0], [name for name, mean in clear.items() if mean > 0]


def _recognition_table(content: Mapping[str, Any]) -> str:
    rows = [
        [
            method,
            *(_column(found, score, digits=1) for score in ("uar", "war")),
            *(_column(found, "recalls", name, digits=1) for name in EMOTIONS),
        ]
        for method, found in content["runs"].items()
    ]
    ten = content["bounds"]["ten_votes"]
    best = [ten["uar"], ten["war"], *(ten["recalls"][name] for name in EMOTIONS)]
    rows.append(["*most of the ten votes*", *(f"{value:.1f}" for value in best)])
    return table(["method", "UAR", "WAR, usual", *EMOTIONS], rows)


def _other_reading_table(content: Mapping[str, Any]) -> str:
    columns = {
        "TV of probabilities to the truth": ("truth", "probabilities", "tv"),
        "TV of vote shares to the votes": ("votes", "vote_shares", "tv"),
        "JSD of vote shares to the votes": ("votes", "vote_shares", "js"),
        "KL of probabilities to the truth": ("truth", "probabilities", "kl"),
    }
    rows = [
        [method, *(_column(found, "distances", *keys, "usual") for keys in columns.values())]
        for method, found in content["runs"].items()
    ]
    return table(["method", *columns], rows)


def _rates_table(content: Mapping[str, Any]) -> str:
    rows = [
        [method, *(f"{found['js']:.3f} ({found['uar']:.1f})" for found in rates.values())]
        for method, rates in content["validation"].items()
    ]
    return table(["method", *(f"{rate:g}" for rate in content["training"]["rates"])], rows)
