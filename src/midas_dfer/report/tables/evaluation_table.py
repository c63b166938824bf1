"""The scores of a run, as text for a terminal."""

from collections.abc import Sequence
from dataclasses import replace

from midas_dfer.metrics import AmbiguityStratum
from midas_dfer.report.tables.terminal import blocks, facts, simple_table, wrapped
from midas_dfer.training.scoring.baselines import Reference
from midas_dfer.training.scoring.measures import DISTANCES, NONE, READINGS, RECOGNITION, shown_measures
from midas_dfer.training.scoring.scores import Evaluation, in_words
from midas_dfer.wording import count, percent


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
        shared = f"Scored over the {len(e.class_names)} classes that the run and {e.dataset} both have."
        parts.append(wrapped(f"{shared} {e.mapping.paragraph()}"))
    parts += [wrapped(f"NOTE: {warning}") for warning in e.warnings]
    return blocks(*parts, *_recognition(e), *_agreement(e), *_blends(e), *_baselines(e))


def _recognition(e: Evaluation) -> list[list[str]]:
    if e.uar is None or e.war is None:
        return [wrapped("No clip has a single label, so there is no UAR, WAR or recall.")]
    occurring = count(sum(r is not None for r in e.recall), "class", "classes")
    rows = [
        (name, NONE if recall is None else percent(recall, 2), f"{sum(row):,}")
        for name, recall, row in zip(e.class_names, e.recall, e.confusion, strict=True)
    ]
    return [
        [
            f"UAR  {percent(e.uar, 2):>8}   mean recall of the {occurring}",
            f"WAR  {percent(e.war, 2):>8}   share of the {count(e.num_labelled, 'clip')} whose class was found",
        ],
        simple_table(("class", "recall", "clips"), rows),
    ]


def _agreement(e: Evaluation) -> list[list[str]]:
    if e.agreement is None:
        return [wrapped("No clip has votes, so there is no agreement with them.")]
    found = tuple(e.agreement.values())
    measures = shown_measures(found)
    units = {each.key: f" ({each.unit})" for each in measures if each.unit}
    if e.votes_noise is not None:
        units["corrected_total_variation"] = f" ({e.votes_noise:.4f})"
    if e.votes_entropy is not None:
        units["soft_cross_entropy"] = f" (nats, at least {e.votes_entropy:.4f})"
    rows = [(m.name + units.get(m.key, ""), *(m.text(m.of(each)) for each in found)) for m in measures]
    main, readings = len(shown_measures([])), [READINGS[name] for name in e.agreement]
    tables = [simple_table((f"agreement with votes ({count(e.num_voted, 'clip')})", *readings), rows[:main])]
    if rows[main:]:
        tables.append(simple_table(("further measures (docs/measures.md)", *readings), rows[main:]))
    if e.judged is not None and (strata := e.judged.calibration_by_ambiguity):
        head = ("by entropy of the votes", "clips", "without label", "ECE", "overconfidence")
        tables.append(simple_table(head, [_stratum(each) for each in strata]))
    said = "probabilities: the softmax of the network's output, flat where the training targets were."
    if e.no_vote_shares:
        return [*tables, wrapped(f"{said} They are {e.no_vote_shares}.")]
    return [*tables, wrapped(f"{said} vote shares: the annotators' distribution that this output implies.")]


def _stratum(each: AmbiguityStratum) -> tuple[str, ...]:
    limits = dict.fromkeys(f"{limit:.3f}" for limit in (each.lowest, each.highest))
    figures = (
        NONE if value is None else f"{value:{form}}" for value, form in ((each.error, ".4f"), (each.gap, "+.4f"))
    )
    return " to ".join(limits), f"{each.num_clips:,}", f"{each.num_unlabelled:,}", *figures


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
        said = (
            f"Of {count(line.num_clips, 'clip')}, half of the votes ({line.num_votes:.3g} on average) are drawn "
            "and predicted by the other half and by the model. These two rows compare with each other, not with "
            "those above: fewer votes scatter more."
        )
        parts += [_references("against half of the votes", (line.people, line.model)), wrapped(said)]
    return parts


def _references(title: str, references: Sequence[Reference]) -> list[str]:
    measures = [m for m in (*RECOGNITION, *DISTANCES) if any(m.of(each) is not None for each in references)]
    rows = [(each.name, *(m.text(m.of(each)) for m in measures)) for each in references]
    return simple_table((title, *(f"{m.short} %" if m.unit == "%" else m.short for m in measures)), rows)
