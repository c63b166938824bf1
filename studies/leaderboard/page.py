"""docs/leaderboard.md: `page.md` filled in with the figures of results.json."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from studies.leaderboard.drawing import PICTURE
from studies.leaderboard.predictions import SUM_TOLERANCE
from studies.leaderboard.speed import FACES, ONE, TOGETHER
from studies.leaderboard.trials import CONSTANT, DRAWS, HALVES, PANEL, PEOPLE, SECOND_PANEL, SEVEN, TEST
from studies.pages import render, table

SCORES = {
    "war": "WAR, %",
    "uar": "UAR, %",
    "tv": "total variation",
    "jsd": "JSD",
    "ce": "cross-entropy",
    "ece": "calibration error",
}
"""The columns, by the names of the figures."""
_NOISE = "°"
_SAID = {"better": "people are closer", "worse": "the reader is closer", "noise": "inside the noise"}


def page(content: Mapping[str, Any]) -> str:
    """The page of the documentation."""
    ours, found = next(iter(content["readers"])), content["trials"][TEST]["scores"]
    return render(
        Path(__file__).with_name("page.md"),
        **content,
        **{"TEST": TEST, "SEVEN": SEVEN, "PANEL": PANEL, "HALVES": HALVES},
        ours=ours,
        found=found,
        nearest=next(name for name in _nearest_first(found) if name in content["readers"]),
        constant=CONSTANT,
        second_panel=SECOND_PANEL,
        picture=PICTURE,
        draws=DRAWS,
        faces=FACES,
        tolerance=SUM_TOLERANCE,
        all_scores=SCORES,
        beside_people={key: SCORES[key] for key in ("war", "uar", "tv", "jsd")},
        share=_share,
        cell=_cell,
        said=lambda measure: _SAID[_verdict(content, PANEL, SECOND_PANEL, measure) or "noise"],
        told_apart=partial(_told_apart, content, ours),
        score_table=lambda trial, columns: table(["", *columns.values()], _score_rows(content, trial, ours, columns)),
        main_table=_main_table(content, ours),
        recalls=_recalls(content),
    )


def short_table(content: Mapping[str, Any]) -> str:
    """The board in a few rows, for the README: all pictures, and those on which a second panel voted."""
    ours = next(name for name, reader in content["readers"].items() if reader["ours"])
    rows = []
    for trial, pictures in ((TEST, "all"), (PANEL, "two panels")):
        found = content["trials"][trial]["scores"]
        for name in _nearest_first(found):
            if trial == TEST or name in (*PEOPLE, ours):
                value, low, high = (f"{100 * found[name]['tv'][end]:.1f}" for end in ("value", "low", "high"))
                votes = f"{value} ({low} to {high})"
                rows.append([f"{_shown(name, ours)}, {pictures}", _cell(found[name], "war"), votes])
    return table(["", "majority emotion predicted (WAR), %", "misplaced votes, %"], rows)


def with_short_table(readme: str, content: Mapping[str, Any]) -> str:
    """The README with that table as it is now, between its marks."""
    before, mark, rest = readme.partition("<!-- The board, in short; written with docs/leaderboard.md. -->\n")
    _, end, after = rest.partition("<!-- Until here. -->")
    return f"{before}{mark}{short_table(content)}\n{end}{after}"


def score_lines(trials: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is printed of a file of predictions: its scores, and people's beside them."""
    heads = {
        TEST: "all test pictures, ten votes",
        SEVEN: "the same without contempt",
        PANEL: "pictures with a second panel, ten votes",
        HALVES: f"five of the ten votes, {DRAWS} draws",
    }
    rows = [
        [
            head,
            name,
            f"{found['rows']:,}",
            *("infinite" if score == "ce" and name in PEOPLE else _cell(found, score) for score in SCORES),
        ]
        for key, head in heads.items()
        for name, found in trials.get(key, {}).items()
    ]
    recalls = (f"{name} {_share(each)}" for name, each in next(iter(trials[TEST].values()))["recall"].items())
    return [
        table(["", "who", "rows", *SCORES.values()], rows, left=(0, 1)),
        f"recall of each emotion, all test pictures, %: {', '.join(recalls)}",
    ]


def _share(found: Mapping[str, float] | None) -> str:
    return "" if found is None else f"{100 * found['value']:.1f}"


def _cell(found: Mapping[str, Any], score: str, *, interval: bool = True) -> str:
    """A score, with its interval where it has one."""
    each = found[score]
    if each is None:
        return ""
    if not isinstance(each, Mapping):
        return f"{each:.3f}"
    digits, scale = (1, 100) if score in ("war", "uar") else (3, 1)
    value, low, high = (f"{scale * each[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})" if interval else value


def _verdict(content: Mapping[str, Any], trial: str, other: str, measure: str) -> str | None:
    wanted = (trial, other, measure)
    tests = (each for each in content["tests"] if (each["trial"], each["other"], each["measure"]) == wanted)
    return next((each["verdict"] for each in tests), None)


def _nearest_first(found: Mapping[str, Any]) -> list[str]:
    return sorted(found, key=lambda name: float(found[name]["tv"]["value"]))


def _score_rows(content: Mapping[str, Any], trial: str, ours: str, columns: Mapping[str, str]) -> list[list[str]]:
    found = content["trials"][trial]["scores"]
    rows = []
    for name in _nearest_first(found):
        row = [_shown(name, ours)]
        for score in columns:
            mark = _NOISE if _verdict(content, trial, name, score) == "noise" else ""
            row.append(_cell(found[name], score, interval=score not in ("jsd", "ce")).replace(" ", mark + " ", 1))
        rows.append(row)
    return rows


def _shown(name: str, ours: str) -> str:
    return f"**{name}**" if name == ours else f"*{name}*" if name in PEOPLE or name == CONSTANT else name


def _main_table(content: Mapping[str, Any], ours: str) -> str:
    rows = _score_rows(content, TEST, ours, SCORES)
    for name, row in zip(_nearest_first(content["trials"][TEST]["scores"]), rows, strict=True):
        known = content["readers"].get(name, {"speed": None, "learned_from": "no"})
        row += [f"{known['speed'][way]:,.0f}" if known["speed"] else "" for way in (ONE, TOGETHER)]
        row.append(known["learned_from"])
    if (lowest := content["floor"]) is not None:
        best = ["*a perfect prediction (estimate)*", "", "", f"{lowest['total_variation']:.3f}"]
        rows.append(best + [""] * 6)
    head = ["", *SCORES.values(), f"faces a second, {ONE}", TOGETHER, "learned from these pictures?"]
    return table(head, rows, left=(0, len(head) - 1))


def _told_apart(content: Mapping[str, Any], ours: str, *trials: str) -> str:
    tests = [each for each in content["tests"] if each["trial"] in trials]
    if not tests:
        return ""
    if any(each["verdict"] == "noise" for each in tests):
        return f"{_NOISE} Indistinguishable from **{ours}** in WAR, UAR or total variation."
    return f"All differ from **{ours}** by more than noise in WAR, UAR and total variation."


def _recalls(content: Mapping[str, Any]) -> str:
    classes, found = content["pictures"]["classes"], content["trials"][TEST]["scores"]
    rows = [["*pictures*", *(f"{count:,}" for count in classes.values())]]
    rows += [[name, *(_share(found[name]["recall"][each]) for each in classes)] for name in _nearest_first(found)]
    return table(["", *classes], rows)
