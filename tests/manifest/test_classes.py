"""Clips of one dataset under the classes of another: what stays, what is dropped, and that it is counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.emotions import AFEW, CREMA_D, DFEW, FERPLUS, MAFW, canonical_name
from midas_dfer.errors import RequestError
from midas_dfer.manifest.classes import DroppedClass, map_classes, report_mapping
from midas_dfer.manifest.manifest import Manifest, Sample
from midas_dfer.manifest.vote_counts import numbered_votes

SAMPLES = [
    Sample("a", "a", (1, 6, 2, 1), 1, "train", 2, "s1", {"scene": "bar"}),
    Sample("b", "b", (0, 0, 9, 1), 2),
    Sample("c", "c", (0, 0, 5, 5)),
    Sample("d", "d", None, 0),
    Sample("e", "e", None, 3),
    Sample("f", "f", (2, 0, 4, 4)),
]
SOURCE = ("Anger", "happiness", "surprise", "awe")
TARGET = ("happy", "sad", "angry")


def test_by_hand():
    manifest = Manifest.from_samples(SOURCE, SAMPLES, "mine").with_notes("Read with care.")
    mapped = map_classes(manifest, TARGET)
    assert list(mapped) == [
        Sample("a", "a", (6, 0, 1), 0, "train", 2, "s1", {"scene": "bar"}),
        Sample("d", "d", None, 2, extra={"scene": None}),
        Sample("f", "f", (0, 0, 2), None, extra={"scene": None}),
    ]
    assert (mapped.class_names, mapped.name) == (TARGET, "mine")
    assert mapped.notes == (
        "Read with care.",
        "mine: 2 classes are not known here and dropped: surprise (20 votes in 4 clips, the label of 1 clip), "
        "awe (11 votes in 4 clips, the label of 1 clip).",
        "mine: 3 of 6 clips left out, 2 for their label, 1 without any other vote; 31 of 40 votes dropped.",
        "mine: a class is never seen there: sad.",
    )
    report = report_mapping(manifest, TARGET)
    assert report.dropped == (DroppedClass("surprise", 20, 4, 1), DroppedClass("awe", 11, 4, 1))
    assert (report.num_label_dropped, report.num_without_votes, report.num_left_out) == (2, 1, 3)
    assert (report.absent, report.num_clips, report.num_votes, report.num_votes_dropped) == (("sad",), 6, 40, 31)


def test_single_votes_go_with_the_counts():
    cast = {
        "a": [("x", "surprise"), ("y", "happiness"), (None, "Anger")],
        "d": None,
        "f": [("y", "Anger"), ("x", "awe")],
    }
    people, said = ([None if v is None else [vote[k] for vote in v] for v in cast.values()] for k in (0, 1))
    manifest = Manifest.from_samples(SOURCE, [each for each in SAMPLES if each.video_id in cast], "mine")
    mapped = map_classes(manifest.with_columns(annotators=people, annotator_votes=said), TARGET)
    assert mapped.table["annotators"].to_list() == [["y", None], None, ["y"]]
    assert mapped.table["annotator_votes"].to_list() == [["happy", "angry"], None, ["angry"]]
    assert mapped.table.columns[-2:] == ["annotators", "annotator_votes"]
    votes = numbered_votes(mapped)
    assert votes.annotators == ("y",)
    assert [votes.clips.tolist(), votes.people.tolist(), votes.chosen.tolist()] == [[0, 2], [0, 0], [0, 2]]


def test_other_order_and_spelling_lose_nothing():
    manifest = Manifest.from_samples(SOURCE, SAMPLES, "mine")
    order = ("awe", "Surprised", "joy", "angry")
    there = map_classes(manifest, order)
    assert there.notes == report_mapping(manifest, order).sentences() == ()
    assert map_classes(there, SOURCE) == manifest
    assert map_classes(manifest.select([]), order).class_names == order


def test_hard_labels():
    hard = Manifest.from_samples(MAFW.names, [Sample(name, name, None, i) for i, name in enumerate(MAFW.names)], "mafw")
    mapped = map_classes(hard, DFEW.names)
    assert {sample.video_id: DFEW.names[sample.label or 0] for sample in mapped} == {name: name for name in DFEW.names}
    assert not mapped.has_votes.any()
    assert mapped.notes[0].startswith(
        "mafw: 4 classes are not known here and dropped: contempt (the label of 1 clip), "
    )
    assert report_mapping(hard, DFEW.names).paragraph().count("mafw") == 1
    assert mapped.notes[1:] == ("mafw: 4 of 11 clips left out, 4 for their label, 0 without any other vote.",)


def test_nothing_in_common():
    manifest = Manifest.from_samples(SOURCE, SAMPLES, "mine")
    with pytest.raises(RequestError, match=r"mine has the classes Anger, .*, and none of calm, bored"):
        map_classes(manifest, ("calm", "bored"))
    with pytest.raises(RequestError, match="mean the same class"):
        report_mapping(manifest, ("happy", "joy"))


@settings(deadline=None)
@given(st.data())
def test_every_vote_and_clip_is_accounted_for(data):
    """Against a plain loop, for every pair of the vocabularies."""
    vocabularies = (DFEW, AFEW, CREMA_D, MAFW, FERPLUS)
    source, target = data.draw(st.sampled_from(vocabularies)).names, data.draw(st.sampled_from(vocabularies)).names
    row = st.lists(st.integers(0, 3), min_size=len(source), max_size=len(source)).filter(any)
    votes = data.draw(st.lists(st.none() | row, max_size=8))
    labels = data.draw(st.lists(st.none() | st.integers(0, len(source) - 1), min_size=len(votes), max_size=len(votes)))
    samples = [
        Sample(f"v{i}", "p", None if v is None else tuple(v), label)
        for i, (v, label) in enumerate(zip(votes, labels, strict=True))
    ]
    manifest = Manifest.from_samples(source, samples, "x")
    mapped, report = map_classes(manifest, target), report_mapping(manifest, target)
    expected = []
    for sample in samples:
        name = None if sample.label is None else source[sample.label]
        left = None if sample.votes is None else dict(zip(map(canonical_name, source), sample.votes, strict=True))
        kept = None if left is None else tuple(left.get(canonical_name(each), 0) for each in target)
        if (name is None or name in target) and (kept is None or any(kept)):
            expected.append(Sample(sample.video_id, "p", kept, None if name is None else target.index(name)))
    assert list(mapped) == expected
    assert report.num_left_out == len(samples) - len(expected)
    assert report.num_votes == sum(map(sum, filter(None, votes)))
    by_name = {each.name: each for each in report.dropped}
    for number, name in enumerate(source):
        if name in target:
            assert name not in by_name
            continue
        assert by_name[name].votes == sum(v[number] for v in votes if v is not None)
        assert by_name[name].voted_clips == sum(v[number] > 0 for v in votes if v is not None)
        assert by_name[name].labelled_clips == labels.count(number)
    assert np.asarray(mapped.labels).max(initial=-1) < len(target)
