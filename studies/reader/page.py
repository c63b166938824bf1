"""docs/reader.md from results.json."""

import statistics
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from studies.reader.comparison import METHODS, SEEDS
from studies.reader.shipping import TERMS

PROSE = f"""# The packaged reader

`midas predict party.mp4 --out DIR` reads a video without a run of one's own: with `ferplus`, a network that learned how
ten people vote on a face. This page says how it was made, what it gets right, and what not. Its figures are written by
`python -m studies.reader FERPLUS --out DIR`, which goes from the published folder of FER+ to the packaged files.
How it stands beside other programs and beside people: [leaderboard.md](leaderboard.md).

## What it is for, and what the terms are

It says how a group of people would *vote* on the expression of a face; not what a person feels, and not who is right.
It learned from grey pictures of 48 pixels that were collected on the web, with the votes of annotators of whom nothing
is known, so it shares their habits. It is made for research on expression, labels and annotators, and for people who
study their own recordings with the consent of those who are in them; not for judging, selecting or monitoring anyone,
which law restricts in many places.

What it misses in real video (28 public clips and six of CREMA-D, looked at by eye): a broad smile, a gaping mouth,
tears and a calm face are read as one would read them. A frown alone is read as neutral or sad, a shout as neutral
with a moment of anger, and quiet anger, disgust or fear mostly as neutral. Disgust, fear and contempt are rare in
what it learned from. Where a face is small and the picture damaged, the shares become flat: look at all of them, not
at the largest.

{TERMS}"""

_CUTS = {
    "published": "the published crop",
    "aligned": "cut as out of a video: turned upright, more around it",
    "boxed": "the detector's box, not turned",
}
_TESTED = ("UAR", "WAR", "total variation, vote_shares")
_MEASURES = {"total_variation": 3, "jensen_shannon": 3, "expected_calibration_error": 3}


def page(content: Mapping[str, Any]) -> str:
    """The whole page."""
    made = _made(content["training"], content["parts"])
    shipped = (
        f"- **In the package**: {content['megabytes']:.1f} MB of float16 weights, loaded in "
        f"{content['load_seconds']:.2f} s; {content['faces_per_second']:,.0f} faces a second on one core, the network "
        "alone.\n  It reads a face as it is and in the mirror, and of a window of video eight frames, and takes the "
        "mean of all logits.\n"
        f"- **Calibrated**: logits are divided by {content['temperature']:.3f}, the temperature with the lowest "
        "cross-entropy from\n  the votes of the validation part.\n"
    )
    machine = ", ".join(f"{name} {value}" for name, value in content["machine"].items())
    return "\n".join(
        [
            PROSE,
            made + shipped,
            _right(content["measures"]),
            _compared(content["comparison"], content["differences"]),
            machine,
            "",
        ]
    )


def _made(training: Mapping[str, Any], parts: Mapping[str, int]) -> str:
    first, *further = training["rounds"]
    stills = [each for each in training["teachers"] if each["model"] != training["model"]]
    hours, taught = (sum(each["hours"] for each in trainings) for trainings in (training["rounds"], stills))
    rates = " and ".join(f"{each['learning_rate']:g}" for each in (first, further[0]))
    settings = ", ".join(f"`{name}` {_value(value)}" for name, value in training["changed_settings"].items())
    points = {
        "Data": "the training and validation pictures of FER+; its own test part is not used. Near-twins (the same "
        "photograph again, also mirrored, cut or compressed otherwise; correlation of 16x16 thumbnails above .93) are "
        f"in one part: {parts['train']:,} pictures to train on, {parts['validation']:,} to choose by, "
        f"{parts['test']:,} to test on. Training pictures with the same pixels are one, with all votes that were cast "
        "on them.",
        "Cut": "training draws between the published crop and the face as the project cuts it out of a video (found in "
        "the picture enlarged four times, turned upright), and changes it at random (`--jitter`).",
        "Network": f"`{training['model']}`, {training['parameters'] / 1e6:.1f} M parameters: the trunk of SFace, which "
        "has learned to tell faces apart, without its last block; nothing of it is frozen.",
        "Taught by votes, then by votes and networks": f"first {first['epochs']} epochs on the votes alone. But ten "
        "votes are a small sample of how people see a face. So it was then trained on targets of which one half are "
        "the picture's own votes, and the other half the mean of what this network and those of "
        f"{len(stills)} trainings of `{stills[0]['model']}` from random weights (with `--jitter` "
        f"{', '.join(format(each['jitter'], 'g') for each in stills)}) made of it: "
        f"{' and '.join(str(each['epochs']) for each in further)} epochs more (`midas train --init`). What is packaged "
        f"is the mean of the weights after each of these {len(training['rounds'])} trainings. All of that was chosen "
        "on the validation part.",
        "Recipe": f"`midas train`, {hours:.1f} hours on one core of a busy machine, and {taught:.1f} for the other "
        f"networks. Settings other than the paper's: {settings}, `learning_rate` {rates}, `weights` packaged at first.",
    }
    bullets = (f"- **{name}**: {text}" for name, text in points.items())
    return "## How it was made\n\n" + "".join(
        textwrap.fill(each, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) + "\n"
        for each in bullets
    )


