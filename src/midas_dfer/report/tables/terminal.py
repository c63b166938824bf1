"""Results as text for a terminal, at most 80 columns wide."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from midas_dfer.clips.description.agreement import Agreement
from midas_dfer.clips.description.annotators import AnnotatorPair, Annotators, habit_sentence
from midas_dfer.clips.description.description import Description, Spread
from midas_dfer.clips.preparing.prepare import PrepareReport
from midas_dfer.training.scoring.baselines import Reference
from midas_dfer.training.scoring.scores import Evaluation, VoteAgreement, in_words

WIDTH = 80
_NAME_WIDTH = 30
_PARTS_NAMED = 8
_PAIRS_NAMED = 3
_REFERENCE_COLUMNS = (
    ("UAR %", "uar", "{:.2f}", 100),
    ("WAR %", "war", "{:.2f}", 100),
    ("cross-entropy", "soft_cross_entropy", "{:.4f}", 1),
    ("JSD", "jensen_shannon", "{:.4f}", 1),
    ("TV", "total_variation", "{:.4f}", 1),
)


def folded(text: str) -> str:
    """Break a line that is wider than a terminal between its words; paths stay whole, and what fits is as it was."""
    lines = [
        line
        if len(line) <= WIDTH
        else textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    ]
    return "\n".join(lines)


def evaluation_table(evaluation: Evaluation) -> str:
    """The scores of a run: against the labels, by class, and against the votes, both readings side by side.

    Returns:
        Lines of at most 80 columns, without a line break at the end.
    """
    e = evaluation
    blocks = [
        _facts(
            ("method", e.method),
            ("model", e.model),
            ("data set", e.dataset),
            ("clips", f"{_part(e)}; {_number(e.num_labelled)} with a single label, {_number(e.num_voted)} with votes"),
            *([("computed", f"in {in_words(e.precision)} on {e.device}")] if e.precision else []),
        )
    ]
    if e.caution:
        blocks.append(_wrap(f"CAUTION: {e.caution}."))
    if e.mapping is not None:
        shared = f"Scored over the {len(e.class_names)} classes that the run and {e.dataset} both have."
        blocks.append(_wrap(f"{shared} {e.mapping.paragraph()}".strip()))
    blocks += [_wrap(f"NOTE: {warning}") for warning in e.warnings]
    if e.uar is not None and e.war is not None:
        occurring = sum(r is not None for r in e.recall)
        blocks.append(
            [
                f"UAR  {_percent(e.uar)}   mean recall of the {_count(occurring, 'class', 'classes')}",
                f"WAR  {_percent(e.war)}   share of the {_count(e.num_labelled, 'clip')} whose class was found",
            ]
        )
        rows = [
            (name, "-" if recall is None else _percent(recall), _number(sum(counts)))
            for name, recall, counts in zip(e.class_names, e.recall, e.confusion, strict=True)
        ]
        blocks.append(_columns(("class", "recall", "clips"), rows))
    else:
        blocks.append(_wrap("No clip has a single label, so there is no UAR, WAR or recall."))
    if e.agreement is not None:
        blocks += [_agreement_lines(e), _wrap(_readings_sentence(e))]
    else:
        blocks.append(_wrap("No clip has votes, so there is no agreement with them."))
    return _joined([*blocks, *_baseline_blocks(e)])


def _baseline_blocks(e: Evaluation) -> list[list[str]]:
    """The scores beside those of constant guesses, and beside people's."""
    blocks = []
    if e.baselines is not None:
        rows = [replace(e.reference, name=f"this model, {e.judged_by}"), *e.baselines.all]
        blocks += [
            _reference_lines("beside constant guesses", rows),
            _wrap(
                f"The guesses are made from {e.baselines.source}. JSD: Jensen-Shannon divergence; TV: total variation."
            ),
        ]
    if (line := e.human_line) is not None:
        blocks += [
            _reference_lines("against half of the votes", (line.people, line.model)),
            _wrap(
                f"Of {_count(line.num_clips, 'clip')}, half of the votes ({line.num_votes:.3g} on average) are drawn "
                "and predicted by the other half and by the model. These two rows compare with each other, not with "
                "those above: fewer votes scatter more."
            ),
        ]
    return blocks


