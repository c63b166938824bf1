"""MAFW: single and compound labels, captions in GB encoding, five sets that must agree; what is refused."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.datasets.published.mafw import PUBLISHED, read_mafw
from midas_dfer.emotions import MAFW
from midas_dfer.errors import RequestError
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.synthetic.layouts import mafw as layout
from midas_dfer.synthetic.layouts.mafw import write_mafw
from tests.support.golden_manifests import assert_golden, plain_frames

KINDS = [("single", False), ("compound", False), ("single", True), ("compound", True)]


def has_note(manifest, *words):
    return any(all(word in note for word in words) for note in manifest.notes)


def write(root, rows, labels="single", captions="no_caption", base="Train & Test Set", **changed):
    """Write five sets of rows (clip, label, set in which it is tested); `changed` replaces lists, as test_2=b"..."."""
    for k in range(1, 6):
        for part in ("train", "test"):
            file = root / base / labels / captions / f"set_{k}" / f"{part}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            chosen = [f"{clip} {label}" for clip, label, tested in rows if (tested == k) == (part == "test")]
            text = changed.get(f"{part}_{k}", "\n".join(chosen) + "\n")
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


ROWS = [(f"{number:05d}.mp4", name, 1 + number % 5) for number, name in enumerate(MAFW, start=25)]
TEST_1 = "".join(f"{clip} {label}\n" for clip, label, tested in ROWS if tested == 1)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("mafw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "draw_frames", plain_frames)
        write_mafw(root, frames=2)
    return root


@pytest.mark.parametrize(("labels", "captions"), KINDS)
def test_made_up_copy_is_the_golden_one(copy, labels, captions):
    name = f"mafw_{labels}_captions" if captions else f"mafw_{labels}"
    assert_golden(read_mafw(copy, labels=labels, captions=captions), name)


@pytest.mark.parametrize(("labels", "captions"), KINDS)
def test_every_clip_is_on_disk_and_in_one_fold(copy, labels, captions):
    manifest = read_mafw(copy, labels=labels, captions=captions)
    assert all((copy / path).is_file() for path in manifest.table["path"])
    assert manifest.fold_numbers == (1, 2, 3, 4, 5)
    folder = copy / "Train & Test Set" / labels / ("with_caption" if captions else "no_caption")
    for k in manifest.fold_numbers:
        parts = manifest.partition(k)
        for part, file in ((parts.train, "train"), (parts.test, "test")):
            lines = (folder / f"set_{k}" / f"{file}.txt").read_bytes().splitlines()
            assert sorted(part.video_ids) == sorted(line[:5].decode() for line in lines)
    assert (MAFW.index("neutral") in manifest.labels) != captions


def test_compound_labels_are_one_vote_for_each_emotion(copy):
    single, compound = read_mafw(copy), read_mafw(copy, labels="compound")
    by_name = {sample.video_id: sample for sample in compound}
    assert by_name["00028"].extra["compound"] == "happy_sad"
    assert by_name["00028"].label is None
    soft = votes_to_soft_labels(compound.votes)
    for row, sample in enumerate(compound):
        named = sample.extra["compound"].split("_")
        expected = [name in named for name in MAFW] / np.float64(len(named))
        assert np.allclose(soft[row], expected)
        assert (sample.votes is None) == (len(named) == 1)
        assert (sample.label is None) == (len(named) > 1)
    both = [sample for sample in single if sample.video_id in by_name]
    assert any(by_name[sample.video_id].label is None for sample in both)  # one emotion here, several there
    assert set(single.video_ids) - set(by_name)
    assert set(by_name) - set(single.video_ids)


def test_captions_are_kept_as_they_were_written(copy, tmp_path):
    manifest = read_mafw(copy, captions=True)
    assert manifest[0].extra["caption_chinese"] == "一个女生眼含着泪水大声训斥着对面的人。眉头紧蹙，嘴角下拉。"
    assert manifest[0].extra["caption_english"] == "A girl shouts: clip 25."
    line = "00025.mp4\tanger  \t<br>眉\u3000头 \t<br>A \xe9cole\r\n".encode("gb18030")
    root = write(tmp_path, [], captions="with_caption", test_1=line + b"00026.mp4\tfear\t\xd2\xbb\xff\tbroken\r\n")
    manifest = read_mafw(root)
    assert has_note(manifest, "lack the neutral clips")
    assert has_note(manifest, "1 captions hold bytes")
    assert manifest[0].extra == {"caption_chinese": "眉\u3000头", "caption_english": "A \xe9cole"}
    assert manifest[1].extra["caption_chinese"].startswith("一\ufffd")
    with pytest.raises(RequestError, match="no Train & Test Set/compound/no_caption/set_1"):
        read_mafw(root, labels="compound")


def test_untidy_lists_are_read(tmp_path):
    text = "\ufeff" + TEST_1.replace("\n", "  \r\n\r\n") + TEST_1.splitlines()[0].replace(" ", "\t")
    root = write(tmp_path, ROWS, test_1=text, base="split")
    manifest = read_mafw(root)
    assert manifest == read_mafw(write(tmp_path / "tidy", ROWS))
    assert has_note(manifest, "1 rows were there a second time")
    assert manifest.table["label"].to_list() == list(MAFW)
    assert manifest.table["path"][0] == "data/clips/00025.mp4"


def test_clips_that_some_lists_lack_are_counted(tmp_path):
    lost = TEST_1.splitlines()[0] + "\n"
    manifest = read_mafw(write(tmp_path, ROWS, test_1=TEST_1.removeprefix(lost)))
    assert has_note(manifest, "1 clips are tested in no set")
    assert manifest.table["fold"].null_count() == 1
    manifest = read_mafw(write(tmp_path / "b", ROWS, train_2=TEST_1))
    assert has_note(manifest, "clips are missing in the training lists")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEST_1 + "00099.mp4 bored\n", "set_1/test.txt line 4: 'bored' is not a class"),
        (TEST_1 + "00099.mp4 anger_disgust\n", "line 4: 'anger_disgust' names several classes"),
        (TEST_1 + "\n00099.mp4 3\n", "line 5: the class is the number 3. Three orders"),
        (TEST_1 + "00099.mp4\n", "line 4: '00099.mp4' is no row"),
        (TEST_1 + "00099.mp4 anger 5\n", "line 4: .*more than a clip and a class"),
        (TEST_1 + "../00099.mp4 anger\n", "line 4: the clip is called '../00099.mp4'"),
        (TEST_1 + "/etc/passwd anger\n", "line 4: the clip is called"),
        (TEST_1 + ".. anger\n", "line 4: the clip is called"),
        ("00026.mp4 disgust\n" + TEST_1, "set_2/test.txt line 1: '00026.mp4' is tested, and in set_1/test.txt line 1|"
         "set_1/test.txt line 1: .* is for testing, but set_1/train.txt"),
        ("00030.mp4 fear\n", "set_2/train.txt line .*: '00030.mp4' is sad, but fear in set_1/test.txt line 1"),
        (TEST_1.encode("utf-16"), "test.txt is not a text file: line 1 holds a zero byte"),
    ],
)  # fmt: skip
def test_wrong_lists_are_refused_with_file_and_line(tmp_path, text, message):
    with pytest.raises(RequestError, match=message) as caught:
        read_mafw(write(tmp_path, ROWS, test_1=text))
    assert "\n" not in str(caught.value)


def test_a_clip_in_both_parts_or_in_two_tests_is_refused(tmp_path):
    train = "".join(f"{clip} {label}\n" for clip, label, tested in ROWS if tested != 1)
    leak = TEST_1.splitlines()[1]
    with pytest.raises(
        RequestError, match=rf"test\.txt line 2: '{leak[:9]}' is for testing, but set_1/train\.txt line 1"
    ):
        read_mafw(write(tmp_path, ROWS, train_1=f"{leak}\n{train}"))
    test_2 = "".join(f"{clip} {label}\n" for clip, label, tested in ROWS if tested == 2)
    rest = "".join(f"{clip} {label}\n" for clip, label, tested in ROWS if tested != 2 and f"{clip} {label}" != leak)
    with pytest.raises(
        RequestError, match=r"set_2/test\.txt line 1: .* is tested, and in set_1/test\.txt line 2 as well"
    ):
        read_mafw(write(tmp_path, ROWS, train_2=rest, test_2=f"{leak}\n{test_2}"))


def test_compound_labels_that_make_no_sense_are_refused(tmp_path):
    for label, message in (("anger_angry", "names a class twice"), ("anger_bored", "'bored' is not"), ("_", "number")):
        root = write(tmp_path / label, [], labels="compound", test_1=f"00025.mp4 {label}\n")
        with pytest.raises(RequestError, match=rf"test\.txt line 1: .*{message}"):
            read_mafw(root, labels="compound")


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(RequestError, match="no folder"):
        read_mafw(tmp_path / "nowhere")
    with pytest.raises(RequestError, match="does not look like MAFW"):
        read_mafw(tmp_path)
    with pytest.raises(RequestError, match="are empty"):
        read_mafw(write(tmp_path, []))
    (tmp_path / "Train & Test Set" / "single" / "no_caption" / "set_4" / "test.txt").unlink()
    with pytest.raises(RequestError, match=r"There is no file .*set_4.*test\.txt"):
        read_mafw(tmp_path)


def test_where_the_clips_are_is_told_by_what_is_there(tmp_path):
    write(tmp_path / "download", ROWS)
    (tmp_path / "faces").mkdir()
    manifest = read_mafw(tmp_path)
    assert manifest.table["path"][0] == "faces/00025"
    assert has_note(manifest, "pictures in faces", "--faces detect")
    (tmp_path / "clips").mkdir()
    manifest = read_mafw(tmp_path)
    assert manifest.table["path"][0] == "clips/00025.mp4"
    assert has_note(manifest, "taken from clips; faces are there as well")
    assert read_mafw(tmp_path, layout="frames").table["path"][0] == "data/frames/00025"


@pytest.mark.parametrize(("labels", "captions"), KINDS)
def test_lists_of_the_published_size_take_about_a_second(tmp_path, labels, captions):
    total, tested = PUBLISHED[labels, captions]
    assert total == sum(tested)
    names = [name for name in MAFW if name != "neutral"]
    sets = np.repeat(np.arange(1, 6), tested)
    rows = [(f"{k:05d}.mp4", names[k % 10], int(fold)) for k, fold in enumerate(sets)]
    root = write(tmp_path, rows, labels=labels, captions="with_caption" if captions else "no_caption")
    start = time.perf_counter()
    manifest = read_mafw(root, labels=labels, captions=captions)
    assert time.perf_counter() - start < 8  # 0.3 s alone on one core
    assert not has_note(manifest, "published")


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=6)), min_size=1, max_size=4),
    st.sampled_from(KINDS),
)
def test_mutated_lists_are_read_or_refused(tmp_path_factory, changes, kind):
    root = tmp_path_factory.getbasetemp() / "mafw_mutated"
    if not root.exists():
        write_mafw(root, drawn=False)
    labels, captions = kind
    file = root / "Train & Test Set" / labels / ("with_caption" if captions else "no_caption") / "set_3" / "test.txt"
    before = file.read_bytes()
    data = bytearray(before)
    for place, junk in changes:
        at = place % len(data)
        data[at : at + len(junk)] = junk
    file.write_bytes(bytes(data))
    try:
        manifest = read_mafw(root, labels=labels, captions=captions)
    except RequestError as error:
        refusal = str(error)
    else:
        refusal = "set_3/test.txt line 1"
        assert isinstance(manifest, Manifest)
        assert not any(".." in path.split("/") for path in manifest.table["path"])
    finally:
        file.write_bytes(before)
    assert re.search(r"test\.txt.* line \d|set_\d/\w+\.txt line", refusal)
