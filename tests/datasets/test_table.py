import json
from contextlib import suppress

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midas_dfer.datasets.table import read_table
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest, Sample

WIDE = "video_id,happy,sad,subject,fold,split,note\na.mp4,1,2,s1,1,train,hm\nb,3,3,s2,2,Val,\n"


@pytest.fixture
def read(tmp_path):
    def read_text(content, file_name="votes.csv", **options):
        file = tmp_path / file_name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(file, **options)

    return read_text


def test_wide_csv(read):
    manifest = read(WIDE)
    assert manifest.name == "votes"
    assert manifest.class_names == ("happy", "sad")
    assert list(manifest) == [
        Sample("a.mp4", "a.mp4", (1, 2), 1, "train", 1, "s1", {"note": "hm"}),
        Sample("b", "b", (3, 3), None, "validation", 2, "s2", {"note": None}),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + WIDE,
        WIDE.replace("\n", "\r\n"),
        WIDE.replace("\n", "\r"),
        WIDE.replace(",", ";"),
        WIDE.replace(",", "\t"),
        WIDE.replace(",", "|"),
        "sep=;\n" + WIDE.replace(",", ";"),
        '\ufeff"sep=;"\r\n' + WIDE.replace(",", ";").replace("\n", "\r\n"),
        "SEP=\t\n" + WIDE.replace(",", "\t"),
        "\n\n" + WIDE.replace("\n", "\n\n") + ",,,,,,\n",
        WIDE.replace("3,3", " 3.0 , 3"),
        WIDE.replace("a.mp4", '"a.mp4"'),
    ],
)
def test_ways_to_write_the_same_csv(read, content):
    assert read(content) == read(WIDE)


def test_json_lines_and_parquet_hold_the_same(read, tmp_path):
    rows = [
        {"video_id": "a.mp4", "happy": 1, "sad": 2, "subject": "s1", "fold": 1, "split": "train", "note": "hm"},
        {"sad": "3", "happy": 3.0, "video_id": "b", "subject": "s2", "fold": 2, "split": "dev", "note": None},
    ]
    assert read("\n".join(map(json.dumps, rows)), "votes.jsonl") == read(WIDE)
    pl.DataFrame(rows, strict=False).write_parquet(tmp_path / "votes.parquet")
    assert read_table(tmp_path / "votes.parquet") == read(WIDE)


def test_manifest_file_is_read_as_it_is(tmp_path, read):
    manifest = read(WIDE)
    manifest.to_parquet(tmp_path / "m.parquet")
    assert read_table(tmp_path / "m.parquet") == manifest
    assert read_table(tmp_path / "m.parquet", class_names=["happy", "sad"]) == manifest
    with pytest.raises(RequestError, match="with the classes happy, sad"):
        read_table(tmp_path / "m.parquet", class_names=["sad", "happy"])


def test_path_alone_gives_the_video_id(read):
    manifest = read("File,happy,sad\nx/a.mp4,1,2\n./x//b.v2.AVI,3,1\nq\\w\\..\\c,1,0\n")
    assert [(s.video_id, s.path) for s in manifest] == [("x/a", "x/a.mp4"), ("x/b.v2", "x/b.v2.AVI"), ("q/c", "q/c")]


def test_name_and_path_may_both_be_given(read):
    for header in ("video_id,path", "video,file", "clip_id,video"):
        manifest = read(f"{header},happy,sad\na,x/1.mp4,1,2\n")
        assert (manifest[0].video_id, manifest[0].path) == ("a", "x/1.mp4")


def test_class_columns_are_found_by_name_and_content(read):
    text = ",video_id,Happiness,bored,frames,duration,actor_id,remark\n0,a,1,2,30,2.5,7,x\n1,b,0,1,40,3.5,8,y\n"
    with pytest.raises(RequestError, match=r"'bored', which is no known emotion.*--classes \"\[happy, bored\]\""):
        read(text)
    manifest = read(text, class_names=["Happiness", "bored"])
    assert manifest.class_names == ("Happiness", "bored")
    assert manifest[0].subject == "7"
    assert manifest[0].extra == {"frames": 30, "duration": 2.5, "remark": "x"}
    manifest = read(text, class_names=["bored", "happy"], name="mine")
    assert manifest.class_names == ("bored", "happy")
    assert manifest.votes.tolist() == [[2, 1], [1, 0]]
    assert manifest.name == "mine"


def test_label_column_wins_over_the_majority(read):
    manifest = read("video_id,happy,sad,label\na,1,0,Sadness\nb,1,0,\n")
    assert manifest.labels.tolist() == [1, -1]


