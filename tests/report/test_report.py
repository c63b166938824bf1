"""Results as text and as pictures: golden tables, figures that follow the numbers, and the edges."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from midas_dfer.clips.description.description import Ambiguity, Description, Spread
from midas_dfer.clips.preparing.prepare import PrepareReport
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import JobError, RequestError
from midas_dfer.evaluation.evaluate import Evaluation, Predictions, VoteAgreement, score
from midas_dfer.report.pictures.evaluation_figures import draw_evaluation
from midas_dfer.report.pictures.layout import one_line, short_name, text_width, wrap
from midas_dfer.report.pictures.training_curves import draw_training, spread_out
from midas_dfer.report.tables.evaluation_table import evaluation_table
from midas_dfer.report.tables.store_tables import description_table, prepare_table
from midas_dfer.training.run_folder.metrics_file import read_curves

NAMES = ("happy", "sad", "angry")


def predictions(
    clips: int = 40, names=NAMES, seed: int = 0, *, voted: bool = True, labelled: bool = True
) -> Predictions:
    """Made-up clips; predictions are the votes with noise."""
    rng = np.random.default_rng(seed)
    votes = rng.multinomial(10, rng.dirichlet(np.full(len(names), 0.6), clips)) / 10
    tied = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
    labels = np.where(tied | (not labelled), -1, votes.argmax(axis=1)).astype(np.int64)
    logits = votes + rng.normal(0, 0.2, votes.shape)
    flat = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sharp = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    return Predictions(tuple(f"v{i}" for i in range(clips)), labels, np.full(clips, voted), votes, flat, sharp)


def scores(of: Predictions, names=NAMES, caution: str = "") -> Evaluation:
    return score(
        of, method="MIDAS", model="tsm_resnet18", dataset="toy", class_names=tuple(names), part="test", caution=caution
    )


EVALUATION = Evaluation(
    method="MIDAS",
    model="tsm_resnet18",
    dataset="crema_d",
    class_names=("angry", "fear", "happy"),
    part="test",
    caution="2 of these 1486 clips were used in training: this says how well they were learned, not how well others",
    num_clips=1486,
    num_labelled=1402,
    num_voted=1486,
    uar=0.57454,
    war=1.0,
    recall=(0.149, None, 1.0),
    confusion=((149, 851, 0), (0, 0, 0), (0, 0, 402)),
    votes_entropy=0.81234,
    agreement={
        "probabilities": VoteAgreement(1.60001, 0.12, 0.4, 0.3, None, 0.41),
        "vote_shares": VoteAgreement(1.1, 0.08, 0.2, 0.3, -0.28, 0.11),
    },
)

EVALUATION_TABLE = """\
method    MIDAS
model     tsm_resnet18
data set  crema_d
clips     1,486 clips of the test part; 1,402 with a single label, 1,486 with
          votes

CAUTION: 2 of these 1486 clips were used in training: this says how well they
were learned, not how well others.

UAR   57.45 %   mean recall of the 2 classes
WAR  100.00 %   share of the 1,402 clips whose class was found

class    recall  clips
angry   14.90 %  1,000
fear          –      0
happy  100.00 %    402

agreement with votes (1,486 clips)          probabilities  vote shares
soft cross-entropy (nats, at least 0.8123)         1.6000       1.1000
Jensen-Shannon divergence (nats)                   0.1200       0.0800
total variation                                    0.4000       0.2000
entropy correlation, Pearson                       0.3000       0.3000
entropy correlation, Spearman                           –      -0.2800
expected calibration error                         0.4100       0.1100

