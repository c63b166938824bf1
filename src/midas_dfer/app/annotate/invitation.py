"""How people come to a project: the link by which they join, and the organiser's text, to which they agree first."""

import re
import secrets
from pathlib import Path

from midas_dfer.errors import RequestError
from midas_dfer.files import read_text, replacing, write_file

CONSENT_FILE = "consent.txt"
LONGEST_CONSENT = 10_000
"""Characters; a page or three."""
JOIN_FILE = "join.key"


def read_consent(file: Path) -> str:
    """The organiser's text, from a file of any name."""
    text = read_text(file, "give --consent a text file in UTF-8").removeprefix("\ufeff").strip()
    if not 0 < len(text) <= LONGEST_CONSENT:
        raise RequestError(
            f"--consent {file} has {len(text):,} characters; expected a text of 1 to {LONGEST_CONSENT:,} that people "
            "read before they vote"
        )
    return text


def keep_consent(folder: Path, text: str) -> None:
    """Take a text over into the project in `folder`; people who agreed to another one are asked again."""
    write_file(folder / CONSENT_FILE, f"{text}\n")


def consent_text(folder: Path) -> str:
    """What people agree to before they vote; empty where the organiser gave no text."""
    file = folder / CONSENT_FILE
    return read_text(file, "save it in UTF-8").strip() if file.exists() else ""


def join_key(folder: Path) -> str:
    """The key of the link for all; made when it is first asked for."""
    file = folder / JOIN_FILE
    if not file.exists():
        return new_join_key(folder)
    key = read_text(file, _DAMAGED).strip()
    if not re.fullmatch(r"join-[\w-]{43}", key, re.ASCII):
        raise RequestError(f"{file} is damaged; {_DAMAGED}")
    return key


def new_join_key(folder: Path) -> str:
    """Make another key; the link with the old one opens nothing any more. Only this user may read the file."""
    key = f"join-{secrets.token_urlsafe(32)}"
    with replacing(folder / JOIN_FILE) as temporary:
        temporary.touch(0o600)
        temporary.write_text(f"{key}\n")
    return key


_DAMAGED = "remove it, and a new link is made"
