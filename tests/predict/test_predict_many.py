"""Many videos at once: what is read, where it goes, what is not done again, and the table over all."""

import csv
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image

from midas_dfer.cli import main
from midas_dfer.clips.preparing.pool import Lost
from midas_dfer.demo import REAL_CLIP
from midas_dfer.errors import JobError, RequestError
from midas_dfer.predict_many import reading
from midas_dfer.predict_many.discovery import find_sources
from midas_dfer.predict_many.results import RECORD_FILE, plan_results, remove_remains, results_in, whole_folder
from midas_dfer.video.read import iter_frames
from tests.predict.test_predict import ONE, TWO, make_run, scene, see_colors, write_scene

OUT = Path("out")


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def stills(folder: str, *names: str, size: tuple[int, int] = (8, 8)) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", size).save(Path(folder) / name)


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def found(*names: str, **settings) -> list[tuple[str, str]]:
    return [(str(source.path), source.kind) for source in find_sources(names, OUT, **settings).found]


# --- what a name stands for -----------------------------------------------------------------------------------------


def test_a_folder_of_videos_in_the_order_of_their_numbers():
    touch("v/10.mp4", "v/2.mp4", "v/notes.txt", "v/.hidden.mp4", "v/below/a.MOV", "v/cover.jpg", "out/old.mp4")
    sources = find_sources(["v"], OUT)
    assert [str(s.path) for s in sources.found] == ["v/2.mp4", "v/10.mp4", "v/below/a.MOV"]
    assert sources.told == [
        "v: 3 videos, in 2 folders; 1 picture beside videos left out (--pictures single reads it, too); 1 other file "
        "passed over"
    ]
    assert ("v/cover.jpg", "picture") in found("v", pictures="single")
    assert found(".") == [(each, "video") for each in ("v/2.mp4", "v/10.mp4", "v/below/a.MOV")]  # not what lies in out


def test_pictures_are_frames_where_they_are_numbered_and_alike():
    stills("frames", *(f"clip2_{i:03d}.png" for i in (1, 2, 3, 5, 90)))
    stills("named", "anna.png", "ben.png")
    stills("one", "1.png")
    stills("sizes", "1.png", "2.png")
    stills("sizes", "3.png", size=(8, 9))
    stills("sizes", "4.png")
    stills("camera", "1.png", "2.png")
    exif = Image.Exif()
    exif[271] = "a maker of cameras"
    Image.new("RGB", (8, 8)).save("camera/0.jpg", exif=exif)
    for i in range(6):  # people of one size, numbered
        Path("people").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (90 * (i % 3),) * 3).save(f"people/fer{i:04d}.png")
        Image.new("RGB", (8, 8), (25 * (i % 3),) * 3).save(f"frames/clip2_1{i:03d}.png")
    Path("frames/clip2_001.png").write_bytes(b"damaged")
    assert found("frames") == [("frames", "frames")]
    for folder in ("named", "one", "sizes", "camera", "people"):
        assert {kind for _, kind in found(folder)} == {"picture"}, folder
        assert found(folder, pictures="frames") == [(folder, "frames")]
    assert len(found("frames", pictures="single")) == 11
    said = find_sources(["frames", "named"], OUT).told
    assert said[0].startswith("frames: 11 pictures, taken for the frames of one video at 25 per second (--pictures")
    assert said[1].startswith("named: 2 pictures, each read by itself (--pictures frames: ")


def test_real_frames_and_photographs_of_real_people(shared_data):
    for name in ("d3.mp4", "d12.mp4"):
        for i, frame in enumerate(iter_frames(shared_data / "videos" / name)):
            if i < 60 and i % 10 == 0:
                Path(name).mkdir(exist_ok=True)
                Image.fromarray(frame.image).save(Path(name) / f"{i}.jpg")
        assert found(name) == [(name, "frames")]


def test_a_stray_picture_among_frames_is_asked_about():
    stills("clip", *(f"{i}.png" for i in range(12)), "cover.png")
    touch("v.mp4")
    sources = find_sources(["clip", "v.mp4"], OUT)
    assert [str(s.path) for s in sources.found] == ["v.mp4"]
    assert sources.nothing["clip"].startswith("clip: 12 of the 13 pictures in this folder are numbered as the frames")
    assert "say --pictures frames or --pictures single" in sources.nothing["clip"]


