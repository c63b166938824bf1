"""What was prepared, and what is in a store, as text for a terminal."""

from collections.abc import Sequence

from midas_dfer.clips.description.agreement import Agreement
from midas_dfer.clips.description.annotators import AnnotatorPair, Annotators, habit_sentence
from midas_dfer.clips.description.description import Description, Spread
from midas_dfer.clips.preparing.prepare import PrepareReport
from midas_dfer.report.tables.terminal import blocks, facts, simple_table, wrapped
from midas_dfer.training.scoring.measures import NONE
from midas_dfer.wording import and_more, count, percent, shortened

_PARTS_NAMED = 8
_PAIRS_NAMED = 3


def prepare_table(report: PrepareReport) -> str:
    """What became of the clips: done, failed by reason, skipped, left out, damaged."""
    failed = sum(report.failed.values())
    rows = [("done", report.done, "in this run"), ("skipped", report.skipped, "finished by an earlier run")]
    rows.append(("failed", failed, "see failures.csv" if failed else ""))
    rows += [(f"  {reason}", number, "") for reason, number in report.failed.items()]
    if report.unfinished:
        rows.append(("not finished", report.unfinished, "the next run tries them again"))
    if report.left_out:
        rows.append(("left out", report.left_out, "there is no such file"))
    rows.append(("usable", report.usable, "clips in the store"))
    if report.damaged:
        rows.append(("  damaged", report.damaged, "used up to the damage"))
    return "\n".join(simple_table(("", "", ""), [(name, f"{number:,}", note) for name, number, note in rows], (2,)))


def description_table(description: Description) -> str:
    """What is in a store: clips, lengths, votes, agreement, classes, ambiguity, failures, notes."""
    d = description
    parts = [facts(*_facts(d)), _class_lines(d)]
    if d.annotators is not None:
        parts.append(_annotator_lines(d.annotators, d.class_names))
    if d.failures:
        parts.append(simple_table(("failed", "clips"), [(reason, f"{n:,}") for reason, n in d.failures.items()]))
    if told := len(d.notes) + len(d.remarks):  # midas prepare has told them
        parts.append(wrapped(f"note: {count(told, 'remark')} on annotations and files: on the page, and with --json"))
    return blocks(*parts)


def _facts(d: Description) -> list[tuple[str, str]]:
    clips = [f"{d.num_clips:,}"]
    if d.num_damaged:
        clips.append(f"{d.num_damaged:,} of them damaged (used up to the damage)")
    if d.failures:
        clips.append(f"{sum(d.failures.values()):,} failed")
    if d.num_pending:
        clips.append(f"{d.num_pending:,} not prepared yet")
    found = [("data set", d.dataset), ("clips", "; ".join(clips))]
    if d.num_subjects:
        unknown = f" ({count(d.num_without_subject, 'clip')} without)" if d.num_without_subject else ""
        found.append(("subjects", f"{d.num_subjects:,}{unknown}"))
    if d.splits:
        found.append(("parts", and_more([f"{name} {n:,}" for name, n in d.splits.items()], _PARTS_NAMED)))
    if d.folds:
        found.append(("folds", f"{len(d.folds)} of {_range(min(d.folds.values()), max(d.folds.values()))} clips"))
    if d.frames is not None:
        found.append(("frames", f"{_spread(d.frames)} per clip; {d.frames.total:,} in all"))
    if d.votes_per_clip is not None:
        whose = "" if d.num_voted == d.num_clips else f"; {count(d.num_voted, 'clip')} with votes"
        found.append(("votes", f"{_spread(d.votes_per_clip)} per clip{whose}"))
    if d.ambiguity is not None:
        clear, entropy = d.ambiguity.clear, d.ambiguity.mean_entropy
        found.append(("clear", f"{percent(clear, 2)} of the clips have over 90 % of their votes in one class"))
        found.append(("entropy", f"{entropy:.3f} on average; 0: all agree, 1: all classes equally likely"))
    if d.agreement is not None:
        found.append(("agreement", _agreement_sentence(d.agreement)))
    if d.aggregated:
        found.append(("labels", f"to train on: {d.aggregated} of single votes; what is counted here are the votes"))
    if d.settings is not None:
        cut = f"{d.settings.size}x{d.settings.size} pixels, faces {d.settings.faces}"
        found.append(("settings", f"{cut}; fingerprint {d.fingerprint}"))
    return found


