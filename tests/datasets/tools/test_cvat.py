import json
import zipfile

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.datasets.tools import cvat_archive
from midas_dfer.datasets.tools.cvat import read_cvat
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from tests.support.golden_manifests import assert_golden, plain_frames
from tests.support.layouts import cvat as layout
from tests.support.layouts.cvat import EXPORTS, MEDIA, write_cvat

LABELS = ("happy", "Sadness", "face", "unclear")


def tag(label, **attributes):
    return {"id": 0, "type": "label", "attributes": attributes, "group": 0, "label_id": label}


def box(label, **attributes):
    return {"id": 0, "type": "bbox", "attributes": attributes, "group": 0, "label_id": label, "bbox": [0, 0, 1, 1]}


def item(path, *annotations):
    return {"id": path.rpartition(".")[0] or path, "annotations": list(annotations), "image": {"path": path}}


def frame(number, *annotations):
    return item(f"frame_{number:06d}.PNG", *annotations) | {"attr": {"frame": number}}


def export(items, labels=LABELS):
    named = [{"name": label, "parent": "", "attributes": []} for label in labels]
    return {"info": {}, "categories": {"label": {"labels": named, "attributes": []}}, "items": items}


def write(root, path, items, labels=LABELS):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    content = items if isinstance(items, str | dict) else export(items, labels)
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def votes_of(manifest):
    return {s.path: dict(zip(manifest.class_names, s.votes, strict=True)) for s in manifest}


def with_lists_as_text(manifest):
    table = manifest.table.with_columns(pl.col("annotators", "annotator_votes").list.join(" "))
    return Manifest(manifest.class_names, table, manifest.name, manifest.notes)


@pytest.mark.parametrize("media", ["pictures", "videos"])
def test_golden_manifest(tmp_path, media):
    write_cvat(tmp_path, media=media, drawn=False)
    manifest = read_cvat(tmp_path / EXPORTS, ignore=["unclear"])
    assert_golden(with_lists_as_text(manifest), f"cvat_{media}", rows=10)


@pytest.mark.parametrize("media", ["pictures", "videos"])
def test_the_clips_of_the_made_up_project_are_where_the_manifest_says(tmp_path, monkeypatch, media):
    monkeypatch.setattr(layout, "draw_frames", plain_frames)
    write_cvat(tmp_path, clips=6, frames=3, media=media)
    manifest = read_cvat(tmp_path / EXPORTS, ignore=["unclear"])
    assert len(manifest) == 5
    suffix = ".mp4" if media == "videos" else ""
    assert all((tmp_path / MEDIA / (s.path + suffix)).is_file() for s in manifest)


def pack(root, path, **members):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, items in members.items():
            content = items if isinstance(items, str) else json.dumps(export(items))
            archive.writestr(f"annotations/{name}.json", content)
        archive.writestr("images/default/a.jpg", "a picture")
    return file


def test_archives_of_datumaro_are_read_as_cvat_made_them(tmp_path):
    """As the folder would be: the place names annotator and video, the subset is the part."""
    made = "task_one_annotations_2026_01_05_10_00_00_datumaro 1.0.zip"
    pack(tmp_path / "pictures", f"anna/{made}", train=[item("a.jpg", tag(0))], test=[item("b.jpg", tag(1))])
    pack(tmp_path / "pictures", "ben.zip", default=[item("a.jpg", tag(1))])
    manifest = read_cvat(tmp_path / "pictures")
    assert votes_of(manifest) == {"a.jpg": {"happy": 1, "sad": 1}, "b.jpg": {"happy": 0, "sad": 1}}
    assert [(s.path, s.split) for s in manifest] == [("b.jpg", "test"), ("a.jpg", "train")]
    assert manifest.table["annotators"].to_list() == [["anna"], ["anna", "ben"]]
    pack(tmp_path / "videos", "anna/clip.zip", default=[frame(0, tag(0))])
    pack(tmp_path / "videos", f"ben/clip/{made}", default=[frame(0, tag(0))])
    assert votes_of(read_cvat(tmp_path / "videos")) == {"clip": {"happy": 2, "sad": 0}}