def _reference_lines(title: str, references: Sequence[Reference]) -> list[str]:
    columns = [each for each in _REFERENCE_COLUMNS if any(getattr(r, each[1]) is not None for r in references)]
    rows = [
        (each.name, *(_cell(getattr(each, name), form, scale) for _, name, form, scale in columns))
        for each in references
    ]
    return _columns((title, *(head for head, *_ in columns)), rows, name_width=32)


def _cell(value: float | None, form: str, scale: float) -> str:
    return "-" if value is None else form.format(scale * value)


def prepare_table(report: PrepareReport) -> str:
    """What became of the clips: done, failed by reason, skipped, left out, damaged.

    Returns:
        Lines of at most 80 columns, without a line break at the end.
    """
    failed = sum(report.failed.values())
    rows = [("done", report.done, "in this run"), ("skipped", report.skipped, "finished by an earlier run")]
    rows.append(("failed", failed, "see failures.csv" if failed else ""))
    rows += [(f"  {reason}", count, "") for reason, count in report.failed.items()]
    if report.unfinished:
        rows.append(("not finished", report.unfinished, "the next run tries them again"))
    if report.left_out:
        rows.append(("left out", report.left_out, "there is no such file"))
    rows.append(("usable", report.usable, "clips in the store"))
    if report.damaged:
        rows.append(("  damaged", report.damaged, "used up to the damage"))
    names = [_short(name) for name, _, _ in rows]
    left, middle = max(map(len, names)), max(len(_number(count)) for _, count, _ in rows)
    return "\n".join(
        f"{name:<{left}}  {_number(count):>{middle}}  {note}".rstrip()
        for name, (_, count, note) in zip(names, rows, strict=True)
    )


def description_table(description: Description) -> str:
    """What is in a store: clips, lengths, votes, agreement, classes, ambiguity, failures, notes.

    Returns:
        Lines of at most 80 columns, without a line break at the end.
    """
    d = description
    facts = [("data set", d.dataset), ("clips", _clips_sentence(d))]
    if d.num_subjects:
        unknown = f" ({_count(d.num_without_subject, 'clip')} without)" if d.num_without_subject else ""
        facts.append(("subjects", f"{_number(d.num_subjects)}{unknown}"))
    if d.splits:
        facts.append(("parts", _enumerated([f"{name} {_number(n)}" for name, n in d.splits.items()])))
    if d.folds:
        facts.append(("folds", f"{len(d.folds)} of {_range(min(d.folds.values()), max(d.folds.values()))} clips"))
    if d.frames is not None:
        facts.append(("frames", f"{_spread(d.frames)} per clip; {_number(d.frames.total)} in all"))
    if d.votes_per_clip is not None:
        whose = "" if d.num_voted == d.num_clips else f"; {_count(d.num_voted, 'clip')} with votes"
        facts.append(("votes", f"{_spread(d.votes_per_clip)} per clip{whose}"))
    if d.ambiguity is not None:
        facts += [
            ("clear", f"{_percent(d.ambiguity.clear).strip()} of the clips have over 90 % of their votes in one class"),
            ("entropy", f"{d.ambiguity.mean_entropy:.3f} on average; 0: all agree, 1: all classes equally likely"),
        ]
    if d.agreement is not None:
        facts.append(("agreement", _agreement_sentence(d.agreement)))
    if d.aggregated:
        facts.append(("labels", f"to train on: {d.aggregated} of single votes; what is counted here are the votes"))
    if d.settings is not None:
        cut = f"{d.settings.size}x{d.settings.size} pixels, faces {d.settings.faces}"
        facts.append(("settings", f"{cut}; fingerprint {d.fingerprint}"))
    blocks = [_facts(*facts), _class_lines(d)]
    if d.annotators is not None:
        blocks.append(_annotator_lines(d.annotators, d.class_names))
    if d.failures:
        rows = [(reason, _number(count)) for reason, count in d.failures.items()]
        blocks.append(_columns(("failed", "clips"), rows))
    told = len(d.notes) + len(d.remarks)  # midas prepare has told them
    notes = (
        _wrap(f"note: {_count(told, 'remark')} on annotations and files: on the page, and with --json") if told else []
    )
    return _joined([*blocks, notes] if notes else blocks)


