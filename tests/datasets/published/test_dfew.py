import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.datasets.files.xlsx import read_xlsx
from midas_dfer.datasets.published.dfew import PUBLISHED_COUNTS, PUBLISHED_SIZES, find_layouts, read_dfew
from midas_dfer.datasets.published.frame_lists import read_frame_list, read_frame_lists
from midas_dfer.emotions import AFEW, DFEW
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.synthetic.layouts.dfew import COLUMNS, workbook, write_dfew

GOLDEN = Path(__file__).parents[2] / "golden" / "dfew.json"
LAYOUTS = ("original", "clip_224x224", "clip_224x224_16f")
ROW = [0, 6, 4, 0, 0, 0, 0, 1, 2]  # as printed in the notes of others about the real file


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A made-up copy with clips in all layouts."""
    root = tmp_path_factory.mktemp("DFEW")
    write_dfew(root, clips=20, layouts=LAYOUTS, frames=4)
    return root


@pytest.fixture
def lists(tmp_path):
    """A made-up copy of the annotations alone, to be spoiled."""
    write_dfew(tmp_path, clips=40, layouts=())
    return tmp_path


def split_file(root, part, number):
    return root / "EmoLabel_DataSplit" / f"{part}(single-labeled)" / f"set_{number}.csv"


def annotate(root, rows, header=COLUMNS):
    (root / "Annotation").mkdir(parents=True, exist_ok=True)
    (root / "Annotation" / "annotation.xlsx").write_bytes(workbook([list(header), *rows]))
    return root


def described(manifest: Manifest) -> dict[str, object]:
    rows = [
        f"{s.video_id} | {s.path} | {' '.join(map(str, s.votes or ()))} | "
        f"{'-' if s.label is None else manifest.class_names[s.label]} | {s.fold or '-'}"
        for s in manifest
    ]
    return {"classes": list(manifest.class_names), "clips": rows, "notes": list(manifest.notes)}


def test_golden_manifest(copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    found = described(read_dfew(copy.name))
    found["notes"] = [note.replace(copy.name, "DFEW") for note in found["notes"]]
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(GOLDEN.read_text())


def test_votes_labels_and_folds_are_joined_by_number(copy):
    manifest = read_dfew(copy)
    sheet = read_xlsx(copy / "Annotation" / "annotation.xlsx").table
    assert sheet["order"].cast(int).to_list() != sorted(sheet["order"].cast(int).to_list())
    by_order = {int(row[7]): (tuple(map(int, row[:7])), int(row[8])) for row in sheet.iter_rows()}
    tested = {
        line.split(",")[0]: number
        for number in range(1, 6)
        for line in split_file(copy, "test", number).read_text().splitlines()[1:]
    }
    assert [s.video_id for s in manifest] == [f"{n:05d}" for n in range(1, 21)]
    for sample in manifest:
        votes, label = by_order[int(sample.video_id)]
        assert sample.votes == votes
        assert sample.label == (label - 1 if label else None)
        assert sample.fold == tested.get(sample.video_id)
        assert label or sample.fold is None


def test_folds_divide_as_the_lists_do(copy):
    manifest = read_dfew(copy)
    for number in manifest.fold_numbers:
        parts = manifest.partition(number)
        for part, clips in (("train", parts.train), ("test", parts.test)):
            listed = [line.split(",")[0] for line in split_file(copy, part, number).read_text().splitlines()[1:]]
            assert clips.video_ids == sorted(listed)


@pytest.mark.parametrize(("layout", "faces"), list(zip(LAYOUTS, ("detect", "cropped", "cropped"), strict=True)))
def test_prepare_each_layout(copy, tmp_path, layout, faces):
    settings_ = ExtractSettings(faces=faces, size=64)
    report = prepare(
        read_dfew(copy, layout=layout), copy, tmp_path / "s", settings=settings_, jobs=1, missing="leave_out"
    )
    without_face = 0 if layout == "original" else 1
    assert (report.usable, report.left_out) == (20 - without_face, without_face)
    store = ClipStore.open(tmp_path / "s")
    assert [s.label for s in store][:4] == [0, 1, 2, None]
    if layout == "clip_224x224_16f":
        files = [copy / "Clip" / layout / "00002" / f"{n}.jpg" for n in range(1, 17)]
        shown = [cv2.imread(str(file))[..., ::-1] for file in files]
        stored = store.read("00002", range(16))
        assert (stored == np.stack(shown)).all()  # 2.jpg before 10.jpg, and not encoded a second time
    elif layout == "clip_224x224":
        frames = list((copy / "Clip" / layout / "00002").iterdir())
        assert store.num_frames("00002") == len(frames) < 16


def test_paths_follow_the_names_that_are_there(lists):
    manifest = read_dfew(lists)
    assert find_layouts(lists) == ()
    assert manifest.table["path"][1] == "Clip/original/00002.mp4"
    assert any("holds no clips" in note for note in manifest.notes)
    for name in ("3.mp4", "00004.mp4", "part_2/5.mp4", "part_2/notes.txt", "x.mp4", "data/part/000006.mp4", "7.avi"):
        (lists / "Clip" / "original" / name).parent.mkdir(parents=True, exist_ok=True)
        (lists / "Clip" / "original" / name).touch()
    found = read_dfew(lists).table["path"].to_list()[1:7]
    names = ("00002.mp4", "3.mp4", "00004.mp4", "part_2/5.mp4", "data/part/000006.mp4", "00007.mp4")
    assert found == [f"Clip/original/{name}" for name in names]
    (lists / "Clip" / "clip_224x224_16f" / "2").mkdir(parents=True)
    (lists / "Clip" / "clip_224x224_16f" / "00003").mkdir()
    (lists / "Clip" / "clip_224x224_16f" / "00003" / "4").mkdir()
    assert find_layouts(lists) == ("original", "clip_224x224_16f")
    assert any("those in original are taken" in note for note in read_dfew(lists).notes)
    frames = read_dfew(lists, layout="clip_224x224_16f").table["path"].to_list()[1:4]
    assert frames == [f"Clip/clip_224x224_16f/{name}" for name in ("2", "00003", "00004")]


@pytest.mark.parametrize(
    ("first_class", "list_names", "annotation"), [(0, "set", "xlsx"), (0, "part_set", "csv"), (1, "part_set", "xlsx")]
)
def test_other_copies_say_the_same(lists, tmp_path_factory, first_class, list_names, annotation):
    root = tmp_path_factory.mktemp("other")
    write_dfew(root, clips=40, layouts=(), first_class=first_class, list_names=list_names, annotation=annotation)
    manifest = read_dfew(root)
    assert manifest == read_dfew(lists)
    noted = [note for note in manifest.notes if "number the classes 0 to 6, not 1 to 7 as published: 10 of 10" in note]
    assert len(noted) == (first_class == 0)
    moved = root / "elsewhere"
    (root / "EmoLabel_DataSplit").rename(moved)
    assert read_dfew(root, splits=moved) == manifest
    assert read_dfew(root).fold_numbers == ()
    assert any("so no clip has a fold" in note for note in read_dfew(root).notes)


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32), excel=st.booleans())
def test_row_order_does_not_matter(tmp_path_factory, seed, excel):
    root = tmp_path_factory.getbasetemp() / "rows"
    shutil.rmtree(root, ignore_errors=True)
    write_dfew(root, clips=24, layouts=())
    expected = read_dfew(root)
    generator = np.random.default_rng(seed)
    rows = [list(map(int, row)) for row in read_xlsx(root / "Annotation" / "annotation.xlsx").table.iter_rows()]
    columns = generator.permutation(len(COLUMNS))
    mixed = [[row[c] for c in columns] for row in (rows[r] for r in generator.permutation(len(rows)))]
    header = [COLUMNS[c] for c in columns]
    if excel:
        annotate(root, mixed, header)
    else:
        (root / "Annotation" / "annotation.xlsx").unlink()
        lines = [",".join(map(str, row)) for row in (header, *mixed)]
        (root / "annotation.csv").write_text("\n".join(lines))
    for file in (root / "EmoLabel_DataSplit").rglob("*.csv"):
        head, *listed = file.read_text().splitlines()
        file.write_text("\n".join([head, *(listed[i] for i in generator.permutation(len(listed)))]))
    found = read_dfew(root)
    assert found == expected
    assert found.notes == expected.notes


def test_workbook_of_a_spreadsheet_program(lists):
    """Shared texts, floats, texts for numbers, blank rows, a further column and sheet, header in row 3."""
    rows = read_xlsx(lists / "Annotation" / "annotation.xlsx").table.rows()
    expected = read_dfew(lists)
    book = xlsxwriter.Workbook(lists / "Annotation" / "annotation.xlsx")
    sheet = book.add_worksheet()
    sheet.write_row(2, 0, [*(name.upper() for name in COLUMNS), "", "remark"])
    for number, row in enumerate(rows):
        cells = [float(cell) if number % 2 else cell for cell in row]
        sheet.write_row(3 + 2 * number, 0, [*cells, "", f"said on day {number}"])
    book.add_worksheet("other").write(0, 0, "nothing")
    book.close()
    assert read_dfew(lists) == expected


def test_real_sizes_are_recognised_fast(tmp_path):
    """16,372 rows with the published counts of everything: nothing differs, and it is read in about a second."""
    sizes = [PUBLISHED_COUNTS[f"{name} in the folds"] for name in DFEW]
    labels = np.zeros(16_372, dtype=int)
    labels[:12_059] = np.concatenate([np.repeat(np.arange(1, 8), sizes), np.ones(362, int)])
    votes = np.tile((4, 2, 2, 2, 0, 0, 0), (16_372, 1))
    votes[:12_059] = 9 * np.eye(7, dtype=int)[labels[:12_059] - 1]
    votes[np.arange(12_059), labels[:12_059] % 7] = 1
    mixed = np.random.default_rng(0).permutation(16_372)
    annotate(tmp_path, np.column_stack([votes, np.arange(1, 16_373), labels])[mixed].tolist())
    fold = np.repeat(np.arange(1, 6), [size for _, size in PUBLISHED_SIZES])
    for number in range(1, 6):
        for part, rows in (("train", fold != number), ("test", fold == number)):
            lines = [f"{n + 1:05d},{labels[n]}" for n in np.flatnonzero(rows)]
            split_file(tmp_path, part, number).parent.mkdir(parents=True, exist_ok=True)
            split_file(tmp_path, part, number).write_text("\n".join(["video_name,label", *lines]))
    (whole, different), seconds = read_apart(tmp_path, split_file(tmp_path, "test", 1))
    assert seconds < 4  # 0.7 s where nothing else runs
    assert not re.search("differ from", whole)
    assert "11,697 clips as published; the paper's 11,967" in whole
    assert "Clips without a single label: 4,313" in whole
    assert "Clips with a single label that are in no fold: 362" in whole
    assert "11,696 in the five folds (11,697)" in different
    assert "9,356 and 2,340 in set 1 (9,356 and 2,341)" in different
    assert "in set 2" not in different


def read_apart(root, shortened):
    """The notes of a copy and of one with a shorter list, without the checks that the tests put into every call."""
    script = f"""
