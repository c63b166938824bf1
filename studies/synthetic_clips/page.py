"""The page of the documentation."""

import statistics
from collections.abc import Iterable
from typing import Any

from midas_dfer.synthetic import EMOTIONS
from studies.readings import reading_biases
from studies.synthetic_clips.clips import COMMONNESS, RARE, VOTES
from studies.synthetic_clips.learning import BASE, COUNTS, METHODS
from studies.synthetic_clips.measures import SeedDifference, judged

READINGS = ("vote_shares", "probabilities")


def _mean_sd(values: list[float], digits: int) -> str:
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{deviation}"


def _column(runs: list[dict[str, Any]], *keys: str, digits: int = 3) -> str:
    values = []
    for run in runs:
        value: Any = run
        for key in keys:
            value = value[key]
        values.append(value)
    return _mean_sd(values, digits)


def shown(methods: Iterable[str]) -> list[tuple[str, str, str]]:
    """Each method as tables of distances call it, and the reading: both of them after a softmax of counts."""
    rows = []
    for method in methods:
        if method == COUNTS:
            rows += [(f"{method}, by its {name.replace('_', ' ')}", method, name) for name in READINGS]
        else:
            rows.append((method, method, READINGS[0]))
    return rows


def worth(distance: float, annotators: dict[str, Any], measure: str = "tv", view: str = "usual") -> str:
    """Say between how many annotators' votes and how many more a distance to the truth lies."""
    closer = [int(count) for count, found in annotators.items() if distance <= found[measure][view]]
    if not closer:
        return "less than 1"
    return f"{VOTES} or more" if max(closer) == VOTES else f"{max(closer)} to {max(closer) + 1}"


