"""FERV39k: lists as published and as copies, what is refused, what is noted; mutated lists."""

import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.clips.checking.annotations import check_annotations
from midas_dfer.datasets.published.ferv39k import PUBLISHED, SCENES, read_ferv39k
from midas_dfer.emotions import FERV39K
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.synthetic.layouts import ferv39k as layout
from midas_dfer.synthetic.layouts.ferv39k import write_ferv39k
from tests.support.golden_manifests import assert_golden, plain_frames

GOOD = "Action/Sad/0010 Sad\n"


def write(root, train=GOOD, test="Crime/Happy/0001 Happy\n", setup="All_scenes", names=("train_All", "test_All")):
    folder = root / "4_setups" / setup
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(names, (train, test), strict=True):
        data = text if isinstance(text, bytes) else text.encode()
        (folder / f"{name}.csv").write_bytes(data)
    return root


def has_note(manifest, *words):
    return any(all(word in note for word in words) for note in manifest.notes)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("ferv39k")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "draw_frames", plain_frames)
        write_ferv39k(root)
    return root


def test_made_up_copy_is_the_golden_one(copy):
    assert_golden(read_ferv39k(copy), "ferv39k")


def test_every_clip_of_the_made_up_copy_is_on_disk(copy):
    manifest = read_ferv39k(copy)
    counts = [len(list((copy / path).glob("*.jpg"))) for path in manifest.table["path"]]
    assert sorted(set(counts)) == [3, 4]
    parts = manifest.partition()
    for part in (parts.train, parts.test):
        assert set(part.labels.tolist()) == set(range(7))


@pytest.mark.parametrize(("form", "order"), [("path_id", "alphabetical"), ("frame_list", "of DFEW")])
def test_the_names_decide_in_copies_with_numbers(copy, tmp_path, form, order):
    write_ferv39k(tmp_path, form=form, pictures=False)
    manifest = read_ferv39k(tmp_path)
    assert manifest == read_ferv39k(copy)
    assert has_note(manifest, "train_All.csv", order, "from 0", "the names in the paths decide")
    assert has_note(manifest, "/home/someone") == (form == "frame_list")


def test_orders_of_numbers_are_told_apart_per_file_also_from_one(tmp_path):
    rows = [(f"Action/{name.title()}/{k:04d}", name) for k in range(3) for name in FERV39K]
    train = "".join(f"{path} {FERV39K.index(name) + 1}\n" for path, name in rows)
    own = "".join(f"{path.replace('Action', 'War')},{10 * FERV39K.index(name)}\n" for path, name in rows)
    manifest = read_ferv39k(write(tmp_path, train, own))
    assert has_note(manifest, "train_All.csv", "DFEW", "from 1")
    assert has_note(manifest, "test_All.csv", "order of its own")


def test_two_classes_do_not_tell_the_order(tmp_path):
    assert FERV39K.index("fear") != sorted(FERV39K.names).index("fear")
    manifest = read_ferv39k(write(tmp_path, "Action/Surprise/0001 5\n"))  # DFEW from 1; alphabetical has 6, 7
    assert has_note(manifest, "DFEW", "from 1")
    rows = "Action/Neutral/0001,3\nAction/Happy/0002,3\n"  # the numbers of two classes are the same
    with pytest.raises(RequestError, match=r"All_scenes/train_All\.csv line [12].*'Action/.*number 3"):
        read_ferv39k(write(tmp_path, rows))


def test_untidy_files_are_read(tmp_path):
    train = "\ufeff\r\nAction/Sad/0010 Sad  \r\n\r\n  Action\\Happy\\0001\tHappiness\r\nAction/Sad/0010 Sad\r\n"
    manifest = read_ferv39k(write(tmp_path, train))
    assert manifest.video_ids == ["Action/Happy/0001", "Action/Sad/0010", "Crime/Happy/0001"]
    assert manifest.table["label"].to_list() == ["happy", "sad", "happy"]
    assert manifest.table["scene"].to_list() == ["Action", "Action", "Crime"]
    assert has_note(manifest, "1 rows were there a second time")
    assert has_note(manifest, "train", "2 clips", "31,088")
    assert manifest.table["path"][0] == "2_ClipsforFaceCrop/Action/Happy/0001"