import json, time
from pathlib import Path
from midas_dfer.datasets.published.dfew import read_dfew
start = time.process_time()
whole = read_dfew({str(root)!r})
seconds = time.process_time() - start
assert len(whole) == 16372
file = Path({str(shortened)!r})
file.write_text("\\n".join(file.read_text().splitlines()[:-1]))
print(json.dumps([[" ".join(m.notes) for m in (whole, read_dfew({str(root)!r}))], seconds]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def spoil_split(root, part, number, change):
    file = split_file(root, part, number)
    lines = file.read_text().splitlines()
    change(lines)
    file.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda lines: lines.__setitem__(1, "00001,5"),
            r"label differs .*: 1 \(for example 00001: surprise in the lists",
        ),
        (lambda lines: lines.append(lines[1]), r"names clips a second time: 1 \("),
        (lambda lines: lines.append("00005,4"), r"in the test lists of two sets: 1 \(00005\); the first one"),
        (lambda lines: lines.append("00005,4"), r"Set 1, clips in both its train and its test list: 1 \(00005\)"),
        (lambda lines: lines.append("99999,3"), r"Listed clips that are not annotated: 1 \(99999\)"),
        (lambda lines: lines.append("4,2"), "00004: sad in the lists, none in the annotations"),
        (lambda lines: lines.pop(), r"Set 2, clips in its train list but tested in no set: 1 \(\d+\)"),
    ],
)
def test_lists_that_do_not_add_up_are_noted(lists, change, message):
    before = read_dfew(lists)
    assert before.table["fold"][0] == 1
    assert before.table["fold"][4] != 1
    spoil_split(lists, "test", 1, change)
    manifest = read_dfew(lists)
    assert [note for note in manifest.notes if re.search(message, note)], manifest.notes
    parts = manifest.partition(1)
    assert not set(parts.train.video_ids) & set(parts.test.video_ids)
    if "99999" in manifest.video_ids:
        added = manifest[manifest.video_ids.index("99999")]
        assert (added.votes, added.label, added.fold) == (None, 2, 1)


