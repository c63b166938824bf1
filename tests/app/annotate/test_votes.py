"""The store of votes: what was acknowledged is there, whatever happens; nobody is told of others."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.app.annotate import database as database_module
from midas_dfer.app.annotate import votes as votes_module
from midas_dfer.app.annotate.project import open_project, want_votes
from midas_dfer.app.annotate.session import Session
from midas_dfer.app.annotate.votes import LONGEST_NAME, Annotator, Answer, VoteStore
from midas_dfer.errors import JobError, RequestError
from tests.support.annotation import CLASSES, tiny_project
from tests.support.factories import plain_environment

WRITERS = """
import os, sys, time
from pathlib import Path
from midas_dfer.app.annotate.project import open_project
from midas_dfer.app.annotate.votes import Answer, VoteStore
project = open_project(Path(sys.argv[1]))
for who in range(1, 6):
    if not os.fork():
        break
else:
    os.wait()
with VoteStore(project) as store:
    number = 0
    while True:
        number += 1
        store.add_vote(who, number, f"clip{number % 8:02d}.mp4", "first", Answer(("sad",), number))
        os.write(1, b"%d %d\\n" % (who, number))
        time.sleep(0.002)
"""


@pytest.fixture
def project(tmp_path):
    return tiny_project(tmp_path)


@pytest.fixture
def store(project):
    with VoteStore(project) as opened:
        yield opened


def test_five_writers_are_killed_and_no_acknowledged_vote_is_lost(project):
    with VoteStore(project) as store:
        for name in "abcde":
            store.add_annotator(name)
    writers = subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(project.folder)],
        env=plain_environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines = []
    while {line.split()[0] for line in lines} < set("12345"):  # until all of them write
        lines.append(writers.stdout.readline())
    os.killpg(writers.pid, signal.SIGKILL)
    lines += writers.communicate()[0].splitlines()
    acknowledged = {who: [int(line.split()[1]) for line in lines if line[0] == str(who)] for who in range(1, 6)}
    with VoteStore(project) as store:
        for who, numbers in acknowledged.items():
            stored = [vote.answer.ms for vote in store.votes() if vote.annotator == who]
            assert numbers == list(range(1, len(numbers) + 1))
            assert stored == list(range(1, len(stored) + 1))
            assert len(stored) - len(numbers) in (0, 1)  # one may have been stored and not yet acknowledged


def test_threads_share_a_store(project, store):
    people = [store.add_annotator(name)[0] for name in "abcde"]
    session = Session(project, store)

    def annotate(annotator):
        while (task := session.task(annotator)).clip_id is not None:
            session.vote(annotator, task.clip_id, task.number, ("happy",), 5)

    threads = [threading.Thread(target=annotate, args=[each]) for each in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {(vote.annotator, vote.clip) for vote in store.votes()}
    assert found == {(each.number, clip.path) for each in people for clip in project.clips}


def test_an_answer_sent_twice_counts_once_and_another_under_its_number_is_refused(project, store):
    anna, _ = store.add_annotator("Anna")
    session = Session(project, store)
    first = session.task(anna)
    for _ in range(2):
        session.vote(anna, first.clip_id, first.number, ("sad",), 1200)
    with pytest.raises(RequestError, match="answered already"):
        session.vote(anna, first.clip_id, first.number, ("happy",), 1200)
    second = session.task(anna)
    with pytest.raises(RequestError, match="answered already"):
        session.vote(anna, second.clip_id, first.number, ("sad",), 1200)
    for _ in range(2):
        session.undo(anna, second.number)
    again = session.task(anna)
    assert (again.clip_id, again.number, again.done) == (first.clip_id, 3, 0)
    with pytest.raises(RequestError, match="no vote to take back"):
        session.undo(anna, again.number)
    assert [(vote.answer.emotions, vote.undone) for vote in store.votes()] == [(("sad",), True)]


@pytest.mark.parametrize(
    ("emotions", "ms", "comment", "what"),
    [
        ((), 1, "", "unsure is not allowed"),
        (("happy", "sad"), 1, "", "several are not allowed"),
        (("bored",), 1, "", "names classes of the project"),
        (("happy",), True, "", "expected a whole number"),
        (("happy",), 1, "x" * 501, "longer than 500"),
    ],
)
def test_answers_that_the_rules_do_not_allow(tmp_path, emotions, ms, comment, what):
    project = tiny_project(tmp_path, unsure=False)
    with VoteStore(project) as store:
        anna, _ = store.add_annotator("anna")
        session = Session(project, store)
        task = session.task(anna)
        with pytest.raises(RequestError, match=what):
            session.vote(anna, task.clip_id, task.number, emotions, ms, comment)
        session.vote(anna, task.clip_id, task.number, ("happy",), 10**12, "a\nword\x07")
        assert store.votes()[0].answer == Answer(("happy",), 86_400_000, "a word\N{REPLACEMENT CHARACTER}")


def test_tokens_are_known_by_their_digest_only(store, project):
    anna, token = store.add_annotator("Anna")
    ben, other = store.add_annotator("Ben")
    assert store.find_annotator(token) == anna
    assert store.find_annotator(other) == ben
    assert store.find_annotator(token[:-1]) is None
    assert token.encode() not in b"".join(file.read_bytes() for file in project.folder.iterdir())
    newer = store.new_token(anna)
    assert (store.find_annotator(token), store.find_annotator(newer)) == (None, anna)
    assert store.annotators() == [anna, ben]


@pytest.mark.parametrize(
    "name", ["", " ", "=1", "x" * (LONGEST_NAME + 1), "a\u202eb", "ANNA", "anna ", "unknown", "n/a"]
)
def test_names_that_cannot_be_told_apart_or_shown_are_refused(store, name):
    store.add_annotator("Anna")
    with pytest.raises(RequestError):
        store.add_annotator(name)


def test_there_is_an_end_to_the_number_of_annotators(store, monkeypatch):
    monkeypatch.setattr(votes_module, "MOST_ANNOTATORS", 2)
    store.add_annotator("a")
    store.add_annotator("b")
    with pytest.raises(RequestError, match="2 annotators already"):
        store.add_annotator("c")


def test_votes_are_never_changed_or_deleted(store, project):
    store.add_annotator("anna")
    store.add_vote(1, 1, "clip00.mp4", "first", Answer(("sad",), 1))
    base = sqlite3.connect(project.folder / "votes.sqlite")
    for query in ("UPDATE events SET clip = 'other'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            base.execute(query)
    base.close()


def test_a_person_who_withdraws_leaves_nothing_in_the_file(project, store):
    """Also not in its free pages or its log; others' answers and the numbers of people stay."""
    people = [store.add_annotator(name)[0] for name in ("Anna", "Ladislava Withdrawn", "Cleo")]
    gone = people[1]
    for number in range(1, 60):
        for person in people:
            store.add_vote(person.number, number, "clip00.mp4", "first", Answer(("sad",), 1, f"said by {person.name}"))
    store.undo(gone.number, 60)
    store.agree(gone, "Ladislava agrees")
    before = [vote for vote in store.votes() if vote.annotator != gone.number]
    store.withdraw(gone)
    kept = b"".join(file.read_bytes() for file in project.folder.glob("votes.sqlite*"))
    assert b"Ladislava" not in kept
    assert b"said by Cleo" in kept
    assert store.votes() == before
    assert store.annotators() == [people[0], people[2]]
    assert (store.withdrawn(), store.agreements("Ladislava agrees")) == (1, {})
    with pytest.raises(RequestError, match="you were removed"):
        store.add_vote(gone.number, 1, "clip00.mp4", "first", Answer(("sad",), 1))
    store.withdraw(people[2])
    assert store.add_annotator("Dev")[0].number == 4  # a number is never given twice
    with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
        store._base.execute("DELETE FROM events")