def test_old_mac_line_ends_and_chinese_folders(tmp_path):
    train = "数据/Action/Sad/0010 Sad\r数据/Action/Fear/0011 Fear\r".encode("gb18030")
    manifest = read_ferv39k(write(tmp_path, train))
    assert len(manifest) == 3
    assert has_note(manifest, "数据/")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("Action/Sad/0010 Happy\n", "line 1: the path 'Action/Sad/0010' says sad, the row says Happy"),
        (GOOD + "\nAction/Bored/0011 Bored\n", "line 3: .*'Bored', which is not known"),
        (GOOD + "Action/Sad/0011 Bored\n", "line 2: 'Bored' is not a class"),
        (GOOD + "Action/Sad/0011\n", "line 2: 'Action/Sad/0011' is no row"),
        ("Sad/0011 Sad\n", "line 1: the path 'Sad/0011' is not scene/emotion/clip"),
        ("../Sad/0011 Sad\n", "line 1: .*leads out"),
        ("a/../Action/Sad/0011 Sad\n", "line 1: .*leads out"),
        ("Action/Sad/.. Sad\n", "line 1: .*leads out"),
        (r"Action\Sad\..\x Sad" + "\n", "line 1: .*leads out"),
        ("./Sad/0011 Sad\n", "line 1: .*not scene/emotion/clip"),
        ("Action/Sad/00\x0711 Sad\n", "line 1: .*damaged"),
        (b"Action/Sad/00\xff11 Sad\n", "line 1: .*damaged"),
        ("Crime/Happy/0001 Happy\n", "train_All.csv line 1: 'Crime/Happy/0001' is for training, but .*test_All"),
        ("Action/Sad/0010 Sad".encode("utf-16"), "line 1 holds a zero byte"),
        ("a,0\nAction/Sad/0010,1\nAction/Sad/0011,1\nAction/Sad/0012,2\n", "line 1: the path 'a' is not"),
        ("Action/Sad/0010,1\nAction/Sad/0011,1\nAction/Sad/0012,2\n", "line 3: .*number 2, which is 1 in most rows"),
    ],
)
def test_wrong_lists_are_refused_with_file_and_line(tmp_path, train, message):
    with pytest.raises(RequestError, match=message) as caught:
        read_ferv39k(write(tmp_path, train))
    assert "_All.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(RequestError, match="no folder"):
        read_ferv39k(tmp_path / "nowhere")
    with pytest.raises(RequestError, match="does not look like FERV39k"):
        read_ferv39k(tmp_path)
    with pytest.raises(RequestError, match="is empty"):
        read_ferv39k(write(tmp_path, "", ""))
    with pytest.raises(RequestError, match="training or testing"):
        read_ferv39k(tmp_path, lists=[tmp_path / "clips.csv"])
    with pytest.raises(RequestError, match="There is no file"):
        read_ferv39k(tmp_path, lists=[tmp_path / "train.csv"])


def test_lists_of_scenes_wrapped_folders_and_own_files(tmp_path):
    wrapped = tmp_path / "drive-download"
    write(wrapped, names=("train_Action", "test_Crime"), setup="22_scenes")
    clips = tmp_path / "2_ClipsforFaceCrop-002" / "2_ClipsforFaceCrop"
    (clips / "Action").mkdir(parents=True)
    manifest = read_ferv39k(tmp_path)
    assert len(manifest) == 2
    assert manifest.table["path"][0] == "2_ClipsforFaceCrop-002/2_ClipsforFaceCrop/Action/Sad/0010"
    own = tmp_path / "FERV39K_train.txt"
    own.write_text("Talk/Fear/0002 66 6\n")
    manifest = read_ferv39k(tmp_path, lists=[own])
    assert manifest.video_ids == ["Talk/Fear/0002"]
    assert has_note(manifest, "none of the 22", "Talk")


def test_a_list_of_the_published_size_takes_about_a_second(tmp_path):
    rng = np.random.default_rng(0)
    names = [name.title() for name in FERV39K]
    rows = [
        f"{SCENES[s]}/{names[e]}/{k:05d} {names[e]}\n"
        for k, (s, e) in enumerate(zip(rng.integers(22, size=38_935), rng.integers(7, size=38_935), strict=True))
    ]
    root = write(tmp_path, "".join(rows[: PUBLISHED["train"]]), "".join(rows[PUBLISHED["train"] :]))
    start = time.perf_counter()
    manifest = read_ferv39k(root)
    assert time.perf_counter() - start < 5  # 0.2 s alone on one core
    assert manifest.table["split"].value_counts().sort("count")["count"].to_list() == [7_847, 31_088]
    assert manifest.notes == ()


CLIPS = "".join(f"Action/{name}/000{k} {name}\n" for name in ("Sad", "Happy") for k in range(1, 4))
WIDE = "path,happy,sad,neutral\n"


def with_votes(root, text, name="votes.csv"):
    (root / name).write_text(text)
    return read_ferv39k(write(root, CLIPS), votes_file=root / name)