def _agreement_sentence(agreement: Agreement) -> str:
    a = agreement
    parts = [] if a.pairs is None else [f"{_percent(a.pairs).strip()} of the pairs of votes agree"]
    if a.fleiss_kappa is not None:
        parts.append(f"Fleiss' kappa {a.fleiss_kappa:.3f}")
    if a.krippendorff_alpha is not None:
        parts.append(f"Krippendorff's alpha {a.krippendorff_alpha:.3f}")
    reasons = dict.fromkeys(note for note in (a.fleiss_note, a.krippendorff_note) if note)
    return ". ".join(part for part in (", ".join(parts), " ".join(reasons)) if part)


def _agreement_lines(evaluation: Evaluation) -> list[str]:
    floor = "" if evaluation.votes_entropy is None else f", at least {evaluation.votes_entropy:.4f}"
    wanted: list[tuple[str, str]] = [
        (f"soft cross-entropy (nats{floor})", "soft_cross_entropy"),
        ("Jensen-Shannon divergence (nats)", "jensen_shannon"),
        ("total variation", "total_variation"),
        ("entropy correlation, Pearson", "entropy_pearson"),
        ("entropy correlation, Spearman", "entropy_spearman"),
        ("expected calibration error", "expected_calibration_error"),
    ]
    readings = evaluation.agreement or {}
    names = [name.replace("_", " ") for name in readings]
    rows = [(label, *(_score(reading, field) for reading in readings.values())) for label, field in wanted]
    return _columns((f"agreement with votes ({_count(evaluation.num_voted, 'clip')})", *names), rows, name_width=46)


def _readings_sentence(e: Evaluation) -> str:
    said = "probabilities: the softmax of the network's output, flat where the training targets were. "
    if e.no_vote_shares:
        return f"{said}They are {e.no_vote_shares}."
    return f"{said}vote shares: the annotators' distribution that this output implies."


def _score(reading: VoteAgreement, field: str) -> str:
    value: float | None = getattr(reading, field)
    return "-" if value is None else f"{value:.4f}"


def _class_lines(d: Description) -> list[str]:
    labelled, mass = sum(d.class_clips), sum(d.soft_label_mass)
    rows = [
        (name, _number(count), _percent(count / labelled) if labelled else "-", _percent(soft / mass) if mass else "-")
        for name, count, soft in zip(d.class_names, d.class_clips, d.soft_label_mass, strict=True)
    ]
    lines = _columns(("class", "clips", "share", "of votes"), rows, name_width=22)
    if d.num_voted and len(d.class_names) > 1:
        companions = ["also voted for", *(_companion(d, number) for number in range(len(d.class_names)))]
        lines = [f"{line}  {companion}".rstrip() for line, companion in zip(lines, companions, strict=True)]
    if d.num_unlabelled:
        lines += _wrap(f"without a single label: {_count(d.num_unlabelled, 'clip')}")
    if d.num_tied:
        lines += _wrap(f"tied at the top of the votes: {_count(d.num_tied, 'clip')}")
    return lines