probabilities: the softmax of the network's output, flat where the training
targets were. vote shares: the annotators' distribution that this output
implies."""


def test_evaluation_table():
    assert evaluation_table(EVALUATION) == EVALUATION_TABLE


def test_evaluation_table_without_labels_or_votes():
    no_labels = evaluation_table(scores(predictions(labelled=False)))
    assert "No clip has a single label, so there is no UAR, WAR or recall." in no_labels
    assert "UAR  " not in no_labels
    assert "total variation" in no_labels
    no_votes = evaluation_table(scores(predictions(voted=False)))
    assert "No clip has votes, so there is no agreement with them." in no_votes
    assert "UAR  " in no_votes
    assert "total variation" not in no_votes
    assert "CAUTION" not in no_votes


def test_prepare_table():
    assert prepare_table(PrepareReport(7400, 12, {"no face": 3, "unreadable": 1}, 20, 4, 7408)) == (
        "done          7,400  in this run\n"
        "skipped          12  finished by an earlier run\n"
        "failed            4  see failures.csv\n"
        "  no face         3\n"
        "  unreadable      1\n"
        "left out         20  there is no such file\n"
        "usable        7,408  clips in the store\n"
        "  damaged         4  used up to the damage"
    )
    assert prepare_table(PrepareReport(2, 0, {}, 0, 0, 2)) == (
        "done     2  in this run\nskipped  0  finished by an earlier run\nfailed   0\nusable   2  clips in the store"
    )


DESCRIPTION = Description(
    dataset="toy",
    class_names=NAMES,
    num_clips=10,
    num_subjects=4,
    num_without_subject=1,
    clips_per_subject=None,
    splits={"test": 3, "train": 7},
    folds={1: 4, 2: 6},
    parts=(),
    num_voted=9,
    votes_per_clip=Spread(5, 9.5, 9.0, 10, 81),
    class_clips=(6, 2, 0),
    num_unlabelled=2,
    num_tied=1,
    soft_label_mass=(5.0, 3.0, 2.0),
    majority_clips=(5, 2, 0),
    coexistence=((0.7, 0.2, 0.1), (0.0, 1.0, 0.0), None),
    ambiguity=Ambiguity(0.4, 0.7, 1 / 3, (9,), (1.0, 0.0, None), (0.1, 0.2, None)),
    agreement=None,
    num_pending=5,
    failures={"no face": 2, "unreadable": 1},
    num_damaged=1,
    frames=Spread(12, 70.5, 77.0, 1847, 901729),
    settings=ExtractSettings(),
    fingerprint="0123456789abcdef",
)

DESCRIPTION_TABLE = """\
data set  toy
clips     10; 1 of them damaged (used up to the damage); 3 failed; 5 not
          prepared yet
subjects  4 (1 clip without)
parts     test 3, train 7
folds     2 of 4 to 6 clips
frames    12 to 1,847, median 70.5 per clip; 901,729 in all
votes     5 to 10, median 9.5 per clip; 9 clips with votes
clear     33.33 % of the clips have over 90 % of their votes in one class
entropy   0.400 on average; 0: all agree, 1: all classes equally likely
settings  224x224 pixels, faces detect; fingerprint 0123456789abcdef

class  clips    share  of votes  also voted for
happy      6  75.00 %   50.00 %  sad 20.00 %
sad        2  25.00 %   30.00 %  nothing else
angry      0   0.00 %   20.00 %  –
without a single label: 2 clips
tied at the top of the votes: 1 clip