def test_votes_are_joined_by_path_and_the_rest_keeps_its_label(tmp_path):
    manifest = with_votes(tmp_path, WIDE + "Action/Sad/0001,1,8,1\nAction/Happy/0002,2,5,3\nWar/Sad/0009,1,0,0\n")
    votes = dict(zip(manifest.video_ids, manifest.table["votes"].to_list(), strict=True))
    assert votes == {
        **dict.fromkeys(manifest.video_ids),
        "Action/Sad/0001": [1, 8, 1, 0, 0, 0, 0],
        "Action/Happy/0002": [2, 5, 3, 0, 0, 0, 0],
    }
    assert manifest.table["label"].to_list() == ["happy"] * 3 + ["sad"] * 3 + ["happy"]
    assert manifest.table["votes_from"].drop_nulls().to_list() == ["votes.csv"] * 2
    assert has_note(manifest, "2 clips of 7 have votes from votes.csv", "has the most votes on 1.", "stay as published")
    assert has_note(manifest, "Without votes there", "Action/Happy/0001, Action/Happy/0003, Action/Sad/0002 and 2 more")
    assert has_note(manifest, "Votes on 1 clip that are not in the lists are left out: War/Sad/0009")
    found = {each.kind: each for each in check_annotations(manifest)}
    assert found["label_against_votes"].severity == "note"


def test_nearly_matching_paths_are_joined_or_explained(tmp_path):
    rows = (
        r"D:x\2_ClipsforFaceCrop\Action\Sad\0001.mp4,0,9,1",
        "2_ClipsforFaceCrop/Action/Sad/0002,0,9,1",
        "action/SAD/0003,0,9,1",
        "Action/Happy/1,9,0,1",
    )
    manifest = with_votes(tmp_path, WIDE + "\n".join(rows).replace("D:x\\", "") + "\n")
    assert manifest.table.drop_nulls("votes")["video_id"].to_list() == [f"Action/Sad/000{k}" for k in (1, 2, 3)]
    assert has_note(manifest, "Folders before the scene", "2_ClipsforFaceCrop/Action/Sad/0002 = Action/Sad/0002")
    assert has_note(manifest, "capitals", "action/SAD/0003 = Action/Sad/0003")
    assert has_note(manifest, "not in the lists", "Action/Happy/1 (is it Action/Happy/0001?)")


def test_single_votes_bring_their_annotators(tmp_path):
    rows = [("ann", "sad"), ("ben", "sad"), ("cat", "neutral")]
    text = "clip,annotator,emotion\n" + "".join(f"Action/Sad/0001,{who},{what}\n" for who, what in rows)
    manifest = with_votes(tmp_path, text)
    row = manifest.table.row(by_predicate=pl.col("video_id") == "Action/Sad/0001", named=True)
    assert row["votes"] == [0, 2, 1, 0, 0, 0, 0]
    assert (row["annotators"], row["annotator_votes"]) == (["ann", "ben", "cat"], ["sad", "sad", "neutral"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            WIDE + "Sad/1,1,2,3\n",
            r"votes on 1 clip, none of which is in the lists: Sad/1; the lists have Action/Happy/0001",
        ),
        (WIDE + "Action/Sad/0001,1,2,3\nx/Action/Sad/0001,1,2,3\n", "names the same clip twice: Action/Sad/0001"),
        ("path,happy,contempt\nAction/Sad/0001,1,2\n", "votes for contempt, which is no class of FERV39k"),
        (WIDE + "Action/Sad/0001,1,-2,3\n", "'sad' is '-2', a negative number"),
    ],
)
def test_wrong_tables_of_votes_are_refused(tmp_path, text, message):
    with pytest.raises(RequestError, match=message):
        with_votes(tmp_path, text)
    with pytest.raises(RequestError, match="There is no file"):
        read_ferv39k(tmp_path, votes_file=tmp_path / "none.csv")


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=0, max_size=6)), min_size=1, max_size=4),
    st.sampled_from(["published", "path_id", "frame_list"]),
)
def test_mutated_lists_are_read_or_refused(tmp_path_factory, changes, form):
    root = tmp_path_factory.getbasetemp() / f"ferv39k_{form}"
    if not root.exists():
        write_ferv39k(root, form=form, pictures=False)
    data = bytearray((root / "4_setups" / "All_scenes" / "train_All.csv").read_bytes())
    for place, junk in changes:
        at = place % len(data)
        data[at : at + len(junk)] = junk
    mutated = root / "train_mutated.csv"
    mutated.write_bytes(bytes(data))
    try:
        manifest = read_ferv39k(root, lists=[mutated])
    except RequestError as error:
        refusal = str(error)
    else:
        refusal = "train_mutated.csv"
        assert isinstance(manifest, Manifest)
        assert not any(".." in path.split("/") for path in manifest.table["path"])
    assert "train_mutated.csv" in refusal
