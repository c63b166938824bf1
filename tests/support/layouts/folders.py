"""Made-up clips in a folder per class.

The traps: one class under two spellings, parts under their short names, videos beside folders of pictures whose
numbers have no leading zeros, an emotion that is not among the usual ones, an empty class folder, a folder without
pictures, files of file managers.
"""

from pathlib import Path

from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.synthetic.layouts.drawn_clips import draw_frames, write_clip, write_pictures

FEWEST_CLIPS = 12

_CLASSES: dict[str, tuple[str, ...]] = {
    # emotion: the names of its folder, in turns
    "angry": ("Anger", "angry"),
    "happy": ("Happiness",),
    "sad": ("sad",),
    "contempt": ("scorn",),
}
_PARTS = ("train", "train", "val", "test")


def write_folders(
    root: Path, *, clips: int = 32, seed: int = 0, parts: bool = True, frames: int = 8, drawn: bool = True
) -> None:
    """Write a made-up folder per class.

    The classes take turns, then the parts; every second clip is a video (128 x 96 pixels), the others are folders
    of pictures of that size.

    Args:
        root: the folder; made if it is not there.
        clips: how many, at least `FEWEST_CLIPS`.
        seed: of all that is drawn.
        parts: whether there are folders train, val and test above those of the classes.
        frames: pictures of a clip.
        drawn: False makes every picture and video an empty file.

    Raises:
        RequestError: too few clips.
        JobError: a file cannot be written.
    """
    if clips < FEWEST_CLIPS:
        raise RequestError(f"{clips} clips were asked for. Every class in every part needs {FEWEST_CLIPS} or more.")
    for number in range(clips):
        emotion = list(_CLASSES)[number % len(_CLASSES)]
        turn = number // len(_CLASSES)
        spellings = _CLASSES[emotion]
        above = root / _PARTS[turn % len(_PARTS)] if parts else root
        folder = above / spellings[turn % len(spellings)]
        pictures = draw_frames(emotion, seed=(seed, number), frames=frames) if drawn else []
        if turn % 2:
            write_pictures(folder / f"clip{number:03d}", pictures, cropped=False, digits=1)
        elif drawn:
            write_clip(folder / f"clip{number:03d}.mp4", pictures)
        if not drawn:
            make_folder(folder)
            file = folder / f"clip{number:03d}" / "1.jpg" if turn % 2 else folder / f"clip{number:03d}.mp4"
            write_file(file, b"")
        write_file(folder / "Thumbs.db", b"")
        write_file(folder / ".DS_Store", b"")
    top = root / "train" if parts else root
    make_folder(top / "disgust")
    make_folder(top / "sad" / "notes")
    write_file(top / "sad" / "notes" / "about.txt", "no pictures in here\n")
    write_file(root / "README.txt", "made up\n")
