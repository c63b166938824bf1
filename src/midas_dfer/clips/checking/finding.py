"""What a check found: how bad it is, what, how many, examples, what to do."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Any, Literal

Severity = Literal["error", "note"]
"""`error`: a long job would fail on it, or its scores would be wrong. `note`: worth knowing, no reason to wait."""

EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        kind: a word for machines, such as "no_file".
        what: in words, without how many: "annotated clips without a file".
        count: how many; 0 where it is not about a number of things.
        examples: up to five of them.
        advice: what to do, a sentence; "" where there is nothing to do.
    """

    kind: str
    severity: Severity
    what: str
    count: int = 0
    examples: tuple[str, ...] = ()
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**asdict(self), "examples": list(self.examples)}


def errors_of(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that say that something is wrong."""
    return tuple(each for each in findings if each.severity == "error")


def first_few(items: Iterable[str]) -> tuple[str, ...]:
    """The first `EXAMPLES` of them."""
    return tuple(islice(items, EXAMPLES))


def found(severity: Severity, kind: str, what: str, items: Sequence[str], advice: str = "") -> Iterator[Finding]:
    """The finding on some things, named by the first few; nothing where there are none."""
    if items:
        yield Finding(kind, severity, what, len(items), first_few(items), advice)


errors, notes = partial(found, "error"), partial(found, "note")
