"""A synthetic MAFW: drawn faces, the four kinds of lists in five sets as they are published.

The traps: gaps in the numbers of the clips; captions in GB 18030 with Windows line ends, without the neutral
clips; clips that have a single label in one kind of list and several emotions in the other; clips that are in one kind
of list only; "happiness", "sadness" and "anger" for happy, sad and angry.
"""

from pathlib import Path

from midas_dfer.datasets.published.mafw import FOLDS, Layout
from midas_dfer.emotions import MAFW
from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.synthetic.layouts.drawn_clips import draw_frames, write_clip, write_pictures

FEWEST_CLIPS = 55
"""Every class is tested in every set from this number of clips on."""

_PUBLISHED_NAMES = {"happy": "happiness", "sad": "sadness", "angry": "anger"}
_FOLDERS: dict[Layout, str] = {"videos": "data/clips", "frames": "data/frames", "faces": "data/faces"}
_CHINESE = "一个女生眼含着泪水大声训斥着对面的人。眉头紧蹙，嘴角下拉。"


def write_mafw(
    root: Path, *, clips: int = 66, seed: int = 0, source: Layout = "videos", frames: int = 8, drawn: bool = True
) -> None:
    """Write a synthetic copy of at least `FEWEST_CLIPS` clips of so many frames; not `drawn`, the lists alone.

    The classes take turns, and every eleven clips the set in which they are tested. Every third clip names two
    emotions in the compound lists, and every twelfth three; each of these has its first emotion as its
    single label, but for every sixth clip, which has none. Every seventh clip is in no compound list. Clips are videos
    of 128 x 96 pixels ("auto": the same), folders of such pictures, or of crops of 64 x 64 pixels.
    """
    if clips < FEWEST_CLIPS:
        raise RequestError(f"{clips} clips were asked for. Every class in every set needs {FEWEST_CLIPS} or more.")
    kind: Layout = "videos" if source == "auto" else source
    single: list[tuple[int, int, str]] = []
    compound: list[tuple[int, int, str]] = []
    for index in range(clips):
        place = index % len(MAFW)
        number, tested = 25 + index + index // 10, 1 + index // len(MAFW) % FOLDS
        several = {0: 3, 3: 2, 6: 2, 9: 2}.get(index % 12, 1)
        # No published clip is neutral and something else.
        named = [name for step in range(several) if (name := MAFW.names[(place + 2 * step) % len(MAFW)]) != "neutral"]
        named = named if MAFW.names[place] != "neutral" else ["neutral"]
        several = len(named)
        words = [_PUBLISHED_NAMES.get(name, name) for name in named]
        if several == 1 or index % 6 != 3:
            single.append((number, tested, words[0]))
        if index % 7 != 5:
            compound.append((number, tested, "_".join(words)))
        if drawn:
            pictures = draw_frames(named[0], seed=(seed, index), frames=frames)
            if kind == "videos":
                write_clip(root / _FOLDERS[kind] / f"{number:05d}.mp4", pictures)
            else:
                write_pictures(root / _FOLDERS[kind] / f"{number:05d}", pictures, cropped=kind == "faces")
    for labels, rows in (("single", single), ("compound", compound)):
        for k in range(1, FOLDS + 1):
            for part in ("train", "test"):
                chosen = [row for row in rows if (row[1] == k) == (part == "test")]
                _write_list(
                    root, f"{labels}/no_caption/set_{k}", part, [f"{n:05d}.mp4 {word}" for n, _, word in chosen]
                )
                told = [
                    f"{n:05d}.mp4\t{word}\t{_CHINESE}\tA girl shouts: clip {n}."
                    for n, _, word in chosen
                    if word != "neutral"
                ]
                _write_list(root, f"{labels}/with_caption/set_{k}", part, told)


def _write_list(root: Path, folder: str, part: str, lines: list[str]) -> None:
    place = root / "Train & Test Set" / folder
    make_folder(place)
    captioned = "with_caption" in folder
    text = "".join(line + ("\r\n" if captioned else "\n") for line in lines)
    write_file(place / f"{part}.txt", text.encode("gb18030" if captioned else "utf-8"))
