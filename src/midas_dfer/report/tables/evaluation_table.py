"""The scores of a run, as text for a terminal."""

from collections.abc import Sequence
from dataclasses import replace

from midas_dfer.metrics import AmbiguityStratum
from midas_dfer.report.tables.terminal import blocks, facts, simple_table, wrapped
from midas_dfer.training.scoring.baselines import HumanLine, Reference
from midas_dfer.training.scoring.measures import DISTANCES, NONE, READINGS, RECOGNITION, Limits, shown_measures
from midas_dfer.training.scoring.scores import Evaluation, in_words
from midas_dfer.wording import count, percent

_INTERVAL, _AT_LEAST = "95 % interval", "\u2265"
_PLURALS = {"person": "people", "clip": "clips"}

_NAMED = 10


def evaluation_table(evaluation: Evaluation) -> str:
    """Against the labels, by class, and against the votes, both readings side by side; beside guesses and people."""
    e = evaluation
    clips = count(e.num_clips, "clip") + ("" if e.part == "all" else f" of the {e.part} part")
    pairs = [
        ("method", e.method),
        ("model", e.model),
        ("data set", e.dataset),
        ("clips", f"{clips}; {e.num_labelled:,} with a single label, {e.num_voted:,} with votes"),
    ]
    if e.read_with:
        pairs.append(("read with", e.read_with))
    if e.precision:
        pairs.append(("computed", f"in {in_words(e.precision)} on {e.device}"))
    parts = [facts(*pairs)]
    if e.caution:
        parts.append(wrapped(f"CAUTION: {e.caution}."))
    if e.mapping is not None:
        shared = f"Scored over the {len(e.class_names)} classes that the model and {e.dataset} both have."
        parts.append(wrapped(f"{shared} {e.mapping.paragraph()}"))
    parts += [wrapped(f"NOTE: {warning}") for warning in e.warnings]
    return blocks(*parts, *_recognition(e), *_agreement(e), *_annotators(e), *_blends(e), *_baselines(e))


def _recognition(e: Evaluation) -> list[list[str]]:
    if e.uar is None or e.war is None:
        return [wrapped("No clip has a single label, so there is no UAR, WAR or recall.")]
    labelled = count(e.num_labelled, "clip")
    occurring = count(sum(r is not None for r in e.recall), "class", "classes")
    rows: list[tuple[str, ...]] = [
        (name, NONE if recall is None else percent(recall, 2), f"{sum(row):,}")
        for name, recall, row in zip(e.class_names, e.recall, e.confusion, strict=True)
    ]
    head: tuple[str, ...] = ("class", "recall", "clips")
    by_uar = by_war = ""
    if (limits := e.limits) is not None and limits.uar is not None:
        head = (*head, _INTERVAL)
        rows = [(*row, _shares(each)) for row, each in zip(rows, limits.recall, strict=True)]
        by_uar, by_war = (f"({_shares(each)})  " for each in (limits.uar, limits.war))
    return [
        [
            f"UAR  {percent(e.uar, 2):>8}   {by_uar}mean recall of the {occurring}",
            f"WAR  {percent(e.war, 2):>8}   {by_war}share of the {labelled} whose class was found",
        ],
        simple_table(head, rows),
    ]


def _agreement(e: Evaluation) -> list[list[str]]:
    if e.agreement is None:
        return [wrapped("No clip has votes, so there is no agreement with them.")]
    found, limits = tuple(e.agreement.values()), _judged_limits(e)
    measures = shown_measures(found)
    units = {each.key: f" ({each.unit})" for each in measures if each.unit}
    if e.votes_noise is not None:
        units["corrected_total_variation"] = f" ({e.votes_noise:.4f})"
    if e.votes_entropy is not None:
        units["soft_cross_entropy"] = f" (nats, {'at least' if limits is None else _AT_LEAST} {e.votes_entropy:.4f})"
    rows = [(m.name + units.get(m.key, ""), *(m.text(m.of(each)) for each in found)) for m in measures]
    main, readings = len(shown_measures([])), [READINGS[name] for name in e.agreement]
    if limits is not None:
        rows = [(*row, _interval(limits.get(m.key))) for row, m in zip(rows, measures, strict=True)]
        rows[main:] = [(name, *values[-2:]) for name, *values in rows[main:]]  # of the reading that it is judged by
    head = (*readings, *([] if limits is None else [_INTERVAL]))
    tables = [simple_table((f"agreement with votes ({count(e.num_voted, 'clip')})", *head), rows[:main])]
    if rows[main:]:
        further = "further measures (docs/measures.md)"
        tables.append(simple_table((further, *(head if limits is None else head[-2:])), rows[main:]))
    tables += _by_ambiguity(e)
    said = "probabilities: the softmax of the network's output, flat where the training targets were."
    if e.no_vote_shares:
        said = f"{said} They are {e.no_vote_shares}."
    else:
        said = f"{said} vote shares: the annotators' distribution that this output implies."
    if e.limits is not None:
        drawn = "person" if e.limits.by_person else "clip"
        over = count(e.limits.units, drawn, _PLURALS[drawn])
        said += f" Intervals: of the {e.judged_by}, over {over}." if limits else f" Of {over} there are no intervals."
    return [*tables, wrapped(said)]


