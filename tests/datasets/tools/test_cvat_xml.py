"""CVAT's own XML 1.1, for images and for video: votes, names that the files know themselves, and files that lie."""

import zipfile
from contextlib import suppress
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.datasets.tools import cvat_xml
from midas_dfer.datasets.tools.cvat import read_cvat
from midas_dfer.errors import RequestError

LABELS = ("happy", "Sadness", "face")
JOB = "<id>1</id><name>first</name><size>9</size><mode>annotation</mode>"


def person(name: str) -> str:
    return f"<assignee><username>{escape(name)}</username><email>a@b.c</email></assignee>" if name else "<assignee/>"


def head(kind: str = "task", assignee: str = "", source: str = "", more: str = "") -> str:
    labels = "".join(
        f"<label><name>{each}</name><attributes><attribute><name>emotion</name><input_type>select</input_type>"
        "<values>happy\nSad\n</values></attribute></attributes></label>"
        for each in LABELS
    )
    video = f"<original_size><width>8</width></original_size><source>{source}</source>" if source else ""
    inside = video if kind == "task" else ""
    beside = video if kind != "task" else ""
    owner = "<owner><username>boss</username></owner>"
    described = f"{JOB}{owner}{person(assignee)}<labels>{labels}</labels>{inside}{more}"
    return f"<meta><{kind}>{described}</{kind}>{beside}<dumped>now</dumped></meta>"


def tag(label: str, **attributes: str) -> str:
    inner = "".join(f"<attribute name={quoteattr(k)}>{escape(v)}</attribute>" for k, v in attributes.items())
    return f'<tag label={quoteattr(label)} source="manual">\n{inner}\n</tag>'


def box(label: str = "face", frame: int | None = None, *, outside: bool = False, **attributes: str) -> str:
    inner = "".join(f"<attribute name={quoteattr(k)}>{escape(v)}</attribute>" for k, v in attributes.items())
    which = f'label="{label}"' if frame is None else f'frame="{frame}" outside="{int(outside)}" keyframe="1"'
    return f'<box {which} occluded="0" xtl="1" ytl="1" xbr="9" ybr="9">{inner}</box>'


def image(name: str, *inner: str, number: int = 0, **given: str) -> str:
    more = "".join(f" {k}={quoteattr(v)}" for k, v in given.items())
    return f'<image id="{number}" name={quoteattr(name)} width="8" height="8"{more}>{"".join(inner)}</image>'


def track(label: str, *boxes: str, **given: str) -> str:
    more = "".join(f" {k}={quoteattr(v)}" for k, v in given.items())
    return f'<track id="0" label="{label}" source="manual"{more}>{"".join(boxes)}</track>'


