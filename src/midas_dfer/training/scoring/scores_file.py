"""The evaluations of a model: where they lie, and those of earlier versions put right."""

from pathlib import Path

from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER, Run
from midas_dfer.training.scoring.readings import vote_reading
from midas_dfer.training.scoring.scores import EVALUATION_FILE, Evaluation


def read_evaluation(run: Run, folder: Path | None = None) -> Evaluation | None:
    """Read what `midas evaluate` wrote of a run; None if it has not been evaluated.

    Files of earlier versions may score vote shares that are none, as `vote_reading` tells; those are left out.
    `folder`: which of its evaluations; that of its own test part if None.
    """
    folder = run.path / EVALUATION_FOLDER if folder is None else folder
    if not (folder / EVALUATION_FILE).exists():
        return None
    evaluation, why_not = Evaluation.read(folder), vote_reading(run.config, run.provenance).why_not
    return evaluation.without_vote_shares(why_not) if why_not else evaluation


def evaluation_folders(folder: Path) -> tuple[Path, ...]:
    """The folders of scores in that of a run or of an exported model: its own test part's first, if it is there."""
    found = [folder / EVALUATION_FOLDER, *sorted(folder.glob(f"{EVALUATION_FOLDER}-*"))]
    return tuple(each for each in found if (each / EVALUATION_FILE).is_file())


def shown_folder(folder: Path) -> Path | None:
    """The folder of the scores that stand for a model: its own test part's, else the only ones there are."""
    found = evaluation_folders(folder)
    return found[0] if found and (found[0].name == EVALUATION_FOLDER or len(found) == 1) else None
