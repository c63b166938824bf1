import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.datasets.files.json_files import MOST_BYTES
from midas_dfer.datasets.tools.exports import path_of
from midas_dfer.datasets.tools.label_studio import read_label_studio
from midas_dfer.emotions import canonical_name
from midas_dfer.errors import RequestError
from midas_dfer.labels import crowd_labels
from midas_dfer.manifest.manifest import Manifest
from tests.support.golden_manifests import assert_golden, plain_frames
from tests.support.layouts import label_studio as layout
from tests.support.layouts.label_studio import EXPORT, SMALL_EXPORT, VIDEOS, write_label_studio


def choices(*chosen, question="emotion"):
    return {"type": "choices", "from_name": question, "to_name": "video", "value": {"choices": list(chosen)}}


def annotation(who, *chosen, **more):
    return {"id": 1, "completed_by": who, "was_cancelled": False, "result": [choices(*chosen)] if chosen else []} | more


def task(video, *annotations, **more):
    return {"id": 1, "data": {"video": video} | more, "annotations": list(annotations)}


def write(root, tasks):
    file = root / "export.json"
    file.write_text(tasks if isinstance(tasks, str) else json.dumps(tasks), encoding="utf-8")
    return file


def votes_of(manifest):
    return {s.path: dict(zip(manifest.class_names, s.votes, strict=True)) for s in manifest}


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    write_label_studio(root, drawn=False)
    return root


def with_lists_as_text(manifest):
    table = manifest.table.with_columns(pl.col("annotators", "annotator_votes").list.join(" "))
    return Manifest(manifest.class_names, table, manifest.name, manifest.notes)


def test_golden_manifest(made_up):
    manifest = read_label_studio(made_up / EXPORT, question="emotion", ignore=["unclear"])
    assert_golden(with_lists_as_text(manifest), "label_studio", rows=10)


def test_the_small_export_says_the_same(made_up):
    long = read_label_studio(made_up / EXPORT, question="emotion", ignore=["unclear"])
    small = read_label_studio(made_up / SMALL_EXPORT, ignore=["unclear"])
    assert long.table.drop("annotators").equals(small.table.drop("annotators"))
    assert long.class_names == small.class_names


def test_the_videos_of_the_made_up_project_are_where_the_manifest_says(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "draw_frames", plain_frames)
    write_label_studio(tmp_path, clips=8, frames=3)
    manifest = read_label_studio(tmp_path / EXPORT, question="emotion", ignore=["unclear"])
    assert len(manifest) == 7
    assert all((tmp_path / VIDEOS / s.path).is_file() for s in manifest)


def test_single_votes_can_be_weighed(made_up):
    pytest.importorskip("crowdkit")
    manifest = read_label_studio(made_up / EXPORT, question="emotion", ignore=["unclear"], several="leave_out")
    single = manifest.table.explode("annotators", "annotator_votes")
    weighed = crowd_labels(single["video_id"], single["annotators"], single["annotator_votes"], manifest.class_names)
    assert list(weighed.video_ids) == manifest.video_ids


def test_votes_are_counted_by_annotator(tmp_path):
    tasks = [
        task("a.mp4", annotation(1, "Happiness"), annotation(2, "happy"), annotation({"id": 3}, "Sad")),
        task("b.mp4", annotation("anna", "sad"), annotation(2, "happy")),
    ]
    manifest = read_label_studio(write(tmp_path, tasks))
    assert votes_of(manifest) == {"a.mp4": {"happy": 2, "sad": 1}, "b.mp4": {"happy": 1, "sad": 1}}
    assert manifest.labels.tolist() == [0, -1]
    assert manifest.table["annotators"].to_list() == [["1", "2", "3"], ["anna", "2"]]
    assert manifest.table["annotator_votes"].to_list() == [["happy", "happy", "sad"], ["sad", "happy"]]
    assert manifest.notes == ()


