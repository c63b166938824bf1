"""Help pages for people: a line of usage, the most used flags first, no names of Python types, an example."""

import difflib
import re
import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jsonargparse import ArgumentParser, DefaultHelpFormatter

_WIDTH = 80
_ALSO_CALLED = {"lr": "learning_rate", "bs": "batch_size", "batch": "batch_size", "wd": "weight_decay", "output": "out"}
"""What other programs call some flags."""


class PlainHelp(DefaultHelpFormatter):
    """Says of a flag what it does, its default if the text does not, and whether it must be given."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_WIDTH, max_help_position=26)  # type: ignore[no-untyped-call]

    def _get_help_string(self, action: Action) -> str:
        text = (action.help or "").replace("%", "%%") if "%(" not in (action.help or "") else str(action.help)
        default = action.default
        if action.required and action.option_strings:
            return f"{text} (required)"
        if default in (None, SUPPRESS, "", ()) or "(default" in text or not action.option_strings or action.nargs == 0:
            return text
        shown = _plain(default)
        return f"{text.removesuffix('.')} (default: {shown})"

    def _format_action_invocation(self, action: Action) -> str:
        """The flag and what it takes, once: lists also know `--flag+`, which the first example of a page shows."""
        if isinstance(action.choices, dict):  # the verbs
            return "midas COMMAND --help describes each:"
        names = [name for name in action.option_strings if not name.endswith("+")]
        if not names or action.nargs == 0:
            return ", ".join(names) or super()._format_action_invocation(action)
        taken = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(names)} {taken}"

    def _get_default_metavar_for_optional(self, action: Action) -> str:
        kind = str(getattr(action, "_typehint", action.type))
        many = "list" in kind.lower() or "tuple" in kind.lower()
        if "Literal" in kind:
            choices = ",".join(re.findall(r"'(.*?)'", kind))
            return f"{{{choices}}}"
        if "Path" in kind:
            return "[PATH, ...]" if many else "PATH"
        words = {"int": "N", "float": "X", "bool": "{true,false}"}
        found = re.search(r"\b(int|float|bool)\b", kind)
        word = words[found[1]] if found else action.dest.upper()
        return f"[{word}, ...]" if many and action.nargs is None else word

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """What has lines, such as examples, keeps them; all else is wrapped."""
        if "\n" in text:
            return text
        return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _plain(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list | tuple):
        return f"[{', '.join(map(str, default))}]"
    return str(default)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A flag, verb or name close to one that is not there; "" if none is."""
    bare = name.strip("-").replace("-", "_")
    plain = {each.strip("-+"): each for each in known if not each.endswith("+")}
    if (usual := _ALSO_CALLED.get(bare)) in plain:
        return plain[usual]
    begins = [each for each in plain if each.startswith(bare) and len(bare) > 1]
    close = begins[:1] if len(begins) == 1 else difflib.get_close_matches(bare, plain, n=1)
    return plain[close[0]] if close else ""


@dataclass(frozen=True)
class Page:
    """What the help of a verb shows beside its flags.

    Attributes:
        usage: the shortest line that works, and the flags that it needs.
        examples: command lines.
        sections: titles and their flags, in order; flags that are in none come last, as "other flags".
    """

    usage: str
    examples: tuple[str, ...]
    sections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "recipe": ("recipe", "config", "weights", "model", "epochs", "learning_rate", "batch_size", "seed"),
    "labels": ("labels", "label_method", "votes_used", "class_weights", "label_smoothing", "loss"),
    "mixing": (
        "mixer",
        "alpha",
        "normalization",
        "temperature",
        "num_votes",
        "partners",
        "ratio_per",
        "class_balanced",
        "saliency",
    ),
    "clips": ("test_fold", "validation_fraction", "select", "use_unassigned", "group", "group_size"),
    "network input": ("num_segments", "frames_per_segment", "size", "scales", "flip", "jitter"),
    "network": ("width", "dropout", "partial_batch_norm"),
    "optimisation": (
        "optimizer",
        "schedule",
        "milestones",
        "decay_factor",
        "warmup_epochs",
        "momentum",
        "weight_decay",
        "parameter_groups",
        "clip_gradient",
        "weight_average",
    ),
    "hardware": ("device", "devices", "precision", "num_threads", "num_workers", "compile", "cache", "cache_gb"),
}
_LOOKING = ("max_side", "min_score")
_SURETY = ("ensemble", "mc_dropout", "abstain", "abstain_by")
_FACES = ("faces", "person", *_LOOKING)
_STORE = "midas prepare table votes.csv --videos clips --out store --folds 5"