def write(root: Path, path: str, *parts: str, declared: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    body = f"<annotations><version>1.1</version>{''.join(parts)}</annotations>"
    text = f'<?xml version="1.0" encoding="utf-8"?>\n{declared}{body}\n'
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("annotations.xml", text)
    else:
        file.write_text(text, encoding="utf-8")
    return file


def votes_of(manifest):
    return {s.path: dict(zip(manifest.class_names, s.votes, strict=True)) for s in manifest}


def people_of(manifest):
    return manifest.table["annotators"].to_list()


def test_pictures_and_whom_the_tasks_were_given_to(tmp_path):
    write(tmp_path, "1/annotations.xml", head(assignee="anna"), image("a.jpg", tag("happy"), box()), image("b/ü.jpg"))
    write(
        tmp_path,
        "2/annotations.xml",
        head("job", "ben"),
        image("a.jpg", tag("Sadness")),
        image("b/ü.jpg", tag("happy")),
    )
    manifest = read_cvat(tmp_path)
    assert votes_of(manifest) == {"a.jpg": {"happy": 1, "sad": 1}, "b/ü.jpg": {"happy": 1, "sad": 0}}
    assert people_of(manifest) == [["anna", "ben"], ["ben"]]
    assert manifest.notes == (
        "Annotators are those whom the tasks or jobs were given to, as the files say: anna, ben.",
        "Passed over because they are no tags: 1 shape.",
    )


@pytest.mark.parametrize("kind", ["task", "job"])
def test_a_video_is_named_in_the_file_and_has_the_class_on_most_frames(tmp_path, kind):
    boxes = [box(frame=n, emotion="happy" if n < 3 else "sad") for n in range(5)]
    gone = box(frame=5, outside=True, emotion="sad")
    second = track("face", *(box(frame=n, emotion="sad") for n in (6, 7)), box(frame=7, emotion="sad"))
    where = head(kind, "anna", "party 1.mp4")
    write(tmp_path, "one.zip", where, track("face", *boxes, gone))
    assert votes_of(read_cvat(tmp_path, attribute="emotion")) == {"party 1.mp4": {"happy": 1, "sad": 0}}
    write(tmp_path, "one.zip", where, track("face", *boxes, gone), second)
    manifest = read_cvat(tmp_path, attribute="emotion")
    assert votes_of(manifest) == {"party 1.mp4": {"happy": 0, "sad": 1}}
    assert people_of(manifest) == [["anna"]]
    write(tmp_path, "one.zip", where, track("face", *boxes, gone), track("face", box(frame=6, emotion="sad")))
    with pytest.raises(RequestError, match=r"no votes that count\..*two classes are on equally many of its frames: 1"):
        read_cvat(tmp_path, attribute="emotion")


def test_tracks_are_votes_for_their_labels(tmp_path):
    write(
        tmp_path, "a.xml", head(source="a.mp4"), track("happy", box(frame=0), box(frame=1)), track("sad", box(frame=9))
    )
    assert votes_of(read_cvat(tmp_path)) == {"a.mp4": {"happy": 1, "sad": 0}}


def test_a_video_that_was_exported_as_images(tmp_path):
    frames = [image(f"frame_{n:06d}", tag("happy" if n else "sad"), number=n) for n in range(3)]
    write(tmp_path, "anna/annotations.xml", head(source="c.mp4"), *frames)
    manifest = read_cvat(tmp_path)
    assert votes_of(manifest) == {"c.mp4": {"happy": 1, "sad": 0}}
    assert people_of(manifest) == [["anna"]]
    (tmp_path / "anna" / "annotations.xml").unlink()
    write(tmp_path, "anna/d.xml", head(), *frames)
    assert votes_of(read_cvat(tmp_path)) == {"d": {"happy": 1, "sad": 0}}


def test_a_project_is_divided_by_its_tasks(tmp_path):
    tasks = "".join(
        f"<task><id>{n}</id><subset>{part}</subset>{person(who)}<source>{name}</source></task>"
        for n, part, who, name in ((7, "Train", "anna", "a.mp4"), (8, "test", "ben", "b.mp4"))
    )
    meta = f"<meta><project><id>1</id>{person('boss')}<tasks>{tasks}</tasks></project></meta>"
    tracks = [track("happy", box(frame=0), task_id="7"), track("sad", box(frame=0), task_id="8")]
    for parts in ((meta, *tracks), (*tracks, meta)):  # wherever the head stands
        manifest = read_cvat(write(tmp_path, "annotations.xml", *parts))
        assert votes_of(manifest) == {"a.mp4": {"happy": 1, "sad": 0}, "b.mp4": {"happy": 0, "sad": 1}}
        assert people_of(manifest) == [["anna"], ["ben"]]
        assert manifest.table["split"].to_list() == ["train", "test"]
    images = [image("frame_000000", tag("happy"), task_id="7"), image("frame_000000", tag("sad"), task_id="8")]
    assert votes_of(read_cvat(write(tmp_path, "annotations.xml", meta, *images))) == votes_of(manifest)


def test_archives_called_as_cvat_calls_them_name_nobody(tmp_path):
    for n, who in enumerate(("anna", "ben", "")):
        name = f"task_clip_annotations_2026_01_0{n + 1}_10_00_00_cvat for images 1.1.zip"
        write(tmp_path, name, head(assignee=who), image("a.jpg", tag("happy")), image("b.jpg", tag("sad")))
    manifest = read_cvat(tmp_path)
    assert people_of(manifest) == [["anna", "ben", None]] * 2
    assert manifest.notes[-1] == "It is not known who tagged 2 clips."


def test_folders_name_the_annotators_where_one_person_was_given_everything(tmp_path):
    for who in ("anna", "ben"):
        write(tmp_path, f"{who}/x.zip", head(assignee="boss"), image("a.jpg", tag("happy")), image("b.jpg", tag("sad")))
    manifest = read_cvat(tmp_path)
    assert people_of(manifest) == [["anna", "ben"]] * 2
    assert "given to boss" in manifest.notes[0]
    write(tmp_path, "chloe/y.xml", head(assignee="carl"), image("c.jpg", tag("sad")))
    manifest = read_cvat(tmp_path)
    assert people_of(manifest) == [["anna", "ben"]] * 2 + [["chloe"]]
    assert "in different places were given to the same person" in manifest.notes[0]


def test_an_attribute_names_the_annotator_or_holds_the_class(tmp_path):
    tags = [tag("happy", annotator="x"), tag("sad", annotator="y")]
    file = write(tmp_path, "all.xml", head(assignee="boss"), image("a.jpg", *tags))
    assert people_of(read_cvat(file)) == [["x", "y"]]
    boxed = write(
        tmp_path, "boxed.xml", head(), image("a.jpg", box(emotion="Happiness")), image("b.jpg", box(emotion="sad"))
    )
    with pytest.raises(
        RequestError, match=r"the attribute 'emotion' says Happiness, sad\. Take .* --attribute emotion"
    ):
        read_cvat(boxed)
    assert votes_of(read_cvat(boxed, attribute="emotion")) == {
        "a.jpg": {"happy": 1, "sad": 0},
        "b.jpg": {"happy": 0, "sad": 1},
    }


def test_where_nothing_is_a_vote_what_may_be_is_told(tmp_path):
    file = write(tmp_path, "a.xml", head(), image("a.jpg", box(quality="good"), box()))
    with pytest.raises(RequestError, match="holds no tags, only 2 shapes, which are no votes"):
        read_cvat(file)
    with pytest.raises(RequestError, match=r"with the attribute 'mood'\. Their attributes are: 'quality'"):
        read_cvat(file, attribute="mood")


LAUGHS = "".join(f'<!ENTITY l{n} "&l{n - 1};&l{n - 1};">' for n in range(1, 40))
ENTITIES = [
    f'<!DOCTYPE annotations [<!ENTITY l0 "ha">{LAUGHS}]>',
    '<!DOCTYPE annotations [<!ENTITY file SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE annotations SYSTEM "http://127.0.0.1:9/x.dtd">',
]


@pytest.mark.parametrize("declared", ENTITIES)
def test_entities_are_never_declared(tmp_path, declared):
    for inner in ("&l39;", "&file;", "a.jpg"):
        file = tmp_path / "evil.xml"
        file.write_text(f"{declared}<annotations><image name='a'>{inner}</image></annotations>", encoding="utf-8")
        with pytest.raises(RequestError, match=r"evil\.xml declares a document type"):
            read_cvat(file)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("hello", "is not XML or not whole: syntax error: line 1"),
        ("<annotations><meta></annotations>", "not XML or not whole: mismatched tag"),
        ("<annotations><image name='a'>", "not whole: no element found"),
        ("<annotations>&nbsp;</annotations>", "undefined entity"),
        ("<?xml version='1.0' encoding='EBCDIC-X'?><annotations/>", "cannot be read: unknown encoding"),
        ("<annotation><object/></annotation>", "begins with <annotation> instead of <annotations>.*CVAT for video 1.1"),
        ("<annotations>" + "<x>" * 60, "nested too deeply"),
        ("<annotations><image name=' '><tag label='sad'/></image></annotations>", "item 1 .* an image has no name"),
        ("<annotations><image name='a'><tag/></image></annotations>", "a tag or track has no label"),
        ("<annotations><image name='../a'><tag label='sad'/></image></annotations>", "leads out of its folder"),
        ("<annotations><track label='sad'><box frame='x'/></track></annotations>", "on no frame .*frame is 'x'"),
        ("<annotations><version>1.1</version></annotations>", "holds no votes"),
    ],
)
def test_wrong_files_are_refused_in_a_sentence(tmp_path, text, told):
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match=told) as refusal:
        read_cvat(tmp_path)
    assert str(refusal.value).count("a.xml") <= 1


