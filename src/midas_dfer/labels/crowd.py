"""Soft labels where it is known who voted what: annotators are weighed by how reliable they prove to be.

The methods are those of the library crowd-kit (extra `crowd`), which is imported when one is used.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.errors import RequestError
from midas_dfer.labels.checks import refuse_bad

CrowdMethod = Literal["dawid_skene", "glad", "mace"]
"""The ways to weigh annotators; see `crowd_labels`."""


@dataclass(frozen=True)
class CrowdLabels:
    """Estimates of the videos' classes and of the annotators' reliability.

    Attributes:
        video_ids: the videos `[N]`, in order of first appearance in the votes.
        soft_labels: the probability that each class is the true one `[N, K]`; each row sums to 1.
        annotators: the annotators `[A]`, in order of first appearance in the votes.
        reliability: of each annotator `[A]`; more is better. Its meaning depends on the method (see `crowd_labels`),
            so compare it only within one result.
    """

    video_ids: tuple[str, ...]
    soft_labels: Float64[np.ndarray, "N K"]
    annotators: tuple[str, ...]
    reliability: Float64[np.ndarray, " A"]


def crowd_labels(
    video_ids: Iterable[str | None],
    annotators: Iterable[str | None],
    classes: Iterable[str | None],
    class_names: Sequence[str],
    method: CrowdMethod = "dawid_skene",
    *,
    seed: int = 0,
    starts: int = 10,
) -> CrowdLabels:
    """Estimate the true class of every video and the reliability of each annotator from their single votes.

    - "dawid_skene" (Dawid and Skene 1979): each annotator has a confusion matrix, estimated by EM starting from the
      majority. Reliability: the probability that the annotator names the true class, over the estimated class
      frequencies.
    - "glad" (Whitehill et al. 2009): each annotator has an ability a and each video an easiness b; a vote is right
      with the probability `sigmoid(a * exp(b))`, and all other classes are equally likely mistakes. Reliability: the
      ability a; with 0 the annotator is right half the time, below 0 less often.
    - "mace" (Hovy et al. 2013): each annotator either knows the class or spams, always with the same habits;
      variational Bayes, the best of several random starts. Reliability: the probability of not spamming.

    These estimate one *true* class per video and its certainty; unlike vote shares, they do not estimate how the
    votes of a larger crowd would divide. With tens of votes per video they are nearly one-hot. A class without any
    votes has probability 0 everywhere, except in "glad". Annotators with few votes are hard to tell from good ones.

    The result does not depend on the order of the votes, and numpy's global generator is not touched.

    Args:
        video_ids: the video of each vote; missing cells (None) are refused.
        annotators: the annotator of each vote; at most one vote per annotator and video.
        classes: the name of the chosen class.
        class_names: all classes, in the desired order; at least two.
        method: one of the above.
        seed: of the random starts of "mace"; the other two are deterministic.
        starts: number of random starts of "mace"; its time grows with it.

    Returns:
        Soft labels per video and reliability per annotator.

    Raises:
        RequestError: the three columns differ in length or are empty, a class is unknown, a name is missing, an
            annotator voted twice on a video (the message names up to five rows, counted from 0), the method is unknown,
            there are no starts, crowd-kit is not installed, or the method ends without probabilities.
    """
    if method not in get_args(CrowdMethod):
        raise RequestError(
            f"{method!r} is not a way to weigh annotators. Use one of: {', '.join(get_args(CrowdMethod))}."
        )
    if starts < 1 or seed < 0:
        raise RequestError(f"There are {starts} starts from seed {seed}. Give 1 start or more and a seed of 0 or more.")
    videos, people, chosen, names = checked_single_votes(video_ids, annotators, classes, class_names)

    # Sorted, so that the order of the votes does not matter; numbered in the order of appearance, because crowd-kit's
    # MACE mixes up annotators and classes wherever the sorted order of their names is not that of their appearance.
    pairs = list(zip(videos, people, strict=True))
    order = sorted(range(len(pairs)), key=pairs.__getitem__)
    task, task_names = numbered(videos[order])
    worker, worker_names = numbered(people[order])
    label, label_names = numbered(chosen[order])
    missing = [name for name in names if name not in label_names]
    probabilities, reliability = _fitted(task, worker, label, len(names), method, seed, starts)
    soft = np.zeros((len(task_names), len(names)))
    for column, name in enumerate([*label_names, *missing][: probabilities.shape[1]]):
        soft[:, names.index(name)] = probabilities[:, column]
    soft /= soft.sum(axis=1, keepdims=True)
    first_videos, first_people = tuple(dict.fromkeys(videos)), tuple(dict.fromkeys(people))
    return CrowdLabels(
        first_videos,
        soft[[task_names[name] for name in first_videos]],
        first_people,
        reliability[[worker_names[name] for name in first_people]],
    )


def checked_single_votes(
    video_ids: Iterable[str | None],
    annotators: Iterable[str | None],
    classes: Iterable[str | None],
    class_names: Sequence[str],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """The columns as arrays of text, and the class names; refuses what makes no sense, by row."""
    videos, people, chosen = (np.array(list(column), dtype=object) for column in (video_ids, annotators, classes))
    names = tuple(class_names)
    if len(names) < 2 or len(set(names)) < len(names):
        raise RequestError(f"The class names are {', '.join(names) or 'missing'}. Give at least two, each once.")
    if not len(videos) == len(people) == len(chosen) or not len(videos):
        raise RequestError(
            f"There are {len(videos)} videos, {len(people)} annotators and {len(chosen)} classes. "
            "Give one of each for every vote, and at least one vote."
        )

    def refuse(bad: list[bool], expected: str) -> None:
        refuse_bad(bad, lambda row: f"{chosen[row]!r} by {people[row]!r} on {videos[row]!r}", "votes", expected)

    refuse([name not in names for name in chosen], f"the classes are {', '.join(names)}")
    pairs = list(zip(videos, people, strict=True))
    refuse(
        [not all(isinstance(each, str) for each in pair) for pair in pairs], "videos and annotators are named by text"
    )
    firsts = {pair: row for row, pair in reversed(list(enumerate(pairs)))}
    refuse([firsts[pair] != row for row, pair in enumerate(pairs)], "an annotator votes once on a video")
    return videos, people, chosen, names


def numbered(cells: np.ndarray) -> tuple[Int64[np.ndarray, " V"], dict[str, int]]:
    """Number names in the order in which they first appear."""
    names = {name: number for number, name in enumerate(dict.fromkeys(cells))}
    return np.array([names[cell] for cell in cells], dtype=np.int64), names


def _fitted(
    task: Int64[np.ndarray, " V"],
    worker: Int64[np.ndarray, " V"],
    label: Int64[np.ndarray, " V"],
    num_classes: int,
    method: CrowdMethod,
    seed: int,
    starts: int,
) -> tuple[Float64[np.ndarray, "N L"], Float64[np.ndarray, " A"]]:
    """Run crowd-kit; columns of the result are the classes in the order of their numbers."""
    try:
        models: Any = import_module("crowdkit.aggregation.classification")
        pandas: Any = import_module("pandas")
    except ImportError as error:
        raise RequestError(
            f"{method} needs the library crowd-kit, which is not installed: pip install 'midas-dfer[crowd]'"
        ) from error
    # As text of equal length: crowd-kit multiplies numeric columns with each other, names among them.
    cells = {"task": task, "worker": worker, "label": label}
    votes = pandas.DataFrame({name: [f"{number:09d}" for number in column] for name, column in cells.items()})
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # what is not finite ends in an error
        for category in (DeprecationWarning, FutureWarning):  # of pandas, about how crowd-kit calls it
            warnings.simplefilter("ignore", category)
        if method == "dawid_skene":
            model = models.DawidSkene()
            _fit(model, votes, method)
            confusion = model.errors_.to_numpy()  # rows: annotator and vote; columns: true class
            reliability = np.zeros(worker.max() + 1)
            for (who, vote), row in zip(model.errors_.index, confusion, strict=True):
                true = list(model.errors_.columns).index(vote)
                reliability[int(who)] += row[true] * model.priors_[vote]
        elif method == "glad":
            numbers = [f"{number:09d}" for number in range(num_classes)]
            model = models.GLAD(labels_priors=pandas.Series(1 / num_classes, index=numbers))
            _fit(model, votes, method)
            reliability = model.alphas_.sort_index().to_numpy(dtype=np.float64)
        else:
            # A generator in place of crowd-kit's integer, with which all its random starts would be the same one.
            model = models.MACE(n_restarts=starts, random_state=np.random.default_rng(seed))
            _fit(model, votes, method)
            reliability = model.spamming_[:, 1] / model.spamming_.sum(axis=1)
        probabilities = model.probas_.sort_index(axis=0).sort_index(axis=1).to_numpy(dtype=np.float64)
    return probabilities, reliability


def _fit(model: Any, votes: Any, method: CrowdMethod) -> None:  # noqa: ANN401 - of libraries that may not be there
    try:
        model.fit(votes)
    except ValueError as error:  # of pandas, where all probabilities of a video are NaN
        raise RequestError(
            f"{method} ends without probabilities ({error}): those of hundreds of votes on one video, multiplied, "
            "vanish. Use another method."
        ) from error