def test_missing_lists(lists):
    split_file(lists, "train", 3).unlink()
    manifest = read_dfew(lists)
    assert any("no train list of set 3" in note for note in manifest.notes)
    assert any("unknown and" in note and "in set 3" in note for note in manifest.notes)
    split_file(lists, "test", 4).unlink()
    with pytest.raises(RequestError, match=r"has no test list of set 4\. Expected is"):
        read_dfew(lists)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("abc,3", r"set_2.csv: row 2 \(line 3\): 'video_name' is 'abc'. Expected is the number of a clip"),
        ("../00001,3", "'video_name' is '../00001'"),
        ("00000,3", "'video_name' is '00000'"),
        ("00001,8", "'label' is '8'. Expected is the number of a class"),
        ("00001,1.5", "'label' is '1.5'"),
        ("00001,Happy", "'label' is 'Happy'"),
        ("00001,", "'label' is empty"),
        ("00001", "1 cells"),
        (f"{'9' * 5000},1", "'video_name' is '999"),
    ],
)
def test_wrong_rows_of_lists_are_named(lists, line, message):
    spoil_split(lists, "test", 2, lambda lines: lines.insert(2, line))
    with pytest.raises(RequestError, match=message):
        read_dfew(lists)


def test_a_list_that_counts_both_ways_and_one_without_header(lists):
    write_dfew(lists, clips=40, layouts=(), first_class=0)
    spoil_split(lists, "train", 2, lambda lines: lines.append("00040,7"))
    with pytest.raises(RequestError, match=r"'label' is '7'. Its other rows count the classes from 0"):
        read_dfew(lists)
    write_dfew(lists, clips=40, layouts=())
    spoil_split(lists, "train", 2, lambda lines: lines.pop(0))
    with pytest.raises(RequestError, match="Expected is the header video_name,label"):
        read_dfew(lists)


