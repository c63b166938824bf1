"""A column more, rows counted together, another order: the same votes for the same classes, or a refusal by name."""

import csv
import io
import json
import shutil
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from midas_dfer.cli import main
from midas_dfer.datasets.folders import read_folders
from midas_dfer.datasets.published.crema_d import read_crema_d
from midas_dfer.datasets.published.dfew import read_dfew
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.datasets.table import read_table
from midas_dfer.datasets.tools.cvat import read_cvat
from midas_dfer.datasets.tools.label_studio import read_label_studio
from midas_dfer.errors import RequestError
from midas_dfer.synthetic import read_synthetic, write_corpus
from midas_dfer.synthetic.layouts.dfew import write_dfew
from midas_dfer.synthetic.layouts.ferplus import write_ferplus

# fmt: off
NAMES = (
    "session", "take", "camera", "trial", "gender", "sex", "group", "quality", "version", "clip_number", "season",
    "episode", "shot", "batch", "seed", "block", "condition", "site", "hit", "n_raters", "frames_total", "rating",
    "difficulty", "missing", "NA", "unsure", "occluded", "is_occluded", "has_glasses", "ethnicity_code", "task_id",
    "visit", "cohort", "unknown", "other", "NF", "skip", "none", "bored", "calm", "hapy", "happy_votes",
    "percent_sad", "count", "counts", "votes", "vote", "n", "num_votes", "n_votes", "size", "freq", "frequency",
    "weight", "total", "sum", "0", "numVotes", "duration", "score", "confidence", "share", "annotators", "label",
    "emotion", "class", "clip", "video", "file", "person", "split", "fold", "index", "key", "comment",
)
COUNT_NAMES = (
    "count", "counts", "votes", "vote", "n", "num_votes", "n_votes", "size", "freq", "frequency", "weight", "0",
    "numVotes",
)
# fmt: on
EMOTIONS = ("happy", "sad", "neutral")
CELLS = {
    "numbers": lambda rng: str(rng.integers(0, 21)),
    "one number": lambda _: "3",
    "fractions": lambda rng: f"{rng.random():.2f}",
    "words": lambda rng: rng.choice(["yes", "no", "", "x y"]),
}
COUNTS = st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any), min_size=1, max_size=5)


def meaning(manifest):
    """What decides a training: votes by class, label and who belongs together, whatever the order."""
    groups: dict[str, set[str]] = {}
    votes, labels = {}, {}
    for sample in manifest:
        votes[sample.video_id] = {c: n for c, n in zip(manifest.class_names, sample.votes or (), strict=False) if n}
        labels[sample.video_id] = None if sample.label is None else manifest.class_names[sample.label]
        groups.setdefault(sample.subject or f"clip {sample.video_id}", set()).add(sample.video_id)
    return votes, labels, set(manifest.class_names), sorted(map(sorted, groups.values()))


def written(folder, rows, name="votes.csv"):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    (folder / name).write_text(text.getvalue())
    return folder / name


def same_or_named(read, expected, *names):
    """The rule of this file."""
    try:
        manifest = read()
    except RequestError as error:
        refusal = str(error)
    else:
        assert meaning(manifest) == expected, manifest.notes
        return
    assert any(repr(name) in refusal or f" {name} " in refusal for name in names), refusal


def wide(counts):
    return [["video_id", *EMOTIONS], *([f"v{k}.mp4", *map(str, row)] for k, row in enumerate(counts))]


def single_votes(counts, annotator):
    rows = [["video_id", "emotion", *["annotator"] * annotator]]
    for k, row in enumerate(counts):
        cast = [name for name, n in zip(EMOTIONS, row, strict=True) for _ in range(n)]
        rows += [[f"v{k}.mp4", name, *[f"r{i}"] * annotator] for i, name in enumerate(cast)]
    return rows


