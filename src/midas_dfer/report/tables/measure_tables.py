"""Tables of what counts where people disagree: distances to the votes, confidence, and blends; with intervals."""

from collections.abc import Sequence

from midas_dfer.comparison.run_results import Entry
from midas_dfer.report.tables.run_tables import limits_of, same_clips, with_limits
from midas_dfer.report.tables.table_data import Cell, TableData, best_two, cells
from midas_dfer.training.scoring.measures import MEASURES, NONE, Measure
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.wording import count, percent

_EXPLAINED = {
    "corrected_total_variation": "TV less noise: total variation less that of a perfect prediction; votes are few.",
    "kullback_leibler": "KL: of the votes from the prediction; 0 is perfect, so data of different ambiguity compare.",
    "dirichlet_multinomial_nll": "Dirichlet NLL: of the votes under the Dirichlet distribution that is predicted.",
    "soft_macro_f1": "macro F1: soft F1 between shares and votes, the mean over classes, so that rare ones count.",
    "risk_coverage_area": "AURC: errors among the surest clips, the mean over all numbers of them; less is better.",
    "selective_risk_80": "risk at 0.9, 0.8: errors among the surest 90 % and 80 % of the clips.",
}
_SHOWN = (
    "corrected_total_variation",
    "kullback_leibler",
    "dirichlet_multinomial_nll",
    "soft_macro_f1",
    "risk_coverage_area",
    "selective_risk_90",
    "selective_risk_80",
)


def disagreement_table(entries: Sequence[Entry]) -> TableData | None:
    """The measures that matter first to a reader, of the reading that each entry is judged by; None without votes."""
    scored = [(each, e) for each in entries if (e := each.evaluation) is not None and e.judged is not None]
    shown = [MEASURES[key] for key in _SHOWN if any(MEASURES[key].of(e.judged) is not None for _, e in scored)]
    if not shown:
        return None
    marked = same_clips([each for each, _ in scored])
    columns = [_column(measure, [e for _, e in scored], marked=marked) for measure in shown]
    names = [f"{each.short}, {each.unit}" if each.unit else each.short for each in shown]
    notes = [text for key, text in _EXPLAINED.items() if MEASURES[key] in shown]
    return TableData(
        name="disagreement",
        title="Where people disagree: distance to their votes, rare classes, errors among sure predictions",
        columns=("judged by", *names),
        rows=tuple(
            (Cell(f"{each.name}, {e.judged_by}"), *row) for (each, e), *row in zip(scored, *columns, strict=True)
        ),
        footnotes=(*notes, *_drawn([e for _, e in scored])),
    )


def ambiguity_table(entries: Sequence[Entry]) -> TableData | None:
    """Calibration where the votes agree and where they do not; None if there are no votes and labels."""
    rows, groups = [], []
    for each in entries:
        e = each.evaluation
        strata = () if e is None or e.judged is None else e.judged.calibration_by_ambiguity or ()
        if e is None or not strata:
            continue
        limits = () if e.limits is None else e.limits.strata.get(e.judged_reading, ())
        for number, stratum in enumerate(strata):
            ends = limits[number] if len(limits) == len(strata) else None
            between = " to ".join(dict.fromkeys(f"{end:.2f}" for end in (stratum.lowest, stratum.highest)))
            error = NONE if stratum.error is None else f"{stratum.error:.3f}"
            gap = NONE if stratum.gap is None else f"{stratum.gap:+.3f}"
            rows.append(
                cells(
                    between,
                    f"{stratum.num_clips:,}",
                    f"{stratum.num_unlabelled:,}",
                    with_limits(error, None if ends is None else ends.error),
                    with_limits(gap, None if ends is None else ends.gap),
                )
            )
        groups.append((f"{each.name}, {e.judged_by}", len(strata)))
    if not rows:
        return None
    return TableData(
        name="ambiguity",
        title="Calibration where people agree, and where they do not",
        columns=("entropy of the votes", "clips", "without label", "ECE", "overconfidence"),
        rows=tuple(rows),
        footnotes=(
            "Entropy from 0, all agree, to 1, all classes equally often: unanimous clips, and thirds of the others. "
            "Overconfidence: mean confidence less the share that is right; over 0, the model is too sure. The ECE of "
            "few clips is too large.",
        ),
        groups=tuple(groups),
    )


def blend_table(entries: Sequence[Entry]) -> TableData | None:
    """Presence and salience accuracy, of entries whose clips have known shares of emotions, and of constant guesses."""
    rows, groups = [], []
    for each in entries:
        if each.evaluation is None or (found := each.evaluation.blends) is None:
            continue
        for reference in found.references:
            salience = NONE if reference.salience is None else percent(reference.salience, 2)
            rows.append(cells(reference.name, percent(reference.presence, 2), salience))
        title = f"{each.name}: {count(found.num_clips, 'clip')}, {count(found.num_blends, 'blend')}"
        groups.append((title, len(found.references)))
    if not rows:
        return None
    return TableData(
        name="blends",
        title="Emotions and their shares",
        columns=("who says", "presence", "salience"),
        rows=tuple(rows),
        footnotes=(
            "Presence: clips whose set of emotions was found. Salience: blends whose shares were found, too. Guesses "
            "are made from the training clips.",
        ),
        groups=tuple(groups),
    )


def _column(measure: Measure, evaluations: Sequence[Evaluation], *, marked: bool) -> list[Cell]:
    values = [measure.of(e.judged) for e in evaluations]
    texts = [NONE if value is None else f"{value:.3f}" for value in values]
    shown = [None if text == NONE or not marked else float(text) for text in texts]
    marks = best_two(shown, lower_is_better=measure.lower_is_better)
    found = zip(texts, evaluations, marks, strict=True)
    return [Cell(with_limits(text, limits_of(e, e.judged_reading, measure)), mark) for text, e, mark in found]


def _drawn(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    known = [e.limits for e in evaluations if e.limits is not None]
    if not known:
        return ()
    people = all(each.by_person for each in known)
    return (f"In brackets: 95 % intervals, by the draw of {'people' if people else 'clips'}.",)
