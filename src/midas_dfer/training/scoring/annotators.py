"""Scores of predictions of single votes, beside those of one prediction for all annotators."""

from dataclasses import dataclass

from midas_dfer.training.run_folder.typed_json import Proportion


@dataclass(frozen=True)
class AnnotatorScores:
    """How many single votes are missed (`metrics.annotator_error`), of the annotators that the model learned from.

    `error`: by what it predicts of each annotator; `shared_error`: by the class that it predicts of the clip.
    """

    num_annotators: int
    num_votes: int
    num_clips: int
    error: Proportion
    shared_error: Proportion
