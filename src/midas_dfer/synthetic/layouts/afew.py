"""A synthetic AFEW: drawn faces in folders by part and emotion, under the names of copies or of the challenges.

The traps: two spellings of the parts; clips that are videos or folders of pictures; sound files and hidden files
among them; crops of the organisers next to the folders of the emotions; a test part without labels; a clip
whose name occurs in both parts.
"""

from pathlib import Path
from typing import Literal

from midas_dfer.emotions import AFEW
from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.synthetic.layouts.drawn_clips import draw_frames, write_clip, write_pictures

Spelling = Literal["copy", "challenge"]
"""`AFEW_Face/train/Angry/<clip>/` with lists beside it, or `Train_AFEW/Angry/<clip>.avi`."""

FEWEST_CLIPS = 14

_FOLDERS = {"copy": ("AFEW_Face/train", "AFEW_Face/validation"), "challenge": ("Train_AFEW", "Val_AFEW")}


def write_afew(
    root: Path, *, clips: int = 28, seed: int = 0, spelling: Spelling = "copy", frames: int = 8, drawn: bool = True
) -> None:
    """Write a synthetic copy of at least `FEWEST_CLIPS` clips of so many frames.

    The classes take turns; every second round of seven is for validation. `spelling` is that of the folders: "copy"
    holds crops of 64 x 64 pixels, and in `lists/` the lists of other code bases; "challenge" holds films of 128 x 96
    pixels (MP4 in files called .avi: readers go by content) and what else the challenges put there. Not `drawn`, clips
    are folders without pictures, or files without content.
    """
    if clips < FEWEST_CLIPS:
        raise RequestError(f"{clips} clips were asked for. Every class in both parts needs {FEWEST_CLIPS} or more.")
    lists: tuple[list[str], list[str]] = ([], [])
    for number in range(clips):
        emotion = AFEW.names[number % len(AFEW)]
        part = number // len(AFEW) % 2
        # The first clips of both parts have one name.
        name = f"{46280 if number == len(AFEW) else 46280 + 40 * number:09d}"
        folder = root / _FOLDERS[spelling][part] / emotion.title()
        pictures = draw_frames(emotion, seed=(seed, number), frames=frames) if drawn else []
        if spelling == "copy":
            name = f"0_5_{name}"
            write_pictures(folder / name, pictures, cropped=True)
            path = (folder / name).relative_to(root).as_posix()
            lists[part].append(f"{path} {len(pictures)} {AFEW.index(emotion)}")
        elif drawn:
            write_clip(folder / f"{name}.avi", pictures)
        else:
            make_folder(folder)
            write_file(folder / f"{name}.avi", b"")
    if spelling == "copy":
        make_folder(root / "lists")
        for part, title in enumerate(("train", "validation")):
            write_file(root / "lists" / f"AFEW_{title}.txt", "\r\n".join(lists[part]) + "\r\n")
    else:
        write_file(root / "Train_AFEW" / "Angry" / "000046280.wav", b"RIFF")
        write_file(root / "Train_AFEW" / ".DS_Store", b"\0")
        make_folder(root / "Train_AFEW" / "AlignedFaces_LBPTOP_Points" / "Faces" / "000046280")
        make_folder(root / "Test_AFEW" / "Test_vid_Distr")
        write_file(root / "Test_AFEW" / "Test_vid_Distr" / "000000001.avi", b"")
