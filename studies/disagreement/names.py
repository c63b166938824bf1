"""What methods, schedules and scores are called on the page, and how they look in its pictures."""

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "hard": "hard labels",
    "soft": "soft labels",
    "soft_regularised": "soft, regularised",
    "midas_none": "MIDAS, no normalisation",
    "midas_softmax": "MIDAS, softmax",
    "midas_counts": "MIDAS, softmax of counts",
    "votes": "each vote alone",
    "dirichlet_multinomial": "Dirichlet-multinomial",
    "midas_none_regularised": "MIDAS, none, regularised",
    "midas_softmax_regularised": "MIDAS, softmax, regularised",
}

LOOKS: Mapping[str, tuple[str, str, str]] = {
    "hard": ("#8B939C", "s", ":"),
    "soft": ("#0072B2", "o", "-"),
    "soft_regularised": ("#22272E", "P", "-"),
    "midas_none": ("#D55E00", "^", "-"),
    "midas_softmax": ("#7A3E8E", "D", "--"),
    "midas_counts": ("#009E73", "v", "--"),
    "votes": ("#56B4E9", "<", "-."),
    "dirichlet_multinomial": ("#A8841A", "X", "-."),
}
"""Colour, mark and dash of a method; they can be told apart in grey too."""

SCHEDULE_LOOKS: Mapping[str, tuple[str, str]] = {
    "short": ("#56B4E9", "o"),
    "long": ("#0B5C8E", "s"),
    "all": ("#D55E00", "D"),
}
"""Colour and mark of a schedule."""

IN_PERCENT = ("WAR", "UAR", "rare", "risk at .8")
LOWER_IS_BETTER = ("TV", "KL", "ECE", "AURC", "risk at .8", "DM NLL")
RECALL = "recall of "
"""Begins the name of a class's recall among the scores."""


def in_percent(score: str) -> bool:
    """Whether a score is shown in percent, its differences in points."""
    return score in IN_PERCENT or score.startswith(RECALL)


def shown(score: str, value: float, *, signed: bool = False) -> str:
    """A score, or a difference of two, with as many digits as it is worth."""
    factor, digits = (100, 1) if in_percent(score) else (1, 3)
    return f"{factor * value:{'+' if signed else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")