def _right(measures: Mapping[str, Any]) -> str:
    cuts = [(_CUTS[cut], found) for cut, found in measures["by_cut"].items()]
    changes = list(measures["by_change"].items())
    plain, read = changes[0][1], measures["as_read"]
    return "\n".join(
        [
            f"## What it gets right\n\nPictures of the {measures['part']} part. WAR and UAR are over those whose votes "
            "have one winner; total variation (the share\nof votes that is put wrongly) and Jensen-Shannon divergence "
            "(nats) are over all, from the ten votes.\n",
            f"**As pictures are read** (cut as out of a video where the detector finds a face in the enlarged picture, "
            f"else as\npublished; all {read['pictures']:,}):\n",
            _table("picture", [("as read", read)]),
            f"**However a face is cut** ({cuts[0][1]['pictures']:,} pictures in which the detector finds one):\n",
            _table("cut", cuts),
            f"**However it was filmed** (published crops, {plain['pictures']:,} pictures, one thing changed each):\n",
            _table("picture", changes),
            "**Recall by class**, as published: "
            + ", ".join(f"{name} {_percent(value)}" for name, value in plain["recall"].items())
            + ".\n",
        ]
    )


def _compared(rows: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, str]]) -> str:
    """The comparison of methods: means, each seed, and what differs by more than noise."""
    of_method: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of_method[row["method"]].append(row)
    wanted = len(METHODS) * len(SEEDS)
    ended = "All" if len(rows) == wanted else f"{len(rows)} of its"
    text = (
        "## Which labels, which mixing\n\nOne small network (`still_resnet10`), one budget, three seeds, judged on the "
        "validation part; the protocol stands in\n`studies/reader/comparison.py` and was committed before the first "
        f"run.\n{ended} {wanted} trainings have ended. Twelve epochs are few for mixing, which the paper does for 450: "
        "this\nsays what is best for a reader that is trained so, not what is best.\n"
    )
    if len(rows) < wanted:
        text += "Until all have, it decides nothing: the reader learned from soft labels, unmixed.\n"
    if not rows:
        return text
    lines = ["| method | seeds | WAR | UAR | total variation | each seed's |", "|---|--:|--:|--:|--:|---|"]
    for name, found in of_method.items():
        mean = {key: statistics.mean(row[key] for row in found) for key in ("war", "uar", "tv")}
        each = ", ".join(f"{row['tv']:.3f}" for row in found)
        lines.append(
            f"| {name} | {len(found)} | {_percent(mean['war'])} | {_percent(mean['uar'])} | {mean['tv']:.3f} | {each} |"
        )
    told = [each["verdict"] for each in differences if each["measure"] in _TESTED]
    if len(rows) == wanted:
        best = min(of_method, key=lambda name: statistics.mean(row["tv"] for row in of_method[name]))
        lines.append(f"\nNearest to the votes: **{best}**. Paired tests against soft labels (Holm over all of them):\n")
        lines += [textwrap.fill(f"- {each}", 118, subsequent_indent="  ", break_on_hyphens=False) for each in told]
    return "\n".join([text, *lines, ""])


def _table(what: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    lines = [f"| {what} | WAR | UAR | total variation | JSD | calibration error |", "|---|--:|--:|--:|--:|--:|"]
    for name, found in rows:
        votes = [f"{found['votes'][measure]:.{digits}f}" for measure, digits in _MEASURES.items()]
        lines.append("| " + " | ".join([name, _percent(found["war"]), _percent(found["uar"]), *votes]) + " |")
    return "\n".join([*lines, ""])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _value(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