def _annotator_lines(annotators: Annotators, names: Sequence[str]) -> list[str]:
    rows = [
        (
            each.name,
            _number(each.votes),
            "-" if each.agreement is None else _percent(each.agreement),
            "-" if each.kappa is None else f"{each.kappa:.2f}",
            f"{_short(names[each.favourite()], 14)} {100 * max(each.shares):.0f} %",
            "by habit?" if each.by_habit else "",
        )
        for each in annotators.shown
    ]
    lines = _columns(("annotator", "votes", "agrees", "kappa", "most often", ""), rows, name_width=20)
    left = annotators.number - len(annotators.shown)
    if left:
        lines.append(f"and {_number(left)} more who voted less, or answer to what is seen")
    lines += _wrap(habit_sentence(annotators))
    pairs = sorted(annotators.pairs, key=lambda pair: pair.agreement)
    if pairs:
        lowest = ", ".join(_pair(pair) for pair in pairs[:_PAIRS_NAMED])
        more = f"; the most: {_pair(pairs[-1])}" if len(pairs) > _PAIRS_NAMED else ""
        lines += _wrap(f"pairs, those that agree least first: {lowest}{more}")
    return lines


def _pair(pair: AnnotatorPair) -> str:
    kappa = "" if pair.kappa is None else f", kappa {pair.kappa:.2f}"
    return (
        f"{_short(pair.first, 20)} and {_short(pair.second, 20)} {100 * pair.agreement:.0f} % of {pair.clips:,}{kappa}"
    )


def _companion(d: Description, number: int) -> str:
    """The class that coexists most with a class, and its mean share there."""
    shares = d.coexistence[number]
    if shares is None:
        return "-"
    share, other = max((s, -k) for k, s in enumerate(shares) if k != number)
    return f"{_short(d.class_names[-other], 22)} {100 * share:.2f} %" if share > 0 else "nothing else"


def _clips_sentence(d: Description) -> str:
    parts = [_number(d.num_clips)]
    if d.num_damaged:
        parts.append(f"{_number(d.num_damaged)} of them damaged (used up to the damage)")
    if d.failures:
        parts.append(f"{_number(sum(d.failures.values()))} failed")
    if d.num_pending:
        parts.append(f"{_number(d.num_pending)} not prepared yet")
    return "; ".join(parts)


def _part(e: Evaluation) -> str:
    return _count(e.num_clips, "clip") if e.part == "all" else f"{_count(e.num_clips, 'clip')} of the {e.part} part"


def _spread(spread: Spread) -> str:
    middle = "" if spread.min == spread.max else f", median {spread.median:g}"
    return _range(spread.min, spread.max) + middle


def _range(low: int, high: int) -> str:
    return _number(low) if low == high else f"{_number(low)} to {_number(high)}"


def _enumerated(parts: Sequence[str]) -> str:
    more = f", and {len(parts) - _PARTS_NAMED} more" if len(parts) > _PARTS_NAMED else ""
    return ", ".join(parts[:_PARTS_NAMED]) + more


def _facts(*facts: tuple[str, str]) -> list[str]:
    width = max(len(name) for name, _ in facts)
    lines = []
    for name, value in facts:
        folded = textwrap.wrap(" ".join(value.split()), WIDTH - width - 2) or [""]
        lines += [f"{name if i == 0 else '':<{width}}  {part}".rstrip() for i, part in enumerate(folded)]
    return lines


def _columns(head: Sequence[str], rows: Sequence[Sequence[str]], name_width: int = _NAME_WIDTH) -> list[str]:
    """The first column to the left, the others to the right."""
    cells = [[_short(row[0], name_width), *row[1:]] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return [
        "  ".join([f"{row[0]:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in cells
    ]


def _wrap(sentence: str) -> list[str]:
    return textwrap.wrap(" ".join(sentence.split()), WIDTH)


def _joined(blocks: Sequence[Sequence[str]]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks)


def _short(name: str, width: int = _NAME_WIDTH) -> str:
    """On one line, and cut if it is too long; blanks in front are kept."""
    indent = " " * (len(name) - len(name.lstrip(" ")))
    plain = indent + " ".join(name.split())
    return plain if len(plain) <= width else plain[: width - 3] + "..."


def _count(number: int, one: str, many: str = "") -> str:
    return f"{_number(number)} {one if number == 1 else many or one + 's'}"


def _number(number: int) -> str:
    return f"{number:,}"


def _percent(share: float) -> str:
    return f"{100 * share:6.2f} %"