def shuffled(rows, rng):
    """Columns and rows in another order."""
    order = rng.permutation(len(rows[0]))
    body = [rows[k] for k in 1 + rng.permutation(len(rows) - 1)]
    return [[row[k] for k in order] for row in [rows[0], *body]]


def with_column(rows, name, rng):
    """The table with one column more, and what that holds."""
    kind = str(rng.choice(sorted(CELLS)))
    return [[*rows[0], name], *([*row, CELLS[kind](rng)] for row in rows[1:])], kind


def random_counts(rng):
    return [row for row in rng.integers(0, 7, (5, 3)).tolist() if any(row)]


@pytest.mark.parametrize("seed", range(2))
def test_a_wide_table_with_a_column_more(tmp_path, seed):
    folder, rng = tmp_path, np.random.default_rng(seed)
    rows = wide(random_counts(rng))
    expected = meaning(read_table(written(folder, rows)))
    for name in NAMES:
        file = written(folder, shuffled(with_column(rows, name, rng)[0], rng), "more.csv")
        ignore = [name] if name == "person" else []  # is who is seen, as documented
        same_or_named(lambda file=file, ignore=ignore: read_table(file, ignore=ignore), expected, name)


@pytest.mark.parametrize("annotator", [False, True], ids=["without annotators", "with annotators"])
def test_a_long_table_with_a_column_more(tmp_path, annotator):
    folder, rng = tmp_path, np.random.default_rng(0)
    rows = single_votes(random_counts(rng), annotator)
    expected = meaning(read_table(written(folder, rows), class_names=EMOTIONS))
    for name in NAMES:
        if name in rows[0]:
            continue
        more, kind = with_column(rows, name, rng)
        file = written(folder, shuffled(more, rng), "more.csv")
        if name in COUNT_NAMES and kind in ("numbers", "one number") and not annotator:
            continue  # says how many votes a row stands for: see below
        ignore = [name] if name == "person" else []
        same_or_named(
            lambda file=file, ignore=ignore: read_table(file, class_names=EMOTIONS, ignore=ignore), expected, name
        )


@settings(max_examples=15)
@example(counts=[[0, 1, 1]], name="count", seed=0)  # every count is 1: single votes, two of them r1's on one video
@given(counts=COUNTS, name=st.sampled_from([*COUNT_NAMES, "len", "Num Votes"]), seed=st.integers(0, 10**6))
def test_rows_that_were_counted_together(tmp_path_factory, name, counts, seed):
    folder, rng = tmp_path_factory.mktemp("counted"), np.random.default_rng(seed)
    singles = single_votes(counts, annotator=False)
    expected = meaning(read_table(written(folder, singles), class_names=EMOTIONS))
    often = Counter(map(tuple, singles[1:]))
    rows = [[*singles[0], name], *([*row, str(n)] for row, n in often.items())]
    file = written(folder, shuffled(rows, rng), "counted.csv")
    same_or_named(lambda: read_table(file, class_names=EMOTIONS), expected, name)
    # ... and once more beside annotators, of whom each row has one
    raters = [[*row, "rater" if k == 0 else "r1"] for k, row in enumerate(rows)]
    same_or_named(
        lambda: read_table(written(folder, raters, "r.csv"), class_names=EMOTIONS), expected, name, "rater", "r1"
    )


@pytest.mark.parametrize("name", ["total", "n_raters", "responses", "bored", "score", "x", "numVoters"])
@pytest.mark.parametrize("more", [[], [["a", "happy", "2"]]], ids=["each class once", "a class twice"])
def test_what_may_be_a_count_under_another_name_is_asked_about(tmp_path, name, more):
    rows = [["video_id", "emotion", name], ["a", "happy", "3"], ["a", "sad", "2"], *more]
    if more and name in ("score", "x"):  # single votes, each with a measure: told, and no count
        assert name in " ".join(read_table(written(tmp_path, rows)).notes)
        return
    with pytest.raises(RequestError, match=f"{name!r}.* how many votes a row stands for"):
        read_table(written(tmp_path, rows))
    assert read_table(written(tmp_path, rows), ignore=[name]).votes.tolist() == [[1 + len(more), 1]]


