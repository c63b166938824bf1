"""What a check of a data set found, as text for a terminal."""

from collections.abc import Sequence

from midas_dfer.clips.checking.check import CheckReport
from midas_dfer.clips.checking.faces_in_view import MOST_FRAMES
from midas_dfer.clips.checking.finding import Finding, errors_of
from midas_dfer.clips.checking.store import StoreReport
from midas_dfer.manifest.class_counts import classes_text
from midas_dfer.manifest.vote_counts import annotators_text, votes_text
from midas_dfer.report.tables.terminal import WIDTH, blocks, facts, wrapped
from midas_dfer.wording import count, shortened

_INDENT = 10
_LONGEST_EXAMPLE = 2 * (WIDTH - _INDENT) - 2


def check_table(report: CheckReport) -> str:
    """What was looked at, then the findings, errors last: what, how many, examples, what to do."""
    stopped = f", {report.num_read_in_part:,} of them in part (they take long)" if report.num_read_in_part else ""
    pairs = [
        ("data set", report.dataset),
        ("clips", f"{report.num_clips:,} annotated; {report.num_present:,} with a file"),
        ("read", f"{report.num_read:,} clips{stopped}" if report.num_read else "no clip"),
        ("compared", "the pixels of all clips" if report.compared else "no pixels"),
    ]
    if report.num_looked_at:
        pairs.append(("faces", f"looked for in up to {MOST_FRAMES} frames of {count(report.num_looked_at, 'clip')}"))
    pairs.append(("classes", classes_text(report.classes)))
    if report.votes is not None:
        pairs.append(("votes", votes_text(report.votes)))
        people = annotators_text(report.votes)
        pairs.append(("voters", people or "nobody is named: only the counts are known"))
    pairs.append(("parts", report.parts or "none"))
    return _table(pairs, report.findings)


def store_check_table(report: StoreReport) -> str:
    """The same for a store."""
    clips = f"{report.num_clips:,} with {report.num_frames:,} frames; all were read"
    return _table([("data set", report.dataset), ("clips", clips)], report.findings)


def _table(pairs: Sequence[tuple[str, str]], findings: Sequence[Finding]) -> str:
    errors = len(errors_of(findings))
    tally = f"{count(errors, 'error')}, {count(len(findings) - errors, 'note')}"
    return blocks(facts(*pairs), *map(_finding, findings), [tally if findings else "nothing is wrong"])


def _finding(finding: Finding) -> list[str]:
    blank = " " * _INDENT
    kind = finding.severity.upper() if finding.severity == "error" else finding.severity
    text = f"{finding.what}: {finding.count:,}" if finding.count else finding.what
    lines = wrapped(text, f"{kind:<{_INDENT}}")
    for example in finding.examples:  # both ends of a path tell something
        lines += wrapped(shortened(example, _LONGEST_EXAMPLE, _LONGEST_EXAMPLE // 2, " ... "), f"{blank}- ")
    if finding.count > len(finding.examples) > 0:
        lines.append(f"{blank}  and {finding.count - len(finding.examples):,} more")
    return lines + (wrapped(finding.advice, f"{blank}> ") if finding.advice else [])
