"""The study against the truth: its clips, its measures, and all of it at the smallest size."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from studies.synthetic_clips.__main__ import RESULTS
from studies.synthetic_clips.clips import (
    FOLDS_OF,
    RARE,
    Corpus,
    Part,
    choose_plans,
    draw_clip,
    make_part,
    make_parts,
    quotas,
)
from studies.synthetic_clips.learning import COUNTS, METHODS, Training, config_of, crops, labels_of, learn
from studies.synthetic_clips.measures import bounds, compare, distances, judged, readings, recognition, views
from studies.synthetic_clips.page import page, worth
from studies.synthetic_clips.study import study

from midas_dfer.errors import RequestError
from midas_dfer.synthetic import EMOTIONS

TINY = Corpus(train=10, validation=6, test=1, people=10, frames=2, side=26)
BRIEF = Training(epochs=1, batch=5, size=24, rates=(0.02, 0.05), seeds=(0, 1))


@pytest.fixture(scope="module")
def parts():
    return make_parts(TINY)


@pytest.fixture(scope="module")
def many():
    """Plans of many clips, without pictures."""
    plans = choose_plans(Corpus(train=100, validation=10, test=6, people=40))
    return {name: make_part(found, np.zeros((len(found), 1, 3, 1, 1), np.uint8), TINY) for name, found in plans.items()}


def test_quotas_are_whole_and_uneven():
    assert sum(quotas(801).values()) == 801
    assert quotas(11_697)["disgust"] == 145
    assert quotas(20)["disgust"] == 0


def test_nobody_is_in_two_parts_and_each_class_has_its_share(many):
    people = {name: set(part.subjects) for name, part in many.items()}
    assert sum(map(len, people.values())) == len(set.union(*people.values()))
    assert np.bincount(many["train"].emotions, minlength=7).tolist() == list(quotas(100).values())
    assert np.bincount(many["test"].emotions).tolist() == [6] * 7
    assert sorted(fold for folds in FOLDS_OF.values() for fold in folds) == [1, 2, 3, 4, 5]


def test_the_same_corpus_is_drawn_again(parts):
    plan = choose_plans(TINY)["test"][3]
    again = draw_clip(plan, TINY.frames, TINY.side)
    assert np.array_equal(parts["test"].clips[3].numpy(), again)
    assert not np.array_equal(again[0], again[1])
    assert [other.video_ids for other in parts.values()].count(parts["test"].video_ids) == 1


def test_truth_is_a_distribution_and_the_votes_are_drawn_from_it(many):
    part = many["train"]
    for shares in (part.truth, part.seen):
        assert shares.sum(axis=1) == pytest.approx(1)
        assert shares.min() >= 0
    assert (part.votes.sum(axis=1) == 10).all()
    # Test clips are all that were drawn, and not only those without a tie.
    part = many["test"]
    spread = np.sqrt((part.truth * (1 - part.truth) * 10).sum(axis=0))
    off = (part.votes - 10 * part.truth).sum(axis=0) / spread
    assert np.abs(off).max() < 4
    mistaken = part.seen == 0  # what nobody sees is voted for all the same, as often as the annotators confuse emotions
    expected = 10 * part.truth[mistaken].sum()
    assert part.votes[mistaken].sum() == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert expected > 20


def test_weights_make_the_test_part_as_common_as_training(many):
    part = many["test"]
    usual = np.bincount(part.emotions, views(part)["usual"])
    assert usual == pytest.approx(np.array(list(quotas(11_697).values())) / 11_697)
    rare = views(part)["rare"]
    modes = np.array(EMOTIONS)[part.truth.argmax(axis=1)]
    assert [rare[modes == name].sum() for name in RARE] == pytest.approx([0.5, 0.5])
    assert rare[~np.isin(modes, RARE)].sum() == 0


def test_the_truth_is_at_no_distance_and_more_votes_are_closer(many):
    part = many["test"]
    none = distances(part.truth, part.truth, part)
    assert all(value == pytest.approx(0, abs=1e-9) for found in none.values() for value in found.values())
    limits = bounds(part, many["train"])
    for measure in ("kl", "js", "tv"):
        by_count = [limits["annotators"][str(count)][measure]["usual"] for count in range(1, 11)]
        assert by_count == sorted(by_count, reverse=True)
    plain = np.abs(part.votes / 10 - part.truth).sum(axis=1) / 2
    assert limits["annotators"]["10"]["tv"]["usual"] == pytest.approx(np.average(plain, weights=part.weights))
    assert limits["truth_to_votes"]["tv"]["usual"] == pytest.approx(limits["annotators"]["10"]["tv"]["usual"])
    assert limits["prior"]["tv"]["usual"] > limits["annotators"]["3"]["tv"]["usual"]


def test_recognition_is_of_the_true_mode(many):
    part = many["test"]
    assert recognition(part.truth, part)["uar"] == recognition(part.truth, part)["war"] == pytest.approx(100)
    happy = np.tile(np.eye(7)[0], (len(part), 1))
    found = recognition(happy, part)
    assert found["recalls"]["happy"] == 100
    assert found["uar"] == pytest.approx(100 / 7)
    assert found["rare"] == 0


def test_a_difference_in_one_direction_is_clear_and_noise_is_not(many):
    part = many["test"]
    rng = np.random.default_rng(0)
    base = [rng.random(len(part)) for _ in range(3)]
    better = [values - 0.1 + 0.05 * rng.normal(size=len(part)) for values in base]
    noise = [values + 0.5 * rng.normal(size=len(part)) for values in base]
    found = compare({"soft": base, "better": better, "noise": noise}, part, draws=300)
    assert found["better"]["usual"]["mean"] == pytest.approx(-0.1, abs=0.03)
    low, high = found["better"]["usual"]["interval"]
    assert low < found["better"]["usual"]["mean"] < high < 0


def differences_of(seeds, interval=(-0.2, -0.1)):
    """The content of a study in which a method and the reading of another differ from soft labels so; else noise."""
    far = {"js": {"usual": 1.0, "rare": 1.0}, "tv": {"usual": 1.0, "rare": 1.0}}
    runs = {method: [{"distances": {"truth": {"probabilities": far}}} for _ in seeds] for method in ("soft", COUNTS)}
    noise = {"seeds": [0.01 * (-1) ** n for n in range(len(seeds))], "interval": [-1, 1]}
    views = {"hard": {"usual": {"seeds": seeds, "interval": interval}, "rare": noise}}
    return {"runs": runs, "differences": dict.fromkeys(("js", "tv", "error"), views)}


def test_a_difference_is_clear_by_its_seeds_and_its_interval():
    place = ("tv", "hard", "vote_shares", "usual")
    sure = judged(differences_of([-0.15, -0.14, -0.16]))[place]
    gap = np.array(sure.seeds)
    t = abs(gap.mean()) / (gap.std(ddof=1) / np.sqrt(3))
    p = 1 - t / np.sqrt(2 + t**2)  # of Student's t with two degrees of freedom
    assert (sure.p_value, sure.clear) == (pytest.approx(p), True)
    # Twice hard labels and twice the probabilities after the softmax of counts: four comparisons of this score.
    assert sure.corrected == pytest.approx(4 * p)
    assert not judged(differences_of([-0.15, -0.14, -0.16], (-0.2, 0.1)))[place].clear
    assert not judged(differences_of([-0.15, -0.01, -0.3]))[place].clear
    once = judged(differences_of([-0.15]))[place]  # one seed says nothing about training
    assert (once.clear, once.p_value) == (False, None)


def test_vote_shares_undo_the_softmax_of_one_label():
    """Of the softmax of counts, too: the study holds both readings against the truth, whatever they are worth."""
    shares = np.array([[0.7, 0.3, 0, 0, 0, 0, 0]])
    for method, scale in (("MIDAS, softmax", 1), (COUNTS, 10)):
        found = readings((scale * shares).tolist(), config_of(method, 0.1, 0, BRIEF))
        assert found["vote_shares"] == pytest.approx(shares)
    for method in ("hard", "soft", "MIDAS, none"):
        found = readings(shares.tolist(), config_of(method, 0.1, 0, BRIEF))
        assert found["vote_shares"] == pytest.approx(found["probabilities"])


def test_methods_differ_in_what_they_learn_from_alone(parts):
    configs = [config_of(method, 0.1, 0, BRIEF).to_dict() for method in METHODS]
    differing = {key for key in configs[0] if len({str(config[key]) for config in configs}) > 1}
    assert differing == {"labels", "mixer", "normalization", "alpha"}
    hard, soft = (labels_of(parts["train"], kind) for kind in ("hard", "soft"))
    assert torch.equal(hard.argmax(dim=1), soft.argmax(dim=1))
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    assert soft.numpy() == pytest.approx(parts["train"].votes / 10)


def test_crops_are_alike_in_all_frames():
    clips = torch.arange(36, dtype=torch.uint8).view(1, 1, 1, 6, 6).expand(3, 4, 3, 6, 6)
    cut = crops(clips, 4, torch.Generator().manual_seed(0))
    assert cut.shape == (3, 4, 3, 4, 4)
    assert torch.equal(cut, cut[:, :1, :1].expand_as(cut))


def test_a_network_learns_what_it_is_shown(parts):
    """Two kinds of clips that differ in brightness: the logits must follow."""
    kinds = torch.arange(16) % 2
    clips = (kinds.view(-1, 1, 1, 1, 1) * 200 + 20).expand(16, 2, 3, 26, 26).to(torch.uint8).contiguous()
    votes = 10 * np.eye(7, dtype=np.int64)[kinds]
    names = tuple(str(number) for number in range(16))
    part = Part(clips, names, names, kinds.numpy(), votes, votes / 10, votes / 10, np.ones(16))
    config = config_of("MIDAS, none", 0.01, 0, replace(BRIEF, epochs=24, batch=8))
    found = learn(config, part, {"same": part})
    assert np.array(found["logits"]["same"]).argmax(axis=1).tolist() == kinds.tolist()
    again = learn(config, part, {"same": part})
    assert again["logits"] == found["logits"]


def test_the_study_end_to_end_and_again(tmp_path, monkeypatch):
    said = []
    first, second = study(TINY, BRIEF, tmp_path, say=said.append)
    assert [len(runs) for runs in first["runs"].values()] == [1] * len(METHODS)
    assert len(said) == len(METHODS) * 3  # two rates on the first seed, one on the second
    assert set(second["runs"]) == set(METHODS)
    assert [run["seed"] for run in second["runs"]["soft"]] == [0, 1]
    text = page({"machine": {"cpu": "a machine"}, **json.loads(json.dumps(second))})
    assert text.count("| MIDAS, softmax of counts |") == 3
    assert text.count("| MIDAS, softmax of counts, by its probabilities |") == 3
    assert "Not kept" not in text
    assert "Not whole yet" not in text
    assert "Not whole yet: 1 of 2" in page({"machine": {}, **first})
    monkeypatch.setattr("studies.synthetic_clips.study.learn", None)  # nothing is trained again
    (*_, again) = study(TINY, BRIEF, tmp_path, say=said.append)
    assert again == second
    with pytest.raises(RequestError, match="another corpus"):
        next(study(replace(TINY, seed=1), BRIEF, tmp_path))
    with pytest.raises(RequestError, match="another recipe"):
        next(study(TINY, replace(BRIEF, epochs=2), tmp_path))


def test_worth_lies_between_the_annotators_around_it():
    annotators = {str(count): {"tv": {"usual": 1 / count}} for count in range(1, 11)}
    assert worth(2.0, annotators) == "less than 1"
    assert worth(0.4, annotators) == "2 to 3"
    assert worth(0.05, annotators) == "10 or more"


def test_the_softmax_of_counts_is_judged_by_both_readings():
    docs = Path(__file__).resolve().parents[2] / "docs"
    content = json.loads(RESULTS.read_text())
    runs = content["runs"][COUNTS]
    for reading, expected in (("vote_shares", 0.348), ("probabilities", 0.286)):
        found = np.mean([run["distances"]["truth"][reading]["tv"]["usual"] for run in runs])
        assert found == pytest.approx(expected, abs=5e-4)
        soft = np.mean([run["distances"]["truth"][reading]["tv"]["usual"] for run in content["runs"]["soft"]])
        assert judged(content)["tv", COUNTS, reading, "usual"].mean == pytest.approx(found - soft, abs=1e-6)
    written = (docs / "synthetic_clips.md").read_text(encoding="utf-8")
    assert "0.286 ± 0.017" in next(line for line in written.splitlines() if "counts, by its probabilities |" in line)


def test_the_page_in_the_documentation_holds_the_figures():
    docs = Path(__file__).resolve().parents[2] / "docs"
    content = json.loads(RESULTS.read_text())
    assert (docs / "synthetic_clips.md").read_text(encoding="utf-8") == page(content)
