"""What a check of a data set found, as text for a terminal, at most 80 columns wide."""

import textwrap
from collections.abc import Sequence

from midas_dfer.clips.checking.check import CheckReport
from midas_dfer.clips.checking.finding import Finding, errors_of
from midas_dfer.clips.checking.seen import MOST_FRAMES
from midas_dfer.clips.checking.store import StoreReport
from midas_dfer.manifest.class_counts import classes_text
from midas_dfer.manifest.vote_counts import annotators_text, votes_text

WIDTH = 80
_INDENT = 9
_LONGEST_EXAMPLE = 2 * (WIDTH - _INDENT) - 2


def check_table(report: CheckReport) -> str:
    """What was looked at, then the findings, errors last: what, how many, examples, what to do.

    Returns:
        Lines of at most 80 columns, without a line break at the end.
    """
    stopped = f", {report.num_read_in_part:,} of them in part (they take long)" if report.num_read_in_part else ""
    facts = [
        ("data set", report.dataset),
        ("clips", f"{report.num_clips:,} annotated; {report.num_present:,} with a file"),
        ("read", f"{report.num_read:,} clips{stopped}" if report.num_read else "no clip"),
        ("compared", "the pixels of all clips" if report.compared else "no pixels"),
    ]
    if report.num_looked_at:
        facts.append(("faces", f"looked for in up to {MOST_FRAMES} frames of {_count(report.num_looked_at, 'clip')}"))
    facts.append(("classes", classes_text(report.classes)))
    if report.votes is not None:
        facts.append(("votes", votes_text(report.votes)))
        people = annotators_text(report.votes)
        facts.append(("voters", people or "nobody is named: only the counts are known"))
    facts.append(("parts", report.parts or "none"))
    return _table(facts, report.findings)


def store_check_table(report: StoreReport) -> str:
    """The same for a store.

    Returns:
        Lines of at most 80 columns, without a line break at the end.
    """
    facts = [
        ("data set", report.dataset),
        ("clips", f"{report.num_clips:,} with {report.num_frames:,} frames; all were read"),
    ]
    return _table(facts, report.findings)


def _table(facts: Sequence[tuple[str, str]], findings: Sequence[Finding]) -> str:
    blocks = [[line for name, text in facts for line in _hanging(f"{name:<{_INDENT}}", text)]]
    blocks += [_finding(f) for f in findings]
    errors = len(errors_of(findings))
    tally = f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'note')}"
    blocks.append([tally if findings else "nothing is wrong"])
    return "\n\n".join("\n".join(block) for block in blocks)


def _finding(finding: Finding) -> list[str]:
    head = f"{finding.severity.upper() if finding.severity == 'error' else finding.severity:<{_INDENT}}"
    text = f"{finding.what}: {finding.count:,}" if finding.count else finding.what
    lines = _hanging(head, text)
    for example in finding.examples:
        lines += _hanging(" " * _INDENT + "- ", _shortened(example))
    if finding.count > len(finding.examples) > 0:
        lines.append(f"{'':<{_INDENT}}  and {finding.count - len(finding.examples):,} more")
    return lines + (_hanging(" " * _INDENT + "> ", finding.advice) if finding.advice else [])


def _hanging(head: str, text: str) -> list[str]:
    """Text that is folded behind its head; a long word (a path) is broken, and a file's name plays no tricks."""
    indent = " " * len(head)
    return textwrap.wrap(
        "".join(c if c.isprintable() else "?" for c in " ".join(text.split())),
        WIDTH,
        initial_indent=head,
        subsequent_indent=indent,
        break_on_hyphens=False,
    ) or [head.rstrip()]


def _shortened(text: str) -> str:
    """Cut in the middle if it would take more than two lines: both ends of a path tell something."""
    half = (_LONGEST_EXAMPLE - 5) // 2
    return text if len(text) <= _LONGEST_EXAMPLE else f"{text[:half]} ... {text[-half:]}"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"
