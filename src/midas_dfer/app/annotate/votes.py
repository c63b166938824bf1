"""The votes of a project in SQLite: one row per event, added and never changed, on the disk before it is acknowledged.

The one thing that is deleted is a whole person who wants to be left out, with all that they said.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from midas_dfer.app.annotate.database import PATIENCE, Database
from midas_dfer.app.annotate.project import LOCK_FILE, MOST_ANNOTATORS, PROJECT_FILE, Project
from midas_dfer.datasets.people import find_people
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import only_one, to_disk
from midas_dfer.wording import harmless

VOTES_FILE = "votes.sqlite"
LONGEST_NAME = 60
LONGEST_COMMENT = 500
LONGEST_TIME = 24 * 60 * 60 * 1000
"""Milliseconds that a person may take for a clip; a page left open overnight is told as this long."""

Presentation = Literal["first", "repeat", "gold"]
"""Why a clip is shown: for a vote; again, for reliability; because its right answer is known."""

_NO_DELETE = (
    "CREATE TRIGGER no_delete BEFORE DELETE ON events BEGIN SELECT RAISE (ABORT, 'votes are never deleted'); END"
)
_SCHEMA = (
    "CREATE TABLE project (fingerprint TEXT NOT NULL) STRICT",
    """CREATE TABLE annotators (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, token_sha256 BLOB NOT NULL, added TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        annotator INTEGER NOT NULL REFERENCES annotators (number),
        number INTEGER NOT NULL,
        time TEXT NOT NULL,
        clip TEXT NOT NULL,
        presentation TEXT NOT NULL CHECK (presentation IN {get_args(Presentation)}),
        emotions TEXT NOT NULL,
        ms INTEGER NOT NULL,
        comment TEXT NOT NULL,
        undoes INTEGER UNIQUE REFERENCES events (id),
        UNIQUE (annotator, number)
    ) STRICT""",
    "CREATE TRIGGER no_change BEFORE UPDATE ON events BEGIN SELECT RAISE (ABORT, 'votes are never changed'); END",
    _NO_DELETE,
    """CREATE VIEW votes AS SELECT e.*, u.id IS NOT NULL AS undone
        FROM events e LEFT JOIN events u ON u.undoes = e.id WHERE e.undoes IS NULL""",
)
_SINCE = (  # tables that older projects get when they are opened
    """CREATE TABLE IF NOT EXISTS agreements (
        annotator INTEGER NOT NULL REFERENCES annotators (number), time TEXT NOT NULL, text TEXT NOT NULL
    ) STRICT""",
    "CREATE TABLE IF NOT EXISTS withdrawn (number INTEGER PRIMARY KEY, time TEXT NOT NULL) STRICT",
)


@dataclass(frozen=True)
class Annotator:
    """One person; the number is what exports know them by."""

    number: int
    name: str


@dataclass(frozen=True)
class Answer:
    """What a person says of a clip: one or several emotions, or none of them: unsure.

    Attributes:
        emotions: names of classes.
        ms: from the clip's showing to the answer, in milliseconds.
        comment: any words.
    """

    emotions: tuple[str, ...]
    ms: int
    comment: str = ""

    @property
    def unsure(self) -> bool:
        """Whether no emotion was named."""
        return not self.emotions


@dataclass(frozen=True)
class Vote:
    """An answer as it was stored.

    Attributes:
        id: of the event.
        annotator: number of the person.
        number: of the event among those of this person, from 1.
        time: UTC, ISO 8601.
        clip: path.
        presentation: why the clip was shown.
        answer: what was said.
        undone: whether the person took it back later.
    """

    id: int
    annotator: int
    number: int
    time: str
    clip: str
    presentation: Presentation
    answer: Answer
    undone: bool


@dataclass(frozen=True)
class History:
    """What one person did.

    Attributes:
        votes: those that stand, in order.
        events: how many there are, undone votes and undos included.
        taken_back: the clip of the last event, where that was an undo.
    """

    votes: tuple[Vote, ...]
    events: int
    taken_back: str | None


class VoteStore(Database):
    """The votes of a project; safe to use from several threads and processes."""

    def __init__(self, project: Project) -> None:
        super().__init__(project.folder / VOTES_FILE)
        try:
            with self._telling():
                self._open(project)
        except BaseException:
            self._base.close()
            raise

    def __enter__(self) -> "VoteStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, project: Project) -> None:
        with only_one(project.folder / LOCK_FILE, f"another process opens {self.path}", PATIENCE):
            self._set_up()
            with self._writing():
                if not self._base.execute("SELECT 1 FROM sqlite_schema").fetchall():
                    for statement in _SCHEMA:
                        self._base.execute(statement)
                    self._base.execute("INSERT INTO project VALUES (?)", [project.fingerprint])
                for statement in _SINCE:
                    self._base.execute(statement)
            to_disk(self.path.parent)
        self._check()
        if (project.fingerprint,) not in self._base.execute("SELECT fingerprint FROM project").fetchall():
            raise RequestError(
                f"{self.path} holds the votes of another project, or {project.folder / PROJECT_FILE} was edited after "
                "people had voted: put both back as they were"
            )

    def belong_to(self, *projects: Project) -> None:
        """Say of which projects these are the votes: of one, or of two while one takes the other's place."""
        with self._telling(), self._lock, self._writing():
            self._base.execute("DELETE FROM project")
            rows = [[project.fingerprint] for project in projects]
            self._base.executemany("INSERT INTO project VALUES (?)", rows)

    def add_annotator(self, name: str) -> tuple[Annotator, str]:
        """Add a person; also gives the token of their link, of which only a digest is kept."""
        plain = " ".join(name.split())
        if not plain or len(plain) > LONGEST_NAME or harmless(plain) != plain or not plain[0].isalnum():
            raise RequestError(
                f"{name[: 2 * LONGEST_NAME]!r} cannot be used as a name: it must begin with a letter or digit, and "
                f"have at most {LONGEST_NAME} characters"
            )
        token = secrets.token_urlsafe(24)
        with self._telling(), self._lock, self._writing():
            known = {row[0] for row in self._base.execute("SELECT name FROM annotators")}
            people = find_people({*known, plain}, "annotator").one_name
            if people[plain] is None:
                raise RequestError(f"{plain!r} names nobody: choose a name or a pseudonym")
            same = next((each for each in known if people[each] == people[plain]), None)
            if same is not None:
                raise RequestError(f"{same!r} is among the annotators already: choose another name")
            if len(known) >= MOST_ANNOTATORS:
                raise RequestError(
                    f"the project has {MOST_ANNOTATORS} annotators already, which is the most there can be"
                )
            (last,) = self._base.execute(
                "SELECT MAX(number) FROM (SELECT number FROM annotators UNION SELECT number FROM withdrawn)"
            ).fetchone()
            added = Annotator((last or 0) + 1, plain)
            row = [added.number, plain, _digest(token), _now()]
            self._base.execute("INSERT INTO annotators (number, name, token_sha256, added) VALUES (?, ?, ?, ?)", row)
            return added, token

    def new_token(self, annotator: Annotator) -> str:
        """Give a person a new link; the old one is not valid any more."""
        token = secrets.token_urlsafe(24)
        with self._telling(), self._lock, self._writing():
            self._base.execute(
                "UPDATE annotators SET token_sha256 = ? WHERE number = ?", [_digest(token), annotator.number]
            )
        return token

    def agree(self, annotator: Annotator, text: str) -> None:
        """Store that a person agreed to the organiser's text, and when."""
        with self._telling(), self._lock, self._writing():
            self._base.execute("INSERT INTO agreements VALUES (?, ?, ?)", [annotator.number, _now(), text])

    def agreements(self, text: str) -> dict[int, str]:
        """When each person first agreed to a text, by their number."""
        return {
            number: time
            for number, time, agreed in reversed(self._rows("SELECT * FROM agreements ORDER BY time"))
            if agreed == text
        }

    def withdraw(self, annotator: Annotator) -> None:
        """Delete a person with all that they said, so that nothing of it stays in the file; their number stays taken.

        Raises:
            JobError: it is done, but another program holds the file, in which traces may stay until it ends.
        """
        with self._telling(), self._lock:
            with self._writing():
                self._base.execute("DROP TRIGGER no_delete")
                for table in ("events", "agreements"):
                    self._base.execute(f"DELETE FROM {table} WHERE annotator = ?", [annotator.number])  # noqa: S608
                self._base.execute(_NO_DELETE)
                self._base.execute("DELETE FROM annotators WHERE number = ?", [annotator.number])
                self._base.execute("INSERT OR IGNORE INTO withdrawn VALUES (?, ?)", [annotator.number, _now()])
            if not self._wipe():
                raise JobError(
                    f"{annotator.name} was deleted, but another program has {self.path} open: close it there, then end "
                    "the app, which clears what is left of the deleted rows"
                )

    def withdrawn(self) -> int:
        """How many people were removed."""
        return len(self._rows("SELECT number FROM withdrawn"))

    def annotators(self) -> list[Annotator]:
        """Everybody, in the order in which they were added."""
        return [Annotator(*row) for row in self._rows("SELECT number, name FROM annotators ORDER BY number")]

    def find_annotator(self, token: str) -> Annotator | None:
        """Whose link has this token; every digest is compared, in constant time."""
        wanted, found = _digest(token), None
        for number, name, digest in self._rows("SELECT number, name, token_sha256 FROM annotators"):
            if hmac.compare_digest(wanted, digest):
                found = Annotator(number, name)
        return found

    def add_vote(self, annotator: int, number: int, clip: str, presentation: Presentation, answer: Answer) -> None:
        """Store an answer; when this returns it is on the disk.

        Args:
            annotator: number of the person.
            number: of the event among those of this person: one more than there are. The same event a second time, as
                after a lost connection, is stored once; another one under its number is refused.
            clip: path.
            presentation: why the clip was shown.
            answer: checked by the caller.
        """
        emotions = json.dumps(answer.emotions, ensure_ascii=False)
        self._add(annotator, number, (clip, presentation, emotions, answer.ms, answer.comment, None))

    def undo(self, annotator: int, number: int) -> None:
        """Take back the last vote of a person that stands; `number` as for `add_vote`."""
        with self._telling(), self._lock, self._writing():
            done = self._base.execute(
                "SELECT undoes FROM events WHERE annotator = ? AND number = ?", [annotator, number]
            ).fetchone()
            if done is not None and done[0] is not None:
                return
            last = self._base.execute(
                "SELECT id, clip, presentation, emotions FROM votes WHERE annotator = ? AND NOT undone "
                "ORDER BY number DESC LIMIT 1",
                [annotator],
            ).fetchone()
            if last is None:
                raise RequestError("there is no vote to take back")
            self._insert(annotator, number, (*last[1:], 0, "", last[0]))

    def history(self, annotator: int) -> History:
        """What one person did."""
        votes = self._votes("WHERE annotator = ? ORDER BY number", [annotator])
        latest = self._rows(
            "SELECT number, clip, undoes FROM events WHERE annotator = ? ORDER BY number DESC LIMIT 1", [annotator]
        )
        number, clip, undoes = latest[0] if latest else (0, None, None)
        return History(tuple(each for each in votes if not each.undone), number, None if undoes is None else clip)

    def votes(self) -> list[Vote]:
        """All votes of all people, those that were undone too, in the order in which they were cast; for organisers."""
        return self._votes("ORDER BY id", [])

    def numbers_of_votes(self, without: int) -> dict[str, int]:
        """How many people other than one have voted on each clip, but not what they said."""
        return dict(
            self._rows(
                "SELECT clip, COUNT(DISTINCT annotator) FROM votes WHERE NOT undone AND presentation != 'repeat' "
                "AND emotions != '[]' AND annotator != ? GROUP BY clip",
                [without],
            )
        )

    def _votes(self, which: str, values: Sequence[int]) -> list[Vote]:
        columns = "id, annotator, number, time, clip, presentation, emotions, ms, comment, undone"
        rows = self._rows(f"SELECT {columns} FROM votes {which}", values)  # noqa: S608 - only of this module's words
        with self._telling():
            return [
                Vote(event, who, number, time, clip, why, Answer(tuple(json.loads(names)), ms, comment), bool(undone))
                for event, who, number, time, clip, why, names, ms, comment, undone in rows
            ]

    def _add(self, annotator: int, number: int, event: tuple[Any, ...]) -> None:
        with self._telling(), self._lock, self._writing():
            stored = self._base.execute(
                "SELECT clip, presentation, emotions, ms, comment, undoes FROM events "
                "WHERE annotator = ? AND number = ?",
                [annotator, number],
            ).fetchone()
            if stored != event:
                self._insert(annotator, number, event)

    def _insert(self, annotator: int, number: int, event: tuple[Any, ...]) -> None:
        if not self._base.execute("SELECT 1 FROM annotators WHERE number = ?", [annotator]).fetchall():
            raise RequestError("you were removed from this project: ask who runs it")
        (last,) = self._base.execute("SELECT COUNT(*) FROM events WHERE annotator = ?", [annotator]).fetchone()
        if number != last + 1:
            raise RequestError("this was answered already, perhaps in another window: load the page again")
        self._base.execute(
            "INSERT INTO events (annotator, number, time, clip, presentation, emotions, ms, comment, undoes) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [annotator, number, _now(), *event],
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
