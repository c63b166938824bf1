"""Votes by way of the routes: a link of one's own, blind to others, kept by the organiser alone; a kill loses none."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from midas_dfer.app.addresses import address_for_others
from midas_dfer.app.annotate.invitation import keep_consent
from midas_dfer.app.annotate.project import Rules, make_project, open_project
from midas_dfer.app.annotate.votes import VoteStore
from midas_dfer.app.server import AppSettings
from midas_dfer.errors import RequestError
from tests.app.conftest import Running, no_reader, served
from tests.support.app import write_face
from tests.support.factories import plain_environment

CLASSES = ("happy", "sad", "neutral")


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    write_face(folder / "a_happy_face.mp4", 5)
    for name in "bcdef":
        (folder / f"{name}.mp4").write_bytes((folder / "a_happy_face.mp4").read_bytes() + name.encode())
    return folder


@pytest.fixture
def voting(clips, tmp_path):
    """A project of six clips, and the organiser's way to its server."""
    project = make_project(tmp_path / "project", clips, CLASSES, Rules(repeats=0.0))
    with served(AppSettings(no_reader, project=project)) as running:
        yield running


def join(running, name):
    other = Running(running.address, running.folder)
    common = json.loads(running.ask("/api/project").body)["join"]
    asked = other.ask("/enter", "POST", json.dumps({"key": common}).encode())
    assert json.loads(asked.body) == {"needs_name": True}
    answer = other.ask("/enter", "POST", json.dumps({"key": common, "name": name}).encode())
    assert answer.status == 200, answer.body
    assert "Max-Age" in answer.headers["set-cookie"]
    return Running(running.address, running.folder, json.loads(answer.body)["token"])


def task(person):
    return json.loads(person.ask("/api/vote").body)


def vote(person, told, emotions):
    sent = {"clip_id": told["clip_id"], "number": told["number"], "emotions": emotions, "ms": 900}
    return person.ask("/api/vote", "POST", json.dumps(sent).encode())


def test_people_vote_blind_and_the_organiser_sees_it(voting):
    ada, ben = join(voting, "Ada"), join(voting, "Ben")
    for person, emotion in ((ada, "happy"), (ben, "sad")):
        told = task(person)
        while told["clip_id"] is not None:
            assert set(told) == {
                *("clip_id", "number", "done", "left", "name", "is_picture", "several", "unsure"),
                *("classes", "colors", "emotions", "consent", "agreed"),
            }
            assert "happy" not in told["clip_id"]
            shown = person.ask(f"/api/vote/clip/{told['clip_id']}")
            assert (shown.status, shown.headers["content-type"]) == (200, "video/mp4")
            assert "a_happy_face" not in str(shown.headers)
            answer = vote(person, told, [emotion])
            assert answer.status == 200
            told = json.loads(answer.body)
        assert (told["done"], told["left"]) == (6, 0)
    seen = json.loads(voting.ask("/api/project").body)
    assert [clip["votes"] for clip in seen["clips"]] == [[1, 1, 0]] * 6
    assert [person["votes"] for person in seen["people"]] == [6, 6]
    table = voting.ask("/api/project/export/csv").body.decode()
    assert table.count("\n") == 13
    assert "Ada" not in table
    assert len(json.loads(voting.ask("/api/project/export/label_studio").body)) == 6


def test_an_annotator_sees_nothing_else(voting):
    ada = join(voting, "Ada")
    for path in (
        "/api/project",
        "/api/files",
        "/api/readings",
        "/api/project/export/csv",
        "/api/project/models",
        "/live",
    ):
        assert ada.ask(path).status == 403
    assert ada.ask("/api/project/models", "POST", b"{}").status == 403
    assert ada.ask("/").headers["location"] == "/vote"
    page = ada.ask("/vote").body.decode()
    assert "/project" not in page
    assert voting.ask("/api/vote").status == 400  # the organiser has no votes