def test_skipped_silent_and_predicted_are_no_votes(tmp_path):
    tasks = [
        task("a.mp4", annotation(1, "happy"), annotation(2, "sad", was_cancelled=True), annotation(3)),
        task("b.mp4", annotation(1, "sad")) | {"predictions": [{"result": [choices("happy")]}]},
        task("c.mp4", annotation(2, was_cancelled=True)),
    ]
    manifest = read_label_studio(write(tmp_path, tasks))
    assert votes_of(manifest) == {"a.mp4": {"happy": 1, "sad": 0}, "b.mp4": {"happy": 0, "sad": 1}}
    assert manifest.notes == (
        "Passed over because the annotator skipped the task: 2 annotations.",
        "Passed over because 'emotion' was not answered: 1 annotation.",
        "Passed over because models are no annotators: 1 prediction.",
        "Left out because nobody voted on them: 1 video.",
    )


def test_who_votes_again_changes_their_vote(tmp_path):
    early, late = {"updated_at": "2024-01-01T00:00:00Z"}, {"updated_at": "2024-02-01T00:00:00Z"}
    tasks = [
        task("a.mp4", annotation(1, "happy", **late), annotation(1, "sad", **early)),
        task("a.mp4", annotation(2, "sad"), annotation(2, "happy")),
    ]
    manifest = read_label_studio(write(tmp_path, tasks), class_names=["sad", "happy"])
    assert votes_of(manifest) == {"a.mp4": {"sad": 0, "happy": 2}}
    assert "the same person annotated the video again later: 2 annotations" in manifest.notes[0]


def test_several_classes_by_one_annotator(tmp_path):
    tasks = [task("a.mp4", annotation(1, "happy", "Sad", "sadness"), annotation(2, "happy"))]
    file = write(tmp_path, tasks)
    each = read_label_studio(file)
    assert votes_of(each) == {"a.mp4": {"happy": 2, "sad": 1}}
    assert each.table["annotators"].to_list() == [["1", "1", "2"]]
    assert each.notes == ("Several classes were chosen in 1 annotation: a vote for each.",)
    left_out = read_label_studio(file, several="leave_out", class_names=["happy", "sad"])
    assert votes_of(left_out) == {"a.mp4": {"happy": 1, "sad": 0}}
    assert left_out.notes == ("Several classes were chosen in 1 annotation: all of these are left out.",)


def test_unknown_people_are_kept_apart(tmp_path):
    tasks = [task("a.mp4", annotation(None, "happy"), annotation(True, "happy"), annotation({}, "sad"))]
    manifest = read_label_studio(write(tmp_path, tasks))
    assert votes_of(manifest) == {"a.mp4": {"happy": 2, "sad": 1}}
    assert manifest.table["annotators"].to_list() == [[None, None, None]]
    assert manifest.notes == ("It is not known who made 3 annotations.",)


def test_one_of_several_questions(tmp_path):
    answers = [choices("good", question="quality"), choices("sad", question="mood")]
    tasks = [task("a.mp4", annotation(1, "happy") | {"result": answers}), task("b.mp4", annotation(1, "happy"))]
    file = write(tmp_path, tasks)
    with pytest.raises(RequestError, match=r"several questions: 'emotion', 'mood', 'quality'.*--question"):
        read_label_studio(file)
    with pytest.raises(RequestError, match=r"no choices .*called 'x' that could be votes; there are: 'emotion'"):
        read_label_studio(file, question="x")
    assert len(read_label_studio(file, question="mood", class_names=["happy", "sad"])) == 1


def test_answers_that_are_no_votes(tmp_path):
    tasks = [task("a.mp4", annotation(1, "happy"), annotation(2, "Unclear"), annotation(3, "unclear", "sad"))]
    file = write(tmp_path, tasks)
    with pytest.raises(RequestError, match=r"'Unclear' is no emotion.*--ignore \"\[Unclear\]\""):
        read_label_studio(file)
    assert read_label_studio(file, class_names=["happy", "sad", "unclear"]).votes.tolist() == [[1, 1, 2]]
    manifest = read_label_studio(file, ignore=["UNCLEAR"])
    assert votes_of(manifest) == {"a.mp4": {"happy": 1, "sad": 1}}
    assert manifest.notes == ("Passed over because the answer is no vote: 1 annotation.",)
    with pytest.raises(RequestError, match="holds votes for 'Unclear', not among the classes happy, sad"):
        read_label_studio(file, class_names=["happy", "sad"])


