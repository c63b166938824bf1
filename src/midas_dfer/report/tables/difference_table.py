"""The differences between runs or methods, as a table."""

from collections.abc import Sequence

from midas_dfer.comparison.differences import Difference
from midas_dfer.report.tables.table_data import TableData, cells
from midas_dfer.training.scoring.measures import NONE

_NOT_SHOWN = "probabilities"
"""The reading whose distances stand in results.json and --json alone: as many figures again, much the same."""
_DISTANCES = ("soft cross-entropy", "JSD", "total variation")
_SHOWN = (*_DISTANCES, "macro F1", "AURC", "risk at 0.8", "ECE")
"""The scores that the table has beside UAR and WAR; --json has all."""

_EXPLAINED = {
    "macro F1": "macro F1: soft F1 between shares and votes, mean over the classes; the larger the better.",
    "AURC": "AURC: area under the risk-coverage curve; risk at 0.8: errors among the surest 80 %; less is better.",
    "ECE": "ECE: expected calibration error.",
}


def difference_table(found: Sequence[Difference]) -> TableData | None:
    """The differences as a table, score by score; None if there are none.

    Of the distances from the votes those of the vote shares are shown.
    """
    found = [each for each in found if _is_shown(each.measure)]
    if not found:
        return None
    measures = tuple(dict.fromkeys(each.measure for each in found))
    rows = [each for measure in measures for each in found if each.measure == measure]
    alone = len({each.second for each in found}) == 1
    return TableData(
        name="differences",
        title=f"Differences from {found[0].second}" if alone else "Differences between methods",
        columns=("compared", "diff.", "95 % interval", "p", "found"),
        rows=tuple(cells(*_texts(each, alone=alone)) for each in rows),
        footnotes=_footnotes(found),
        groups=tuple((name.replace("_", " "), sum(each.measure == name for each in found)) for name in measures),
    )


def _texts(each: Difference, *, alone: bool) -> tuple[str, ...]:
    values, by_mcnemar = each.values, _mcnemar(each)
    gap, low, high = (_signed(values[name], each.measure) for name in ("difference", "low", "high"))
    return (
        each.first if alone else f"{each.first} \u2212 {each.second}",
        gap,
        f"{low} to {high}",
        _p(values["p_corrected"]) + ("" if by_mcnemar is None else f" ({_p(by_mcnemar)})"),
        "noise" if values["better"] is None else "better" if values["better"] == each.first else "worse",
    )


def _footnotes(found: Sequence[Difference]) -> tuple[str, ...]:
    tests: dict[str, dict[str, None]] = {}
    for each in found:
        name = each.measure.partition(",")[0]
        tests.setdefault(each.test, {})["distances" if name in _DISTANCES else name] = None
    pairs = max(sum(other.measure == each.measure for other in found) for each in found)
    notes = [
        "UAR and WAR in percentage points, of clips with a label; distances from the votes, of clips with votes, by "
        "the vote shares, or the probabilities of a method that gives none: cross-entropy and JSD (Jensen-Shannon "
        "divergence) in nats, total variation from 0 to 1; the smaller the better.",
        *(text for name, text in _EXPLAINED.items() if any(each.measure.startswith(name) for each in found)),
        *(f"Interval and tests of {', '.join(names)}: {test}." for test, names in tests.items()),
        "p: the largest of the tests' two-sided p values"
        + (f", corrected after Holm for the {pairs} comparisons of a score." if pairs > 1 else "."),
    ]
    if any(_mcnemar(each) is not None for each in found):
        notes.append("In brackets: McNemar's test of WAR, mid-p, over clips, not corrected.")
    notes.append(
        "Found: better or worse where the interval excludes 0 and p is below 0.05; else the difference is inside the "
        "noise."
    )
    if any(each.values["p_runs"] is None for each in found):
        notes.append(
            "One training of each: how differently it would come out with another seed is in none of these figures."
        )
    return tuple(notes)


def _mcnemar(each: Difference) -> float | int | str | bool | None:
    """Of single networks; several seeds have a test each, which results.json holds."""
    found = [value for name, value in each.values.items() if name.startswith("mcnemar") and name.endswith("p mid")]
    return found[0] if len(found) == 1 else None


def _is_shown(measure: str) -> bool:
    return _is_share(measure) or (measure.partition(",")[0] in _SHOWN and not measure.endswith(_NOT_SHOWN))


def _is_share(measure: str) -> bool:
    return measure.startswith(("UAR", "WAR"))


def _signed(value: float | int | str | bool | None, measure: str) -> str:
    if not isinstance(value, int | float):
        return NONE
    text = f"{100 * value:+.2f}" if _is_share(measure) else f"{value:+.3f}"
    return text.replace("-", "\u2212")


def _p(value: float | int | str | bool | None) -> str:
    if not isinstance(value, int | float):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
