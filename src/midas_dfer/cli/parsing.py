"""What the verbs share: flags, complaints, paths."""

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NoReturn

from jsonargparse import ArgumentParser, Namespace

from midas_dfer.cli.help import PlainHelp, did_you_mean
from midas_dfer.errors import RequestError

_WORDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "Path": "a path"}


class Parser(ArgumentParser):
    """Says what is wrong with a flag in a sentence, not in a page of usage, and in no words of Python's types."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        # --epoch is a typing error, not --epochs
        super().__init__(**{"formatter_class": PlainHelp, **settings}, allow_abbrev=False)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the sentence and leave with 2."""
        lines = [line.strip(" -") for line in message.splitlines() if line.strip()]
        text = " ".join(line for line in lines if not line.lower().startswith(("tip:", "for more")))
        text = re.sub(
            r"Parser key \"(\w+)\": Expected an? (?:<class '(\w+)'>|(.+))\. Got value: (.*)",
            lambda m: f"{self._flag(m[1])} is {m[4]}; expected {_in_words(m[2] or m[3])}",
            text,
        )
        text = re.sub(
            r"Parser key \"(\w+)\": Does not validate .*Subtypes: \[(.*?)\] Errors: .*Given value: (.*)",
            lambda m: f"{self._flag(m[1])} is {m[3]}; expected {_in_words(m[2])}",
            text,
        )
        text = re.sub(r"^argument (--\w+)\S*: expected (?:one|at least one) argument$", r"\1 needs a value", text)
        text = re.sub(r"Parser key \"(\w+)\"(?: element \d+)?: ", lambda m: f"{self._flag(m[1])}: ", text)
        prog = self.prog
        if found := re.match(r"Subcommand '(\w+)' does not accept option '(.*)'", text):  # one of a file's
            text = f"the file of --config names the setting {found[2]}, which is none of midas {found[1]}; take it out"
        text = self._with_suggestion(text)
        required = re.match(r"the following arguments are required: (.*)", text)
        if required:
            verb, _, _ = required[1].rpartition(", ")[2].rpartition(".")
            asked = self._of_verb(verb)
            names = (asked._flag(name.rpartition(".")[2]) for name in required[1].split(", "))
            text, prog = f"{' and '.join(names)} missing", asked.prog
        name = prog.replace(" [options]", "")
        print(f"{name}: {text}\nSee: {name} --help", file=sys.stderr)
        raise SystemExit(2)

    def _with_suggestion(self, text: str) -> str:
        """What may have been meant, where a flag, a verb or a choice is not known."""
        if found := re.match(r"unrecognized arguments: (.*)", text):
            wrong = next((each for each in found[1].split() if each.startswith("--")), found[1].split()[0])
            if not wrong.startswith("-"):
                return f"{wrong} is one name too many"
            close = did_you_mean(wrong.partition("=")[0], self._option_string_actions)
            return f"there is no flag {wrong.partition('=')[0]}" + (f"; did you mean {close}?" if close else "")
        if text.startswith('expected "verb"'):
            return "name a command, such as predict or demo"
        if found := re.match(r"argument verb: invalid choice: '(.*?)'", text):
            verbs = next(each.choices for each in self._actions if isinstance(each.choices, dict))
            close = did_you_mean(found[1], verbs)
            there = ", ".join(verbs)
            return f"there is no command {found[1]}" + (f"; did you mean {close}?" if close else f"; there are {there}")
        if found := re.match(r"(\S+) is (\S+); expected ([\w, ]+)$", text):
            close = did_you_mean(found[2], [name.strip() for name in re.split(r", | or ", found[3])])
            return f"{text}; did you mean {close}?" if close else text
        return text

    def _of_verb(self, verb: str) -> "Parser":
        """The flags of a verb; these here where there is none."""
        for action in self._actions:
            found = action.choices.get(verb) if isinstance(action.choices, dict) else None
            if isinstance(found, Parser):
                return found
        return self

    def _flag(self, name: str) -> str:
        """A flag, or what a page of help calls something that has none."""
        for action in self._actions:
            if action.dest == name and not action.option_strings:
                return str(action.metavar or name)
        return f"--{name}"


def _in_words(expected: str) -> str:
    """Python's names of types as a user knows them: a whole number, one of some words."""
    words = re.sub(r"typing\.Literal\[(.*?)\]", lambda m: m[1].replace("'", ""), expected)
    words = re.sub(r"<class '(?:\w+\.)*(\w+)'>", lambda m: m[1], words)
    words = re.sub(r"(list|tuple)(\[.*?\])?(?=$|,)", "a list in square brackets", words)
    words = re.sub(r"\b(int|float|str|bool|Path)\b", lambda m: _WORDS[m[1]], words)
    return " or ".join(each for each in words.split(", ") if each != "NoneType") if "NoneType" in words else words


