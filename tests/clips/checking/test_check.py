"""midas check: what is wrong with a data set is found and counted, and what is right is not."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.cli import main, sources
from midas_dfer.cli.sources import data_sets
from midas_dfer.clips.checking import decoding
from midas_dfer.clips.checking.annotations import check_annotations, leak
from midas_dfer.clips.checking.check import CheckReport, CheckSettings, check
from midas_dfer.clips.checking.decoding import DecodedClip, check_decoded, read_clip, spread
from midas_dfer.clips.checking.finding import Finding
from midas_dfer.clips.checking.folders import find_clips
from midas_dfer.clips.preparing.files import find_files
from midas_dfer.clips.preparing.pool import Lost
from midas_dfer.errors import JobError, RequestError
from midas_dfer.manifest.class_counts import ClassCount
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.vote_counts import VoteCount
from midas_dfer.progress import NoProgress
from midas_dfer.report.tables.check_table import check_table
from midas_dfer.synthetic.layouts.afew import write_afew
from midas_dfer.synthetic.layouts.dfew import write_dfew
from midas_dfer.synthetic.layouts.ferplus import write_ferplus
from midas_dfer.synthetic.layouts.ferv39k import write_ferv39k
from midas_dfer.synthetic.layouts.mafw import write_mafw
from midas_dfer.video.write import write_video
from tests.support.factories import CLASS_NAMES, write_clip
from tests.support.layouts.folders import write_folders

CLIPS = 6


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    """Six clips of two frames, in a folder `clips`."""
    root = tmp_path_factory.mktemp("pristine")
    for number in range(CLIPS):
        write_clip(root / "clips" / f"c{number}", number % 3, 2, number, side=16)
    return root


@pytest.fixture
def root(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "data"))


def annotations(**changed: object) -> Manifest:
    """Annotations in which nothing is wrong, but for the columns that are given."""
    columns = {
        "video_id": [f"c{n}" for n in range(CLIPS)],
        "path": [f"clips/c{n}" for n in range(CLIPS)],
        "votes": [[8 if k == n % 3 else 1 for k in range(3)] for n in range(CLIPS)],
        "label": [CLASS_NAMES[n % 3] for n in range(CLIPS)],
        "split": ["train"] * 3 + ["test"] * 3,
        "fold": [None] * CLIPS,
        "subject": ["ann", "ann", "bob", "cat", "cat", "dan"],
        **changed,
    }
    schema = {"votes": pl.List(pl.Int64), "fold": pl.Int64, "split": pl.String, "label": pl.String}
    return Manifest(CLASS_NAMES, pl.DataFrame(columns, schema_overrides=schema), "toy")


def told(report: CheckReport) -> dict[str, Finding]:
    found = {f.kind: f for f in report.findings}
    assert len(found) == len(report.findings)
    return found


def test_nothing_is_found_where_nothing_is_wrong(root):
    report = check(annotations(), root, jobs=1)
    assert report.findings == ()
    assert (report.num_clips, report.num_present, report.num_read) == (6, 6, 6)
    assert report.compared
    assert report.parts == "test: 3; train: 3"
    assert check_table(report).endswith("nothing is wrong")


def test_everything_that_is_wrong_with_the_files(root):
    clips = root / "clips"
    shutil.rmtree(clips / "c0")
    (clips / "c1" / "1.png").write_bytes(b"this is no picture")
    (clips / "c2" / "2.png").write_bytes(b"")
    for picture in (clips / "c3").iterdir():
        picture.unlink()
    shutil.copytree(clips / "c5", clips / "extra")
    (clips / "README.txt").write_text("no clip")
    (root / "stray").mkdir()
    found = told(check(annotations(), root, jobs=2))
    assert {k: (f.severity, f.count) for k, f in found.items()} == {
        "no_file": ("error", 1),
        "unreadable": ("error", 2),
        "damaged": ("note", 1),
        "not_annotated": ("note", 1),
    }
    assert found["no_file"].examples == ("clips/c0",)
    assert "1.png is not a picture" in found["unreadable"].examples[0]
    assert "no pictures in this folder" in found["unreadable"].examples[1]
    assert "2.png" in found["damaged"].examples[0]
    assert found["not_annotated"].examples == ("clips/extra",)
    settings = CheckSettings(missing="note", known_broken=frozenset({"c1", "c3"}), duplicates=False, sample=1)
    known = told(check(annotations(), root, settings, jobs=1))
    assert {k: (f.severity, f.count) for k, f in known.items()} == {
        "no_file": ("note", 1),
        "known_broken": ("note", 2),
        "not_annotated": ("note", 1),
    }


def test_no_file_at_all_is_an_error_and_says_what_is_there(root):
    report = check(annotations(path=[f"elsewhere/c{n}" for n in range(CLIPS)]), root, CheckSettings(missing="note"))
    (finding,) = report.errors
    assert finding.count == CLIPS
    assert "clips/" in finding.advice
    assert report.num_read == 0
    assert not report.compared


def test_copies_are_errors_only_across_parts(root):
    clips = root / "clips"
    for source, copy in (("c0", "c4"), ("c1", "c2")):  # train and test; both train
        shutil.rmtree(clips / copy)
        shutil.copytree(clips / source, clips / copy)
    manifest = annotations()
    found = told(check(manifest, root, jobs=1))
    assert {k: (f.severity, f.count) for k, f in found.items()} == {
        "duplicate_in_two_parts": ("error", 1),
        "duplicate": ("note", 1),
        "duplicate_with_two_labels": ("note", 2),
    }
    assert found["duplicate_in_two_parts"].examples == ("c0 = c4 (test: 1; train: 1)",)
    assert found["duplicate"].examples == ("c1 = c2",)
    assert "c1 (sad) = c2 (angry)" in found["duplicate_with_two_labels"].examples
    dropped = told(check(manifest, root, CheckSettings(dropped=True), jobs=1))
    assert dropped["duplicate_in_two_parts"].severity == "note"
    assert not told(check(manifest, root, CheckSettings(duplicates=False), jobs=1))
    folds = annotations(split=[None] * 6, fold=[1, 2, 2, 3, 1, 4], subject=[None] * 6)
    assert "duplicate_in_two_parts" not in told(check(folds, root, jobs=1))


PARTS = st.tuples(st.sampled_from([None, "train", "validation", "test"]), st.sampled_from([None, 1, 2]))


def slow_leak(clips: list[tuple[str | None, int | None]]) -> str | None:
    worst = None
    for (split, fold), (other, another) in combinations(clips, 2):
        if None not in (fold, another) and fold != another:
            return "error"
        if None not in (split, other) and split != other:
            if "train" in (split, other):
                return "error"
            worst = "note"
    return worst


@given(st.lists(PARTS, max_size=5))
def test_leaks_are_those_of_any_pair(clips):
    assert leak([s for s, _ in clips], [f for _, f in clips]) == slow_leak(clips)


@given(st.lists(st.tuples(PARTS, st.sampled_from([None, "ann", "bob"])), min_size=CLIPS, max_size=CLIPS))
def test_subjects_in_two_parts(rows):
    manifest = annotations(
        split=[s for (s, _), _ in rows], fold=[f for (_, f), _ in rows], subject=[who for _, who in rows]
    )
    expected: dict[str, int] = {}
    for subject in ("ann", "bob"):
        severity = slow_leak([part for part, who in rows if who == subject])
        if severity:
            expected[severity] = expected.get(severity, 0) + 1
    found = [f for f in check_annotations(manifest) if f.kind == "subject_in_two_parts"]
    assert {f.severity: f.count for f in found} == expected


def test_a_subject_is_named_with_its_parts():
    (finding,) = check_annotations(annotations(subject=["ann", "bob", "bob", "bob", "bob", None]))
    assert finding.examples == ("bob (test: 2; train: 2)",)


def test_votes_and_labels_that_look_odd():
    votes = [[4, 3, 3]] * 19 + [[4, 3, 2]]
    columns = {
        "video_id": [f"c{n}" for n in range(20)],
        "path": ["x"] * 2 + [f"p{n}" for n in range(18)],
        "votes": votes,
        "label": ["happy"] * 18 + ["sad", None],
    }

    def manifest(**changed: object) -> Manifest:
        return Manifest(CLASS_NAMES, pl.DataFrame({**columns, **changed}), notes=["The reader says so."])

    found = {f.kind: f for f in check_annotations(manifest())}
    assert {k: (f.severity, f.count) for k, f in found.items()} == {
        "reader": ("note", 0),
        "shared_file": ("note", 1),
        "odd_vote_sum": ("note", 1),
        "label_against_votes": ("note", 1),
        "no_test": ("note", 0),
    }
    assert found["reader"].what == "The reader says so."
    assert found["odd_vote_sum"].examples == ("c19 (9 votes)",)
    assert found["label_against_votes"].examples == ("c18 (label sad, votes happy 4, sad 3, angry 3)",)
    many = {f.kind: f for f in check_annotations(manifest(label=["happy"] * 17 + ["sad"] * 3))}
    assert many["label_against_votes"].severity == "error"
    differing = {f.kind for f in check_annotations(manifest(votes=[[4, n % 3, n % 4] for n in range(20)]))}
    assert "odd_vote_sum" not in differing


def test_clips_without_votes_and_label():
    votes = [[8, 1, 1]] * 3 + [None] * 3
    labels = ["happy", "sad", "angry", None, None, "happy"]
    found = {f.kind: f for f in check_annotations(annotations(votes=votes, label=labels))}
    assert (found["no_label"].severity, found["no_label"].count) == ("error", 2)
    assert found["no_label"].examples == ("c3", "c4")
    split = ["train"] * 3 + [None, "test", "test"]
    found = {
        f.kind: f for f in check_annotations(annotations(votes=votes, label=labels, split=split, subject=[None] * 6))
    }
    assert found["no_label"].examples == ("c4",)
    assert found["no_label_no_part"].examples == ("c3",)


def test_classes_that_nobody_can_learn():
    unseen = annotations(votes=[None] * 6, label=["happy"] * 3 + ["sad"] * 3)
    found = {f.kind: f for f in check_annotations(unseen)}
    assert found["class_without_clips"].examples == ("sad", "angry")
    found = {f.kind: f for f in check_annotations(annotations(split=["test"] * 6))}
    assert found["no_training_clips"].severity == "note"


def test_clips_are_found_where_prepare_finds_them(tmp_path):
    for name in ("a.mp4", "b.avi", "b.png", "deep/c.JPG", "deep/d/1.jpg", "e.txt", ".hidden.mp4", "f.mp4.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    paths = ["a", "a.mp4", "b", "deep/c.JPG", "deep/c", "deep/d", "deep", "e", "e.txt", "broken.mp4", "broken", "link"]
    paths += [
        "f",
        "f.mp4",
        "no/where",
        "x" * 300,
        "a.mp4/inside",
        "deep//c.JPG",
        "./deep/d/",
        "deep/./d/.",
        "deep/d//1",
    ]
    manifest = Manifest(CLASS_NAMES, pl.DataFrame({"video_id": [f"v{n}" for n in range(len(paths))], "path": paths}))
    there = find_clips(manifest, tmp_path)
    slow = {}
    for n, path in enumerate(paths):
        tried = [tmp_path / path, *(tmp_path / (path + suffix) for suffix in (".mp4", ".avi", ".jpg", ".png"))]
        with suppress(OSError):
            slow |= {f"v{n}": file for file in tried[::-1] if file.exists()}
    assert there.found == slow
    assert there.near == {"v4": ("deep/c.JPG",)}  # which another clip means
    assert find_files(tmp_path, ["deep/c"]).of == {"deep/c": "deep/c.JPG"}
    assert there.unannotated == ["b.png"]


@given(st.integers(0, 300), st.integers(1, 300) | st.none())
def test_a_sample_is_spread(count, sample):
    chosen = spread(count, sample)
    assert len(chosen) == len(set(chosen)) == (count if sample is None else min(count, sample))
    assert chosen == sorted(chosen)
    if len(chosen) > 1:
        assert (chosen[0], chosen[-1]) == (0, count - 1)
        assert np.ptp(np.diff(chosen)) <= 1


def test_reading_stops_in_time(root, tmp_path):
    assert read_clip(root / "clips" / "c0", 60.0) == DecodedClip("good", aspect=1.0)
    assert read_clip(root / "clips" / "c0", -1.0) == DecodedClip("good", whole=False, aspect=1.0)
    assert read_clip(tmp_path / "nowhere.mp4", 60.0).state == "unreadable"
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (32, 64, 3), dtype=np.uint8) for _ in range(50)]
    write_video(tmp_path / "a.mp4", frames, 25.0)
    assert read_clip(tmp_path / "a.mp4", 60.0) == DecodedClip("good", aspect=2.0)
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:3000])
    assert read_clip(tmp_path / "b.mp4", 60.0).state == "unreadable"


def test_whole_scenes_are_no_face_crops():
    readings = {"a": DecodedClip("good", aspect=1.1), "b": DecodedClip("good", aspect=1.78)}
    (finding,) = check_decoded(readings, frozenset(), cropped=True, sampled=False)
    assert finding.examples == ("b (sides 1.78 to 1)",)
    assert not list(check_decoded(readings, frozenset(), cropped=False, sampled=False))


def test_wrong_requests(root):
    with pytest.raises(RequestError, match="not a folder"):
        check(annotations(), root / "nowhere")
    with pytest.raises(RequestError, match="--sample is 0"):
        CheckSettings(sample=0)


TEXT = st.text(max_size=400)
FINDINGS = st.tuples(
    st.sampled_from(["error", "note"]), TEXT, st.integers(0, 10**7), st.lists(TEXT, max_size=5).map(tuple), TEXT
)


@given(st.lists(FINDINGS, max_size=4), TEXT)
def test_the_list_fits_a_terminal(findings, parts):
    named = tuple(Finding("x", *finding) for finding in findings)
    votes = VoteCount(10**9, 10**6, 1, 10**6, 10**6, ((parts, 10**9),) * 5)
    report = CheckReport(
        "x" * 200, 10**6, 10**6, 200, 3, True, parts, (ClassCount(parts, 10**9, 10**6),) * 9, votes, 200, named
    )
    text = check_table(report)
    assert all(len(line) <= 80 and line.isprintable() for line in text.split("\n"))
    assert json.loads(json.dumps(report.to_dict()))["ok"] == (not report.errors)


def write_votes(folder: Path, manifest: Manifest) -> Path:
    table = manifest.table.with_columns(
        [pl.col("votes").list.get(k).alias(name) for k, name in enumerate(CLASS_NAMES)]
    ).drop("votes")
    table.write_csv(folder / "votes.csv")
    return folder / "votes.csv"


def test_what_takes_long_is_said_before_it_begins(root, capsys, monkeypatch):
    votes = write_votes(root, annotations())
    command = ["check", "table", str(votes), "--jobs", "1", "--skip_duplicates", "--faces", "cropped"]
    assert main(command) == 0
    assert "reading votes.csv" not in capsys.readouterr().err
    monkeypatch.setattr(sources, "_LARGE_FILE", 1)
    monkeypatch.setattr(sources, "_MANY_CLIPS", 1)
    assert main(command) == 0
    reading, looking, *_ = capsys.readouterr().err.splitlines()
    assert (reading, looking) == ("reading votes.csv (0 MB)", f"looking for the files of {len(annotations())} clips")


def test_exit_statuses(root, capsys):
    votes = write_votes(root, annotations())
    crops = ["--faces", "cropped"]
    assert main(["check", "table", str(votes), "--jobs", "1", *crops]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    before = sorted(root.rglob("*"))
    shutil.rmtree(root / "clips" / "c3")
    assert main(["check", "table", str(votes), "--jobs", "1", "--json", "--all", *crops]) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["ok"], report["read"], [f["kind"] for f in report["findings"]]) == (False, 5, ["no_file"])
    assert "1 thing is wrong" in err
    assert err.endswith("annotated clips without a file: 1\n")
    few = ["--skip_duplicates", "--sample", "2", *crops]
    assert main(["check", "table", str(votes), "--missing", "leave_out", *few]) == 0
    assert "read      2 clips" in capsys.readouterr().out
    assert [p for p in sorted(root.rglob("*")) if p not in before] == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["check", "table", "nowhere.csv"], "nowhere.csv"),
        (["check", "synthetic", "nowhere"], "nowhere"),
        (["check", "dfewww", "x"], "dfewww"),
        (["check", "table", "x.csv", "--sample", "0"], "--sample is 0"),
        (["check", "table", "x.csv", "--jobs", "0"], "--jobs is 0"),
        (["check", "table", "x.csv", "--votes", "voice"], "--votes is for crema_d; leave it out with table"),
        (["check", "dfew", "x", "--videos", "y"], "--videos is for ferplus, table, label_studio, cvat; leave"),
        (["check", "table", "x.csv", "--folds_seed", "3"], "--folds 5"),
        (["prepare", "dfew", "x", "--out", "s", "--clips", "3"], "--clips is for synthetic"),
        (["prepare", "synthetic", "x", "--out", "s", "--captions"], "--captions is for mafw"),
    ],
)
def test_wrong_flags(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert named in err
    assert out == ""
    assert not list(tmp_path.iterdir())


def test_folds_are_made_and_notes_are_said(root, tmp_path, capsys):
    votes = write_votes(root, annotations(split=[None] * 6))
    store = tmp_path / "store"
    made = ["--folds", "2", "--jobs", "1", "--faces", "cropped"]
    assert main(["check", "table", str(votes), *made]) == 0
    out = capsys.readouterr().out
    assert "fold 1: 3; fold 2: 3" in out
    assert "2 folds of 3 clips were made" in " ".join(out.split())
    assert main(["prepare", "table", str(votes), "--out", str(store), "--size", "16", *made]) == 0
    assert "note: 2 folds of 3 clips were made" in capsys.readouterr().out
    assert Manifest.from_parquet(store / "manifest.parquet").fold_numbers == (1, 2)
    assert main(["check", "table", str(votes), "--folds", "9"]) == 2
    assert "4 subjects" in capsys.readouterr().err


def test_folds_by_film_are_made_and_films_in_two_parts_are_errors(root, tmp_path, capsys):
    """A film's spellings are one film; published parts that share one are told, and folds divided by it are not."""
    split = ["train", "train", "test", "test", "train", "test"]
    films = annotations(split=split, subject=[None] * 6).with_columns(film=["Heat", "heat ", "HEAT", "Up", "Big", "NA"])
    votes = write_votes(root, films)
    flags = ["--disjoint", "film", "--jobs", "1", "--faces", "cropped", "--skip_duplicates"]
    assert main(["check", "table", str(votes), "--jobs", "1", "--faces", "cropped", "--skip_duplicates"]) == 0
    capsys.readouterr()
    assert main(["check", "table", str(votes), *flags]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "values of the column film that are both trained and tested on" in told
    assert "HEAT (test: 1; train: 2)" in told
    assert "--folds 5 --disjoint film" in told
    votes = write_votes(root, films.with_columns(split=[None] * 6))
    assert main(["check", "table", str(votes), "--folds", "2", *flags]) == 0
    assert "by film (3 values)" in " ".join(capsys.readouterr().out.split())
    made = ["prepare", "table", str(votes), "--out", str(tmp_path / "store"), "--size", "16", "--faces", "cropped"]
    assert main([*made, "--jobs", "1", "--folds", "2", "--disjoint", "film"]) == 0
    table = Manifest.from_parquet(tmp_path / "store" / "manifest.parquet").table
    assert table.filter(pl.col("film") == "HEAT")["fold"].n_unique() == 1
    capsys.readouterr()
    assert main([*made, "--disjoint", "film"]) == 2
    assert "--folds" in capsys.readouterr().err
    assert main([*made, "--folds", "2", "--disjoint", "movie"]) == 2
    assert "no column 'movie'" in capsys.readouterr().err


def test_every_data_set_has_a_line():
    assert max(len(row.line) for row in data_sets().values()) <= 62


@pytest.mark.parametrize(
    ("dataset", "path", "faces"),
    [
        ("dfew", "Clip/original/1.mp4", "detect"),
        ("dfew", "Clip/clip_224x224/00001", "cropped"),
        ("ferv39k", "2_ClipsforFaceCrop/Action/Sad/0010", "cropped"),
        ("afew", "train/Angry/a.avi", "detect"),
        ("afew", "AFEW_Face/train/Angry/a", "cropped"),
        ("mafw", "data/clips/00001.mp4", "detect"),
        ("mafw", "data/frames/00001", "detect"),
        ("mafw", "data/faces/00001", "cropped"),
        ("ferplus", "data/FER2013Train/fer0000000.png", "cropped"),
        ("crema_d", "VideoFlash/x.flv", "detect"),
        ("table", "a", "detect"),
    ],
)
def test_which_clips_are_face_crops_already(dataset, path, faces):
    assert data_sets()[dataset].faces([path]) == faces


def test_pictures_in_a_table_are_written_by_prepare_and_copies_dropped(tmp_path, capsys):
    root = tmp_path / "ferplus"
    write_ferplus(root, form="pixels")
    assert main(["check", "ferplus", str(root), "--jobs", "1"]) == 1
    assert "midas prepare writes them" in " ".join(capsys.readouterr().out.split())
    out = ["--out", str(tmp_path / "store"), "--size", "48", "--jobs", "1"]
    assert main(["prepare", "ferplus", str(root), *out]) == 0
    assert "note: Left out of training" in capsys.readouterr().out
    assert main(["check", "ferplus", str(root), "--jobs", "1", "--json"]) == 0
    kinds = {f["kind"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert kinds["duplicate_in_two_parts"]["severity"] == "note"
    assert main(["check", "ferplus", str(root), "--jobs", "1", "--duplicates", "keep"]) == 1
    assert "both trained and tested on" in capsys.readouterr().out


COPIES: dict[str, Callable[[Path], object]] = {
    "dfew": lambda root: write_dfew(root, clips=20, frames=1),
    "ferv39k": lambda root: write_ferv39k(root, clips=21),
    "afew": lambda root: write_afew(root, clips=14, frames=2),
    "mafw": lambda root: write_mafw(root, clips=55, source="faces", frames=1),
    "folders": lambda root: write_folders(root, clips=12, frames=2),
}


@pytest.mark.parametrize("dataset", COPIES)
def test_made_up_copies_in_their_official_layouts_pass(dataset, tmp_path, capsys):
    COPIES[dataset](tmp_path / dataset)
    classes = ["--classes", "[angry, disgust, happy, sad, scorn]"] if dataset == "folders" else []
    assert main(["check", dataset, str(tmp_path / dataset), *classes, "--jobs", "1", "--json", "--sample", "3"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    assert report["read"] == 3
    assert report["present"] >= 0.9 * report["clips"] > 0


def test_a_reader_that_the_system_kills_is_no_unreadable_clip(tmp_path, monkeypatch):
    lost = Lost(("a", tmp_path / "a.mp4"), "the system ended the process that was at it, twice", True)
    monkeypatch.setattr(decoding, "run_tasks", lambda *_: iter([lost]))
    with pytest.raises(JobError, match=r"a\.mp4: the system ended .* fewer jobs"):
        decoding.read_clips({"a": tmp_path / "a.mp4"}, ["a"], 1, NoProgress())