def test_a_task_that_is_exported_twice_counts_once(tmp_path):
    (tmp_path / "export.json").write_text(json.dumps(2 * tasks_of([[1, 1, 0]])))
    manifest = read_label_studio(tmp_path / "export.json")
    assert manifest.votes.tolist() == [[1, 1]]
    assert "There twice, and counted once: 2 annotations." in manifest.notes


@pytest.mark.parametrize("name", ["proportion", "share", "percent", "p"])
def test_shares_of_the_votes_are_no_single_votes(tmp_path, name):
    rows = [["video_id", "emotion", name], ["a", "happy", "0.6"], ["a", "sad", "0.4"], ["b", "sad", "1.0"]]
    with pytest.raises(RequestError, match=f"column {name!r}, which may be the share of the votes"):
        read_table(written(tmp_path, rows))
    read_table(written(tmp_path, rows), ignore=[name])


def test_the_total_of_a_video_is_no_count_of_a_class(tmp_path):
    rows = [["video_id", "emotion", "votes"], *[["a", each, "3"] for each in ("happy", "happy", "sad")]]
    with pytest.raises(RequestError, match=r"row 1 \(line 2\) .* same class of 'a', and 'votes' is 3"):
        read_table(written(tmp_path, rows))
    rows = [["video_id", "emotion", "votes"], ["a", "happy", "2"], ["a", "sad", "2"], ["b", "sad", "1"]]
    with pytest.raises(RequestError, match="'votes' is the number of rows of each video"):
        read_table(written(tmp_path, rows))
    assert read_table(written(tmp_path, rows), ignore=["votes"]).votes.tolist() == [[1, 1], [0, 1]]


def test_what_was_acted_is_not_taken_for_what_was_seen(tmp_path):
    rows = [["video_id", "annotator", "emotion", "label"], ["a", "1", "happy", "sad"], ["a", "2", "happy", "neutral"]]
    with pytest.raises(RequestError, match="emotions in the columns 'emotion' and 'label': which of them"):
        read_table(written(tmp_path, rows))
    assert read_table(written(tmp_path, rows), ignore=["emotion"]).class_names == ("neutral", "sad")


def test_a_column_that_completes_the_votes_is_asked_about(tmp_path):
    rows = [["video_id", "happy", "sad", "n_other"], ["a", "5", "3", "2"], ["b", "1", "8", "1"], ["c", "9", "1", "0"]]
    with pytest.raises(RequestError, match="with the column 'n_other' each row has 10 votes, without it they differ"):
        read_table(written(tmp_path, rows))
    assert read_table(written(tmp_path, rows), ignore=["n_other"]).class_names == ("happy", "sad")


