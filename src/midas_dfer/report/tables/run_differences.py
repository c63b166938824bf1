"""Differences between runs or methods: found by `comparison`, and shown as a table."""

from collections.abc import Mapping, Sequence

from midas_dfer.comparison.differences import Difference, comparable, find_differences, pairs_with
from midas_dfer.comparison.predictions import pool_predictions
from midas_dfer.comparison.run_results import Entry
from midas_dfer.report.tables.run_tables import NONE
from midas_dfer.report.tables.table_data import Cell, TableData

_NOT_SHOWN = "probabilities"
"""The reading whose distances stand in results.json and --json alone: as many figures again, much the same."""


def compare_runs(
    entries: Sequence[Entry], baseline: Entry, people: Mapping[str, str]
) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """Compare runs or methods with a baseline, on the clips that both were scored on.

    Where all are single runs, each stands for one training, whichever its fold and seed; methods of several runs are
    compared over the seeds that both have.

    Args:
        entries: what is compared; the baseline among them is passed over.
        baseline: with what.
        people: who is in each clip, as far as that is known.

    Returns:
        the differences, and a sentence for each entry that cannot be compared.
    """
    single = all(len(each.runs) == 1 for each in entries)
    known = {
        each.name: pool_predictions(each.predictions.class_names, [(each.predictions, None, 0)])
        if single
        else each.predictions
        for each in entries
        if each.predictions is not None
    }
    pairs = pairs_with(baseline.name, [each.name for each in entries])
    refused = tuple(
        f"{first} cannot be compared with {second}: "
        f"there are no predictions of {' or '.join(name for name in (first, second) if name not in known)}."
        for first, second in pairs
        if not known.keys() >= {first, second}
    )
    found, unlike = comparable(known, [pair for pair in pairs if known.keys() >= set(pair)])
    return find_differences(known, found, people=people or None), (*refused, *unlike)


def difference_table(found: Sequence[Difference]) -> TableData | None:
    """The differences as a table, score by score; None if there are none.

    Of the distances from the votes those of the vote shares are shown.
    """
    found = [each for each in found if not each.measure.endswith(_NOT_SHOWN)]
    if not found:
        return None
    seconds = {each.second for each in found}
    measures = tuple(dict.fromkeys(each.measure for each in found))
    rows = [each for measure in measures for each in found if each.measure == measure]
    alone = len(seconds) == 1
    return TableData(
        name="differences",
        title=f"Differences from {found[0].second}" if alone else "Differences between methods",
        columns=("compared", "diff.", "95 % interval", "p", "found"),
        rows=tuple(_row(each, alone=alone) for each in rows),
        footnotes=_footnotes(found),
        groups=tuple((_in_words(name), sum(each.measure == name for each in found)) for name in measures),
    )


def _row(each: Difference, *, alone: bool) -> tuple[Cell, ...]:
    values, score, by_mcnemar = each.values, each.measure, _mcnemar(each)
    verdicts = {None: "noise", each.first: "better"}
    texts = [
        each.first if alone else f"{each.first} \u2212 {each.second}",
        _signed(values["difference"], score),
        f"{_signed(values['low'], score)} to {_signed(values['high'], score)}",
        _p(values["p_corrected"]) + ("" if by_mcnemar is None else f" ({_p(by_mcnemar)})"),
        verdicts.get(None if values["better"] is None else str(values["better"]), "worse"),
    ]
    return tuple(Cell(text) for text in texts)


def _footnotes(found: Sequence[Difference]) -> tuple[str, ...]:
    tests: dict[str, list[str]] = {}
    for each in found:
        names = tests.setdefault(each.test, [])
        kind = each.measure if _is_share(each.measure) else "distances"
        names += [] if kind in names else [kind]
    pairs = max(sum(other.measure == each.measure for other in found) for each in found)
    notes = [
        "UAR and WAR in percentage points, of clips with a label; distances from the votes, of clips with votes, by "
        "the vote shares, or the probabilities of a method that gives none: cross-entropy and JSD (Jensen-Shannon "
        "divergence) in nats, total variation from 0 to 1; the smaller the better.",
        *(f"Interval and tests of {', '.join(names)}: {test}." for test, names in tests.items()),
        "p: the largest of the tests' two-sided p values"
        + (f", corrected after Holm for the {pairs} comparisons of a score." if pairs > 1 else "."),
        "Found: better or worse where the interval excludes 0 and p is below 0.05; else the difference is inside the "
        "noise.",
    ]
    if any(_mcnemar(each) is not None for each in found):
        notes.insert(-1, "In brackets: McNemar's test of WAR, mid-p, over clips, not corrected.")
    if any(each.values["p_runs"] is None for each in found):
        notes.append(
            "One training of each: how differently it would come out with another seed is in none of these figures."
        )
    return tuple(notes)


def _mcnemar(each: Difference) -> float | int | str | bool | None:
    """Of single networks; several seeds have a test each, which results.json holds."""
    found = [value for name, value in each.values.items() if name.startswith("mcnemar") and name.endswith("p mid")]
    return found[0] if len(found) == 1 else None


def _is_share(measure: str) -> bool:
    return measure in ("UAR", "WAR")


def _in_words(measure: str) -> str:
    return measure.replace("_", " ")


def _signed(value: float | int | str | bool | None, measure: str) -> str:
    if not isinstance(value, int | float):
        return NONE
    text = f"{100 * value:+.2f}" if _is_share(measure) else f"{value:+.3f}"
    return text.replace("-", "\u2212")


def _p(value: float | int | str | bool | None) -> str:
    if not isinstance(value, int | float):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