def test_patterns_names_that_come_twice_and_results():
    touch("v/a.mp4", "v/b.mp4", "v/c.txt", "v/deep/er/d.mp4", "v/a/prediction.json", "v/a/annotated.mp4", "[x].mp4")
    assert found("v/*.mp4", "v/a.mp4") == [("v/a.mp4", "video"), ("v/b.mp4", "video")]
    assert find_sources(["v/a.mp4", "./v/a.mp4"], OUT).told == ["1 of the files was named twice, and read once"]
    assert ("v/deep/er/d.mp4", "video") in found("v/**/*")
    assert found("[x].mp4") == [("[x].mp4", "video")]  # a file of that name is no pattern
    assert "1 result of midas predict passed over" in find_sources(["v"], OUT).told[0]
    assert not [path for path, _ in found("v") if "annotated" in path]


def test_a_folder_that_may_not_be_read_does_not_stop_the_others(monkeypatch):
    touch("v/a.mp4", "v/secret/b.mp4", "v/z/c.mp4")
    plain = Path.iterdir

    def refusing(self):
        if self.name == "secret":
            raise PermissionError(13, "Permission denied")
        return plain(self)

    monkeypatch.setattr(Path, "iterdir", refusing)
    sources = find_sources(["v"], OUT)
    assert [str(each.path) for each in sources.found] == ["v/a.mp4", "v/z/c.mp4"]
    assert sources.nothing == {"v/secret": "v/secret: may not be read by this user; change its permissions"}


def test_links_that_lead_nowhere_are_read_and_so_told():
    touch("v/a.mp4")
    Path("v/b.mp4").symlink_to("nothing.mp4")
    assert [path for path, _ in found("v")] == ["v/a.mp4", "v/b.mp4"]


def test_links_that_lead_in_a_circle():
    touch("v/a.mp4")
    Path("v/below").mkdir()
    Path("v/below/above").symlink_to("..")
    assert found("v") == [("v/a.mp4", "video")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("https://example.com/a.mp4", "is an address; a file is wanted: download"),
        ("rtsp://camera/1", "is an address; a file is wanted"),
        ("file:///videos/a.mp4", "without file://"),
        ("0", "cameras are not read here; a file is wanted"),
        ("-", "standard input is not read"),
        ("v/*.mp4", "no video, picture or folder has such a name"),
        ("nothing.mp4", "nothing.mp4: no such file"),
        ("empty", "empty: no video and no picture in this folder; it holds 1 other file"),
    ],
)
def test_what_is_no_file_is_refused(name, message, capsys):
    touch("empty/a.txt")
    assert main(["predict", name, "--out", "out"]) == 2
    assert message in capsys.readouterr().err
    assert not OUT.exists()


def test_a_flag_about_pictures_without_a_folder_of_pictures_is_refused():
    touch("a.mp4")
    with pytest.raises(RequestError, match="--pictures single would have no effect"):
        find_sources(["a.mp4"], OUT, "single")


# --- where results go -----------------------------------------------------------------------------------------------


def planned(*names: str, overwrite: bool = False, **made_with) -> dict[str, str]:
    plan = plan_results(find_sources(names, OUT).found, OUT, made_with, overwrite=overwrite)
    return {str(source.path): folder.name for source, folder in plan.to_read.items()}


def test_two_of_the_same_name_have_a_folder_each():
    touch("s1/a.mp4", "s2/a.mp4", "s2/b.mp4", "s2/b.mov", "c.mp4", "summary.csv.mp4", "s3/s3.mp4", "x/s3/s3.mp4")
    assert planned("s1", "s2", "c.mp4", "summary.csv.mp4", "s3", "x") == {
        "s1/a.mp4": "s1-a",
        "s2/a.mp4": "s2-a",
        "s2/b.mov": "b.mov",
        "s2/b.mp4": "b.mp4",
        "c.mp4": "c",
        "summary.csv.mp4": "summary.csv.mp4",
        "s3/s3.mp4": "s3-2",
        "x/s3/s3.mp4": "s3-3",
    }
    (OUT / "C").mkdir(parents=True)  # what is there is never written into, nor on a system that knows no capitals
    plan = plan_results(find_sources(["c.mp4"], OUT).found, OUT, {}, overwrite=False)
    assert [folder.name for folder in plan.to_read.values()] == ["c.mp4"]
    assert plan.moved == ["out/c is not of c.mp4 and is left as it is: see out/c.mp4"]