def test_long_table_counts_single_votes(read):
    text = "video_id,emotion,annotator,subject\na,happy,r1,s\nb,Sadness,r1,t\na,sad,r2,s\na,happiness,r3,s\n"
    manifest = read(text)
    assert manifest.class_names == ("happy", "sad")
    assert manifest.video_ids == ["a", "b"]
    assert manifest.votes.tolist() == [[2, 1], [0, 1]]
    assert manifest.labels.tolist() == [0, 1]
    assert manifest[0].subject == "s"
    assert manifest[0].extra == {"annotators": ["r1", "r2", "r3"], "annotator_votes": ["happy", "sad", "happy"]}
    assert read(text, class_names=["sad", "fear", "happy"]).votes.tolist() == [[1, 0, 2], [1, 0, 0]]


def test_long_table_without_annotators_or_with_numbers_beside(read):
    assert read("video_id,label\na,happy\na,sad\nb,sad\n").votes.tolist() == [[1, 1], [0, 1]]
    assert read("video,vote,rater,seconds,score\na,happy,1,2,9\na,sad,2,2,9\n").votes.tolist() == [[1, 1]]


ROW = "video_id,happy,sad\ngood,1,2\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROW + "a,-1,2\n", r"row 2 \(line 3\): 'happy' is '-1', a negative number\. A count"),
        (ROW + "a,x,2\n", r"row 2 \(line 3\): 'happy' is 'x', not a number"),
        (ROW + "a,nan,2\n", "'nan', not a number"),
        (ROW + "a,inf,2\n", "'inf', not a number"),
        (ROW + "a,1e300,2\n", "too many votes"),
        (ROW + "a,1,2.5\n", "'sad' is '2.5', not a whole number"),
        (ROW + "a,0,0\n", "all counts of 'a' are zero"),
        (ROW + "a,,2\n", "'happy' is empty. Write 0"),
        (ROW + ",1,2\n", "row 2 .line 3.: the video_id is missing"),
        (ROW + "a,1,1\n\ngood,1,2\n", r"row 3 \(line 5\): the video_id 'good' is there a second time \(see row 1"),
        (ROW + "/etc/passwd,1,2\n", "absolute.*--videos DIR"),
        (ROW + "C:\\x.mp4,1,2\n", "absolute"),
        (ROW + "x/../../a,1,2\n", "leads out of its folder"),
        (ROW + "..\\a,1,2\n", "leads out of its folder"),
        (ROW + "a,1\nb,1,2,3\n", r"row 2 \(line 3\): 2 cells; row 3 \(line 4\): 4 cells.*must have 3"),
        (ROW + '"a,1,2\n', "line 3 is not CSV"),
        (ROW + "".join(f"v{i},-1,0\n" for i in range(8)), "row 6 .*and 3 more. A count"),
        ("video_id,happy,sad,label\na,1,2,bored\n", "'label' is 'bored', which is not a class. The classes are"),
        ("video_id,happy,sad,split\na,1,2,half\n", "split 'half' is not known"),
        ("video_id,happy,sad,fold\na,1,2,1.5\n", "fold '1.5' is not the number"),
        ("video_id,happy,sad,fold\na,1,2,-1\n", "fold '-1' is not the number"),
        ("video_id,path,happy,sad\na,,1,2\n", "the path is missing"),
        ("", "votes.csv is empty"),
        ('""', "votes.csv holds no header"),
        ("\ufeff \r\n", "votes.csv is empty"),
        ("video_id,happy,sad\n", "but no rows"),
        ("a,b,c\n1,2,3\n", "none of which names the video. Expected"),
        ("x,5,0\ny,1,2\n", "has the columns x, 5, 0, none of which names the video"),
        ("video_id,note\na,b\n", "none of which holds counts"),
        ("video_id,score\na,5\n", "none of which holds counts"),
        ("video_id,sad\na,5\n", "of which only 'sad' holds counts"),
        ("video_id,happy,happy\na,1,2\n", "column 'happy' twice"),
        ("video_id,happy,joy\na,1,2\n", "mean the same class"),
        (b"video_id,happy,sad\na,1,2\n\xe9,1,2\n", "line 3 holds the byte 0xe9. Save it as UTF-8"),
        ("video_id,happy,sad\n".encode("utf-16"), "not in UTF-8"),
        (b"video_id,happy,sad\na\0,1,2\n", "line 2 holds a zero byte"),
    ],
)
def test_wrong_wide_tables_are_refused_by_row(read, content, message):
    with pytest.raises(RequestError, match=message) as caught:
        read(content)
    assert "votes.csv" in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,happy,1\na,sad,1\n", r"row 2 \(line 3\): '1' votes on 'a' a second time \(see row 1"),
        ("a,happy,1\nb,,1\n", "row 2 .line 3.: 'emotion' is empty"),
        ("a,happy,1\nb,sad,\n", "row 2 .line 3.: the annotator is missing"),
        ("a,happy,1\n,sad,1\n", "row 2 .line 3.: the video_id is missing"),
        ("a,happy,1\n../b,sad,1\n", "leads out"),
        ("a,happy,1\nb,happy,1\n", "'happy' only. Name all"),
    ],
)
def test_wrong_long_tables_are_refused_by_row(read, content, message):
    with pytest.raises(RequestError, match=message):
        read("video_id,emotion,annotator\n" + content)


