"""Five people vote for an hour, at people's pace, while the server of `midas app` is killed again and again.

    python -m benchmarks.voting --minutes 60

Each person loads a clip, answers after some seconds, and now and then is unsure, takes an answer back or sends it
twice; the organiser looks at the progress all the time. At the end every answer that was acknowledged must be in
votes.sqlite as it was given, and nothing else. Of an answer that was on its way at a kill, the next page says whether
it counts.
"""

import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from midas_dfer.app.annotate.project import Rules, make_project, open_project
from midas_dfer.app.annotate.votes import VoteStore
from midas_dfer.app.safety import COOKIE
from midas_dfer.synthetic import write_new_video

CLASSES = ("happy", "sad", "angry", "surprise", "disgust", "fear", "neutral")
NAMES = ("Ada", "Ben", "Cleo", "Dev", "Eva")
NUM_CLIPS = 2500
"""More than anybody can answer in an hour."""
LOST = (OSError, ValueError, HTTPException)
"""What a client sees of a killed server."""
Given = tuple[str, tuple[str, ...]]
"""A clip's identifier and the emotions that were chosen for it."""


def ask(address: str, cookie: str, path: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the server answers, as a page would ask; a clip is read and forgotten."""
    headers = {"Cookie": f"{COOKIE}={cookie}", "Origin": address, "Sec-Fetch-Site": "same-origin"}
    body = None if values is None else json.dumps(values).encode()
    request = urllib.request.Request(address + path, body, headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        content = answer.read()
    is_json = answer.headers.get_content_type() == "application/json"
    told: dict[str, Any] = json.loads(content) if is_json else {}
    return told


@dataclass
class Person:
    """One person, with a link of their own.

    Attributes:
        given: by the number of the event, each answer that was acknowledged and not taken back.
        sent: the event whose acknowledgement is awaited: its number, and the answer, None where one is taken back.
        seconds: from each answer to its acknowledgement.
        undone: how many were taken back.
    """

    token: str
    draw: random.Random
    given: dict[int, Given] = field(default_factory=dict)
    sent: tuple[int, Given | None] | None = None
    seconds: list[float] = field(default_factory=list)
    undone: int = 0

    def go_on(self, address: str, until: float, pace: float) -> None:
        """Vote with this server until it is gone, or the time is up."""
        try:
            told = ask(address, self.token, "/api/vote")
            if self.sent is not None and told["number"] > self.sent[0]:  # stored by a server that could not say so
                self._acknowledged()
            self.sent = None
            while told["clip_id"] is not None and time.monotonic() < until:
                ask(address, self.token, f"/api/vote/clip/{told['clip_id']}")
                time.sleep(min(self.draw.lognormvariate(0.0, 0.6), 4.0) * pace)
                told = self._act(address, told)
        except LOST:
            return

    def _act(self, address: str, told: dict[str, Any]) -> dict[str, Any]:
        """Answer, or take the last answer back."""
        number, chance = told["number"], self.draw.random()
        if self.given and chance < 0.03:
            self.sent, path, values = (number, None), "/api/vote/undo", {"number": number}
        else:
            emotions = () if chance < 0.08 else (self.draw.choice(CLASSES),)
            self.sent, path = (number, (told["clip_id"], emotions)), "/api/vote"
            values = {"number": number, "clip_id": told["clip_id"], "emotions": emotions, "ms": 900}
        began = time.monotonic()
        after = ask(address, self.token, path, values)
        self.seconds.append(time.monotonic() - began)
        self._acknowledged()
        if chance > 0.95:  # as after a lost connection: it counts once
            after = ask(address, self.token, path, values)
        return after

    def _acknowledged(self) -> None:
        assert self.sent is not None  # noqa: S101
        (number, answer), self.sent = self.sent, None
        if answer is None:
            self.given.popitem()
            self.undone += 1
        else:
            self.given[number] = answer


def look(address: str, key: str, seconds: list[float]) -> None:
    """The organiser, at the project's page every five seconds until the server is gone; each took `seconds`."""
    try:
        request = urllib.request.Request(  # noqa: S310
            f"{address}/enter", json.dumps({"key": key}).encode(), {"Origin": address, "Sec-Fetch-Site": "same-origin"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE].value
        while True:
            began = time.monotonic()
            ask(address, cookie, "/api/project")
            seconds.append(time.monotonic() - began)
            time.sleep(5)
    except LOST:
        return


def main() -> int:
    """Vote, compare, print; 1 if a vote was lost or made up."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--minutes", type=float, default=60.0)
    flags.add_argument("--pace", type=float, default=2.0, help="seconds that half of the answers take at most")
    flags.add_argument("--between_kills", type=float, default=120.0, help="seconds, on average")
    flags.add_argument("--out", type=Path, help="a file for the figures, JSON")
    request = flags.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {"minutes": request.minutes, **run(Path(folder), request)}
    text = json.dumps(found, indent=1)
    print(text)
    if request.out is not None:
        request.out.write_text(f"{text}\n", encoding="utf-8")
    return 1 if found["lost"] or found["made_up"] else 0


def run(folder: Path, request: argparse.Namespace) -> dict[str, Any]:
    """See the module."""
    (folder / "clips").mkdir()
    write_new_video(folder / "first.mp4", seed=1, emotions=("happy",), seconds_each=1.0, size=(64, 64))
    for number in range(NUM_CLIPS):  # each with other bytes at its end, so that none is a copy
        (folder / "clips" / f"{number:04}.mp4").write_bytes((folder / "first.mp4").read_bytes() + b"%04d" % number)
    make_project(folder / "project", folder / "clips", CLASSES, Rules(repeats=0.05))
    with VoteStore(open_project(folder / "project")) as store:
        people = [Person(store.add_annotator(name)[1], random.Random(name)) for name in NAMES]  # noqa: S311
    draw, looks, kills, until = random.Random(0), list[float](), 0, time.monotonic() + 60 * request.minutes  # noqa: S311
    while (left := until - time.monotonic()) > 0:
        lasts = min(draw.expovariate(1 / request.between_kills) + 5, left)
        kills += serve(folder / "project", people, looks, (until, request.pace, lasts))
        print(f"{left / 60:.0f} min left, {kills} kills, {sum(len(each.given) for each in people)} votes", flush=True)
    return compare(folder / "project", people, looks, kills)


def serve(project: Path, people: list[Person], looks: list[float], times: tuple[float, float, float]) -> bool:
    """One server and its people, for some seconds; whether it was killed under them."""
    until, pace, lasts = times
    command = [sys.executable, "-m", "midas_dfer", "app", "--out", str(project), "--port", "0", "--no_browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101
        found = re.search(r"(http://[\d.:]+)\S*#(\S+)", server.stdout.readline())
        if found is None:
            raise SystemExit("the server did not start")
        jobs = [(each.go_on, (found[1], until, pace)) for each in people]
        threads = [threading.Thread(target=target, args=values) for target, values in jobs]
        threads.append(threading.Thread(target=look, args=(found[1], found[2], looks)))
        for thread in threads:
            thread.start()
        threads[0].join(lasts)
        killed = any(thread.is_alive() for thread in threads[:-1])
        server.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
    return killed


def compare(project: Path, people: list[Person], looks: list[float], kills: int) -> dict[str, Any]:
    """How what is stored compares with what people know they said."""
    opened = open_project(project)
    paths = {clip.id: clip.path for clip in opened.clips}
    lost = surplus = 0
    with VoteStore(opened) as store:
        for number, person in enumerate(people, 1):
            stored = {vote.number: (vote.clip, vote.answer.emotions) for vote in store.history(number).votes}
            said = {event: (paths[clip], emotions) for event, (clip, emotions) in person.given.items()}
            lost += sum(stored.get(event) != answer for event, answer in said.items())
            unsure_of = set() if person.sent is None else {person.sent[0]}
            surplus += len(stored.keys() - said.keys() - unsure_of)
    seconds = sorted(1000 * each for person in people for each in person.seconds)
    return {
        "people": len(people),
        "votes": sum(len(person.given) for person in people),
        "taken_back": sum(each.undone for each in people),
        "kills": kills,
        "lost": lost,
        "made_up": surplus,
        "answer_ms": {"median": round(statistics.median(seconds)), "p95": round(seconds[int(0.95 * len(seconds))])},
        "page_ms": {"median": round(1000 * statistics.median(looks)), "most": round(1000 * max(looks))},
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())