def test_answers_that_are_no_emotions_are_refused_or_passed_over_as_asked(tmp_path):
    rows = [["video_id", "emotion"], ["a", "happy"], ["a", "Not sure"], ["b", "sad"], ["c", "n/a"], ["b", "happy;sad"]]
    with pytest.raises(RequestError, match=r"'happy;sad' names several") as refusal:
        read_table(written(tmp_path, rows))
    assert '--classes "[happy, sad]"; or which of these are none: --ignore "[Not sure, n/a]".' in str(refusal.value)
    manifest = read_table(written(tmp_path, rows[:-1]), ignore=["not sure", "N/A"])
    assert manifest.votes.tolist() == [[1, 0], [0, 1]]
    assert manifest.notes == (
        "Passed over because the answer is no vote: 2 rows.",
        "Left out because nobody voted on them: 1 video.",
    )
    with pytest.raises(RequestError, match=r"neither a column nor an answer .* called 'skip'"):
        read_table(written(tmp_path, rows[:-1]), ignore=["skip"])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("hapy", "Is 'hapy' meant to be happy?"),
        ("Hapiness", "Is 'Hapiness' meant to be happiness?"),
        ("suprise", "Is 'suprise' meant to be surprise?"),
        ("disgut", "Is 'disgut' meant to be disgust?"),
        ("unknown", "'unknown' is no emotion."),
        ("don't know", '"don\'t know" is no emotion.'),
        ("angry_disgust", "'angry_disgust' names several"),
        ("4", "'4' is a number"),
        ("bored", '--classes "[sad, bored]"'),
    ],
)
def test_words_that_are_no_known_emotion(tmp_path, word, told):
    long = [["video_id", "emotion"], ["a", "sad"], ["a", word]]
    with pytest.raises(RequestError) as refusal:
        read_table(written(tmp_path, long))
    assert told in str(refusal.value)
    assert read_table(written(tmp_path, long), class_names=["sad", word]).votes.tolist() == [[1, 1]]
    if word != "4":
        wide_rows = [["video_id", "happy", "sad", word], ["a", "1", "2", "3"]]
        with pytest.raises(RequestError) as refusal:
            read_table(written(tmp_path, wide_rows))
        assert repr(word) in str(refusal.value)


def test_the_cases_have_their_right_values(shared_data):
    agg = read_table(shared_data / "cases" / "agg.csv")
    assert agg.votes.tolist() == [[k, 2] for k in range(1, 9)]
    assert [None if k < 0 else agg.class_names[k] for k in agg.labels] == ["sad", None, *["happy"] * 6]
    meta = read_table(shared_data / "cases" / "meta.csv")
    assert meta.class_names == EMOTIONS
    assert [None if k < 0 else meta.class_names[k] for k in meta.labels] == (["sad", "sad", None] * 3)[:8]
    assert meta.table["session"].to_list() == list(range(1, 9))
    assert meta.notes == ("Columns of numbers that are no classes, but kept as they are: session.",)


def test_the_votes_of_the_made_up_faces_are_a_table_as_any_other(tmp_path, monkeypatch):
    monkeypatch.setattr("midas_dfer.synthetic.corpus._render", lambda _: None)
    write_corpus(tmp_path / "faces", clips=12, jobs=1)
    ours = read_synthetic(tmp_path / "faces")
    as_table = read_table(tmp_path / "faces" / "votes.csv", name="synthetic")
    assert as_table == ours
    singles = read_table(tmp_path / "faces" / "single_votes.csv", class_names=ours.class_names)
    assert singles.votes.tolist() == ours.votes.tolist()


# The readers of published files and of tools know their columns by name; what else is there changes nothing.


def add_csv_column(file, name):
    with file.open(newline="") as stream:
        rows = list(csv.reader(stream))
    written(file.parent, [[*row, name if k == 0 else str(k % 9)] for k, row in enumerate(rows)], file.name)


def reorder_csv(file):
    with file.open(newline="") as stream:
        rows = list(csv.reader(stream))
    written(file.parent, [row[::-1] for row in [rows[0], *rows[:0:-1]]], file.name)


def write_crema_d(root):
    rows = [["", "A", "D", "F", "H", "N", "S", "fileName"]]
    rows += [
        [f"2000{k:02d}", *map(str, (k, 1, 0, 2, 0, 5 - k)), f"10{k:02d}_DFA_{('ANG', 'SAD')[k % 2]}_XX"]
        for k in range(1, 6)
    ]
    (root / "processedResults").mkdir(parents=True)
    written(root / "processedResults", rows, "tabulatedVotes.csv")


def write_dfew_as_csv(root):
    write_dfew(root, clips=20, frames=0)
    (workbook,) = root.glob("Annotation/annotation.*")
    if workbook.suffix == ".xlsx":
        sheet = pl.read_excel(workbook, engine="calamine", infer_schema_length=0)
        workbook.unlink()
        sheet.write_csv(root / "Annotation" / "annotation.csv")


