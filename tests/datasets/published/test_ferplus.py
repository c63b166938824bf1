"""FER+: the adapter on a made-up copy with the traps of the real one, and the pictures out of fer2013.csv."""

import shutil

import cv2
import numpy as np
import pytest

from midas_dfer.datasets.published.fer2013 import find_pixel_file, unpack_fer2013
from midas_dfer.datasets.published.ferplus import read_ferplus, read_picture_names
from midas_dfer.errors import RequestError
from midas_dfer.synthetic.layouts.ferplus import write_ferplus
from tests.support.golden_manifests import assert_golden

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
GOOD = 'fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0'


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("ferplus") / "folders"
    write_ferplus(root, clips=30)
    return root


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    root = tmp_path_factory.mktemp("ferplus") / "pixels"
    write_ferplus(root, clips=30, form="pixels")
    return root


def files(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def lists(root, train=GOOD, validation=None):
    for name, text in (("Train", train), ("Valid", validation)):
        if text is not None:
            (root / "data" / f"FER2013{name}").mkdir(parents=True)
            (root / "data" / f"FER2013{name}" / "label.csv").write_text(text + "\n")
    return root


def test_golden_manifest_of_the_folders(folders):
    assert_golden(read_ferplus(folders), "ferplus")


def test_golden_manifest_of_the_table(pixels):
    assert_golden(read_ferplus(pixels), "ferplus_table")


def test_the_copy_is_the_same_for_the_same_seed(folders, tmp_path):
    write_ferplus(tmp_path / "again", clips=30)
    assert files(tmp_path / "again") == files(folders)
    with pytest.raises(RequestError, match="Use 30 or more"):
        write_ferplus(tmp_path / "few", clips=29)


def test_both_forms_have_the_same_pictures_in_the_same_parts(folders, pixels):
    ours, theirs = read_ferplus(folders), read_ferplus(pixels)
    assert ours.table.select("path", "split").equals(theirs.table.select("path", "split"))
    differing = (ours.votes != theirs.votes).any(axis=1)
    assert differing.sum() == 3  # copies: own votes in label.csv, those of the first in fer2013new.csv
    assert all((folders / path).is_file() for path in ours.table["path"])


def test_votes_join_by_name_and_not_by_row(tmp_path):
    root = lists(tmp_path, train=f"{GOOD}\nfer0000002.png,1,9,0,0,0,0,0,0,0,0")
    rows = ["Training,fer0000002.png,1,9,0,0,0,0,0,0,0,0", "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0"]
    (root / "fer2013new.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    manifest = read_ferplus(root)
    assert manifest.video_ids == ["fer0000000", "fer0000002"]
    assert manifest[1].votes == (1, 9, 0, 0, 0, 0, 0, 0)
    assert not any("other votes" in note for note in manifest.notes)
    shutil.rmtree(root / "data")
    assert [s.votes for s in read_ferplus(root)] == [s.votes for s in reversed(list(manifest))]


def test_the_folder_of_the_parts_may_be_given(folders):
    inner = read_ferplus(folders / "data")
    assert inner.table["path"][0] == "FER2013Train/fer0000000.png"
    assert inner.votes.tolist() == read_ferplus(folders).votes.tolist()


@pytest.mark.parametrize(
    ("votes", "kept_by_drop", "kept_by_keep"),
    [
        ("4,0,0,0,0,0,0,0,5,1", False, True),  # unknown leads
        ("4,0,0,0,0,0,0,0,1,5", False, True),  # not a face leads
        ("4,1,0,0,0,0,0,0,4,1", True, True),  # an emotion has as many
        ("3,2,0,0,0,0,0,0,2,3", True, True),  # together more, but neither alone
        ("0,0,0,0,0,0,0,0,5,5", False, False),  # no emotion at all
    ],
)
def test_the_choice_about_pictures_without_an_emotion(tmp_path, votes, kept_by_drop, kept_by_keep):
    lists(tmp_path, train=f"{GOOD}\nfer0000001.png,{votes}")
    drop, keep = read_ferplus(tmp_path), read_ferplus(tmp_path, no_emotion="keep")
    assert ("fer0000001" in drop.video_ids, "fer0000001" in keep.video_ids) == (kept_by_drop, kept_by_keep)
    assert any("Left out (no_emotion: drop)" in note for note in drop.notes) != kept_by_drop
    assert any("nobody named an emotion: 1. Left out" in note for note in keep.notes) != kept_by_keep
    if kept_by_keep:
        counts = [int(cell) for cell in votes.split(",")]
        assert keep[1].votes == tuple(counts[:8])
        assert keep[1].extra == {"unknown": counts[8], "not_a_face": counts[9]}


def test_requests_that_cannot_be_met(tmp_path):
    with pytest.raises(RequestError, match="There is no folder"):
        read_ferplus(tmp_path / "none")
    with pytest.raises(RequestError, match=r"neither label\.csv nor fer2013new\.csv"):
        read_ferplus(tmp_path)
    lists(tmp_path, train="fer0000001.png,0,0,0,0,0,0,0,0,9,1")
    with pytest.raises(RequestError, match="nobody named an emotion for any of the 1 pictures"):
        read_ferplus(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("../../x.png,4,0,0,1,3,2,0,0,0,0", r"FER2013Train/label.csv line 2: '../../x.png,4.* is no row"),
        ("fer0000001.png,4,0,0,1,3,2,0,0,0", "data: FER2013Train/label.csv line 2.*is no row"),
        ("fer0000001.png,4,0,0,1,3,2,0,0,-1,0", "data: FER2013Train/label.csv line 2.*is no row"),
        ("fer0000001.png,0,0,0,0,0,0,0,0,0,0", "line 2: all votes on 'fer0000001.png' are zero"),
        (GOOD, "line 2: 'fer0000000.png' is there a second time"),
    ],
)
def test_wrong_rows_of_a_list_are_named(tmp_path, rows, message):
    with pytest.raises(RequestError, match=message):
        read_ferplus(lists(tmp_path, train=f"{GOOD}\n{rows}"))


def test_a_picture_is_in_one_part(tmp_path):
    with pytest.raises(RequestError, match=r"FER2013Valid/label.csv line 1: 'fer0000000.png' is there a second time"):
        read_ferplus(lists(tmp_path, validation=GOOD))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Train,fer0000001.png,0,1,0,0,0,0,0,0,0,0", "the Usage is 'Train'"),
        ("Training,../1.png,0,1,0,0,0,0,0,0,0,0", "the Image name is '../1.png'"),
        ("Training,fer0000001.png,0,x,0,0,0,0,0,0,0,0", "'happiness' is 'x', not a number"),
        ("Training,fer0000001.png,0,0,0,0,0,0,0,0,0,0", "all votes on 'fer0000001.png' are zero"),
        ("Training,fer0000000.png,0,1,0,0,0,0,0,0,0,0", "a second time, with other votes"),
        ("PublicTest,fer0000000.png,9,1,0,0,0,0,0,0,0,0", "a second time, with other votes or another Usage"),
    ],
)
def test_wrong_rows_of_the_table_are_named(tmp_path, row, message):
    (tmp_path / "fer2013new.csv").write_text(f"{HEADER}\nTraining,fer0000000.png,9,1,0,0,0,0,0,0,0,0\n{row}\n")
    with pytest.raises(RequestError, match=rf"row 2 \(line 3\): .*{message}"):
        read_ferplus(tmp_path)


