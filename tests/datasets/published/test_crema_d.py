import shutil

import numpy as np
import pytest

from midas_dfer.datasets.published.crema_d import KNOWN_BROKEN, read_crema_d
from midas_dfer.errors import RequestError
from midas_dfer.manifest.aggregation import aggregate
from midas_dfer.manifest.vote_counts import single_votes

HEADER = '"","A","D","F","H","N","S","fileName","numResponses"'
GOOD = '"200001",5,2,0,0,3,0,"1001_DFA_ANG_XX",10'


def write(root, *rows, header=HEADER):
    (root / "processedResults").mkdir(exist_ok=True)
    (root / "processedResults" / "tabulatedVotes.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


@pytest.fixture(scope="module")
def real(shared_data):
    return read_crema_d(shared_data / "crema_d")


def test_all_clips_of_the_real_file(real):
    assert len(real) == 7442
    assert real.class_names == ("angry", "disgust", "fear", "happy", "neutral", "sad")
    assert real.votes.sum(axis=1).mean() == pytest.approx(9.63, abs=0.005)
    assert (real.votes.sum(axis=1).min(), real.votes.sum(axis=1).max()) == (6, 12)
    sample = next(s for s in real if s.video_id == "1001_DFA_ANG_XX")
    assert sample.votes == (5, 2, 0, 0, 3, 0)
    assert sample.label == 0
    assert sample.path == "VideoFlash/1001_DFA_ANG_XX.flv"
    assert sample.subject == "1001"
    assert sample.extra == {
        "sentence": "DFA",
        "sentence_text": "Don't forget a jacket",
        "acted": "angry",
        "level": "unspecified",
        "age": 51,
        "sex": "Male",
        "race": "Caucasian",
        "ethnicity": "Not Hispanic",
    }
    assert set(real.video_ids) >= KNOWN_BROKEN
    assert real.notes == (
        "Clips whose published videos are known to be broken and may fail: "
        "1064_IEO_DIS_MD, 1064_TIE_SAD_XX, 1076_MTI_NEU_XX, 1076_MTI_SAD_XX.",
    )


def test_real_actors_and_sentences(real):
    assert not any(real.table[column].has_nulls() for column in ("age", "sex", "race", "ethnicity", "sentence_text"))
    actors = real.table.unique("subject")
    assert dict(actors["sex"].value_counts().iter_rows()) == {"Male": 48, "Female": 43}
    assert (actors["age"].min(), actors["age"].max()) == (20, 74)
    assert real.table["sentence"].n_unique() == real.table["sentence_text"].n_unique() == 12


def test_real_folds_are_by_actor_and_balanced(real):
    assert real.table["subject"].n_unique() == 91
    pairs = set(zip(real.table["subject"], real.table["fold"], strict=True))
    assert len(pairs) == 91
    sizes = np.bincount(real.table["fold"].to_numpy())[1:]
    assert sizes.tolist() == [1476, 1475, 1475, 1546, 1470]


def test_real_clips_have_votes(real, shared_data):
    clips = {path.name for path in (shared_data / "crema_d" / "VideoFlash").iterdir()}
    assert len(clips) == 6
    assert {"VideoFlash/" + name for name in clips} <= set(real.table["path"])


def test_real_votes_of_other_senses_differ(real, shared_data):
    for votes in ("voice", "audiovisual"):
        other = read_crema_d(shared_data / "crema_d", votes=votes)
        assert other.video_ids == real.video_ids
        assert other.table["fold"].equals(real.table["fold"])
        assert (other.votes != real.votes).any(axis=1).mean() > 0.5


def test_ties_have_no_label_and_few_actors_no_folds(tmp_path):
    root = write(
        tmp_path,
        GOOD,
        '200002,4,4,0,0,0,0,"1002_IEO_HAP_LO",8',
        '100001,0,0,0,0,9,0,"1001_DFA_ANG_XX",9',
    )
    manifest = read_crema_d(root)
    assert manifest.labels.tolist() == [0, -1]
    text = "It's eleven o'clock"
    assert manifest[1].extra == {"sentence": "IEO", "sentence_text": text, "acted": "happy", "level": "low"}
    assert manifest.notes == ("tabulatedVotes.csv, face votes: 2 clips; 7,442 are published.",)
    assert manifest.fold_numbers == ()
    assert read_crema_d(root, votes="voice").votes.tolist() == [[0, 0, 0, 0, 9, 0]]
    with pytest.raises(RequestError, match="holds no audiovisual votes"):
        read_crema_d(root, votes="audiovisual")


ACTORS = "ActorID,Age,Sex,Race,Ethnicity"


def test_actors_join_by_number(tmp_path):
    root = write(tmp_path, GOOD, '200002,4,4,0,0,0,0,"1076_MTI_SAD_XX",8')
    (root / "VideoDemographics.csv").write_text(f"{ACTORS}\n1002,30,Male,Asian,Hispanic\n1001,51,Female,Asian,\n")
    manifest = read_crema_d(root)
    first, second = manifest
    assert (first.extra["age"], first.extra["sex"], first.extra["ethnicity"]) == (51, "Female", None)
    assert second.extra["age"] is None
    assert "may fail: 1076_MTI_SAD_XX." in manifest.notes[1]
    assert manifest.notes[2] == "Actors who are not in VideoDemographics.csv: 1076 (1 in all)."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ActorID,Age\n1001,51\n", "no column Sex, Race, Ethnicity"),
        (f"{ACTORS}\n1001,51,Male,,\n1001,51,Male,,\n", r"row 2 \(line 3\): the actor 1001 is there a second time"),
        (f"{ACTORS}\n1,51,Male,,\n", "the ActorID is '1'"),
        (f"{ACTORS}\n1001,old,Male,,\n", "the Age is 'old'"),
        (f"{ACTORS}\n1001,51,,a,b\n", "the Sex is missing"),
    ],
)
def test_wrong_rows_of_actors_are_named(tmp_path, content, message):
    root = write(tmp_path, GOOD)
    (root / "VideoDemographics.csv").write_text(content)
    with pytest.raises(RequestError, match=message):
        read_crema_d(root)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(RequestError, match="There is no folder"):
        read_crema_d(tmp_path / "none")
    with pytest.raises(RequestError, match=r"processedResults/tabulatedVotes.csv was expected there and is missing"):
        read_crema_d(tmp_path)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([], HEADER, "no rows"),
        ([GOOD], HEADER.replace('"A"', '"B"'), "no column A"),
        ([GOOD], HEADER.replace('""', '"x"'), "no column without a name"),
        ([GOOD, GOOD], HEADER, r"row 2 \(line 3\): '1001_DFA_ANG_XX' is there a second time"),
        ([GOOD.replace("5,2", "-5,2")], HEADER, r"row 1 \(line 2\): 'A' is '-5', a negative"),
        ([GOOD.replace("5,2", "x,2")], HEADER, "'A' is 'x', not a number"),
        ([GOOD.replace("5,2,0,0,3", "0,0,0,0,0")], HEADER, "all votes on '1001_DFA_ANG_XX' are zero"),
        ([GOOD.replace("200001", "7")], HEADER, "the first cell is '7'"),
        ([GOOD.replace("1001_DFA", "../DFA")], HEADER, "Expected is a name such as"),
    ],
)
def test_wrong_rows_are_named(tmp_path, rows, header, message):
    with pytest.raises(RequestError, match=message):
        read_crema_d(write(tmp_path, *rows, header=header))


