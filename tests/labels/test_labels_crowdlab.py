"""CROWDLAB against the publication's formulas in plain loops, and what cleanlab itself says of its consensus."""

import importlib.util
import sys

import numpy as np
import pytest

from midas_dfer.errors import RequestError
from midas_dfer.labels import crowdlab_labels

needs_cleanlab = pytest.mark.skipif(
    importlib.util.find_spec("cleanlab") is None, reason="the extra `crowd` is not installed"
)

NAMES = ("angry", "happy", "sad")
SKILLS = {"ada": 0.95, "bea": 0.8, "cid": 0.8, "dan": 0.4, "eva": 0.35}


def simulated(clips=60, seed=0):
    """Votes of two to five people on each clip, in shuffled order, the truth, and predictions that are often right."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(3, size=clips)
    votes, predicted = [], {}
    for clip, true in enumerate(truth):
        who = generator.permutation(list(SKILLS))[: generator.integers(2 if clip else 1, 6)]
        for each in who:
            chosen = true if generator.random() < SKILLS[each] else generator.integers(3)
            votes.append((f"clip{clip}", str(each), NAMES[chosen]))
        scores = generator.normal(size=3) + 1.5 * np.eye(3)[true]
        predicted[f"clip{clip}"] = np.exp(scores) / np.exp(scores).sum()
    return [votes[place] for place in generator.permutation(len(votes))], predicted, truth


def by_hand(votes, predicted):
    """Section 3 of the publication, with cleanlab's weights (as of version 2.9), vote by vote."""
    cast = {}
    for clip, who, said in votes:
        cast.setdefault(clip, {})[who] = NAMES.index(said)

    def majority(clip):
        counts = [list(cast[clip].values()).count(k) for k in range(3)]
        tied = [k for k in range(3) if counts[k] == max(counts)]
        return max(tied, key=lambda k: predicted[clip][k])

    several = [clip for clip in cast if len(cast[clip]) > 1]

    def labels(consensus):
        agreement = np.mean([np.mean([k == consensus[c] for k in cast[c].values()]) for c in several])
        frequent = max(range(3), key=lambda k: [consensus[c] for c in several].count(k))
        chance_error = np.mean([consensus[c] != frequent for c in several])
        weights = {}
        for who in SKILLS:
            same = [(cast[c][who] == cast[c][o]) for c in several if who in cast[c] for o in cast[c] if o != who]
            weights[who] = max(1 - (1 - np.mean(same)) / chance_error, 1e-6)
        wrong = np.mean([np.argmax(predicted[c]) != consensus[c] for c in several])
        model = max(1 - wrong / chance_error, 1e-6) * np.sqrt(np.mean([len(each) for each in cast.values()]))
        soft = {}
        for c in cast:
            total = model * predicted[c]
            for who, said in cast[c].items():
                total = total + weights[who] * np.where(np.arange(3) == said, agreement, (1 - agreement) / 2)
            soft[c] = total / (model + sum(weights[who] for who in cast[c]))
        return soft

    first = labels({c: majority(c) for c in cast})
    return labels({c: int(np.argmax(first[c])) for c in cast})


@needs_cleanlab
@pytest.mark.parametrize("seed", range(3))
def test_labels_are_those_of_the_publication(seed):
    votes, predicted, _ = simulated(seed=seed)
    found = crowdlab_labels(*zip(*votes, strict=True), NAMES, predicted)
    expected = by_hand(votes, predicted)
    assert found.video_ids == tuple(dict.fromkeys(clip for clip, _, _ in votes))
    np.testing.assert_allclose(found.soft_labels, [expected[clip] for clip in found.video_ids], atol=1e-6)
    np.testing.assert_allclose(found.soft_labels.sum(axis=1), 1, atol=1e-12)


@needs_cleanlab
def test_they_are_cleanlabs_own_consensus_and_its_quality():
    from cleanlab.multiannotator import get_label_quality_multiannotator

    votes, predicted, truth = simulated(seed=5)
    found = crowdlab_labels(*zip(*votes, strict=True), NAMES, predicted)
    table = np.full((60, 5), np.nan)
    for clip, who, said in votes:
        table[found.video_ids.index(clip), found.annotators.index(who)] = NAMES.index(said)
    p = np.array([predicted[clip] for clip in found.video_ids])
    theirs = get_label_quality_multiannotator(table, p, verbose=False)
    np.testing.assert_array_equal(found.soft_labels.argmax(axis=1), theirs["label_quality"]["consensus_label"])
    np.testing.assert_allclose(found.soft_labels.max(axis=1), theirs["label_quality"]["consensus_quality_score"])
    quality = theirs["annotator_stats"]["annotator_quality"].sort_index()
    np.testing.assert_allclose(found.reliability, quality)
    order = [found.annotators[place] for place in np.argsort(found.reliability)]
    assert set(order[:2]) == {"dan", "eva"}
    true = truth[[int(clip.removeprefix("clip")) for clip in found.video_ids]]
    assert (found.soft_labels.argmax(axis=1) == true).mean() > (p.argmax(axis=1) == true).mean()


@needs_cleanlab
def test_what_cannot_be_weighed_is_refused(monkeypatch):
    votes, predicted, _ = simulated(6)
    columns = list(zip(*votes, strict=True))
    with pytest.raises(RequestError, match="no prediction of 'clip3'"):
        crowdlab_labels(*columns, NAMES, {clip: p for clip, p in predicted.items() if clip != "clip3"})
    with pytest.raises(RequestError, match="have 2 classes, the votes 3"):
        crowdlab_labels(*columns, NAMES, dict.fromkeys(predicted, (0.5, 0.5)))
    with pytest.raises(RequestError, match="Give some videos two votes"):
        crowdlab_labels(["a", "b"], ["x", "y"], ["sad", "sad"], NAMES, dict.fromkeys("ab", (0.2, 0.2, 0.6)))
    with pytest.raises(RequestError, match=r"no consensus in these votes \(Annotators do not agree on any example"):
        crowdlab_labels(["a", "a"], ["x", "y"], ["sad", "happy"], NAMES, {"a": (0.2, 0.2, 0.6)})
    monkeypatch.setitem(sys.modules, "cleanlab.multiannotator", None)
    with pytest.raises(RequestError, match=r"pip install 'midas-dfer\[crowd\]'"):
        crowdlab_labels(*columns, NAMES, predicted)
