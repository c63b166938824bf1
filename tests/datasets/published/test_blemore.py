"""BLEMORE: metadata in its published columns, what is refused, and shares through store, training and classes."""

import numpy as np
import pytest

from midas_dfer.cli import main
from midas_dfer.clips.batches.dataset import ClipDataset
from midas_dfer.clips.checking.annotations import check_annotations
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.datasets.published.blemore import read_blemore
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.manifest.aggregation import aggregate
from midas_dfer.manifest.classes import map_classes
from midas_dfer.metrics import predicted_blends, presence_accuracy
from midas_dfer.report.tables.evaluation_table import evaluation_table
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.training.train import train
from tests.support.factories import write_clip

HEADER = (
    "filename,video_id,gender,mix,emotion_1,version,intensity_level,situation,emotion_2,emotion_1_salience,"
    "emotion_2_salience,fold"
)
"""The columns of train_metadata.csv, as code that reads it prints them."""
CODES = ("ang", "disg", "fea", "hap", "sad")


def single(actor, emotion, fold=1, *, number=1):
    kind = "sit" if emotion == "neu" else "int"
    level, situation = ("", f"{number}.0") if emotion == "neu" else (f"{number}.0", "")
    return f"{actor}_{emotion}_{kind}{number}_ver1,{actor},f,0,{emotion},1,{level},{situation},,,,{fold}"


def blend(actor, one, other, p, fold=1):
    return f"{actor}_mix_{one}_{other}_{p}_{100 - p}_ver2,{actor},m,1,{one},2,,,{other},{p}.0,{100 - p}.0,{fold}"


ROWS = (
    single("A102", "ang", 0),
    single("A102", "neu", 0, number=3),
    blend("A405", "ang", "disg", 70),
    blend("A405", "hap", "sad", 30),
    blend("A438", "fea", "hap", 50, 4),
)


def write(root, *rows, header=HEADER, name="train_metadata.csv"):
    (root / name).write_text("\n".join([header, *(rows or ROWS)]) + "\n")
    return root


def test_shares_labels_folds_and_actors(tmp_path):
    manifest = read_blemore(write(tmp_path))
    table = manifest.table
    assert manifest.class_names == ("angry", "disgust", "fear", "happy", "sad", "neutral")
    assert table["aggregated_label"].to_list() == [
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [0.7, 0.3, 0, 0, 0, 0],
        [0, 0, 0, 0.3, 0.7, 0],
        [0, 0, 0.5, 0.5, 0, 0],
    ]
    assert table["label"].to_list() == ["angry", "neutral", "angry", "sad", None]
    assert table["blend"].to_list() == [None, None, "angry 70, disgust 30", "happy 30, sad 70", "fear 50, happy 50"]
    assert table["subject"].to_list() == ["A102", "A102", "A405", "A405", "A438"]
    assert table["fold"].to_list() == [1, 1, 2, 2, 5]
    assert table["split"].to_list() == [None] * 5
    assert not manifest.has_votes.any()
    assert manifest.votes.tolist()[2:] == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0]]
    assert manifest.notes == (
        "train_metadata.csv: 5 clips; 2,456 are published.",
        "The published folds 0 to 4 are 1 to 5 here.",
        "Labels are shares of emotions that actors were asked to show; nobody voted on these clips.",
    )


def test_both_parts_and_videos_at_any_depth(tmp_path):
    write(tmp_path)
    test_row = blend("A55", "ang", "sad", 30).removesuffix(",1").replace("A55_mix_ang_sad_30_70_ver2", "test_0001.mov")
    write(tmp_path, test_row, header=HEADER.removesuffix(",fold"), name="test_metadata.csv")
    for place in ("part_1/A102_ang_int1_ver1.mov", "b/test_videos/test_0001.mov", "b/A102_neu_sit3_ver1.txt"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    manifest = read_blemore(tmp_path)
    assert manifest.table["split"].to_list() == ["train"] * 5 + ["test"]
    assert manifest.table["fold"].to_list() == [1, 1, 2, 2, 5, None]
    assert manifest.video_ids[-1] == "test_0001"
    assert manifest.table["path"].to_list()[:2] == ["part_1/A102_ang_int1_ver1.mov", "A102_neu_sit3_ver1"]
    assert manifest.table["path"][-1] == "b/test_videos/test_0001.mov"
    assert (len(manifest.partition().test), len(manifest.partition(5).test)) == (1, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROWS[0].replace("0,ang", "0,bored"), r"row 1 \(line 2\): emotion_1 is 'bored'"),
        (ROWS[0].replace("f,0", "f,2"), "mix is '2'"),
        (ROWS[0].replace("f,0", "f,1"), "emotion_2 is None"),
        (ROWS[2].replace("m,1", "m,0"), "is a single emotion .* and has a second one, 'disg'"),
        (ROWS[2].replace("30.0", "20.0"), "the saliences of .* are '70.0' and '20.0'.*sum 100"),
        (ROWS[2].replace("disg,70.0", "ang,70.0"), "a blend of angry with itself"),
        (ROWS[2].replace("disg,70.0", "sad,70.0"), "says something else than its row"),
        (ROWS[2].replace("70.0,30.0", "30.0,70.0"), "says something else than its row"),
        (ROWS[0].replace("0,ang", "0,hap"), "says something else than its row"),
        (ROWS[0].removesuffix("0") + "x", "the fold is 'x'"),
        (ROWS[0].replace("A102_ang_int1_ver1", ""), "the filename is missing"),
    ],
)
def test_wrong_rows_are_named(tmp_path, row, message):
    with pytest.raises(RequestError, match=message):
        read_blemore(write(tmp_path, row))


