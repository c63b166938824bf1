"""Single votes held against what a run predicts of each annotator."""

from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from midas_dfer.cli import main
from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.report.tables.evaluation_table import evaluation_table, reliability_table
from midas_dfer.training.learners.annotators import read_annotators, read_reliability
from midas_dfer.training.learners.crowd_layer import MAPS_FILE, AnnotatorMaps
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.training.train import train
from tests.support.factories import CLASS_NAMES, make_store
from tests.support.learners import with_annotators

pytestmark = pytest.mark.usefixtures("undrawn")

CONFIG = RunConfig(
    width=8, size=24, num_segments=1, epochs=4, batch_size=6, num_threads=1, num_workers=0, precision="32", mixer="none"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return with_annotators(make_store(tmp_path_factory.mktemp("annotators")))


def chances_of_each(run, clips, names):
    """What each annotator says of each clip, by the definition of the learner."""
    model = run.load_model()
    with torch.no_grad():
        if run.config.learner == "annotator_heads":
            return model.logits(clips).view(len(clips), len(names), 3).softmax(dim=2)
        return AnnotatorMaps.read(run.path)(model(clips).softmax(dim=1)).softmax(dim=2)


@pytest.mark.parametrize("learner", ["crowd_layer", "annotator_heads"])
def test_each_vote_is_compared_with_what_its_annotator_is_predicted_to_say(learner, store, tmp_path):
    config = replace(CONFIG, learner=learner, optimizer="adam", learning_rate=0.005)
    run = train(config, store, tmp_path / "run", say=lambda line: None)
    if learner == "crowd_layer":  # a second changes its maps too little: everyone says the class after the one they see
        following = torch.eye(3).roll(1, dims=1) - torch.eye(3)
        maps = {"matrix": following.repeat(len(read_annotators(run.path)), 1, 1)}
        (run.path / MAPS_FILE).write_bytes(safetensors.torch.save(maps))
    evaluation, predictions = evaluate(run, store, device="cpu", batch_size=4)
    tested = [each for each in store.manifest if each.video_id in set(predictions.video_ids)]
    names = read_annotators(run.path)
    dataset = ClipDataset(store, view=ClipView(1, 24))
    rows = [dataset.video_ids.index(each.video_id) for each in tested]
    said = chances_of_each(run, normalize_pixels(torch.cat([dataset[row].clips for row in rows])), names).argmax(dim=2)
    errors, shared, votes = [], [], 0
    for number, clip in enumerate(tested):
        cast = [
            (names.index(who), CLASS_NAMES.index(vote))
            for who, vote in zip(clip.extra["annotators"], clip.extra["annotator_votes"], strict=True)
        ]
        votes += len(cast)
        errors.append(np.mean([said[number, who].item() != vote for who, vote in cast]))
        shared.append(np.mean([predictions.predicted[number] != vote for _, vote in cast]))
    found = evaluation.annotators
    assert (found.num_votes, found.num_clips) == (votes, len(tested))
    assert (found.error, found.shared_error) == (pytest.approx(np.mean(errors)), pytest.approx(np.mean(shared)))
    assert found.shared_error == pytest.approx(evaluation.agreement["probabilities"].annotator_error)
    if learner == "crowd_layer":
        assert (said == (torch.from_numpy(predictions.predicted)[:, None] + 1) % 3).all()
    else:  # these annotators have habits that tell more than the clip
        assert found.error < found.shared_error - 0.1
    assert Evaluation.read(run.path / "evaluation") == evaluation
    shown = evaluation_table(evaluation)
    assert f"one prediction for each annotator {found.error:.4f}" in " ".join(shown.split())
    assert max(map(len, shown.split("\n"))) <= 80


def test_the_least_reliable_are_shown(store, tmp_path, capsys):
    run = train(replace(CONFIG, learner="crowd_layer"), store, tmp_path / "run", say=lambda line: None)
    reliability, names = read_reliability(run.path), read_annotators(run.path)
    diagonals = AnnotatorMaps.read(run.path).confusion().diagonal(dim1=1, dim2=2).mean(dim=1).tolist()
    expected = pytest.approx(dict(zip(names, diagonals, strict=True)), abs=1e-6)
    assert {name: value for value, name, _ in reliability} == expected
    assert main(["evaluate", str(run.path), "--store", str(store.path)]) == 0
    table = reliability_table(reliability)
    assert table in capsys.readouterr().out
    assert table.split("\n")[1].split()[-2:] == [str(reliability[0][2]), f"{min(diagonals):.3f}"]
    assert reliability_table([*reliability, *reliability]).endswith("and 8 more, in annotators.csv")
    (run.path / "annotators.csv").write_text("annotator,votes,reliability\nada,many,0.5\n")
    with pytest.raises(RequestError, match=r"annotators\.csv is damaged .*train again"):
        read_reliability(run.path)
    (run.path / "annotators.csv").write_text("name\nada\n")
    with pytest.raises(RequestError, match="expected the columns annotator"):
        read_annotators(run.path)


def test_other_runs_have_no_such_scores(store, tmp_path):
    run = train(CONFIG, store, tmp_path / "run", say=lambda line: None)
    assert evaluate(run, store, device="cpu")[0].annotators is None