def test_answers_that_are_none_and_answers_that_come_twice(voting):
    ada = join(voting, "Ada")
    told = task(ada)
    for emotions in (["joyful"], ["happy", "sad"], "happy", [7], None):
        assert vote(ada, told, emotions).status == 400
    assert vote(ada, {**told, "clip_id": "nothing"}, ["happy"]).status == 400
    for number in ("1", True, 0, -1, 1.5, 10**20, None):
        assert vote(ada, {**told, "number": number}, ["happy"]).status == 400
    assert vote(ada, told, ["happy"]).status == vote(ada, told, ["happy"]).status == 200
    assert task(ada)["done"] == 1
    back = ada.ask("/api/vote/undo", "POST", json.dumps({"number": task(ada)["number"]}).encode())
    assert json.loads(back.body)["clip_id"] == told["clip_id"]
    assert ada.ask("/api/vote/undo", "POST", b"{}").status == 400


def test_links(voting):
    made = json.loads(voting.ask("/api/project/people", "POST", b'{"name": "Cleo"}').body)
    cleo = Running(voting.address, voting.folder, made["token"])
    assert task(cleo)["name"] == "Cleo"
    entered = Running(voting.address, voting.folder).ask("/enter", "POST", json.dumps({"key": made["token"]}).encode())
    assert made["token"] in entered.headers["set-cookie"]
    for name in ("Cleo", "", " ", "x" * 61, None, "=cmd()"):
        sent = json.dumps({"name": name}).encode()
        refused = voting.ask("/api/project/people", "POST", sent, Accept_Language="ja")
        assert refused.status == 400
        assert name is None or "名前" in json.loads(refused.body)["error"]
    new = json.loads(voting.ask("/api/project/people/1", "POST", b"{}").body)["token"]
    assert cleo.ask("/api/vote").status == 401  # the old link is not valid any more
    assert Running(voting.address, voting.folder, new).ask("/api/vote").status == 200
    assert voting.ask("/api/project/people/9", "POST", b"{}").status == 400


def test_who_wants_to_be_left_out_is_deleted(voting):
    ada, ben = join(voting, "Ada"), join(voting, "Ben")
    for person in (ada, ben):
        vote(person, task(person), ["happy"])
    assert ada.ask("/api/project/people/1", "DELETE", b'{"name": "Ada"}').status == 403  # the organiser's alone
    wrong = voting.ask("/api/project/people/1", "DELETE", b'{"name": "Ben"}')
    assert (wrong.status, "is 'Ada', not 'Ben'" in json.loads(wrong.body)["error"]) == (400, True)
    assert voting.ask("/api/project/people/1", "DELETE", b'{"name": "Ada"}').status == 200
    seen = json.loads(voting.ask("/api/project").body)
    assert ([each["annotator"]["name"] for each in seen["people"]], seen["votes"], seen["withdrawn"]) == (["Ben"], 1, 1)
    assert voting.ask("/api/project/export/csv").body.decode().count("\n") == 2
    assert ada.ask("/api/vote").status == 401


def test_the_link_for_all_stays_until_there_is_a_new_one(clips, tmp_path):
    project = make_project(tmp_path / "project", clips, CLASSES)
    settings = AppSettings(no_reader, project=project)
    with served(settings) as monday:
        first = json.loads(monday.ask("/api/project").body)["join"]
    kept = project.folder / "join.key"
    assert kept.stat().st_mode & 0o077 == 0
    assert first.encode() not in (project.folder / "votes.sqlite").read_bytes()
    with served(settings) as tuesday:
        join(tuesday, "Ada")
        assert json.loads(tuesday.ask("/api/project").body)["join"] == first
        second = json.loads(tuesday.ask("/api/project/join", "POST", b"{}").body)["join"]
        stranger = Running(tuesday.address, tuesday.folder)
        tried = [stranger.ask("/enter", "POST", json.dumps({"key": key}).encode()).status for key in (first, second)]
        assert tried == [403, 200]
    kept.write_text("join-me\n")
    with pytest.raises(RequestError, match=r"join\.key is damaged; remove it"), served(settings):
        pass