def add_computing_flags(flags: Parser) -> None:
    """Add --device and --precision, of verbs that run a trained network."""
    flags.add_argument("--device", type=Literal["auto", "cpu", "cuda"], default="auto", help="(default: auto)")
    flags.add_argument(
        "--precision",
        type=Literal["32", "bf16", "auto"],
        default="32",
        help="32 gives the same results on all machines, to four digits; bf16 is faster on some; auto lets the "
        "hardware decide (default: 32)",
    )


def is_text(argument: str) -> bool:
    """Whether it can be written down again: a file's name may hold bytes that mean nothing in UTF-8."""
    return not any("\ud800" <= each <= "\udfff" for each in argument)


def underscored(argument: str) -> str:
    """Flags may be typed with dashes: --batch-size is --batch_size."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def typed_flags(arguments: Sequence[str]) -> frozenset[str]:
    """The names of the flags on a command line, without dashes."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return frozenset(a[2:].partition("=")[0].rstrip("+") for a in before if a.startswith("--"))


def refuse_unused(request: Namespace, used: Collection[str], why: str) -> None:
    """Refuse flags that were typed and that what is asked for does not read."""
    if unused := sorted(request.typed - set(used)):
        refuse(unused, why)


def refuse_typed(request: Namespace, names: Collection[str], why: str) -> None:
    """Refuse those of some flags that were typed; the other way round than `refuse_unused`."""
    if unused := sorted(request.typed & set(names)):
        refuse(unused, why)


def refuse(names: Sequence[str], why: str) -> NoReturn:
    """Refuse flags by name."""
    flags = ", ".join(f"--{name}" for name in names)
    raise RequestError(f"{flags} would have no effect: {why}; leave {'it' if len(names) == 1 else 'them'} out")


def complain(message: str, status: int) -> int:
    """Say on standard error what is wrong; gives the exit status back.

    Names out of files may hold anything: what would steer the terminal is shown as it is written in Python.
    """
    message = re.sub(r"`(\w+)`", r"--\1", message)  # settings, as `midas_dfer.values` writes them
    harmless = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in message)
    with suppress(OSError):  # the terminal may have been closed
        print(f"midas: {harmless}", file=sys.stderr, flush=True)
    return status


def say_for(request: Namespace) -> Callable[[str], None]:
    """Prints a line for people: on stdout, or on stderr where stdout is for a machine (`--json`)."""
    stream = sys.stderr if request.json else sys.stdout

    def say(text: str) -> None:
        print(text, file=stream, flush=True)

    return say


def tell_notes(request: Namespace, notes: Iterable[str]) -> None:
    """Print what is to be known of a user's data, broken to the width of a terminal."""
    from midas_dfer.report.tables.terminal import folded

    for note in notes:
        say_for(request)(folded(f"note: {note}"))


def tell_of_plug_in(fault: str) -> None:
    """Report a plug-in that cannot be used, on standard error."""
    print(f"note: {fault}", file=sys.stderr)


def check_least(request: Namespace, least: int, *names: str) -> None:
    """Refuse numbers below the least, of flags that have one or several."""
    for name in names:
        given = request[name] if isinstance(request[name], list) else [request[name]]
        if (low := next((each for each in given if each is not None and each < least), None)) is not None:
            raise RequestError(f"--{name} is {low}; expected {least} or more")


def check_out(out: Path, *, writes: Sequence[str] = (), in_store: bool = False) -> None:
    """Refuse a folder for results that cannot be one, before the work is done and not after it."""
    from midas_dfer.training.run_folder.runs import RUN_FILE

    if not in_store:
        refuse_in_store(out)
    if (out / RUN_FILE).is_file():
        raise RequestError(f"--out {out}: it is a run folder; name another")
    there = [name for name in writes if (out / name).exists()]
    if there and len(there) < len(writes):
        missing = next(name for name in writes if name not in there)
        raise RequestError(
            f"--out {out}: {there[0]} in it would be replaced, and may be of somebody else, as {missing} is not beside "
            "it; move it away if it is of an earlier result, or name another folder"
        )
    place = next(each for each in (out, *out.parents) if each.exists() or each == each.parent)
    if place.exists() and not place.is_dir():
        raise RequestError(f"--out {out}: {place} is a file; name a folder")
    if not os.access(place, os.W_OK):
        raise RequestError(f"--out {out}: {place} may not be written to by this user; name another folder")


def refuse_in_store(out: Path) -> None:
    """Refuse a folder for results that is a clip store, or lies in one."""
    from midas_dfer.clips.store.clip_store import is_store

    if (store := next(filter(is_store, (out, *out.parents)), None)) is not None:
        raise RequestError(f"--out {out}: {store} is a clip store, which holds nothing else; name another folder")


def print_paths(paths: Sequence[Path]) -> None:
    """One path a line."""
    for path in paths:
        print(f"  {path}")