RESPONSES = (
    '"","localid","pos","ans","ttr","queryType","numTries","clipNum","questNum","subType","clipName","sessionNums",'
    '"respEmo","respLevel","dispEmo","dispVal","dispLevel"'
)
CLICKS = '"","localid","sessionNums","queryType","questNum","pos","ttr","numTries","clipNum","clipName"'


def answer(who, emotion, *, clip="1001_DFA_ANG_XX", kind=2, session=7, question=1):
    return (
        f'"1","{who}",3,"{emotion}_50","2345",{kind},0,1,{question},4,"{clip}",{session},"{emotion}","50","A","XX","X"'
    )


def write_single(root, *answers, clicks=None, header=RESPONSES):
    (root / "finishedResponses.csv").write_text("\n".join([header, *answers]) + "\n")
    if clicks is not None:
        (root / "finishedEmoResponses.csv").write_text("\n".join([CLICKS, *clicks]) + "\n")
    return read_crema_d(root, annotators=True)


def test_single_votes_are_read_as_the_authors_tabulate_them(tmp_path):
    """Practice, missing, slow and repeated answers, other senses and unknown clips are left out and counted."""
    root = write(tmp_path, '"200001",2,1,0,0,0,0,"1001_DFA_ANG_XX",3', '"200002",4,4,0,0,0,0,"1002_IEO_HAP_LO",8')
    manifest = write_single(
        root,
        answer("p1", "A", session=1),
        answer("p2", "A", session=2),
        answer("p3", "D", session=3, question=1),
        answer("p3", "N", session=3, question=9),
        answer("p4", "S", session=4, question=5),
        answer("p5", "", session=5),
        answer("p6", "NA", session=6),
        answer("p7", "H", session=7, kind=1),
        answer("p1", "H", session=1, question=2, clip="SAD_MD_practice"),
        answer("p1", "H", session=1, question=3, clip="1003_IEO_HAP_LO"),
        clicks=['"1","p4",4,2,5,1,"10001",0,1,"1001_DFA_ANG_XX"', '"2","p1",1,2,1,1,"10000",0,1,"1001_DFA_ANG_XX"'],
    )
    clip, bare = manifest
    assert clip.votes == (2, 1, 0, 0, 0, 0)
    assert clip.extra["annotators"] == ["p1", "p2", "p3"]
    assert clip.extra["annotator_votes"] == ["angry", "angry", "disgust"]
    assert (bare.votes, bare.extra["annotators"]) == ((4, 4, 0, 0, 0, 0), None)
    assert manifest.notes[1:] == (
        "3 votes of 3 annotators are from finishedResponses.csv.",
        "1 answer left out, given for practice: on SAD_MD_practice.",
        "2 answers left out, without an emotion: on 1001_DFA_ANG_XX.",
        "1 answer left out, whose first click took over 10 s: on 1001_DFA_ANG_XX.",
        "1 answer left out, on clips that are not tabulated: on 1003_IEO_HAP_LO.",
        "1 answer left out, an annotator's second one on a clip: on 1001_DFA_ANG_XX.",
        "1 clip without a single vote, of which the tabulated counts are kept: 1002_IEO_HAP_LO.",
    )
    assert single_votes(manifest).height == 3