def test_wrong_archives_of_datumaro_are_refused(tmp_path, monkeypatch):
    pack(tmp_path, "a.zip", default="[")
    with pytest.raises(RequestError, match=r"a\.zip/annotations/default\.json begins with"):
        read_cvat(tmp_path)
    pack(tmp_path, "a.zip", default=[item("../../a.jpg", tag(0))])
    with pytest.raises(RequestError, match=r"a\.zip, annotations/default\.json, item 1 .*\.\./\.\./a"):
        read_cvat(tmp_path)
    pack(tmp_path, "a.zip", train=[item("a.jpg", tag(0))], test=" " * 2**21)
    monkeypatch.setattr(cvat_archive, "MOST_BYTES", 2**20)
    with pytest.raises(RequestError, match=r"holds more than .* of JSON"):
        read_cvat(tmp_path)


def test_annotators_are_known_by_file_or_folder_and_labels_by_name(tmp_path):
    write(tmp_path, "anna.json", [item("a.jpg", tag(0)), item("b.jpg", tag(1))])
    write(tmp_path, "ben/annotations/default.json", [item("a.jpg", tag(1)), item("b.jpg", tag(0))], LABELS[1::-1])
    write(tmp_path, "chloe/first.json", [item("a.jpg", tag(0))])
    write(tmp_path, "chloe/second/annotations/default.json", [item("b.jpg", tag(0))])
    write(tmp_path, ".hidden.json", "[")
    manifest = read_cvat(tmp_path)
    assert votes_of(manifest) == {"a.jpg": {"happy": 3, "sad": 0}, "b.jpg": {"happy": 1, "sad": 2}}
    assert manifest.table["annotators"].to_list() == [["anna", "ben", "chloe"]] * 2
    assert manifest.table["annotator_votes"].to_list() == [["happy"] * 3, ["sad", "sad", "happy"]]
    assert (manifest.name, manifest.notes) == (tmp_path.name, ())


def test_an_attribute_names_the_annotator(tmp_path):
    tags = [tag(0, annotator="anna"), tag(0, annotator="ben"), tag(1, annotator=3.0), tag(1, annotator=" ")]
    file = write(tmp_path, "all.json", [item("a.jpg", *tags)])
    manifest = read_cvat(file)
    assert votes_of(manifest) == {"a.jpg": {"happy": 2, "sad": 2}}
    assert manifest.table["annotators"].to_list() == [["anna", "ben", "3", "all"]]
    assert read_cvat(file, annotator_attribute="who").table["annotators"].to_list() == [["all", "all"]]


def test_where_nothing_names_the_annotator(tmp_path):
    write(tmp_path, "annotations/default.json", [item("a.jpg", tag(0)), item("b.jpg", tag(1))])
    for path in (tmp_path, tmp_path / "annotations" / "default.json"):
        manifest = read_cvat(path)
        assert manifest.table["annotators"].to_list() == [[None], [None]]
        assert manifest.notes == ("It is not known who tagged 2 clips.",)


def test_shapes_empty_items_and_labels_that_are_no_votes(tmp_path):
    items = [item("a.jpg", tag(0), box(2)), item("b.jpg", box(2)), item("c.jpg", tag(3)), item("d.jpg", tag(1))]
    file = write(tmp_path, "anna.json", items)
    manifest = read_cvat(file, ignore=["Unclear"])
    assert votes_of(manifest) == {"a.jpg": {"happy": 1, "sad": 0}, "d.jpg": {"happy": 0, "sad": 1}}
    assert manifest.notes == (
        "Passed over because they are no tags: 2 shapes.",
        "Passed over because the label is no vote: 1 tag.",
        "Left out because nobody tagged them: 2 clips.",
    )
    with pytest.raises(RequestError, match=r"'unclear' is no emotion.*--ignore \"\[unclear\]\""):
        read_cvat(file)
    with pytest.raises(RequestError, match="holds votes for 'unclear', not among the classes sad, happy"):
        read_cvat(file, class_names=["sad", "happy"])


def test_labels_nobody_used_are_classes_if_they_are_emotions(tmp_path):
    file = write(tmp_path, "anna.json", [item("a.jpg", tag(0))])
    assert read_cvat(file).class_names == ("happy", "sad")


def test_the_class_from_an_attribute(tmp_path):
    items = [item("a.jpg", box(2, emotion="Fear"), tag(0)), item("b.jpg", tag(2, emotion="happy"), box(2, emotion=" "))]
    manifest = read_cvat(write(tmp_path, "anna.json", items), attribute="emotion")
    assert votes_of(manifest) == {"a.jpg": {"fear": 1, "happy": 0}, "b.jpg": {"fear": 0, "happy": 1}}