def page(content: dict[str, Any]) -> str:
    """The page of the documentation."""
    corpus, training, clips, limits = (content[key] for key in ("corpus", "training", "clips", "bounds"))
    runs, chosen, annotators = content["runs"], content["chosen"], limits["annotators"]
    seeds = [run["seed"] for run in runs[BASE]]
    steps = corpus["train"] // training["batch"] * training["epochs"]
    lines = [
        "# How close to the truth",
        "",
        "On real clips nobody knows what all people would vote: a prediction can only be held against ten sampled",
        "votes. On made-up clips the distribution that votes are drawn from is known; here methods are held against it",
        "(`python -m studies.synthetic_clips`, which writes this page; all figures are in "
        "[results.json](../studies/synthetic_clips/results.json)).",
        "Drawn faces show how the methods differ when everything is known, and nothing about real faces.",
        "",
        f"- **Clips** of the made-up corpus, {corpus['frames']} frames of {corpus['side']}x{corpus['side']} pixels, "
        f"ten votes each: {clips['train']['clips']} to learn from ({clips['train']['people']} people), "
        f"{clips['validation']['clips']} to choose learning rates by ({clips['validation']['people']} people), both "
        f"with DFEW's class shares (disgust {100 * COMMONNESS['disgust'] / sum(COMMONNESS.values()):.1f} %), each "
        f"with a single label; {clips['test']['clips']} to test on ({clips['test']['people']} people), "
        f"{corpus['test']} of each class that is performed. Nobody is in two parts.",
        "- **The truth** of a clip is the distribution of a vote on it: what ideal observers see in it, passed through "
        "the annotators' own confusions. *Usual* weighs test clips so that classes count as often as in training; "
        f"*rare* is over the clips whose true mode is {' or '.join(RARE)}, both alike.",
        f"- **Networks**: tsm_resnet18 of width {training['width']}, random weights, random crops of "
        f"{training['size']} pixels and mirroring, SGD, {training['batch']} clips a step, {steps} steps for every "
        f"method, a cosine after one epoch of warm-up; the weights of the last step. The rate is the one of "
        f"{', '.join(f'{rate:g}' for rate in training['rates'])} with the smallest JSD of the implied vote shares "
        f"to the ten votes of the validation part, seed {seeds[0]} (after the softmax of counts these are biased, "
        "and by "
        "its probabilities that method might have been given another rate); scores below are of the test part, "
        "mean ± standard "
        f"deviation over {len(seeds)} seeds of weights and batches ({', '.join(map(str, seeds))}), on the same clips.",
        "- **MIDAS** mixes soft labels under three normalisations of the mixed label, and, as the paper has it, hard "
        "labels under the softmax.",
        f"- **Measured on** {', '.join(f'{key} {value}' for key, value in content['machine'].items())}; one thread.",
    ]
    if len(seeds) < len(training["seeds"]):
        lines += ["", f"**Not whole yet: {len(seeds)} of {len(training['seeds'])} seeds.**"]
    lines += [
        "",
        "## Distance to the truth",
        "",
        "Of the annotators' distribution that the output implies (*vote shares*); smaller is better. Where targets",
        "went through a softmax, small shares become zeros, for which KL is charged log 1e-12: go by the others.",
        *_about_readings(),
        "",
        "| method | rate | KL, usual | JSD, usual | TV, usual | JSD, rare | TV, rare | as far as so many votes |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, method, reading in shown(runs):
        found = runs[method]
        pairs = (("kl", "usual"), ("js", "usual"), ("tv", "usual"), ("js", "rare"), ("tv", "rare"))
        cells = [_column(found, "distances", "truth", reading, measure, view) for measure, view in pairs]
        far = statistics.fmean(run["distances"]["truth"][reading]["tv"]["usual"] for run in found)
        lines.append(f"| {name} | {chosen[method]:g} | {' | '.join(cells)} | {worth(far, annotators)} |")
    for name, found in (
        ("the classes' shares of the training votes, for every clip", limits["prior"]),
        *((f"votes of {count} of the ten", annotators[count]) for count in ("1", "3", "5", "10")),
    ):
        cells = [f"{found[m][v]:.3f}" for m, v in (("kl", "usual"), ("js", "usual"), ("tv", "usual"))]
        cells += [f"{found[m]['rare']:.3f}" for m in ("js", "tv")]
        lines.append(f"| *{name}* | | {' | '.join(cells)} | |")
    found_differences = judged(content)
    lines += [
        "| *the truth* | | 0 | 0 | 0 | 0 | 0 | |",
        "",
        "KL of sampled votes is with one vote added to each class, without which it would be infinite.",
        "",
        "## Differences from soft labels",
        "",
        "Mean difference over test clips and seeds, [95 % interval of a bootstrap over people, the networks as they",
        "are] (each seed's); p of a paired t test over the seeds, corrected after Holm for all rows of a column. "
        "Negative:",
        "better than soft labels. *Clear* where the corrected p is below 0.05 and the interval leaves out 0; else the",
        "difference is inside the noise."
        + (
            ""
            if all(item.interval for item in found_differences.values())
            else " *Not kept*: the predictions that the interval is made of; there p decides alone."
        ),
        "",
        "| method | view | JSD to the truth | TV to the truth | classes not found, % |",
        "|---|---|---|---|---|",
    ]
    for name, method, reading in shown(name for name in METHODS if name != BASE):
        for view in ("usual", "rare"):
            cells = []
            for kind, scale, digits in (("js", 1, 3), ("tv", 1, 3), ("error", 100, 1)):
                item = found_differences.get((kind, method, reading, view))
                cells.append("" if item is None else _difference(item, scale, digits))
            lines.append(f"| {name} | {view} | {' | '.join(cells)} |")
    lines += ["", *_findings(content), ""]
    lines += [
        "## Recognition of the true mode, %",
        "",
        f"| method | UAR | WAR, usual | {' | '.join(EMOTIONS)} |",
        f"|---|--:|--:|{'--:|' * len(EMOTIONS)}",
    ]
    for method, found in runs.items():
        recalls = [_column(found, "recalls", name, digits=1) for name in EMOTIONS]
        scores = f"{_column(found, 'uar', digits=1)} | {_column(found, 'war', digits=1)}"
        lines.append(f"| {method} | {scores} | {' | '.join(recalls)} |")
    ten = limits["ten_votes"]
    recalls = [f"{ten['recalls'][name]:.1f}" for name in EMOTIONS]
    lines += [
        f"| *most of the ten votes* | {ten['uar']:.1f} | {ten['war']:.1f} | {' | '.join(recalls)} |",
        "",
        "## The other reading, and the ten votes",
        "",
        "Usual weights. *Probabilities* is the network's softmax as it stands, which a softmax of the targets makes",
        "flat; without one both readings are the same. *Votes* are the ten that were cast on a test clip, from which",
        "the truth itself is "
        f"{limits['truth_to_votes']['tv']['usual']:.3f} away (TV; JSD {limits['truth_to_votes']['js']['usual']:.3f}).",
        "",
        "| method | TV of probabilities to the truth | TV of vote shares to the votes | JSD of vote shares to the "
        "votes | KL of probabilities to the truth |",
        "|---|--:|--:|--:|--:|",
    ]
    for method, found in runs.items():
        cells = [
            _column(found, "distances", *keys, "usual")
            for keys in (
                ("truth", "probabilities", "tv"),
                ("votes", "vote_shares", "tv"),
                ("votes", "vote_shares", "js"),
                ("truth", "probabilities", "kl"),
            )
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    lines += [
        "",
        "## Learning rates on the validation part",
        "",
        f"JSD to the ten votes (UAR by the majority label, %), seed {seeds[0]}; the smallest JSD was taken. A rate at "
        "the end of the grid may not be the best there is.",
        "",
        f"| method | {' | '.join(f'{rate:g}' for rate in training['rates'])} |",
        f"|---|{'--:|' * len(training['rates'])}",
    ]
    for method, rates in content["validation"].items():
        cells = [f"{found['js']:.3f} ({found['uar']:.1f})" for found in rates.values()]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _difference(item: SeedDifference, scale: float, digits: int) -> str:
    interval = "not kept"
    if item.interval is not None:
        interval = ", ".join(f"{scale * value:+.{digits}f}" for value in item.interval)
    each = ", ".join(f"{scale * value:+.{digits}f}" for value in item.seeds)
    p = "" if item.corrected is None else " p < 0.001" if item.corrected < 0.001 else f" p = {item.corrected:.3f}"
    return f"{scale * item.mean:+.{digits}f} [{interval}] ({each}){p} {'**clear**' if item.clear else 'noise'}"


def _about_readings() -> list[str]:
    biases = reading_biases(len(EMOTIONS), VOTES)
    after, counts = biases["softmax"], biases["softmax_counts"]
    return [
        f"Of a network with unlimited data, the vote shares after the softmax are {after['vote_shares']:.3f} (TV) "
        "from the",
        "truth, averaged over all distributions; after the softmax of counts they are "
        f"{counts['vote_shares']:.3f} from it and",
        f"the probabilities {counts['probabilities']:.3f} (`studies.readings`): neither is the annotators' "
        "distribution, and",
        "both are shown. The outputs of networks that learned hard labels are of the single label, and no vote shares.",
    ]


def _findings(content: dict[str, Any]) -> list[str]:
    """What the figures say, in sentences."""
    runs, differences = content["runs"], judged(content)
    names = shown(runs)
    mean = {
        name: statistics.fmean(run["distances"]["truth"][reading]["tv"]["usual"] for run in runs[method])
        for name, method, reading in names
    }
    ten = content["bounds"]["annotators"][str(VOTES)]["tv"]["usual"]
    closer = [name for name, distance in mean.items() if distance < ten]
    ends = [
        m
        for m, rate in content["chosen"].items()
        if rate in (min(content["training"]["rates"]), max(content["training"]["rates"]))
    ]
    lines = [
        f"- Ten votes are {ten:.3f} (TV) from the truth they were drawn from. Closer than that: "
        f"{', '.join(closer) if closer else 'none of the networks'}."
    ]
    for kind, view, what in (
        ("tv", "usual", "TV to the truth"),
        ("tv", "rare", "TV to the truth, rare classes"),
        ("error", "usual", "the class, as common as in training"),
        ("error", "rare", "the class, rare classes"),
    ):
        items = {
            method if kind == "error" else name: differences[kind, method, reading, view]
            for name, method, reading in names
            if (kind, method, reading, view) in differences
        }
        better = [name for name, item in items.items() if item.clear and item.mean < 0]
        worse = [name for name, item in items.items() if item.clear and item.mean > 0]
        lines.append(
            f"- By {what}: clearly better than soft labels {'; '.join(better) or 'nothing'}; clearly worse "
            f"{'; '.join(worse) or 'nothing'}; all else is inside the noise."
        )
    if ends:
        lines.append(f"- The chosen rate is at an end of the grid for {'; '.join(ends)}.")
    return lines