def test_what_the_data_say_of_a_video_is_kept(tmp_path):
    tasks = [
        task("a.mp4", annotation(1, "happy"), split="val", fold=2, subject="s1"),
        task("b.mp4", annotation(1, "sad"), split="Train", fold="1", subject=7),
    ]
    manifest = read_label_studio(write(tmp_path, tasks))
    assert manifest.table.select("split", "fold", "subject").rows() == [("validation", 2, "s1"), ("train", 1, "7")]


def test_the_key_of_the_address(tmp_path):
    both = {"clip": "a.mp4", "poster": "a.jpg"}
    tasks = [{"data": both, "annotations": [annotation(1, "happy"), annotation(2, "sad")]}]
    file = write(tmp_path, tasks)
    with pytest.raises(RequestError, match=r"not clear which of the keys.*'clip', 'poster'.*--key"):
        read_label_studio(file)
    assert read_label_studio(file, key="clip")[0].path == "a.mp4"
    tasks[0]["data"] = {"text": "see it", "image": "b.jpg", "video": "a.mp4"}
    assert read_label_studio(write(tmp_path, tasks))[0].path == "a.mp4"
    with pytest.raises(RequestError, match=r"task 1: its data have no address called 'audio'"):
        read_label_studio(file, key="audio")


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/data/upload/3/1a2b3c4d-clip.mp4", "3/1a2b3c4d-clip.mp4"),
        ("http://localhost:8080/data/upload/3/1a2b3c4d-a%20b.mp4", "3/1a2b3c4d-a b.mp4"),
        ("/data/local-files/?d=one%2Ftwo/clip.mp4", "one/two/clip.mp4"),
        ("http://localhost:8080/data/local-files/?d=/one/clip.mp4", "one/clip.mp4"),
        ("s3://bucket/one/100%25?.mp4", "one/100%25?.mp4"),
        ("gs://bucket/clip.mp4", "clip.mp4"),
        ("https://host/one/clip.mp4?X-Amz-Signature=a/b#t=3", "one/clip.mp4"),
        ("/home/me/clip.mp4", "home/me/clip.mp4"),
        ("file:///home/me/clip.mp4", "home/me/clip.mp4"),
        (r"C:\clips\one\clip.mp4", "clips/one/clip.mp4"),
        (" one//./clip.mp4 ", "one/clip.mp4"),
        ("one/../clip.mp4", "clip.mp4"),
        ("/../../etc/passwd", "../../etc/passwd"),
        ("https://host/%2e%2e/clip.mp4", "../clip.mp4"),
        ("/data/local-files/?d=../../clip.mp4", "../../clip.mp4"),
        ("data/upload/../../clip.mp4", "clip.mp4"),
        ("data/upload/../../../clip.mp4", "../clip.mp4"),
        ("./", ""),
        ("https://[/clip.mp4", ""),
        ("", ""),
    ],
)
def test_the_path_part_of_an_address(address, path):
    assert path_of(address) == path


@pytest.mark.parametrize(
    "address", ["../x.mp4", "/../x.mp4", "s3://b/../../x.mp4", "https://h/a/%2e%2e/%2e%2e/x.mp4", "a\\..\\..\\x.mp4"]
)
def test_paths_do_not_leave_the_folder(tmp_path, address):
    file = write(tmp_path, [task("a.mp4", annotation(1, "happy")), task(address, annotation(1, "sad")) | {"id": 7}])
    with pytest.raises(RequestError, match=r"export.json: task 2 \(id 7\): the path .* leads out of its folder"):
        read_label_studio(file)


@given(address=st.text(max_size=40))
def test_no_address_leads_out_unseen(address):
    path = path_of(address)
    assert not path.startswith("/")
    assert ".." not in path.split("/")[1:] or path.startswith("../")


