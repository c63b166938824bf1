"""A synthetic FERV39k: drawn faces in folders by scene and emotion, lists as published or as in copies.

The traps: clips of different scenes and emotions have the same number; the lists come with Windows line ends, an
empty last line and a blank after a class; copies number the classes in two orders and begin their paths with
somebody else's folders.
"""

from pathlib import Path
from typing import Literal

from midas_dfer.datasets.published.ferv39k import CLIP_FOLDER, SCENES
from midas_dfer.emotions import FERV39K
from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.synthetic.layouts.drawn_clips import draw_frames, write_pictures

ListForm = Literal["published", "path_id", "frame_list"]
"""Rows as `Action/Sad/0010 Sad`, as `Crime/Angry/0063,0` below a header, or as `<folder> <frames> <number>`."""

FEWEST_CLIPS = 21


def write_ferv39k(
    root: Path, *, clips: int = 42, seed: int = 0, form: ListForm = "published", pictures: bool = True
) -> None:
    """Write a synthetic copy of at least `FEWEST_CLIPS` clips: three or four pictures of 64 x 64 pixels each, if drawn.

    The classes take turns; of every 21 clips the last seven are for testing; the scene changes every 21 clips. Lists
    that are not of the published form are in the folder of the lists of all scenes as well; "path_id" counts
    alphabetically, "frame_list" in the order of DFEW.
    """
    if clips < FEWEST_CLIPS:
        raise RequestError(f"{clips} clips were asked for. Every class in both parts needs {FEWEST_CLIPS} or more.")
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(clips):
        emotion = FERV39K.names[number % len(FERV39K)]
        scene = SCENES[number // FEWEST_CLIPS % len(SCENES)]
        name = emotion.title()
        path = f"{scene}/{name}/{number // len(FERV39K):04d}"
        frames = 3 + number % 2
        lists["test" if number % FEWEST_CLIPS >= 14 else "train"].append(
            {
                "published": f"{path} {name}",
                "path_id": f"{path},{sorted(FERV39K.names).index(emotion)}",
                "frame_list": f"/home/someone/FERV39k_Face/{path} {frames} {FERV39K.index(emotion)}",
            }[form]
        )
        if pictures:
            drawn = draw_frames(emotion, seed=(seed, number), frames=frames)
            write_pictures(root / CLIP_FOLDER / path, drawn, cropped=True, digits=2, first=0)
    folder = root / "4_setups" / "All_scenes"
    make_folder(folder)
    header = "path,id\n" if form == "path_id" else ""
    write_file(folder / "train_All.csv", (header + "\n".join(lists["train"]) + " \n\n").replace("\n", "\r\n"))
    write_file(folder / "test_All.csv", header + "\n".join(lists["test"]) + "\n")