def test_long_names_leave_room_for_what_is_added_to_them():
    touch(f"{'ä' * 120}.mp4", f"{'ä' * 120}x.mp4")
    names = list(planned(*(str(each) for each in Path().glob("*.mp4"))).values())
    assert len(set(names)) == 2
    for name in names:
        assert len(name.encode()) < 210
        with whole_folder(OUT / name) as folder:
            (folder / "x").touch()


def test_a_result_is_whole_or_not_there():
    with whole_folder(OUT / "a") as folder:
        (folder / "x").write_text("1")

    def interrupted() -> None:
        with whole_folder(OUT / "a") as folder:
            (folder / "x").write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (OUT / "a" / "x").read_text() == "1"
    with whole_folder(OUT / "a") as folder:
        (folder / "y").write_text("3")
    assert names_in(OUT) == ["a"]
    assert names_in(OUT / "a") == ["y"]
    touch("out/.a.123.tmp/x", "out/.summary.123.tmp.csv")
    assert [result.folder for result in results_in(OUT)] == []
    remove_remains(OUT)
    assert names_in(OUT) == ["a"]
    with pytest.raises(JobError, match="cannot write"), whole_folder(OUT / "a" / "y" / "z"):
        raise AssertionError


def test_a_result_that_cannot_be_replaced_stays(monkeypatch):
    with whole_folder(OUT / "a") as folder:
        (folder / "x").write_text("1")
    real = Path.rename

    def fails(self, target):
        if self.name.endswith(".tmp") and ".replaced." not in self.name:
            raise OSError(5, "no")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(JobError, match="cannot write"), whole_folder(OUT / "a") as folder:
        (folder / "x").write_text("2")
    assert names_in(OUT) == ["a"]
    assert (OUT / "a" / "x").read_text() == "1"


# --- the verb -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("many") / "run")


@pytest.fixture
def color_world(monkeypatch):
    """A detector of coloured squares, and workers in this process."""
    see_colors(monkeypatch)

    def run_here(make_worker, tasks, jobs):
        worker = make_worker(0, lambda: None)
        for task in tasks:
            yield Lost(task, "the reader crashed on it twice") if "crash" in str(task[0].path) else (task, worker(task))

    monkeypatch.setattr(reading, "run_tasks", run_here)


def predict(run, *words) -> int:
    return main(["predict", *map(str, words), "--run", str(run), "--out", "out", "--no_video", "--device", "cpu"])