FACE, NO_FACE = "5,0,0,1,1,0,0,0,3,0", "0,0,0,0,0,0,0,0,0,10"


def with_the_name_that_is_there_twice(copy, root, *rows):
    """A made-up copy with the fault of the published file: the name of one picture stands in another row, too."""
    shutil.copytree(copy, root)
    table = root / "fer2013new.csv"
    table.write_text(table.read_text() + "".join(f"PrivateTest,fer0033120.png,{row}\n" for row in rows))
    if (root / "fer2013.csv").exists():
        lines = (root / "fer2013.csv").read_text().splitlines()
        lines += [f"0,{' '.join([str(10 + n)] * 2304)},PrivateTest" for n in range(len(rows))]
        (root / "fer2013.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("rows", [(FACE, NO_FACE), (NO_FACE, FACE), (FACE, FACE, NO_FACE)])
def test_the_known_name_that_is_there_twice_is_that_of_the_picture_with_votes(pixels, tmp_path, rows):
    root = with_the_name_that_is_there_twice(pixels, tmp_path / "copy", *rows)
    manifest = read_ferplus(root)
    assert manifest.video_ids == [*read_ferplus(pixels).video_ids, "fer0033120"]
    assert manifest[-1].votes == (5, 0, 0, 1, 1, 0, 0, 0)
    note = next(note for note in manifest.notes if "fer0033120.png" in note)
    assert f"row {31 + rows.index(NO_FACE)} (line {32 + rows.index(NO_FACE)}): a known fault" in note
    unpack_fer2013(root / "fer2013.csv", root, tmp_path / "out")
    picture = cv2.imread(str(tmp_path / "out/data/FER2013Test/fer0033120.png"), cv2.IMREAD_GRAYSCALE)
    assert (picture == 10 + rows.index(FACE)).all()


def test_the_known_fault_is_told_beside_label_csv_too(folders, tmp_path):
    root = with_the_name_that_is_there_twice(folders, tmp_path / "copy", FACE, NO_FACE)
    manifest = read_ferplus(root)
    assert manifest == read_ferplus(folders)  # whose label.csv does not name the picture
    assert sum("fer0033120.png" in note for note in manifest.notes) == 1


@pytest.mark.parametrize("second", ["0,0,0,0,0,0,0,0,1,9", "4,0,0,1,1,0,0,0,4,0"])
def test_no_other_contradiction_is_passed_over(folders, tmp_path, second):
    root = with_the_name_that_is_there_twice(folders, tmp_path / "copy", FACE, second)
    with pytest.raises(RequestError, match=r"row 32 \(line 33\): 'fer0033120.png' is there a second time"):
        read_ferplus(root)


def test_the_table_needs_its_columns(tmp_path):
    (tmp_path / "fer2013new.csv").write_text("Usage,Image name,neutral\nTraining,fer0000000.png,9\n")
    with pytest.raises(RequestError, match="no column happiness, surprise"):
        read_ferplus(tmp_path)


def test_unpacked_pictures_are_those_of_the_folders(folders, pixels, tmp_path):
    file = find_pixel_file(pixels)
    assert file is not None
    done = unpack_fer2013(file, pixels, tmp_path)
    assert (done.written, done.there_before, done.nameless) == (27, 1, 2)  # one name is there twice
    for path in read_ferplus(pixels).table["path"]:
        ours = cv2.imread(str(tmp_path / path), cv2.IMREAD_UNCHANGED)
        assert ours.shape == (48, 48)
        assert np.array_equal(ours, cv2.imread(str(folders / path), cv2.IMREAD_UNCHANGED))


def test_names_part_from_the_rows_behind_a_row_without_one(pixels, tmp_path):
    """The picture of row 8 is called fer0000007.png: what is called so is not what the README says."""
    assert read_picture_names(pixels / "fer2013new.csv").names[8] == "fer0000007.png"
    unpack_fer2013(pixels / "fer2013.csv", pixels, tmp_path)
    row = (pixels / "fer2013.csv").read_text().splitlines()[1 + 8].split(",")
    picture = cv2.imread(str(tmp_path / "data/FER2013Train/fer0000007.png"), cv2.IMREAD_GRAYSCALE)
    assert picture.ravel().tolist() == [int(value) for value in row[1].split()]


def test_unpacking_goes_on_where_it_stopped(pixels, tmp_path):
    unpack_fer2013(pixels / "fer2013.csv", pixels, tmp_path)
    before = files(tmp_path)
    gone = tmp_path / "data/FER2013Valid/fer0000022.png"
    gone.unlink()
    done = unpack_fer2013(pixels / "fer2013.csv", pixels, tmp_path)
    assert (done.written, done.there_before) == (1, 27)
    assert files(tmp_path) == before
    done = unpack_fer2013(pixels / "fer2013.csv", pixels, tmp_path)
    assert (done.written, done.there_before, done.nameless) == (0, 28, 2)


def damage(pixels, root, change):
    shutil.copytree(pixels, root)
    lines = (root / "fer2013.csv").read_text().splitlines()
    (root / "fer2013.csv").write_text("\n".join(change(lines)) + "\n")
    return root


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], r"has 29 rows, .*fer2013new\.csv has 30\. They are joined row by row"),
        (lambda lines: [*lines, lines[-1]], "has 31 rows"),
        (lambda lines: [lines[0], lines[-1], *lines[1:-1]], r"row 1 \(line 2\) is of the test part, but row 1 of"),
        (lambda lines: ["a,b,c", *lines[1:]], "has the columns 'a, b, c'"),
        (lambda lines: [*lines[:3], lines[3] + ",", *lines[4:]], r"row 3 \(line 4\) has 4 cells"),
        (lambda lines: [*lines[:3], lines[3] + "s", *lines[4:]], r"row 3 \(line 4\) has the Usage 'Trainings'"),
        (lambda lines: [*lines[:3], "0," + "9" * 70_000, *lines[4:]], "a line of more than"),
    ],
)
def test_tables_that_do_not_belong_together_write_nothing(pixels, tmp_path, change, message):
    root = damage(pixels, tmp_path / "copy", change)
    with pytest.raises(RequestError, match=message):
        unpack_fer2013(root / "fer2013.csv", root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_text_is_refused(pixels, tmp_path):
    (tmp_path / "fer2013.csv").write_bytes(b"\xff\xfe\n")
    with pytest.raises(RequestError, match=r"fer2013.csv cannot be read as CSV"):
        unpack_fer2013(tmp_path / "fer2013.csv", pixels, tmp_path / "out")
    with pytest.raises(RequestError, match=r"none.csv cannot be read as CSV"):
        unpack_fer2013(tmp_path / "none.csv", pixels, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", r"row 3 \(line 4\) has 3 pixels, not 2,304"),
        ("256 " * 2304, r"row 3 \(line 4\) holds a pixel that is not a number from 0 to 255"),
        ("x " * 2304, "not a number from 0 to 255"),
    ],
)
def test_wrong_pixels_are_named(pixels, tmp_path, text, message):
    root = damage(pixels, tmp_path / "copy", lambda lines: [*lines[:3], f"0,{text},Training", *lines[4:]])
    with pytest.raises(RequestError, match=message):
        unpack_fer2013(root / "fer2013.csv", root, tmp_path / "out")


def test_the_second_copy_of_the_table_is_known(pixels, tmp_path):
    assert find_pixel_file(tmp_path) is None
    root = damage(
        pixels, tmp_path / "copy", lambda lines: ["emotion, pixels, Usage", *lines[1:], ""]
    )  # as Kaggle has it
    (root / "fer2013.csv").rename(root / "icml_face_data.csv")
    file = find_pixel_file(root)
    assert file is not None
    assert unpack_fer2013(file, root, tmp_path / "out").written == 27
