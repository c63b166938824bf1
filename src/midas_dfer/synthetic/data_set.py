"""Synthetic faces as a data set: `midas prepare synthetic ROOT` renders them into ROOT and reads them."""

from pathlib import Path

from midas_dfer.datasets.data_set import DataSet, Flag
from midas_dfer.errors import RequestError
from midas_dfer.progress import Progress
from midas_dfer.synthetic.corpus import clips_and_seed, read_synthetic, write_corpus


def render(
    root: Path, *, jobs: int | None, progress: Progress, clips: int | None = None, seed: int | None = None
) -> None:
    """Render clips into a folder, unless it holds some.

    Raises:
        RequestError: it holds others than are asked for.
    """
    if (found := clips_and_seed(root)) is not None:
        for name, asked, there in (("clips", clips, found[0]), ("seed", seed, found[1])):
            if asked not in (None, there):
                raise RequestError(
                    f"--{name} is {asked}, but {root} holds synthetic clips already, with --{name} {there}; "
                    f"leave --{name} out to prepare those, or name another folder to render into"
                )
        return
    clips = 120 if clips is None else clips
    progress.start(clips)  # goes on where an earlier rendering was interrupted
    write_corpus(root, clips=clips, seed=seed or 0, jobs=jobs, progress=progress.advance)
    progress.finish()


DATA_SET = DataSet(
    "synthetic faces and votes, rendered into ROOT by prepare",
    "made_up",
    read_synthetic,
    (
        Flag("clips", int | None, None, "number of clips to render (default: 120)", goes_to="render"),
        Flag("seed", int | None, None, "random seed (default: 0)", goes_to="render"),
    ),
    render=render,
)