PAGES: Mapping[str, Page] = {
    "demo": Page("midas demo [--out DIR]", ("midas demo",)),
    "check": Page(
        "midas check DATASET ROOT [flags], or: midas check STORE",
        ("midas check dfew DFEW", "midas check table votes.csv --videos clips", "midas check store"),
        {"how much is read": ("sample", "all", "skip_duplicates", "jobs"), "faces": _FACES},
    ),
    "prepare": Page(
        "midas prepare DATASET ROOT --out STORE [flags]",
        (_STORE, "midas prepare dfew DFEW --out store"),
        {
            "most used": ("out", "folds", "size", "jobs", "retry_failed", "aggregate"),
            "faces": (*_FACES, "search_every"),
        },
    ),
    "describe": Page("midas describe STORE [flags]", ("midas describe store",)),
    "train": Page(
        "midas train --store STORE --out RUN [flags], or: midas train --resume RUN",
        (
            "midas train --recipe finetune_reader --store store --out run",
            "midas train --store store --out hard --labels hard --mixer none --epochs 60",
            "midas train --init run --store store --out longer --epochs 20",
        ),
        {"most used": ("store", "out", "resume", "init"), **_SETTINGS},
    ),
    "evaluate": Page(
        "midas evaluate RUN --store STORE [flags]",
        ("midas evaluate run --store store", "midas evaluate ferplus --store store --out scores"),
    ),
    "crossval": Page(
        "midas crossval --store STORE --out DIR [flags]",
        ("midas crossval --store store --out folds --recipe midas --seeds 0 1 2 --jobs 2",),
        {"most used": ("store", "out", "folds", "seeds", "jobs", "ray"), "recipe": ("recipe", "config")},
    ),
    "reproduce": Page(
        "midas reproduce TABLE --store STORE --out DIR [flags]",
        ("midas reproduce table-2 --store store --out table", "midas reproduce table-2 --store store --out t --smoke"),
        {"most used": ("store", "out", "smoke", "folds", "seeds", "jobs", "ray")},
    ),
    "report": Page(
        "midas report RUN... --out DIR [flags]",
        ("midas report hard soft midas --out page", "midas report folds other_folds --out page"),
    ),
    "predict": Page(
        "midas predict VIDEO|FOLDER... --out DIR [flags]",
        ("midas predict party.mp4 --out reading", "midas predict videos/ --run run --out readings --no_video"),
        {
            "most used": ("out", "run", "window", "stride", "no_video"),
            "many videos": ("jobs", "overwrite", "pictures"),
            "how sure": _SURETY,
            "faces": ("faces", "max_people", *_LOOKING, "search_every"),
        },
    ),
    "live": Page(
        "midas live [flags]",
        ("midas live", "midas live --source party.mp4 --save readings.csv"),
        {
            "most used": ("source", "run", "window", "stride", "seconds", "save"),
            "how sure": _SURETY,
            "faces": (*_LOOKING, "search_every"),
        },
    ),
    "app": Page(
        "midas app [--folder VIDEOS] [--annotate VIDEOS --classes LIST --out PROJECT]",
        (
            "midas app --folder videos",
            "midas app --annotate videos --classes '[happy, sad, neutral]' --out project",
            "midas app --out project --host 0.0.0.0",
        ),
        {
            "reading": ("run", "folder", "window", "stride"),
            "collecting votes": (
                "annotate",
                "classes",
                "out",
                "several",
                "no_unsure",
                "repeats",
                "votes_wanted",
                "gold",
                "consent",
                "add_clips",
            ),
            "how sure": _SURETY,
            "server": ("host", "port", "no_browser"),
        },
    ),
    "explain": Page(
        "midas explain RUN --store STORE --out DIR [flags]", ("midas explain run --store store --out maps",)
    ),
    "export": Page(
        "midas export RUN --out DIR [flags]",
        (
            "midas export run --out folder --onnx --license cc-by-nc-4.0",
            "midas export run --out folder --push my-lab/faces",
        ),
        {"Hugging Face Hub": ("push", "public", "message")},
    ),
    "imitate": Page(
        "midas imitate DATASET ROOT [flags]", ("midas imitate dfew DFEW", "midas imitate mafw MAFW --clips 200")
    ),
    "list": Page("midas list WHAT", ("midas list models", "midas list recipes")),
}


def give_page(flags: ArgumentParser, page: Page, *, notes: str = "") -> None:
    """Put a verb's flags in the order of its page, with its line of usage and its examples."""
    flags.usage = page.usage
    flags.epilog = notes + "examples:\n" + "\n".join(f"  {line}" for line in page.examples)
    positionals, rest, *others = flags._action_groups
    for group in others:  # those of a library's classes, with their docstrings
        rest._group_actions += group._group_actions
    positionals.title, rest.title = "arguments", "other flags" if page.sections else "flags"
    by_name = {action.dest: action for action in rest._group_actions}
    groups = []
    for title, names in page.sections.items():
        group = flags.add_argument_group(title)
        group._group_actions += [by_name[name] for name in names if name in by_name]
        groups.append(group)
    placed = {id(action) for group in groups for action in group._group_actions}
    rest._group_actions = [action for action in rest._group_actions if id(action) not in placed]
    flags._action_groups = [positionals, *groups, rest]


def name_only(flags: ArgumentParser, names: Iterable[str], title: str) -> str:
    """Leave flags out of a page but for their names; gives the lines that name them, as notes for `give_page`."""
    names = list(names)
    hide(flags, names)
    wrapped = textwrap.wrap(" ".join(f"--{name}" for name in names), 78)
    return f"{title}:\n" + "\n".join(f"  {line}" for line in wrapped) + "\n\n"


def hide(flags: ArgumentParser, hidden: Iterable[str]) -> None:
    """Leave flags out of a page; they are still understood."""
    hidden = set(hidden)
    for action in flags._actions:
        if action.dest in hidden and action.option_strings:
            action.help = SUPPRESS