def test_other_folders_and_files_are_refused(tmp_path):
    with pytest.raises(RequestError, match=r"train_metadata\.csv was expected there"):
        read_blemore(tmp_path)
    with pytest.raises(RequestError, match="no column mix"):
        read_blemore(write(tmp_path, header=HEADER.replace("mix", "blend")))
    with pytest.raises(RequestError, match="A102_ang_int1_ver1' is there a second time"):
        read_blemore(write(tmp_path, ROWS[0], ROWS[0]))


def test_shares_follow_the_classes(tmp_path):
    """Another order, and without happy: a blend with it is all of its other emotion, a clip of it alone is left out."""
    manifest = read_blemore(write(tmp_path, *ROWS, single("A438", "hap", 4)))
    mapped = map_classes(manifest, ("neutral", "sad", "fear", "angry", "disgust"))
    assert mapped.table["aggregated_label"].to_list() == [
        [0, 0, 0, 1, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0.7, 0.3],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
    ]
    alone = map_classes(manifest.select([4]).with_columns(fold=[1]), ("fear", "sad"))
    assert alone.votes.tolist() == [[1, 0]]
    assert len(map_classes(manifest, ("angry", "neutral"))) == 3


def test_shares_go_from_the_folder_through_store_and_training_to_both_accuracies(tmp_path, capsys):
    rows = [single(f"A{n}", code, n) for n in range(2) for code in (*CODES, "neu")]
    rows += [blend(f"A{n}", "ang", "sad", p, n) for n in range(2) for p in (30, 50, 70)]
    (tmp_path / "videos").mkdir()
    write(tmp_path / "videos", *rows)
    for number, row in enumerate(rows):  # folders of pictures, found by their bare names
        write_clip(tmp_path / "videos" / row.split(",")[0], number % 3, 2, number, side=16)
    manifest = read_blemore(tmp_path / "videos")
    assert not [found for found in check_annotations(manifest) if found.severity == "error"]
    with pytest.raises(RequestError, match="does not say who voted"):
        aggregate(manifest, "mace")
    out = tmp_path / "store"
    made = ["--out", str(out), "--size", "24", "--faces", "cropped", "--jobs", "1"]
    assert main(["prepare", "blemore", str(tmp_path / "videos"), *made]) == 0
    store = ClipStore.open(out)
    soft = ClipDataset(store).soft_labels.numpy().astype(float).round(2)
    assert np.allclose(soft.sum(axis=1), 1)
    assert {tuple(row) for row in soft.tolist()} >= {(0.5, 0, 0, 0, 0.5, 0), (0.7, 0, 0, 0, 0.3, 0)}
    assert ClipDataset(store, labels="hard").left_out == 2
    with pytest.raises(RequestError, match=r"nobody voted on the clips .* --votes_used is for votes: leave it out"):
        ClipDataset(store, votes_used=3)
    with pytest.raises(RequestError, match="--label_method softmax_counts is for votes"):
        ClipDataset(store, method="softmax_counts")
    config = RunConfig(epochs=1, batch_size=4, width=8, size=24, num_segments=2, num_workers=0, num_threads=1)
    run = train(config, store, tmp_path / "run")
    told = "".join(capsys.readouterr())
    assert "the known shares of the emotions in each clip" in told
    assert "soft labels are the single labels" not in told
    scored, predictions = evaluate(run, store)
    assert (scored.num_voted, scored.agreement, scored.no_vote_shares) == (0, None, "")
    assert predictions.vote_shares is not None
    table = evaluation_table(scored)
    assert "emotions and their shares (3 blends)" in table
    own, *guesses = scored.blends.references
    assert {each.name: (each.presence, each.salience) for each in guesses} == {
        "most frequent emotion": (pytest.approx(1 / 9), 0),
        "most frequent blend": (pytest.approx(3 / 9), pytest.approx(1 / 3)),
        "with its shares": (pytest.approx(3 / 9), pytest.approx(1 / 3)),
    }
    true = np.array(store.manifest.partition().test.table["aggregated_label"].to_list())
    assert own.presence == presence_accuracy(predicted_blends(predictions.vote_shares, neutral=5), true)
    assert Evaluation.read(run.path / "evaluation") == scored