def test_wrong_archives_are_refused_in_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(b"PK no archive")
    with pytest.raises(RequestError, match=r"a\.zip cannot be read"):
        read_cvat(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("default.json", "{}")
    with pytest.raises(RequestError, match=r"holds neither annotations\.xml nor a file annotations/\*\.json"):
        read_cvat(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", "<annotations>" + " " * 10_000_000)
    monkeypatch.setattr(cvat_xml, "MOST_BYTES", 2**20)
    with pytest.raises(RequestError, match="holds more than"):
        read_cvat(tmp_path)


def test_other_formats_of_cvat_are_told_which_to_choose(tmp_path):
    (tmp_path / "coco.json").write_text('{"licenses": [], "images": [], "annotations": []}', encoding="utf-8")
    with pytest.raises(RequestError, match=r"has no list called 'items'.*choose Datumaro, CVAT for images 1\.1"):
        read_cvat(tmp_path)


@given(st.binary(max_size=80), st.integers(0, 400))
def test_damaged_files_are_refused_or_read(tmp_path_factory, noise, at):
    root = tmp_path_factory.mktemp("noise")
    file = write(root, "a.xml", head(source="a.mp4"), image("a.jpg", tag("happy")), track("sad", box(frame=0)))
    data = file.read_bytes()
    file.write_bytes(data[:at] + noise + data[at + len(noise) :])
    with suppress(RequestError):
        read_cvat(file)