def test_mixed_copies_are_told_apart_file_by_file(lists, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    write_dfew(other, clips=40, layouts=(), first_class=0)
    expected = read_dfew(lists)
    shutil.copy(split_file(other, "test", 3), split_file(lists, "test", 3))
    manifest = read_dfew(lists)
    assert manifest == expected
    assert any("1 of 10, such as test(single-labeled)/set_3.csv" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 7, 3, 0, 0, 0, 0, 2, 1], "row 2: 'order' is 2 a second time .see row 1."),
        ([0, 0, 0, 0, 0, 0, 0, 3, 0], "all votes on the clip 00003 are zero"),
        (["x", 7, 3, 0, 0, 0, 0, 3, 2], "row 2: '1happy' is 'x', not a number"),
        ([-1, 7, 3, 0, 0, 0, 0, 3, 2], "'1happy' is '-1', a negative number"),
        (["1.5", 7, 3, 0, 0, 0, 0, 3, 2], "not a whole number"),
        (["", 7, 3, 0, 0, 0, 0, 3, 2], "'1happy' is empty"),
        ([10**12, 7, 3, 0, 0, 0, 0, 3, 2], "too many votes"),
        ([0, 7, 3, 0, 0, 0, 0, "../3", 2], "'order' is '../3'"),
        ([0, 7, 3, 0, 0, 0, 0, 0, 2], "'order' is '0'"),
        ([0, 7, 3, 0, 0, 0, 0, 3, 8], "'label' is '8'"),
        ([0, 7, 3, 0, 0, 0, 0, 3, ""], "'label' is empty"),
    ],
)
def test_wrong_rows_of_annotations_are_named(tmp_path, row, message):
    annotate(tmp_path, [[0, 7, 3, 0, 0, 0, 0, 2, 2], row])
    with pytest.raises(RequestError, match=message) as caught:
        read_dfew(tmp_path)
    assert "annotation.xlsx" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 7, 2, 0, 0, 0, 0, 3, 2], r"with another number of votes than ten: 1 \(for example 00003, votes \["),
        ([0, 7, 3, 0, 0, 0, 0, 3, 3], "with another label than the class with the most votes: 1 "),
        ([0, 5, 3, 2, 0, 0, 0, 3, 2], "with a label on five votes or fewer: 1 "),
        ([0, 7, 3, 0, 0, 0, 0, 3, 0], "without a single label although a class has seven votes or more: 1 "),
    ],
)
def test_odd_votes_are_noted(tmp_path, row, message):
    annotate(tmp_path, [ROW, row])
    notes = read_dfew(tmp_path).notes
    assert len([note for note in notes if re.search(message, note)]) == 1
    assert not [note for note in read_dfew(annotate(tmp_path, [ROW])).notes if "for example" in note]


