"""Videos by way of the routes: sent or chosen, read, exported, refused, removed."""

import csv
import io
import json
import time

import pytest

from midas_dfer.app import readings
from midas_dfer.app.server import AppSettings
from midas_dfer.app.uploads import Uploads
from midas_dfer.predict.predictor import Predictor
from tests.app.conftest import served


def read(running, begun):
    assert begun.status == 202, begun.body
    number = json.loads(begun.body)["number"]
    for _ in range(600):
        told = json.loads(running.ask(f"/api/readings/{number}?since=0").body)
        if told["state"] in ("done", "failed"):
            return number, told
        time.sleep(0.1)
    raise TimeoutError(told)


@pytest.fixture(scope="module")
def uploaded(running):
    body = (running.folder / "face.mp4").read_bytes()
    return read(running, running.ask("/api/readings", "POST", body, X_File_Name="a%20video%20of%20%C3%A4.mp4"))


def test_a_video_is_read_as_midas_predict_reads_it(running, uploaded):
    number, told = uploaded
    assert (told["state"], told["name"], told["error"]) == ("done", "a video of ä.mp4", "")
    timeline = json.loads(running.ask(f"/api/readings/{number}/timeline").body)
    expected = json.loads(Predictor.from_pretrained("ferplus").predict_video(running.folder / "face.mp4").to_json())
    assert timeline["tracks"] == expected["tracks"]
    assert set(timeline["colors"]) == set(timeline["class_names"]) == set(timeline["emotions"])
    assert [(each["start"], each["end"]) for each in told["early"]] == [
        (pytest.approx(w["start"]), pytest.approx(w["end"])) for w in timeline["tracks"][0]["windows"]
    ]
    assert told["early"][0]["shares"] == pytest.approx(timeline["tracks"][0]["windows"][0]["vote_shares"], abs=1e-4)


def test_exports(running, uploaded):
    number, _ = uploaded
    table = running.ask(f"/api/readings/{number}/export/csv")
    assert table.headers["content-disposition"] == 'attachment; filename="timeline.csv"'
    rows = list(csv.DictReader(io.StringIO(table.body.decode())))
    assert {"track", "start", "end", "predicted"} <= set(rows[0])
    assert json.loads(running.ask(f"/api/readings/{number}/export/json").body)["format"] == "midas-dfer timeline"
    assert running.ask(f"/api/readings/{number}/export/png").body.startswith(b"\x89PNG")
    assert running.ask(f"/api/readings/{number}/export/exe").status == 400


def test_a_player_gets_the_part_that_it_asks_for(running, uploaded):
    number, _ = uploaded
    whole = running.ask(f"/api/readings/{number}/video").body
    part = running.ask(f"/api/readings/{number}/video", Range="bytes=10-19")
    assert (part.status, part.body) == (206, whole[10:20])


def test_what_is_no_video_is_said_in_a_sentence(running):
    _, told = read(running, running.ask("/api/readings", "POST", json.dumps({"file": "broken.mp4"}).encode()))
    assert told["state"] == "failed"
    assert told["error"].startswith("broken.mp4: is not a video that can be read")
    assert str(running.folder) not in told["error"]
    for name, words in (("notes.txt", "is no video"), ("empty.mp4", "is empty")):
        answer = running.ask("/api/readings", "POST", b"" if name == "empty.mp4" else b"x", X_File_Name=name)
        assert answer.status == 400
        assert words in json.loads(answer.body)["error"]


def test_a_fault_of_ours_is_said_too(videos, capfd):
    def broken(run):
        raise ValueError("as no model should")

    with served(AppSettings(broken, videos)) as other:
        _, told = read(other, other.ask("/api/readings", "POST", json.dumps({"file": "face.mp4"}).encode()))
        assert told["state"] == "failed"
        assert told["error"].startswith("a fault of midas-dfer (ValueError)")
        shown = other.ask("/")  # the page comes without the model, and asks for it
        assert (shown.status, b'id="ready" disabled' in shown.body) == (200, True)
        asked = other.ask("/api/reader")
        assert (asked.status, "(ValueError)" in json.loads(asked.body)["error"]) == (500, True)
    assert capfd.readouterr().err.count("as no model should") >= 2


def test_an_upload_that_finds_no_room_in_the_queue_is_removed(running, monkeypatch):
    remove, removed = Uploads.remove, []
    monkeypatch.setattr(readings, "MOST_READINGS", 0)
    monkeypatch.setattr(Uploads, "remove", lambda self, path: (remove(self, path), removed.append(path)))
    answer = running.ask("/api/readings", "POST", b"x", X_File_Name="one.mp4")
    assert answer.status == 400
    assert "wait until some are read" in json.loads(answer.body)["error"]
    assert [path.exists() for path in removed] == [False]


def test_a_reading_is_removed_and_is_gone(running):
    begun = running.ask("/api/readings", "POST", json.dumps({"file": "face.mp4"}).encode())
    number = json.loads(begun.body)["number"]
    assert running.ask(f"/api/readings/{number}", "DELETE").status == 200
    answer = running.ask(f"/api/readings/{number}")
    assert answer.status == 400
    assert "is gone" in json.loads(answer.body)["error"]
    assert (running.folder / "face.mp4").exists()


@pytest.mark.parametrize("most", [10, 11])
def test_uploads_are_bounded_and_removed(most):
    import asyncio

    async def chunks():
        for _ in range(11):
            yield b"x"

    uploads = Uploads()
    try:
        if most == 11:
            assert asyncio.run(uploads.take("ok.mp4", chunks(), most)).read_bytes() == b"x" * 11
        else:
            with pytest.raises(Exception, match="is larger than"):
                asyncio.run(uploads.take("large.mp4", chunks(), most))
            assert list(uploads.path.iterdir()) == []
        uploads.remove(uploads.path.parent)  # not one of ours
        assert uploads.path.parent.exists()
    finally:
        uploads.close()
    assert not uploads.path.exists()