def test_people_agree_to_the_organisers_text_before_they_see_a_clip(clips, tmp_path):
    project = make_project(tmp_path / "project", clips, CLASSES)
    keep_consent(project.folder, "<b>I take part</b> of my own will.")
    with served(AppSettings(no_reader, project=project)) as running:
        ada = join(running, "Ada")
        told = task(ada)
        assert (told["consent"], told["agreed"]) == ("<b>I take part</b> of my own will.", False)
        for refused in (vote(ada, told, ["happy"]), ada.ask(f"/api/vote/clip/{told['clip_id']}")):
            assert refused.status == 400
            assert "agree to the text" in json.loads(refused.body)["error"]
        other = ada.ask("/api/vote/agree", "POST", b'{"text": "another text"}')
        assert (other.status, "was changed meanwhile" in json.loads(other.body)["error"]) == (400, True)
        agreed = ada.ask("/api/vote/agree", "POST", json.dumps({"text": told["consent"]}).encode())
        assert json.loads(agreed.body)["agreed"] is True
        assert vote(ada, told, ["happy"]).status == 200
        assert json.loads(running.ask("/api/project").body)["agreements"].keys() == {"1"}


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", ""), ("localhost", ""), ("lab.example", "http://lab.example:8765")]
)
def test_the_address_that_others_can_open(host, address):
    assert address_for_others(host, 8765) == address
    assert address_for_others(host, None) == address.replace("8765", "80")  # a browser does not name it
    assert not address_for_others("0.0.0.0", 1).startswith(("http://0.0.0.0", "http://127."))  # noqa: S104


def test_too_few_votes_make_no_model(voting):
    ada = join(voting, "Ada")
    vote(ada, task(ada), ["happy"])
    answer = voting.ask("/api/project/models", "POST", b"{}")
    assert answer.status == 400
    assert "train when 8 or more" in json.loads(answer.body)["error"]


def test_five_people_vote_while_the_server_is_killed(clips, tmp_path):
    """Every vote that was acknowledged is there, and people go on by their links with the next server."""
    make_project(tmp_path / "project", clips, CLASSES, Rules(repeats=0.5))
    with VoteStore(open_project(tmp_path / "project")) as store:
        tokens = [store.add_annotator(name)[1] for name in ("Ada", "Ben", "Cleo", "Dev", "Eva")]
    said: dict[str, int] = dict.fromkeys(tokens, 0)

    def go_on(address, token):
        person, draw = Running(address, clips, token), random.Random(token)  # noqa: S311
        while True:
            try:
                told = task(person)
                if told["clip_id"] is None or vote(person, told, [draw.choice(CLASSES)]).status != 200:
                    return
            except (OSError, ValueError, HTTPException):
                return
            said[token] += 1

    for kill in (True, True, False):
        command = [
            sys.executable,
            "-m",
            "midas_dfer",
            "app",
            "--out",
            str(tmp_path / "project"),
            "--port",
            "0",
            "--no_browser",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=plain_environment()) as server:
            address = re.match(r"midas app: (http://[\d.:]+)", server.stdout.readline())[1]
            people = [threading.Thread(target=go_on, args=(address, token)) for token in tokens]
            for person in people:
                person.start()
            if kill:
                before = sum(said.values())
                while sum(said.values()) < before + 7 and any(person.is_alive() for person in people):
                    time.sleep(0.002)
                os.kill(server.pid, signal.SIGKILL)
            for person in people:
                person.join(60)
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=60)
        with VoteStore(open_project(tmp_path / "project")) as store:
            stored = {number: len(store.history(number).votes) for number in range(1, 6)}
        for number, token in enumerate(tokens, 1):
            assert said[token] <= stored[number] <= said[token] + 1  # one may be stored, its answer lost
            said[token] = stored[number]
    assert set(said.values()) == {9}  # six clips, and half of them again


def test_the_documentation_says_what_an_hour_of_votes_gave():
    root = Path(__file__).resolve().parents[2]
    found = json.loads((root / "benchmarks" / "results" / "voting.json").read_text(encoding="utf-8"))
    page = " ".join((root / "docs" / "app.md").read_text(encoding="utf-8").split())
    assert (found["minutes"], found["people"], found["lost"], found["made_up"]) == (60, 5, 0, 0)
    assert f"killed {found['kills']} times: all {found['votes']:,} acknowledged votes were there, and no others" in page
    answer = found["answer_ms"]
    assert f"{answer['median']} ms (median; 95 % at most {answer['p95']} ms)" in page