def test_traces_that_another_program_holds_are_told(project, monkeypatch):
    monkeypatch.setattr(database_module, "PATIENCE", 0.05)
    with VoteStore(project) as own:
        anna, _ = own.add_annotator("Anna")
        other = sqlite3.connect(project.folder / "votes.sqlite", isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT * FROM annotators").fetchall()
        with pytest.raises(JobError, match=r"was deleted, but another program has .*votes\.sqlite open"):
            own.withdraw(anna)
        assert own.annotators() == []
        other.close()


def test_a_project_of_before_has_the_new_tables_when_it_is_opened(project):
    VoteStore(project).close()
    base = sqlite3.connect(project.folder / "votes.sqlite")
    for table in ("agreements", "withdrawn"):
        base.execute(f"DROP TABLE {table}")
    base.close()
    with VoteStore(project) as store:
        anna, _ = store.add_annotator("Anna")
        store.agree(anna, "a text")
        assert store.agreements("a text").keys() == {1}
        assert store.agreements("another") == {}


def test_a_locked_store_is_told_in_a_sentence(project, monkeypatch):
    monkeypatch.setattr(database_module, "PATIENCE", 0.05)
    with VoteStore(project) as store:
        other = sqlite3.connect(project.folder / "votes.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JobError, match="in use by another program"):
            store.add_annotator("anna")
        other.close()
        store.add_annotator("anna")


def test_a_full_disk_is_told_and_what_was_stored_before_stays(project, store):
    store.add_annotator("anna")
    pages = store._base.execute("PRAGMA page_count").fetchone()[0]
    store._base.execute(f"PRAGMA max_page_count = {pages + 2}")
    answer = Answer(("sad",), 1, "x" * 400)
    stored = 0
    with pytest.raises(JobError, match="the disk is full: the vote was not stored"):  # noqa: PT012 - at whichever it is
        while stored < 1000:
            store.add_vote(1, stored + 1, "clip00.mp4", "first", answer)
            stored += 1
    assert len(store.votes()) == stored > 0
    store._base.execute("PRAGMA max_page_count = 100000")
    store.add_vote(1, stored + 1, "clip00.mp4", "first", Answer(("sad",), 1))


def test_a_damaged_store_is_told_in_a_sentence(project):
    file = project.folder / "votes.sqlite"
    with VoteStore(project) as store:
        store.add_annotator("anna")
        for number in range(1, 40):
            store.add_vote(1, number, "clip00.mp4", "first", Answer(("sad",), number, "x" * 300))
    whole = file.read_bytes()
    for broken in (b"no database at all" * 99, whole[:100] + os.urandom(3000) + whole[3100:], whole[:5000]):
        file.write_bytes(broken)
        with pytest.raises(RequestError, match=r"votes\.sqlite is damaged"):
            VoteStore(project)
    file.write_bytes(whole[:12288] + b"\xff" * 4096 + whole[16384:])
    with pytest.raises(RequestError, match=r"votes\.sqlite is damaged"):
        VoteStore(project)


def test_votes_of_another_project_are_refused(tmp_path, project):
    VoteStore(project).close()
    other = tiny_project(tmp_path / "other")
    (project.folder / "votes.sqlite").replace(other.folder / "votes.sqlite")
    with pytest.raises(RequestError, match="votes of another project"):
        VoteStore(other)


def test_a_project_that_was_edited_after_votes_is_refused(project):
    VoteStore(project).close()
    wanted = want_votes(project, 3)
    assert open_project(project.folder).rules.votes_wanted == 3
    VoteStore(wanted).close()
    file = project.folder / "project.json"
    file.write_text(file.read_text().replace('"angry"', '"bored"'))
    with pytest.raises(RequestError, match=r"project\.json was edited"):
        VoteStore(open_project(project.folder))


def test_commits_wait_for_the_disk(store):
    asked = [store._base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert asked == ["wal", 2]  # 2: FULL


def test_a_store_that_may_not_be_written_or_was_closed(project, tmp_path):
    store = VoteStore(project)
    store.close()
    with pytest.raises(JobError, match="closed already"):
        store.votes()
    (project.folder / "votes.sqlite").unlink()
    (project.folder / "votes.sqlite").mkdir()
    with pytest.raises(JobError, match="cannot be written"):
        VoteStore(project)


@settings(max_examples=12)
@given(st.lists(st.sampled_from(["vote", "unsure", "undo"]), max_size=14))
def test_events_and_undos_as_a_stack_keeps_them(tmp_path_factory, steps):
    project = tiny_project(tmp_path_factory.mktemp("p"), 6, repeats=0.5)
    with VoteStore(project) as store:
        store._base.execute("PRAGMA synchronous=OFF")
        anna, _ = store.add_annotator("anna")
        session, stack = Session(project, store), []
        for step in steps:
            task = session.task(anna)
            if step == "undo":
                if stack:
                    session.undo(anna, task.number)
                    assert session.task(anna).clip_id == stack.pop()[0]
            elif task.clip_id is not None:
                said = (CLASSES[0],) if step == "vote" else ()
                session.vote(anna, task.clip_id, task.number, said, 1)
                stack.append((task.clip_id, said))
            history = store.history(anna.number)
            assert [(project.by_path[v.clip].id, v.answer.emotions) for v in history.votes] == stack
            assert session.task(anna).done == len(stack)
        assert len([v for v in store.votes() if not v.undone]) == len(stack)


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=6, max_size=20))
def test_what_others_say_changes_nothing_that_a_person_is_told(tmp_path_factory, answers):
    told = []
    for shift in (0, 1):
        project = tiny_project(tmp_path_factory.mktemp("p"), 6, repeats=0.2, votes_wanted=2)
        by_id = {clip.id: clip.path for clip in project.clips}
        with VoteStore(project) as store:
            store._base.execute("PRAGMA synchronous=OFF")
            people = [store.add_annotator(name)[0] for name in "abc"]
            session, seen = Session(project, store), []
            for who, said in answers:
                task = session.task(people[who])
                if task.clip_id is None:
                    continue
                if who == 0:
                    seen.append((by_id[task.clip_id], task.number, task.done, task.left))
                said_now = said if who == 0 else (said + shift) % 3
                session.vote(people[who], task.clip_id, task.number, (CLASSES[said_now],), 1)
            last = session.task(Annotator(1, "a"))
            told.append([*seen, (by_id.get(last.clip_id), last.number, last.done, last.left)])
    assert told[0] == told[1]