def _agreement_sentence(a: Agreement) -> str:
    parts = [] if a.pairs is None else [f"{percent(a.pairs, 2)} of the pairs of votes agree"]
    if a.fleiss_kappa is not None:
        parts.append(f"Fleiss' kappa {a.fleiss_kappa:.3f}")
    if a.krippendorff_alpha is not None:
        parts.append(f"Krippendorff's alpha {a.krippendorff_alpha:.3f}")
    reasons = dict.fromkeys(note for note in (a.fleiss_note, a.krippendorff_note) if note)
    return ". ".join(part for part in (", ".join(parts), " ".join(reasons)) if part)


def _class_lines(d: Description) -> list[str]:
    labelled, mass = sum(d.class_clips), sum(d.soft_label_mass)
    columns = ["class", "clips", "share", "of votes"]
    rows = [
        [name, f"{n:,}", percent(n / labelled, 2) if labelled else NONE, percent(soft / mass, 2) if mass else NONE]
        for name, n, soft in zip(d.class_names, d.class_clips, d.soft_label_mass, strict=True)
    ]
    if d.num_voted and len(d.class_names) > 1:
        columns.append("also voted for")
        rows = [[*row, _companion(d, number)] for number, row in enumerate(rows)]
    lines = simple_table(columns, rows, (4,))
    if d.num_unlabelled:
        lines += wrapped(f"without a single label: {count(d.num_unlabelled, 'clip')}")
    if d.num_tied:
        lines += wrapped(f"tied at the top of the votes: {count(d.num_tied, 'clip')}")
    return lines


def _companion(d: Description, number: int) -> str:
    """The class that coexists most with a class, and its mean share there."""
    shares = d.coexistence[number]
    if shares is None:
        return NONE
    share, other = max((s, -k) for k, s in enumerate(shares) if k != number)
    return f"{shortened(d.class_names[-other], 22)} {percent(share, 2)}" if share > 0 else "nothing else"


def _annotator_lines(annotators: Annotators, names: Sequence[str]) -> list[str]:
    rows = [
        (
            shortened(each.name, 20),
            f"{each.votes:,}",
            NONE if each.agreement is None else percent(each.agreement, 2),
            NONE if each.kappa is None else f"{each.kappa:.2f}",
            f"{shortened(names[each.favourite()], 14)} {percent(max(each.shares), 0)}",
            "by habit?" if each.by_habit else "",
        )
        for each in annotators.shown
    ]
    lines = simple_table(("annotator", "votes", "agrees", "kappa", "most often", ""), rows)
    if left := annotators.number - len(annotators.shown):
        lines.append(f"and {left:,} more who voted less, or answer to what is seen")
    lines += wrapped(habit_sentence(annotators))
    pairs = sorted(annotators.pairs, key=lambda pair: pair.agreement)
    if pairs:
        lowest = ", ".join(_pair(pair) for pair in pairs[:_PAIRS_NAMED])
        more = f"; the most: {_pair(pairs[-1])}" if len(pairs) > _PAIRS_NAMED else ""
        lines += wrapped(f"pairs, those that agree least first: {lowest}{more}")
    return lines


def _pair(pair: AnnotatorPair) -> str:
    kappa = "" if pair.kappa is None else f", kappa {pair.kappa:.2f}"
    both = f"{shortened(pair.first, 20)} and {shortened(pair.second, 20)}"
    return f"{both} {percent(pair.agreement, 0)} of {pair.clips:,}{kappa}"


def _spread(spread: Spread) -> str:
    middle = "" if spread.min == spread.max else f", median {spread.median:g}"
    return _range(spread.min, spread.max) + middle


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