def test_several_tags_of_one_annotator(tmp_path):
    file = write(tmp_path, "anna.json", [item("a.jpg", tag(0), tag(1), tag(1)), item("b.jpg", tag(1), tag(1))])
    manifest = read_cvat(file)
    assert votes_of(manifest) == {"a.jpg": {"happy": 1, "sad": 1}, "b.jpg": {"happy": 0, "sad": 1}}
    assert manifest.notes == ("An annotator tagged one picture with several classes 1 time: a vote for each.",)
    assert list(votes_of(read_cvat(file, several="leave_out"))) == ["b.jpg"]


def test_frames_of_a_video_make_one_vote(tmp_path):
    write(tmp_path, "anna/one.mp4.json", [frame(0, tag(0)), frame(1, tag(1)), frame(2, tag(0), tag(0)), frame(3)])
    write(tmp_path, "ben/one.mp4/annotations/default.json", [frame(0, tag(0)), frame(1, tag(1))])
    write(tmp_path, "ben/two.mp4.json", [frame(0, tag(1)), frame(1, tag(1), tag(0))])
    manifest = read_cvat(tmp_path)
    assert votes_of(manifest) == {"one.mp4": {"happy": 1, "sad": 0}, "two.mp4": {"happy": 0, "sad": 1}}
    assert manifest.table["annotators"].to_list() == [["anna"], ["ben"]]
    assert manifest.notes == (
        "No vote on a video because two classes are on equally many of its frames: 1 annotator in all.",
    )


def test_a_video_in_two_jobs_is_counted_over_both(tmp_path):
    write(tmp_path, "anna/part 1/one.json", [frame(0, tag(1)), frame(1, tag(0))])
    write(tmp_path, "anna/part 2/one.json", [frame(2, tag(0)), frame(3, tag(0)), frame(4, tag(1))])
    assert votes_of(read_cvat(tmp_path)) == {"one": {"happy": 1, "sad": 0}}


def test_videos_without_annotators(tmp_path):
    write(tmp_path, "one.json", [frame(0, tag(1))])
    write(tmp_path, "two/annotations/default.json", [frame(0, tag(0))])
    manifest = read_cvat(tmp_path)
    assert manifest.video_ids == ["one", "two"]
    assert manifest.table["annotators"].to_list() == [[None], [None]]


def test_frames_that_name_their_video(tmp_path):
    frames = [
        {"id": f"x{n}", "annotations": [tag(label)], "video_frame": {"video_path": "one.mp4", "frame_index": n}}
        for n, label in enumerate((0, 1, 1))
    ]
    assert votes_of(read_cvat(write(tmp_path, "anna.json", frames))) == {"one.mp4": {"happy": 0, "sad": 1}}