def test_contradictions_and_unknown_votes_in_long_tables(read):
    text = "video_id,emotion,rater,subject\na,happy,1,x\na,sad,2,y\n"
    with pytest.raises(RequestError, match=r"row 2 .*the subject is 'y', but 'x' in row 1 \(line 2\)"):
        read(text)
    with pytest.raises(RequestError, match="'emotion' is 'sad', which is not a class"):
        read(text, class_names=["happy", "fear"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"video_id": "a", "happy": 1, "sad": 2}\n[1]\n', "line 2 holds list, not an object"),
        ('{"video_id": "a", "happy": 1, "sad": 2}\n\n{"video_id"\n', "line 3 is not JSON"),
        ('{"video_id": "a", "happy": true, "sad": 2}\n', "'happy' is 'true', not a number"),
        ('{"video_id": "a", "happy": NaN, "sad": 2}\n', "'NaN', not a number"),
        ('{"video_id": "a", "happy": [1], "sad": 2}\n', "not a number"),
        ('{"video_id": "a", "happy": 1, "sad": 2}\n{"video_id": "b", "happy": 1}', "row 2 .line 2.: 'sad' is empty"),
        ('{"\\ud800": "a", "happy": 1, "sad": 2}\n', "none of which names the video"),
        ('{"video_id": "\\u0000", "happy": 1, "sad": 2}\n', "control character"),
        ("[" * 100_000, "is not JSON"),
        ('{"video_id": "a", "happy": ' + "9" * 5000 + "}", "is not JSON"),
        ("\n".join(json.dumps({f"k{i}": 1}) for i in range(10_001)), "have 4473 different names"),
    ],
)
def test_wrong_json_lines_are_refused_by_line(read, content, message):
    with pytest.raises(RequestError, match=message):
        read(content, "votes.jsonl")


LINES = ["v0,1,2,hm", "v1,2,0,oh", "v2,3,1,ah"]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=2))
def test_a_quotation_mark_inside_a_row_never_changes_what_is_read(tmp_path_factory, places):
    """One or two marks anywhere: the row is as it was but for a cell that is quoted whole, or it is refused by line."""
    rows = [list(line) for line in LINES]
    for row, place in places:
        rows[row].insert(place, '"')
    file = tmp_path_factory.mktemp("quoted") / "votes.csv"
    file.write_text("video_id,happy,sad,note\n" + "".join("".join(row) + "\n" for row in rows))
    try:
        manifest = read_table(file)
    except RequestError:
        with pytest.raises(RequestError, match="line"):
            read_table(file)
        return
    assert manifest.video_ids == ["v0", "v1", "v2"]
    assert manifest.votes.tolist() == [[1, 2], [2, 0], [3, 1]]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (['v0,happy,1"5', "v1,sad,x"], 2),
        (["v0,happy,x", 'v"1,sad,x'], 3),
        (['v0,happy,"x', 'v1,sad,y"', "v2,sad,z"], 2),  # two lost marks would make one row of two
        (['"v0,happy,x', 'v1",sad,y', "v2,sad,z"], 2),
        (['v0,"happy,x', 'v1,sad",y', "v2,sad,z"], 2),
    ],
)
def test_a_lost_quotation_mark_is_refused_by_line(read, rows, line):
    with pytest.raises(RequestError, match=f"line {line} .*quotation mark"):
        read("video_id,emotion,note\n" + "\n".join(rows) + "\n")


def test_quotation_marks_that_are_doubled_and_cells_over_several_lines_are_read(read):
    manifest = read('video_id,happy,sad,note\na,1,2,"he said ""hm"", twice"\nb,2,1,"one\ntwo, three"\n')
    assert manifest.table["note"].to_list() == ['he said "hm", twice', "one\ntwo, three"]


def test_a_first_line_that_names_the_separator_counts_as_a_line(read):
    with pytest.raises(RequestError, match=r"row 2 \(line 4\): 'happy' is 'x'"):
        read("sep=;\nvideo_id;happy;sad\na;1;2\nb;x;2\n")


