"""Commands that are shown to be pasted into a shell."""

import shlex
from pathlib import Path

_NO_VALUE = frozenset({"null", "none"})
"""What the command line takes for "not given" where a path is expected, as it does a name that begins with # or ~."""


def shell_command(*words: str | Path) -> str:
    """A command line that does what it says when it is pasted, whatever the names in it are.

    Args:
        words: the command's words; paths as `Path`, so that one that begins with a dash is not taken for a flag.
    """
    return shlex.join(_path_word(word) if isinstance(word, Path) else word for word in words)


def _path_word(path: Path) -> str:
    word = str(path)
    plain = word[0].isalnum() or word[0] in "_./"
    return word if plain and word.lower() not in _NO_VALUE else f"./{word}"