def test_other_headers(tmp_path):
    with pytest.raises(RequestError, match="has no column 7fear, label, only: 1happy"):
        read_dfew(annotate(tmp_path, [[1] * 7], (*COLUMNS[:6], "order")))
    swapped = ("1happy", "2sad", "3neutral", "4surprise", "5angry", *COLUMNS[5:])
    with pytest.raises(RequestError, match="the column '4surprise' was expected to be 5surprise"):
        read_dfew(annotate(tmp_path, [ROW], swapped))
    with pytest.raises(RequestError, match="'1happy' and 'Happiness' are the same class"):
        read_dfew(annotate(tmp_path, [[*ROW, 0]], (*COLUMNS, "Happiness")))
    with pytest.raises(RequestError, match="has the column 'order' twice"):
        read_dfew(annotate(tmp_path, [[*ROW, 0]], (*COLUMNS, "order")))
    plain = ("Happiness", "sadness", "Neutral", "4 anger", "surprise", "disgust", "fear", "clip_name", "annotation")
    assert read_dfew(annotate(tmp_path, [ROW], plain)).labels.tolist() == [1]
    counted = [[*(9 * np.eye(7, dtype=int)[k]).tolist(), k + 1, k] for k in range(7)]
    with pytest.raises(RequestError, match=r"numbers the classes from 0 \(7 labels agree"):
        read_dfew(annotate(tmp_path, counted))


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(RequestError, match="There is no folder"):
        read_dfew(tmp_path / "none")
    with pytest.raises(RequestError, match=r"Annotation/annotation.xlsx was expected there and is missing"):
        read_dfew(tmp_path)
    annotate(tmp_path, [ROW])
    with pytest.raises(RequestError, match=r"There is no folder .*lists"):
        read_dfew(tmp_path, splits=tmp_path / "lists")
    with pytest.raises(RequestError, match="20 or more"):
        write_dfew(tmp_path, clips=3)