failed      clips
no face         2
unreadable      1"""


def test_description_table():
    assert description_table(DESCRIPTION) == DESCRIPTION_TABLE


@given(name=st.text(min_size=1, max_size=90), number=st.integers(0, 10**8))
@settings(max_examples=40)
def test_tables_are_at_most_80_columns_wide(name, number):
    names = (name, "b", "c")
    of = replace(EVALUATION, class_names=names, method=name, dataset=name, num_clips=number, num_voted=number)
    about = replace(
        DESCRIPTION, class_names=names, dataset=name, class_clips=(number, number, 0), failures={name: number}
    )
    texts = [evaluation_table(of), description_table(about)]
    texts.append(prepare_table(PrepareReport(number, number, {name: number}, number, number, number)))
    for text in texts:
        assert max(len(line) for line in text.split("\n")) <= 80


# --- pictures ---------------------------------------------------------------------------------------


def pictures(evaluation: Evaluation, of: Predictions, folder: Path) -> dict[str, np.ndarray]:
    return {path.name: imread(path) for path in draw_evaluation(evaluation, of, folder)}


def has_margins(picture: np.ndarray) -> bool:
    """Whether the outermost pixels are all white."""
    return all(edge.min() == 1 for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]))


def test_pictures_follow_the_predictions(tmp_path):
    found, others = (
        pictures(scores(of), of, tmp_path / f"{seed}")
        for seed, of in enumerate([predictions(seed=0), predictions(seed=1)])
    )
    assert list(found) == ["confusion.png", "recall.png", "calibration.png", "risk_coverage.png", "agreement.png"]
    for name, picture in found.items():
        assert 800 < picture.shape[1] < 2000, name
        assert 400 < picture.shape[0] < 2000, name
        assert has_margins(picture), f"{name}: something is cut off"
        assert picture.shape == others[name].shape, name
        assert not np.array_equal(picture, others[name]), name
    again = draw_evaluation(scores(predictions()), predictions(), tmp_path / "again")
    assert [path.read_bytes() for path in again] == [(tmp_path / "0" / path.name).read_bytes() for path in again]


def test_what_is_not_known_is_not_drawn(tmp_path):
    unlabelled = predictions(labelled=False)
    assert list(pictures(scores(unlabelled), unlabelled, tmp_path)) == ["agreement.png"]
    unvoted = predictions(voted=False)
    labelled = ["confusion.png", "recall.png", "calibration.png", "risk_coverage.png"]
    assert list(pictures(scores(unvoted), unvoted, tmp_path)) == labelled
    neither = predictions(labelled=False, voted=False)
    assert draw_evaluation(scores(neither), neither, tmp_path) == []


@pytest.mark.parametrize(
    ("names", "clips"),
    [
        (NAMES, 1),  # two classes are absent
        (("\u5feb\u4e50", "a class with an extraordinarily long name $x_1$"), 12),
        (tuple(f"class number {i}" for i in range(11)), 2100),  # as many clips as make a hexagonal histogram
    ],
)
def test_pictures_at_the_edges(tmp_path, names, clips):
    of = predictions(clips, names, seed=3)
    found = pictures(scores(of, names, caution="these clips were used in training " * 3), of, tmp_path)
    assert len(found) == 5
    for name, picture in found.items():
        assert has_margins(picture), f"{name}: something is cut off"


def test_a_caution_is_in_the_picture(tmp_path):
    of = predictions(5)
    without, cautioned = (pictures(scores(of, caution=text), of, tmp_path / text) for text in ("", "beware"))
    assert all(cautioned[name].shape[0] > picture.shape[0] for name, picture in without.items())


def test_a_picture_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    of = predictions(5)
    with pytest.raises(JobError, match="cannot write"):
        draw_evaluation(scores(of), of, tmp_path / "file")


HEAD = "epoch,learning_rate,seconds,train_loss,train_uar,train_war"


def curves(tmp_path: Path, lines: list[str], head: str = HEAD) -> Path:
    (tmp_path / "metrics.csv").write_text("\n".join([head, *lines]) + "\n")
    return tmp_path / "metrics.csv"


def test_training_curves_follow_the_log(tmp_path):
    lines = [f"{e},{0.02 / e},1.5,{2 / e},{0.1 * e},{0.12 * e}" for e in range(1, 6)]
    draw_training(curves(tmp_path, lines), tmp_path / "a.png")
    draw_training(curves(tmp_path, [*lines[:4], lines[3].replace("4,", "5,", 1)]), tmp_path / "b.png")
    validated = [f"{line},1.2,0.5,0.6" for line in lines]
    draw_training(curves(tmp_path, validated, HEAD + ",val_loss,val_uar,val_war"), tmp_path / "c.png")
    draw_training(tmp_path / "metrics.csv", tmp_path / "d.png", watched="test fold")
    a, b, c, d = (imread(tmp_path / f"{name}.png") for name in "abcd")
    assert a.shape == b.shape == c.shape
    assert not np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert not np.array_equal(c, d)
    assert has_margins(a), "something is cut off"


def test_training_curves_with_gaps(tmp_path):
    """A column that began later (validation), a loss that is not a number, a single epoch."""
    path = curves(tmp_path, ["1,0.02,1.0,nan,,,", "2,0.01,1.0,inf,0.5,0.5,1.0"], HEAD + ",val_loss")
    draw_training(path, tmp_path / "a.png")
    assert np.isnan(read_curves(path)["val_loss"]).tolist() == [True, False]
    draw_training(curves(tmp_path, ["1,0.02,1.0,1.9,0.5,0.5"]), tmp_path / "b.png")
    assert has_margins(imread(tmp_path / "a.png"))
    assert has_margins(imread(tmp_path / "b.png"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("", "holds no epoch"),
        (HEAD + "\n", "holds no epoch"),
        ("a,b\n1,2\n", "has no column epoch or train_loss"),
        ("epoch,train_loss\n1,x\n", "is damaged"),
        ("epoch,train_loss\nnan,1\n", "is damaged"),
        ("epoch,train_loss\n,1\n", "is damaged"),
    ],
)
def test_a_log_that_cannot_be_drawn(tmp_path, content, message):
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RequestError, match=message):
        draw_training(path, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@given(places=st.lists(st.floats(-1e3, 1e3), max_size=7).map(sorted), gap=st.floats(0.1, 50))
def test_names_are_spread_out(places, gap):
    moved = spread_out(places, gap)
    assert len(moved) == len(places)
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(moved))
    if all(b - a >= gap for a, b in pairwise(places)):
        assert moved == pytest.approx(places, abs=1e-6)
    assert sum(moved) == pytest.approx(sum(places), abs=1e-6)  # nothing is pushed to one side


@given(text=st.text(max_size=120), room=st.floats(1.5, 8.0))
@settings(max_examples=40)
def test_wrapped_text_keeps_its_words_and_fits(text, room):
    lines = wrap(text, room, 9.0)
    assert "".join("".join(lines).split()) == "".join(one_line(text).split())
    assert all(text_width(line, 9.0) <= room or len(line) <= 8 for line in lines)


def test_short_names():
    assert short_name("\u8868\u60c5 caf\u00e9") == "\u25a1\u25a1 caf\u00e9"  # no glyph, so a box, and no warning
    assert short_name(" very\nsad ") == "very sad"
    assert len(short_name("x" * 100)) == 26