def test_counts_that_differ_from_the_tabulated_ones_are_told(tmp_path):
    manifest = write_single(write(tmp_path, GOOD), answer("p1", "A"), answer("p2", "N", session=8))
    assert manifest[0].votes == (1, 0, 0, 0, 1, 0)
    assert manifest.labels.tolist() == [-1]
    assert manifest.notes[-1] == "1 clip with other counts than in tabulatedVotes.csv: 1001_DFA_ANG_XX."
    assert any("no finishedEmoResponses.csv" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("row", "header", "message"),
    [
        (answer("p1", "B"), RESPONSES, r"row 1 \(line 2\): the respEmo is 'B'.*A, D, F, H, N, S"),
        (answer("p1", "A", kind=4), RESPONSES, "the queryType is '4'"),
        (answer("", "A"), RESPONSES, "the localid is None"),
        (answer("p1", "A"), RESPONSES.replace("respEmo", "emotion"), "no column respEmo"),
        (answer("p1", "A", clip="1003_IEO_HAP_LO"), RESPONSES, "no such votes"),
    ],
)
def test_wrong_single_votes_are_named(tmp_path, row, header, message):
    with pytest.raises(RequestError, match=message):
        write_single(write(tmp_path, GOOD), row, header=header)
    (tmp_path / "finishedResponses.csv").unlink()
    with pytest.raises(RequestError, match="leave out --annotators"):
        read_crema_d(tmp_path, annotators=True)


def test_single_votes_drawn_from_the_real_counts_give_these_back(tmp_path, real, shared_data):
    """71,000 rows in the published layout, one person for each vote of a clip: counts, labels, folds stay."""
    rows = []
    for number, (name, votes) in enumerate(zip(real.video_ids, real.votes.tolist(), strict=True)):
        letters = "".join(letter * times for letter, times in zip("ADFHNS", votes, strict=True))
        rows += [
            answer(f"p{number % 200}-{k}", letter, clip=name, session=number, question=k)
            for k, letter in enumerate(letters)
        ]
    shutil.copytree(shared_data / "crema_d" / "processedResults", tmp_path / "processedResults")
    shutil.copy(shared_data / "crema_d" / "VideoDemographics.csv", tmp_path)
    manifest = write_single(tmp_path, *rows, clicks=['"1","p0-0",0,2,0,1,"900",0,1,"1001_DFA_ANG_XX"'])
    assert manifest.table.select(real.table.columns).equals(real.table)
    assert not any("other counts" in note for note in manifest.notes)
    pytest.importorskip("crowdkit", reason="the extra `crowd` is not installed")
    aggregated = aggregate(manifest.select(range(40)), "dawid_skene")
    assert aggregated.table["aggregated_label"].null_count() == 0