def _by_ambiguity(e: Evaluation) -> list[list[str]]:
    if e.judged is None or not (strata := e.judged.calibration_by_ambiguity):
        return []
    head: tuple[str, ...] = ("by entropy of the votes", "clips", "without label", "ECE", "overconfidence")
    rows = [_stratum(each) for each in strata]
    limits = () if e.limits is None else e.limits.strata.get(e.judged_reading, ())
    if len(limits) == len(rows):
        head = ("entropy of the votes", "clips", "unlabelled", "ECE", "overconf.", _INTERVAL)
        rows = [(*row, _interval(each.gap)) for row, each in zip(rows, limits, strict=True)]
    return [simple_table(head, rows)]


def _judged_limits(e: Evaluation) -> dict[str, Limits] | None:
    return None if e.limits is None else e.limits.agreement.get(e.judged_reading)


def _interval(limits: Limits | None) -> str:
    """Short enough for three columns of figures beside each other."""
    if limits is None:
        return NONE
    low, high = (f"{end:.3f}" if limits.low >= 0 else f"{end:+.2f}" for end in (limits.low, limits.high))
    return f"{low}\u2013{high}" if limits.low >= 0 else f"{low} to {high}"


def _shares(limits: Limits | None) -> str:
    return NONE if limits is None else f"{100 * limits.low:.1f}\u2013{100 * limits.high:.1f} %"


def _stratum(each: AmbiguityStratum) -> tuple[str, ...]:
    limits = dict.fromkeys(f"{limit:.3f}" for limit in (each.lowest, each.highest))
    figures = (
        NONE if value is None else f"{value:{form}}" for value, form in ((each.error, ".4f"), (each.gap, "+.4f"))
    )
    return " to ".join(limits), f"{each.num_clips:,}", f"{each.num_unlabelled:,}", *figures


def reliability_table(reliability: Sequence[tuple[float, str, int]]) -> str:
    """The least reliable annotators of a crowd layer."""
    rows = [(name, f"{votes:,}", f"{value:.3f}") for value, name, votes in reliability[:_NAMED]]
    left = len(reliability) - len(rows)
    table = simple_table(("annotators, least reliable first", "votes", "reliability"), rows, texts=(0,))
    return "\n".join([*table, *([f"and {left:,} more, in annotators.csv"] if left else [])])


def _annotators(e: Evaluation) -> list[list[str]]:
    """Single votes, predicted for each annotator and by one class for all."""
    if (a := e.annotators) is None:
        return []
    who = (
        f"{count(a.num_votes, 'vote')} of {count(a.num_annotators, 'known annotator')} on {count(a.num_clips, 'clip')}"
    )
    rows = [
        ("one prediction for each annotator", f"{a.error:.4f}"),
        ("the predicted class for all", f"{a.shared_error:.4f}"),
    ]
    return [simple_table((f"annotator error ({who})", ""), rows)]


def _blends(e: Evaluation) -> list[list[str]]:
    """Presence and salience accuracy, where shares are known."""
    if (b := e.blends) is None:
        return []
    rows = [
        (each.name, percent(each.presence, 2), NONE if each.salience is None else percent(each.salience, 2))
        for each in b.references
    ]
    head = (f"emotions and their shares ({count(b.num_blends, 'blend')})", "presence", "salience")
    said = (
        "presence: the clips whose set of emotions was found. salience: the blends whose shares were found, too. "
        f"Of {e.judged_by}: an emotion is there from {b.presence_threshold:g}, two are equal within "
        f"{b.salience_threshold:g}."
    )
    return [simple_table(head, rows), wrapped(said)]


def _baselines(e: Evaluation) -> list[list[str]]:
    """The scores beside those of constant guesses, and beside people's."""
    parts = []
    if e.baselines is not None:
        rows = [replace(e.reference, name=f"this model, {e.judged_by}"), *e.baselines.all]
        source = f"The guesses are made from {e.baselines.source}. JSD: Jensen-Shannon divergence."
        parts += [_references("beside constant guesses", rows), wrapped(source)]
    if (line := e.human_line) is not None:
        perfect = Reference("a perfect prediction", None, None, None, None, line.noise)
        said = (
            f"Of {count(line.num_clips, 'clip')}, half of the votes ({line.num_votes:.3g} on average) are drawn "
            "and predicted by the other half and by the model. These rows compare with each other, not with "
            "those above: fewer votes scatter more."
        )
        if line.panels is not None:
            said += (
                " A perfect prediction is off by the scatter of half of the votes alone. All votes of a clip and those "
                f"of as many other people would be at a total variation of {line.panels:.4f} from each other."
            )
        rows = [line.people, line.model, *([] if line.noise is None else [perfect])]
        parts += [_references("against half of the votes", rows), *_line_limits(line), wrapped(said)]
    return parts


def _line_limits(line: HumanLine) -> list[list[str]]:
    if line.people.limits is None or line.model.limits is None:
        return []
    rows = [
        (f"{each.name}", _shares(of.uar), _shares(of.war), _interval(of.jensen_shannon), _interval(of.total_variation))
        for each, of in ((line.people, line.people.limits), (line.model, line.model.limits))
    ]
    return [simple_table((f"{_INTERVAL}s", "UAR", "WAR", "JSD", "total variation"), rows)]


def _references(title: str, references: Sequence[Reference]) -> list[str]:
    measures = [m for m in (*RECOGNITION, *DISTANCES) if any(m.of(each) is not None for each in references)]
    rows = [(each.name, *(m.text(m.of(each)) for m in measures)) for each in references]
    return simple_table((title, *(f"{m.short} %" if m.unit == "%" else m.short for m in measures)), rows)