PUBLISHED = {
    "crema_d": (write_crema_d, "processedResults/tabulatedVotes.csv", read_crema_d),
    "ferplus": (lambda root: write_ferplus(root, form="pixels"), "fer2013new.csv", read_ferplus),
    "dfew": (write_dfew_as_csv, "Annotation/annotation.csv", read_dfew),
}


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_published_tables_with_a_column_more_or_in_another_order(dataset, tmp_path):
    write, file, read = PUBLISHED[dataset]
    write(tmp_path / "pristine")
    expected = meaning(read(tmp_path / "pristine"))
    for name in NAMES[:: 1 if dataset == "crema_d" else 8]:
        root = tmp_path / "copy"
        shutil.copytree(tmp_path / "pristine", root)
        add_csv_column(root / file, name)
        same_or_named(lambda root=root: read(root), expected, name)
        shutil.rmtree(root)
    reorder_csv(tmp_path / "pristine" / file)
    same_or_named(lambda: read(tmp_path / "pristine"), expected, "")


def tasks_of(counts):
    return [
        {
            "id": k,
            "data": {"video": f"v{k}.mp4"},
            "annotations": [
                {"id": 100 * k + i, "completed_by": None, "result": [
                    {"type": "choices", "from_name": "emotion", "value": {"choices": [name]}}
                ]}
                for i, name in enumerate(name for name, n in zip(EMOTIONS, row, strict=True) for _ in range(n))
            ],
        }
        for k, row in enumerate(counts)
    ]  # fmt: skip


@settings(max_examples=15)
@given(counts=COUNTS, name=st.sampled_from(NAMES), data=st.data())
def test_tasks_of_label_studio_with_more_data_twice_and_in_another_order(tmp_path_factory, counts, name, data):
    """An annotation by nobody known counts once, however often its task is exported."""
    file = tmp_path_factory.mktemp("tasks") / "export.json"
    tasks = tasks_of(counts)
    file.write_text(json.dumps(tasks))
    expected = meaning(read_label_studio(file, class_names=EMOTIONS))
    assert expected[0] == {
        f"v{k}": {c: n for c, n in zip(EMOTIONS, row, strict=True) if n} for k, row in enumerate(counts)
    }
    file.write_text(json.dumps(data.draw(st.permutations([*tasks, *tasks[: data.draw(st.integers(0, len(tasks)))]]))))
    assert meaning(read_label_studio(file, class_names=EMOTIONS)) == expected
    for task in tasks:
        task["data"].setdefault(name, 3)
    file.write_text(json.dumps(tasks))
    same_or_named(lambda: read_label_studio(file, class_names=EMOTIONS), expected, name)


@pytest.mark.parametrize("name", ["unknown", "bored", "hapy", "skip", "old"])
def test_a_tag_or_a_folder_of_another_name_is_no_class(tmp_path, name):
    items = [{"id": f"v{k}", "annotations": [{"type": "label", "label_id": k, "attributes": {}}]} for k in range(3)]
    labels = [{"name": each} for each in ("happy", "sad", name)]
    content = {"categories": {"label": {"labels": labels}}, "items": items}
    (tmp_path / "anna.json").write_text(json.dumps(content))
    with pytest.raises(RequestError, match="votes for"):
        read_cvat(tmp_path / "anna.json")
    for folder in ("happy", "sad", name):
        (tmp_path / "clips" / folder).mkdir(parents=True)
        (tmp_path / "clips" / folder / "a.mp4").write_bytes(b"")
    with pytest.raises(RequestError) as refusal:
        read_folders(tmp_path / "clips")
    assert repr(name) in str(refusal.value) or f"classes: {name}" in str(refusal.value)
    assert read_folders(tmp_path / "clips", ignore=[name]).class_names == ("happy", "sad")
    assert main(["check", "folders", str(tmp_path / "clips")]) == 2