def repack(data: bytes, **parts: str) -> bytes:
    """Replace or add parts of a workbook."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        names = {"sheet": "xl/worksheets/sheet1.xml", "strings": "xl/sharedStrings.xml", "book": "xl/workbook.xml"}
        changed = {names.get(key, key): text for key, text in parts.items()}
        for name in old.namelist():
            if name not in changed:
                new.writestr(name, old.read(name))
        for name, text in changed.items():
            new.writestr(name, text)
    return packed.getvalue()


GOOD = workbook([list(COLUMNS), ROW])
SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)
ZIPPED = io.BytesIO()
with zipfile.ZipFile(ZIPPED, "w") as _archive:
    _archive.writestr("content.xml", "<a/>")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"1happy,2sad\n1,2\n", "not an .xlsx workbook, or only part of one"),
        (GOOD[: len(GOOD) // 2], "not an .xlsx workbook, or only part of one"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "an old .xls workbook"),
        (ZIPPED.getvalue(), "a zip, but not an .xlsx workbook"),
        (GOOD[:40] + b"\xff" * 60 + GOOD[100:], "is damaged"),
        (repack(GOOD, sheet=SHEET.format("")), "nothing in its first sheet"),
        (workbook([list(COLUMNS)]), "no rows under its header"),
        (repack(GOOD, sheet="<worksheet><a></worksheet>"), "is damaged: xl/worksheets/sheet1.xml"),
        (repack(GOOD, sheet='<!DOCTYPE a [<!ENTITY b "c">]>' + SHEET.format("")), "declares a document type"),
        (
            repack(GOOD, sheet=SHEET.format('<row r="1"><c r="A1"/></row><row r="1048576"><c r="XFD1048576"/></row>')),
            r"a sheet spans 17,179,869,184 cells",
        ),
        (repack(GOOD, sheet=SHEET.format('<row r="1"><c r="é1"><v>1</v></c></row>')), "cannot be read as a workbook"),
        (repack(GOOD, sheet=SHEET.format(f'<row r="{"9" * 5000}"/>')), "nothing in its first sheet"),
        (repack(GOOD, sheet='<?xml version="1.0" encoding="UTN-8"?><a/>'), "unknown encoding: UTN-8"),
        (repack(GOOD, sheet=SHEET.format(" " * (1 << 25))), "unpacks to over 32 MiB"),
        (
            repack(
                GOOD,
                sheet=SHEET.format('<row r="1">' + "<c/>" * 1000 + "</row>"),
                strings=f"<sst><si><t>{'x' * 400_000}</t></si></sst>",
            ),
            "a text of 400,019 characters and 1,000 cells",
        ),
        (repack(GOOD, **{f"name{n}": "" for n in range(1000)}), "a zip of 1,00. files"),
        (GOOD + bytes(1 << 24), "over 16 MiB"),
        (repack(GOOD, book="<workbook/>"), "cannot be read as a workbook"),
    ],
)
def test_files_that_are_no_workbooks(tmp_path, data, message):
    annotate(tmp_path, [ROW])
    file = tmp_path / "Annotation" / "annotation.xlsx"
    file.write_bytes(data)
    with pytest.raises(RequestError, match=message) as caught:
        read_dfew(tmp_path)
    assert str(file) in str(caught.value)


@settings(max_examples=30)
@given(data=st.data())
def test_damaged_workbooks_are_read_or_refused(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("damaged")
    inner = data.draw(st.booleans())
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        content = bytearray(archive.read("xl/worksheets/sheet1.xml") if inner else GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    annotate(root, [ROW])
    packed = repack(GOOD, sheet=content.decode("latin-1")) if inner else bytes(content)
    (root / "Annotation" / "annotation.xlsx").write_bytes(packed)
    try:
        read_dfew(root)
    except RequestError as error:
        refusal = str(error)
    else:
        return
    assert "annotation.xlsx" in refusal


def test_workbooks_of_countless_cells_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("midas_dfer.datasets.files.xlsx.MOST_CELLS", 1000)
    for cells in ("<row>" + "<c/>" * 1001 + "</row>", "<row><c/></row>" * 1001, '<row r="3"><c/></row><row r="1003"/>'):
        (tmp_path / "a.xlsx").write_bytes(repack(GOOD, sheet=SHEET.format(cells)))
        with pytest.raises(RequestError, match=r"not a table of annotations: a sheet spans 1,001 cells"):
            read_xlsx(tmp_path / "a.xlsx")
    with pytest.raises(RequestError, match="There is no file"):
        read_xlsx(tmp_path / "b.xlsx")


def frame_list(folder, *lines):
    file = folder / "list.txt"
    file.write_text("\n".join(lines))
    return file


def test_frame_list_by_the_order_of_classes(tmp_path):
    file = frame_list(
        tmp_path, "/home/u s/DFEW_Face/02522 66 5", "", "E:\\x\\DFEW_Face\\2\t7 0", "./DFEW_Face//b c/ 8 6"
    )
    manifest = read_frame_list(
        file, tmp_path / "DFEW_Face", class_names=DFEW.names, order=("Happiness", *DFEW.names[1:]), split="test"
    )
    assert manifest.table["path"].to_list() == manifest.video_ids == ["02522", "2", "b c"]
    assert manifest.labels.tolist() == [5, 0, 6]
    assert manifest.table["num_frames"].to_list() == [66, 7, 8]
    assert set(manifest.table["split"]) == {"test"}
    assert (manifest.name, manifest.notes) == ("list", ())
    assert not manifest.has_votes.any()
    with pytest.raises(RequestError, match=r"list.txt: row 1 \(line 1\): no part of '02522' names a class"):
        read_frame_list(file, tmp_path / "DFEW_Face", class_names=DFEW.names)
    with pytest.raises(RequestError, match=r"row 1 \(line 1\): the path '/home/u s/DFEW_Face/02522' is absolute"):
        read_frame_list(file, tmp_path, class_names=DFEW.names, order=DFEW.names)
    with pytest.raises(RequestError, match=r"row 1 .*: the label is 5; row 3 \(line 4\): the label is 6. The 5"):
        read_frame_list(file, tmp_path / "DFEW_Face", class_names=DFEW.names, order=DFEW.names[:5])
    with pytest.raises(RequestError, match="'joyless' is not a class"):
        read_frame_list(file, tmp_path / "DFEW_Face", class_names=DFEW.names, order=["joyless"])


def test_frame_lists_without_numbers_of_frames(tmp_path):
    lines = ("/mnt/DFEW/Clip/jpg_256/00001 1", "/mnt/DFEW/Clip/jpg_256/00002 6")
    file = frame_list(tmp_path, *lines)
    manifest = read_frame_list(file, tmp_path / "jpg_256", class_names=DFEW.names, order=DFEW.names)
    assert (manifest.video_ids, manifest.labels.tolist()) == (["00001", "00002"], [1, 6])
    assert manifest.table["num_frames"].to_list() == [None, None]
    with pytest.raises(
        RequestError, match=r"is absolute, and no part of it is called 'faces'.* Give the folder of the f"
    ):
        read_frame_list(file, tmp_path / "faces", class_names=DFEW.names, order=DFEW.names)


def test_frame_list_by_the_names_in_its_paths(tmp_path):
    lines = ["AFEW_Face/train/Disgust/0_5 79 5", "AFEW_Face/train/Anger/0_6 79 3", "AFEW_Face/train/Anger/happy 9 3"]
    root = tmp_path / "AFEW_Face"
    manifest = read_frame_list(frame_list(tmp_path, *lines), root, class_names=AFEW.names)
    assert manifest.video_ids == ["train/Disgust/0_5", "train/Anger/0_6", "train/Anger/happy"]
    assert [s.label for s in manifest] == [5, 3, 3]
    assert manifest.notes == ()
    alphabetical = sorted(AFEW.names)
    other = read_frame_list(frame_list(tmp_path, *lines), root, class_names=AFEW.names, order=alphabetical)
    assert other.labels.tolist() == [5, 3, 3]
    assert other.notes == ("list.txt: 3 of 3 paths name another class than the order that was named; the names count.",)
    wrong = [*lines, "AFEW_Face/train/Sad/1 4 3"]
    note = read_frame_list(frame_list(tmp_path, *wrong), root, class_names=AFEW.names).notes
    assert note == ("list.txt: 1 of 4 paths name another class than most rows with the same number; the names count.",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"a/Sad/1 5 1\na/Sad/2 5\n", r"row 2 \(line 2\): 'a/Sad/2 5' is not such a row"),
        (b"a/Sad/1 5 -1", "is not such a row"),
        (b"a/Sad/1 5 99999999999999999999", "is not such a row"),
        (b"Sad/1 5 1\nSad/1 6 1", r"row 2 \(line 2\): the video_id 'Sad/1' is there a second time"),
        (b"Sad/../../1 5 1", "leads out of its folder"),
        (b"AFEW/../Sad/1 5 1", "leads out of its folder"),
        (b"Sad/1\0 5 1", "zero byte"),
        (b"Sad/\x011 5 1", "control character"),
    ],
)
def test_wrong_frame_lists(tmp_path, text, message):
    (tmp_path / "list.txt").write_bytes(text)
    with pytest.raises(RequestError, match=message):
        read_frame_list(tmp_path / "list.txt", tmp_path / "AFEW", class_names=AFEW.names)
    with pytest.raises(RequestError, match="There is no file"):
        read_frame_list(tmp_path / "none.txt", tmp_path, class_names=AFEW.names)


def test_lists_of_several_parts(tmp_path, copy):
    """The made-up copy again, as lists of another code base: the same clips, classes and parts as its set 1."""
    published = read_dfew(copy).partition(1)
    files = {}
    for split, clips in (("train", published.train), ("test", published.test)):
        files[split] = tmp_path / f"DFEW_set_1_{split}.txt"
        lines = [f"/data/clip_224x224/{s.video_id} 9 {s.label}" for s in clips]
        files[split].write_text("\n".join(lines))
    root = copy / "Clip" / "clip_224x224"
    manifest = read_frame_lists(files, root, class_names=DFEW.names, order=DFEW.names)
    parts = manifest.partition()
    for mine, own in ((parts.train, published.train), (parts.test, published.test)):
        assert mine.video_ids == own.video_ids
        assert (mine.labels == own.labels).all()
    assert all((root / path).is_dir() for path in manifest.table["path"])
    with pytest.raises(RequestError, match=r"clips are in two lists, for example '\d+' in those for train and test"):
        read_frame_lists(
            {"train": files["train"], "test": files["train"]}, root, class_names=DFEW.names, order=DFEW.names
        )
    with pytest.raises(RequestError, match="no part"):
        read_frame_lists({}, root, class_names=DFEW.names)


def test_writer_is_deterministic(tmp_path):
    for name in "ab":
        write_dfew(tmp_path / name, clips=20, seed=3, layouts=())
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 11
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert isinstance(read_dfew(tmp_path / "a").table, pl.DataFrame)