def test_subsets_are_parts(tmp_path):
    write(tmp_path, "anna/annotations/train.json", [item("a.jpg", tag(0))])
    write(tmp_path, "anna/annotations/Validation.json", [item("b.jpg", tag(1))])
    write(tmp_path, "anna/annotations/rest.json", [item("c.jpg", tag(1))])
    write(tmp_path, "ben/test.json", [item("d.jpg", tag(1))])
    parts = {s.path: s.split for s in read_cvat(tmp_path)}
    assert parts == {"a.jpg": "train", "b.jpg": "validation", "c.jpg": None, "d.jpg": "test"}
    write(tmp_path, "ben/annotations/train.json", [item("e.jpg", tag(1)), item("d.jpg", tag(1))])
    with pytest.raises(RequestError, match=r"ben/test.json, item 1 \('d'\): 'd.jpg' is in the part test here"):
        read_cvat(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("[]", r"begins with '\[\]', not with an object that holds 'items'"),
        ("{}", "has no list called 'items', only nothing"),
        ('{"a": 1, "items": 3}', "has no list called 'items', only 'a', 'items'"),
        ('{"items": [{"id"', "ends within item 1: it is not whole"),
        ('{"items": [{"id": "a"}], "x": 1', "ends within the object behind 'x': it is not whole"),
        ('{"items": [{"id": 1, "id": 2}]}', "item 1 has the name 'id' twice in one object"),
        ('{"items": [], "items": []}', "it has the name 'items' twice"),
        ('{"items": [{"id": NaN}]}', "item 1 holds NaN"),
        ('{"items": [' + '{"a":' * 100_000, "is nested too deeply: item 1"),
        ('{"a": ' + "[" * 100_000, "is nested too deeply: 'a'"),
        ('{"items": [] x', r"is not JSON: the object behind 'items' \(line 1\) goes on with 'x'"),
        ('{"items": []} {}', "goes on behind its end"),
        ('{"items": []}', "has no list of labels under categories"),
        ('{"items": [], "categories": {"label": {"labels": [{}]}}}', "label 0 under categories has no name"),
        (export([]), "holds no votes"),
        (export([3]), r"item 1 \(''\): it is not an object with an id"),
        (export([item("a.jpg"), {"id": 3, "annotations": []}]), "item 2 .*: it is not an object with an id"),
        (export([{"id": "a"}]), r"item 1 \('a'\): it is not an object with an id"),
        (export([item("a.jpg", 3)]), "one of its annotations is not an object with attributes"),
        (export([item("a.jpg", tag(0) | {"attributes": []})]), "one of its annotations is not an object"),
        (export([item("a.jpg", tag("0"))]), "the label_id of a tag is not a whole number"),
        (export([item("a.jpg", tag(True))]), "the label_id of a tag is not a whole number"),
        (export([item("a.jpg", tag(0)), item("b.jpg", tag(9))]), r"item 2 \('b'\): a tag has the label_id 9, .* 4 lab"),
        (export([item("a.jpg", tag(-1))]), "a tag has the label_id -1"),
        (export([item("../a.jpg", tag(0))]), r"item 1 \('../a'\): the path '../a.jpg' leads out of its folder"),
        (export([item("a/../../b.jpg", tag(0))]), "leads out of its folder"),
        (export([item("x\x00.jpg", tag(0))]), "holds a control character"),
        (export([item("a.jpg", tag(2))], ("a", "b", "face")), r"votes for 'face' .anna/default.json, item 1 "),
        (export([item("a.jpg", tag(2))], ("a", "b", "fear")), "holds votes for 'fear' only"),
    ],
)
def test_wrong_exports_are_refused_by_item(tmp_path, content, message):
    write(tmp_path, "anna/default.json", content)
    with pytest.raises(RequestError, match=message) as refusal:
        read_cvat(tmp_path)
    assert "default.json" in str(refusal.value) or "holds" in message


def test_places_without_exports_are_refused(tmp_path):
    with pytest.raises(RequestError, match="There is no file"):
        read_cvat(tmp_path / "none")
    with pytest.raises(RequestError, match=r"There is no \.json, \.xml or \.zip file in"):
        read_cvat(tmp_path)


TAGS = st.lists(st.integers(0, 1), max_size=2)


@settings(max_examples=40)
@given(said=st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), st.lists(TAGS, min_size=1)))
def test_votes_on_videos_are_those_of_a_plain_count(tmp_path_factory, said):
    root = tmp_path_factory.mktemp("exports")
    expected = {}
    for (person, video), frames in sorted(said.items()):
        write(root, f"{person}/{video}.json", [frame(n, *map(tag, tags)) for n, tags in enumerate(frames)])
        on = [sum(label in tags for tags in frames) for label in (0, 1)]
        if on[0] != on[1]:
            expected.setdefault(video, {"happy": 0, "sad": 0})["happy" if on[0] > on[1] else "sad"] += 1
    try:
        manifest = read_cvat(root)
    except RequestError as refusal:
        assert not expected and "no" in str(refusal)  # noqa: PT017, PT018
        return
    assert votes_of(manifest) == expected


@settings(max_examples=30)
@given(data=st.data())
def test_damaged_exports_are_read_or_refused(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("damaged")
    sound = json.dumps(export([item("a.jpg", tag(0, annotator="x")), item("b.jpg", tag(1), box(2))])).encode()
    content = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        what = data.draw(st.sampled_from([b"", b"\x00", b"{", b"]", b'"', b"null", b"-1", b"\xff", b"1e999", b"[[[["]))
        content[at : at + data.draw(st.integers(0, 8))] = what
    (root / "anna.json").write_bytes(bytes(content))
    try:
        manifest = read_cvat(root / "anna.json")
    except RequestError as refusal:
        assert "anna.json" in str(refusal)  # noqa: PT017
        return
    assert len(manifest)