def test_names_before_the_upload(tmp_path):
    tasks = [
        task("/data/upload/3/1a2b3c4d-a.mp4", annotation(1, "happy")),
        task("/data/upload/3/00000000-b.mp4", annotation(1, "sad")),
    ]
    file = write(tmp_path, tasks)
    assert [s.path for s in read_label_studio(file, uploads="original")] == ["a.mp4", "b.mp4"]
    tasks.append(task("/data/upload/4/ffffffff-a.mp4", annotation(1, "sad")))
    with pytest.raises(RequestError, match=r"task 3 .*would both be 'a.mp4'. Two videos cannot have one path"):
        read_label_studio(write(tmp_path, tasks), uploads="original")
    assert len(read_label_studio(write(tmp_path, tasks))) == 3


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("", "is empty"),
        ("[]", "holds no tasks"),
        ("[", "ends within task 1: it is not whole"),
        ('[{"id": 1}, {"id"', "ends within task 2: it is not whole"),
        ('[{"id": 1} {"id": 2}]', r"is not JSON: the list behind task 1 \(line 1\) goes on with"),
        ('[{"id": 1,}]', "is not JSON: task 1, line 1, column 11"),
        ("[1, 2]]", r"goes on behind its end \(line 1\)"),
        ('{"id": 1}', "begins with '.*', not with a list of tasks"),
        ('[{"id": 1}, {"id": 2, "id": 3}]', "task 2 has the name 'id' twice in one object"),
        ('[{"id": NaN}]', "task 1 holds NaN, which is no number"),
        ('[{"id": -Infinity}]', "task 1 holds -Infinity"),
        ("[" + "[" * 100_000, "is nested too deeply: task 1"),
        ('[{"id": ' + "9" * 5000 + "}]", "task 1 holds Exceeds the limit"),
        ("[1]", "task 1: a task is a number, not an object"),
        ('[{"annotations": 1, "data": {}}]', "task 1: its annotations are a number, not a list"),
        ('[{"annotations": [], "data": []}]', "task 1: its data are a list, not an object"),
        ('[{"annotations": [], "data": null, "id": "x"}]', r"task 1 \(id 'x'\): its data are missing"),
        ([task("a.mp4", 3)], "an annotation is a number, not an object"),
        ([task("a.mp4", {"result": {}})], "the result of an annotation is an object, not a list"),
        ([task("a.mp4", {"result": [None]})], "an answer in a result is missing, not an object"),
        ([task("a.mp4", annotation(1, 3))], "its choices are not a list of texts"),
        ([task("a.mp4", annotation(1, ["a", "b"]))], "its choices are not a list of texts"),
        ([task("a.mp4", annotation(1, " "))], "one of its choices is empty"),
        ([task("a.mp4", {"result": [choices("sad") | {"from_name": 1}]})], "the from_name .* is a number, not text"),
        ([task("a.mp4", annotation(1, "sad"), split="later")], "its split is 'later', not train, validation or test"),
        ([task("a.mp4", annotation(1, "sad"), fold=1.5)], "its fold is 1.5, not the number of a fold"),
        ([task("a.mp4", annotation(1, "sad"), subject=[1])], "its subject is a list, not a name"),
        ([task("a.mp4", annotation(1, "sad"))], "holds votes for 'sad' only"),
        ([task("a.mp4")], "holds no choices or labels on a time line that could be votes; there are: none"),
        ([task("a.mp4", annotation(1, "sad")), task(3)], "task 2 .*: its data have no address called 'video'"),
        ([task("s3://a/x.mp4"), task("s3://b/x.mp4", annotation(1, "sad"))], "task 2 .* would both be 'x.mp4'"),
        (
            [task("a.mp4", annotation(1, "sad"), fold=1), task("a.mp4", annotation(2, "happy"), fold=2)],
            r"task 2 \(id 1\): it says {'fold': 2} of 'a.mp4', but task 1 \(id 1\) says {'fold': 1}",
        ),
    ],
)
def test_wrong_exports_are_refused_by_task(tmp_path, tasks, message):
    with pytest.raises(RequestError, match=message) as refusal:
        read_label_studio(write(tmp_path, tasks))
    assert "export.json" in str(refusal.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RequestError, match="There is no file"):
        read_label_studio(tmp_path / "none.json")
    with pytest.raises(RequestError, match="is not a file"):
        read_label_studio(tmp_path)
    file = tmp_path / "export.json"
    file.write_bytes(b'[\n"\xff"]')
    with pytest.raises(RequestError, match=r"is not in UTF-8: line 2 holds the byte 0xff"):
        read_label_studio(file)
    with file.open("wb") as large:
        large.truncate(MOST_BYTES + 1)
    with pytest.raises(RequestError, match="is larger than 1 GiB"):
        read_label_studio(file)


