"""Videos by way of the routes: sent or chosen, read, exported, refused, removed."""

import csv
import io
import json
import shutil
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from midas_dfer.app import readings
from midas_dfer.app.readings import VideoReading
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
    address = f"/api/readings/{number}/video"
    assert json.loads(running.ask(f"{address}/copy").body)["state"] == "ready"
    whole = running.ask(address).body
    parts = {"0-0": whole[:1], "10-19": whole[10:20], "-5": whole[-5:], f"7-{10**12}": whole[7:]}
    for asked, part in parts.items():
        answer = running.ask(address, Range=f"bytes={asked}")
        assert (answer.status, answer.body) == (206, part)
    assert running.ask(address, Range=f"bytes={len(whole)}-").status == 416


def test_early_readings_come_in_parts(running, uploaded, monkeypatch):
    number, told = uploaded
    monkeypatch.setattr(readings, "MOST_TOLD", 1)
    reading = next(each for each in running.app.state.readings if each.number == number)
    monkeypatch.setattr(reading, "early", reading.early * 2)
    running.ask(f"/api/readings/{number}/end", "POST", b"{}")
    first, second = (json.loads(running.ask(f"/api/readings/{number}?since={n}").body) for n in (0, 1))
    assert [(each["next"], each["more"]) for each in (first, second)] == [(1, True), (2, False)]
    assert first["early"] == second["early"] == told["early"]
    assert not first["ended"]  # it had been read to its end


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
    assert not removed[-1].exists()


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


def test_what_is_read_by_now_is_kept_where_reading_is_ended(videos):
    """The video ends at the frame that comes when the page says so; the export says it, too."""
    predictor = Predictor.from_pretrained("ferplus")

    class Slow:
        def predict_video(self, path, *, stop, **settings):
            def stopped(seconds):
                if seconds > 0.7 and not reading["ended"]:
                    reading["ended"] = other.ask(f"/api/readings/{reading['number']}/end", "POST", b"{}").status == 200
                return stop(seconds)

            return predictor.predict_video(path, stop=stopped, **settings)

    with served(AppSettings(lambda run: Slow(), videos, windows=(0.4, 0.2))) as other:
        reading = {"ended": False, "number": ""}
        begun = other.ask("/api/readings", "POST", json.dumps({"file": "face.mp4"}).encode())
        reading["number"] = json.loads(begun.body)["number"]
        number, told = read(other, begun)
        assert (told["state"], told["ended"], told["seconds"]) == ("done", True, pytest.approx(0.733, abs=0.01))
        listed = json.loads(other.ask("/api/readings").body)["readings"]
        assert [(each["number"], each["state"]) for each in listed] == [(number, "done")]
        timeline = json.loads(other.ask(f"/api/readings/{number}/export/json").body)
        assert (timeline["window_seconds"], timeline["stride_seconds"]) == (0.4, 0.2)
        assert timeline["duration"] == pytest.approx(0.733, abs=0.01)
        assert timeline["note"] == "reading was stopped at 0.7 s; the rest of the video was not read"


def test_a_video_for_which_there_is_no_room_is_refused_before_it_comes(running, monkeypatch):
    before = {path.name for path in running.app.state.uploads.path.iterdir()}
    for size, status, words in (
        (2**30, 200, "room"),
        (2**32 + 1, 400, "is larger than 4 GiB"),
        (2**31, 507, "it needs 2 GiB, 2.5 GiB are free, and 1 GiB of them must stay so"),
    ):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 2**29))
        answer = running.ask(f"/api/room?name=film.mp4&bytes={size}")
        assert (answer.status, words in answer.body.decode()) == (status, True)
    begun = running.ask("/api/readings", "POST", b"x" * 2**16, X_File_Name="film.mp4", Content_Length=str(2**31))
    assert begun.status == 507
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30 + 7))
    assert running.ask("/api/readings", "POST", b"x" * 8, X_File_Name="film.mp4").status == 507
    assert {path.name for path in running.app.state.uploads.path.iterdir()} == before


def test_what_a_server_that_was_killed_has_left_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    running = Uploads()
    (running.path / "one.mp4").write_bytes(b"x")
    for name in ("midas-app-killed", "midas-app-of-another-program"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "two.mp4").write_bytes(b"x")
    (tmp_path / "midas-app-killed.lock").touch()
    Uploads().close()
    assert (running.path / "one.mp4").exists()
    running.close()
    assert [path.name for path in tmp_path.iterdir()] == ["midas-app-of-another-program"]


def test_how_far_a_reading_is_in_each_pass(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    reading = VideoReading("1", "film.mp4", Path("film.mp4"))
    assert (reading.brief()["share"], reading.brief()["left"]) == (None, None)  # of a stream that declares no length
    reading.start(100)
    for _ in range(25):
        reading.advance()
    assert (reading.brief()["share"], reading.brief()["left"]) == (0.25, None)
    now[0] = 60.0
    assert (reading.brief()["left"], reading.brief()["again"]) == (180.0, False)
    reading.start(200, done=100)  # a second look at some frames
    assert (reading.brief()["share"], reading.brief()["left"], reading.brief()["again"]) == (0.0, None, True)
    reading.stopped = True
    for asked in (reading.advance, lambda: reading.ends(1.0)):
        with pytest.raises(readings.Stopped):
            asked()