def test_a_file_that_may_not_be_read_is_said_to_be_that(read, tmp_path, monkeypatch):
    read(WIDE).to_parquet(tmp_path / "m.parquet")
    denied = PermissionError(13, "Permission denied")

    def refuse(*_, **__):
        raise denied

    monkeypatch.setattr("pyarrow.parquet.ParquetFile", refuse)
    with pytest.raises(RequestError, match=r"m.parquet may not be read by this user; change its permissions"):
        Manifest.from_parquet(tmp_path / "m.parquet")


@pytest.mark.parametrize("data", [b"PK\3\4" + b"\xef" * 40, b"\x1f\x8b\x08" + b"\xef" * 40])
def test_archives_under_the_name_of_a_table_are_said_to_be_that(tmp_path, data):
    (tmp_path / "votes.csv").write_bytes(data)
    with pytest.raises(RequestError, match="is a packed archive or the workbook of a spreadsheet"):
        read_table(tmp_path / "votes.csv")


def test_a_line_break_in_a_name_is_no_matter_of_counts(tmp_path):
    (tmp_path / "votes.csv").write_text('video_id,happy,sad\n"a\n.mp4",1,2\n')
    with pytest.raises(RequestError, match=r"holds a control character\. Take out line breaks"):
        read_table(tmp_path / "votes.csv")


def test_wrong_files_are_refused(read, tmp_path):
    with pytest.raises(RequestError, match="There is no file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RequestError, match="not a file"):
        read_table(tmp_path / "folder.csv")
    with pytest.raises(RequestError, match="Use one of"):
        read("x", "votes.xls")
    with pytest.raises(RequestError, match="cannot be read as Parquet"):
        read("junk", "votes.parquet")
    with pytest.raises(RequestError, match="no column of counts for fear"):
        read(WIDE, class_names=["happy", "fear"])
    with pytest.raises(RequestError, match="mean the same class"):
        read(WIDE, class_names=["happy", "joy"])


def test_parquet_columns_keep_their_types(tmp_path):
    table = pl.DataFrame({"video_id": ["a"], "happy": [1.0], "sad": [2], "tags": [["x"]], "ok": [True]})
    table.write_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")[0].extra == {"tags": ["x"], "ok": True}


def test_columns_that_would_clash_with_ours_are_renamed(read):
    manifest = read("video_id,happy,sad,votes\na,1,2,3\n")
    assert manifest[0].votes == (1, 2)
    assert manifest[0].extra == {"votes_in_file": 3}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any), st.text("ab;,\"' é", max_size=5)),
        min_size=1,
        max_size=12,
    )
)
def test_what_polars_writes_is_read_back(tmp_path_factory, rows):
    votes = [counts for counts, _ in rows]
    columns = {"video_id": [f"v{i}" for i in range(len(rows))], "note": [f"x{note}y" for _, note in rows]}
    columns |= {name: [row[k] for row in votes] for k, name in enumerate(("fear", "sad", "angry"))}
    folder = tmp_path_factory.mktemp("tables")
    table = pl.DataFrame(columns)
    table.write_csv(folder / "t.csv")
    table.write_ndjson(folder / "t.jsonl")
    table.write_parquet(folder / "t.parquet")
    expected = read_table(folder / "t.csv")
    assert expected.votes.tolist() == votes
    assert [sample.extra["note"] for sample in expected] == columns["note"]
    assert read_table(folder / "t.jsonl") == expected
    assert read_table(folder / "t.parquet") == expected


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_files_end_in_a_manifest_or_one_sentence(read, data):
    name = data.draw(st.sampled_from(["votes.csv", "votes.jsonl"]))
    good = (
        WIDE
        if name == "votes.csv"
        else '{"video_id": "a", "happy": 1, "sad": 2}\n{"video_id": "b", "happy": 0, "sad": 2}'
    )
    content = bytearray(good.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content)))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    with suppress(RequestError):
        assert isinstance(read(bytes(content), name), Manifest)


def test_mutated_parquet_ends_in_a_manifest_or_one_sentence(tmp_path):
    file = tmp_path / "t.parquet"
    pl.DataFrame({"video_id": ["a", "b"], "happy": [1, 2], "sad": [0, 1]}).write_parquet(file)
    good, rng = file.read_bytes(), np.random.default_rng(0)
    for _ in range(100):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), 3):
            bad[place] = rng.integers(0, 256)
        file.write_bytes(bad)
        with suppress(RequestError):
            assert isinstance(read_table(file), Manifest)


def test_rows_over_several_lines_and_chunks_keep_their_lines(read):
    rows = "".join(f"v{i},{i % 3},1\n" for i in range(50_003))
    with pytest.raises(RequestError, match=r"row 50005 \(line 50007\): 'happy' is 'x'"):
        read('video_id,happy,sad\n"a\tb",1,1\n'.replace("\t", " ") + rows.replace("v1,", '"v1\n",') + "z,x,1\n")
    assert len(read("video_id,happy,sad\n" + rows)) == 50_003