def test_a_byte_order_mark_and_half_a_surrogate(tmp_path):
    text = json.dumps([task("a.mp4", annotation(1, "happy"), annotation("\ud800", "sad"))])
    file = write(tmp_path, "\ufeff" + text)
    manifest = read_label_studio(file)
    assert manifest.table["annotators"].to_list() == [["1", None]]  # it has become "?", which is nobody's name
    manifest.to_parquet(tmp_path / "m.parquet")


CLASSES = ("happy", "Sadness", "unclear", "fear")
ANNOTATIONS = st.lists(
    st.tuples(st.integers(1, 4), st.lists(st.sampled_from(CLASSES), max_size=3), st.booleans(), st.integers(0, 3)),
    max_size=5,
)


@settings(max_examples=40)
@given(said=st.lists(st.tuples(st.integers(0, 3), ANNOTATIONS), min_size=1, max_size=6))
def test_votes_are_those_of_a_plain_count(tmp_path_factory, said):
    """The oracle: go through the annotations in the order of their times, remember each person's last word."""
    last = {}
    annotations = [
        (f"2024-01-0{day + 1}", number, f"{video}.mp4", who, chosen)
        for number, (video, each) in enumerate(said)
        for who, chosen, skipped, day in each
        if not skipped
    ]
    for _, _, path, who, chosen in sorted(annotations, key=lambda a: a[0]):
        last[path, who] = {canonical_name(c) for c in chosen} - {"unclear"}
    expected = {}
    for (path, _), chosen in last.items():
        for name in chosen:
            expected.setdefault(path, dict.fromkeys(("happy", "sad", "fear"), 0))[name] += 1
    tasks = [
        task(
            f"{video}.mp4",
            *(
                annotation(who, *chosen, was_cancelled=skipped, updated_at=f"2024-01-0{day + 1}")
                for who, chosen, skipped, day in each
            ),
        )
        for video, each in said
    ]
    file = write(tmp_path_factory.mktemp("project"), tasks)
    try:
        manifest = read_label_studio(file, class_names=["happy", "sad", "fear"], ignore=["unclear"])
    except RequestError as refusal:
        assert not expected and "hold" in str(refusal)  # noqa: PT017, PT018
        return
    assert votes_of(manifest) == expected


@settings(max_examples=30)
@given(data=st.data())
def test_damaged_exports_are_read_or_refused(made_up, tmp_path_factory, data):
    content = bytearray((made_up / EXPORT).read_bytes()[:6000])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        what = data.draw(st.sampled_from([b"", b"\x00", b"{", b"]", b'"', b"null", b"-1", b"\xff", b"NaN", b"[[[["]))
        content[at : at + data.draw(st.integers(0, 8))] = what
    end = content.rfind(b"\n {")
    file = tmp_path_factory.mktemp("damaged") / "export.json"
    file.write_bytes(
        bytes(content[: content.rfind(b",", 0, end)] + b"]") if data.draw(st.booleans()) else bytes(content)
    )
    try:
        manifest = read_label_studio(file, question="emotion", ignore=["unclear"])
    except RequestError as refusal:
        assert "export.json" in str(refusal)  # noqa: PT017
        return
    assert len(manifest)