def face(path: str, frame: int = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(path, scene(frame, ONE)[:, :, ::-1])


def table() -> list[dict[str, str]]:
    with (OUT / "summary.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("color_world")
def test_a_folder_with_good_and_bad_ones(run, capsys):
    Path("v").mkdir()
    write_scene(Path("v/two.mp4"), 30, TWO)
    write_scene(Path("v/nobody.mp4"), 3, [])
    touch("v/damaged.mp4", "v/crash.mp4", "v/readme.txt")
    assert predict(run, "v") == 1
    said = capsys.readouterr()
    assert "v: 4 videos; 1 other file passed over\n" in said.out
    assert "1 of 4 were read, each into a folder of out\n" in said.out
    assert "done: 4 of 4 videos\n" in said.err
    assert "v/two.mp4: 2 faces: " in said.err
    complaints = [line for line in said.err.splitlines() if line.startswith("midas: ")]
    assert [line.split(":")[1].strip() for line in complaints[:3]] == ["v/crash.mp4", "v/damaged.mp4", "v/nobody.mp4"]
    assert complaints[2] == "midas: v/nobody.mp4: no face found in 3 frames"
    assert complaints[3] == "midas: 3 could not be read"
    assert names_in(OUT) == [".lock", "summary.csv", "summary.parquet", "two"]

    rows = table()
    assert [(row["result"], row["status"], row["face"]) for row in rows] == [
        ("two", "read", "1"),
        ("two", "read", "2"),
        ("", "failed", ""),
        ("", "unreadable", ""),
        ("", "no face", ""),
    ]
    assert rows[0]["video"] == str(Path("v/two.mp4").absolute())
    assert rows[4]["note"] == "no face found in 3 frames"
    timeline = json.loads((OUT / "two" / "timeline.json").read_text())
    for row, track in zip(rows, timeline["tracks"], strict=False):
        for kind in ("probability", "vote_share"):
            values = [float(row[f"{kind}_{name}"]) for name in timeline["class_names"]]
            assert values == track["probabilities" if kind == "probability" else "vote_shares"]
        assert (float(row["start"]), float(row["end"])) == (track["start"], track["end"])
        assert (row["predicted"], row["num_faces"]) == (track["predicted"], "2")
    parquet = pl.read_parquet(OUT / "summary.parquet")
    assert parquet.columns == list(rows[0])
    assert parquet["face"].to_list() == [1, 2, None, None, None]

    def listed() -> dict[str, str]:
        return {Path(row["video"]).name: row["status"] for row in table()}

    before = listed()
    touch("v/other.mp4")  # what failed in earlier commands stays
    assert predict(run, "v/other.mp4") == 1
    assert listed() == before | {"other.mp4": "unreadable"}
    write_scene(Path("v/damaged.mp4"), 30, ONE)  # until it is read, or gone
    Path("v/other.mp4").unlink()
    assert predict(run, "v/damaged.mp4") == 0
    assert listed() == before | {"damaged.mp4": "read"}
    (OUT / "summary.parquet").write_text("no table")
    assert predict(run, "v/two.mp4") == 0
    assert listed() == {"two.mp4": "read", "damaged.mp4": "read"}


@pytest.mark.usefixtures("color_world")
def test_one_that_is_no_crop_does_not_stop_the_others(run, capsys):
    cv2.imwrite("square.png", np.full((64, 64, 3), 90, np.uint8))
    cv2.imwrite("wide.png", np.full((40, 160, 3), 90, np.uint8))
    assert predict(run, "wide.png", "square.png", "--faces", "cropped") == 1
    said = capsys.readouterr()
    assert "wide.png: frame 0 is 160x40, too far from square" in said.err
    assert "1 of 2 were read" in said.out
    assert (OUT / "square" / "timeline.json").is_file()
    assert predict(run, "wide.png", "--faces", "cropped") == 2  # alone, the request makes no sense


@pytest.mark.usefixtures("color_world")
def test_a_second_time_it_goes_on_and_overwrites_nothing_unasked(run, capsys):
    for name in ("anna", "ben"):
        face(f"v/{name}.png")
    assert predict(run, "v/anna.png") == 0
    said = capsys.readouterr().out
    assert "  out/anna/timeline.json\n" in said
    assert "  out/summary.csv\n" in said
    before = (OUT / "anna" / "timeline.json").stat().st_mtime_ns
    assert predict(run, "v") == 0
    said = capsys.readouterr().out
    assert "1 of 2 has a result already, with these settings (--overwrite reads again)" in said
    assert (OUT / "anna" / "timeline.json").stat().st_mtime_ns == before
    assert [row["result"] for row in table()] == ["anna", "ben"]
    assert predict(run, "v") == 0
    assert "all 2 have a result already" in capsys.readouterr().out

    record = OUT / "anna" / RECORD_FILE
    content = json.loads(record.read_text())
    assert content["made_with"].pop("search_every") == 0.3
    record.write_text(json.dumps(content))  # as versions wrote it that followed no face
    assert predict(run, "v/anna.png") == 2
    assert "out/anna was made with search_every: not given, now 0.3" in capsys.readouterr().err
    assert predict(run, "v/anna.png", "--overwrite", "--search_every", "0.3") == 0
    before = (OUT / "anna" / "timeline.json").stat().st_mtime_ns
    capsys.readouterr()

    assert predict(run, "v", "--window", "3") == 2
    said = capsys.readouterr().err
    assert "out/anna was made with window: 2, now 3, and 1 more" in said
    assert "--overwrite" in said
    face("v/anna.png", 7)
    assert predict(run, "v/anna.png") == 2
    assert "out/anna was made from another version of its file" in capsys.readouterr().err
    assert predict(run, "v/anna.png", "--overwrite") == 0
    assert (OUT / "anna" / "timeline.json").stat().st_mtime_ns != before
    capsys.readouterr()
    assert predict(run, "v/anna.png", "--json") == 0
    said = capsys.readouterr()
    assert [each["video"] for each in json.loads(said.out)["timelines"]] == ["anna.png"]
    assert "out/anna holds its result already (--overwrite reads it again)" in said.err

    face("other/anna.png")  # of the same name, at another time
    assert predict(run, "other/anna.png") == 0
    assert "out/anna is not of other/anna.png and is left as it is: see out/anna.png" in capsys.readouterr().out
    assert [row["result"] for row in table()] == ["anna", "anna.png", "ben"]


@pytest.mark.usefixtures("color_world")
def test_results_of_a_gpu_which_searches_every_frame_are_told_from_others(run, capsys, monkeypatch):
    face("v/anna.png")
    assert predict(run, "v/anna.png") == 0
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert main(["predict", "v/anna.png", "--run", str(run), "--out", "out", "--no_video"]) == 2
    assert "out/anna was made with search_every: 0.3, now 0" in capsys.readouterr().err


@pytest.mark.usefixtures("color_world")
def test_records_and_results_that_are_damaged(run, capsys):
    face("v/anna.png")
    assert predict(run, "v/anna.png") == 0
    for name, content in (("prediction.json", "{"), ("prediction.json", "{}"), ("timeline.json", '{"tracks": 1}')):
        shutil.copytree(OUT, "kept")
        (OUT / "anna" / name).write_text(content)
        assert predict(run, "v/anna.png") == 2
        said = capsys.readouterr().err
        assert f"out/anna/{name} is " in said
        assert "delete its folder, or name another --out" in said
        shutil.rmtree(OUT)
        Path("kept").rename(OUT)


@pytest.mark.usefixtures("color_world")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--window", "0"], "--window is 0.0; expected"),
        (["--stride", "-1"], "--stride is -1"),
        (["--max_people", "0"], "--max_people is 0; expected 1 or more"),
        (["--max_side", "9"], "--max_side is 9"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--pictures", "single"], "--pictures single would have no effect"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_made(run, flags, message, capsys):
    face("anna.png")
    assert predict(run, "anna.png", *flags) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert not said.out
    assert not OUT.exists()


@pytest.mark.usefixtures("color_world")
def test_names_that_a_spreadsheet_would_run_and_names_that_are_no_text(run, capsys):
    face("v/=1+1.png")
    face("v/b.png")
    Path("v/b.png").rename(os.fsdecode(b"v/\xff.png"))
    assert predict(run, "v") == 1
    assert "v/\\udcff.png: the name is not in UTF-8; rename it" in capsys.readouterr().err
    assert [(row["result"], row["status"]) for row in table()] == [("'=1+1", "read"), ("", "unreadable")]


def test_processes_read_real_faces(run, capsys):
    """Each process opens the model itself; what they find is what one finds alone."""
    frames = [frame.image[:, :, ::-1] for frame in iter_frames(REAL_CLIP)][:3]
    for name, frame in zip(("a", "b"), frames, strict=False):
        Path("v").mkdir(exist_ok=True)
        cv2.imwrite(f"v/{name}.png", cv2.resize(frame, (160, 120), interpolation=cv2.INTER_AREA))
    cv2.imwrite("v/none.png", np.zeros((48, 64, 3), dtype=np.uint8))
    assert predict(run, "v", "--jobs", "1") == 1
    assert "2 of 3 were read" in capsys.readouterr().out
    together = [json.loads((OUT / name / "timeline.json").read_text()) for name in "ab"]
    shutil.rmtree(OUT)
    assert predict(run, "v/a.png") == 0
    alone = json.loads((OUT / "a" / "timeline.json").read_text())
    assert together[0]["tracks"][0]["windows"][0]["box"] == alone["tracks"][0]["windows"][0]["box"]
    np.testing.assert_allclose(
        together[0]["tracks"][0]["probabilities"], alone["tracks"][0]["probabilities"], atol=1e-4
    )
