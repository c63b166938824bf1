"""A synthetic DFEW: drawn faces and drawn votes, laid out as the real one is published, with its traps.

The traps: the rows of the workbook are not in the order of the clips; clips without a single label; clips
with one that are in no list and in no copy of cropped faces; names padded to five digits in one place and not in
another; originals in folders of parts; 16 frames whose names are not padded; lists counted from 1 or from 0.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

from midas_dfer.emotions import DFEW
from midas_dfer.errors import RequestError
from midas_dfer.files import csv_text, make_folder, write_file
from midas_dfer.synthetic.identity import draw_identity, draw_light
from midas_dfer.synthetic.layouts.drawn_clips import FRAME_RATE, write_clip, write_pictures
from midas_dfer.synthetic.performances import draw_performance, render_clip

FEWEST_CLIPS = 20
COLUMNS = (*(f"{number}{name}" for number, name in enumerate(DFEW, start=1)), "order", "label")

_SETS = 5


def write_dfew(
    root: Path,
    *,
    clips: int = 40,
    seed: int = 0,
    layouts: Sequence[Literal["original", "clip_224x224", "clip_224x224_16f"]] = ("clip_224x224",),
    frames: int = 16,
    first_class: Literal[0, 1] = 1,
    list_names: Literal["set", "part_set"] = "set",
    annotation: Literal["xlsx", "csv"] = "xlsx",
) -> None:
    """Write a synthetic copy of at least `FEWEST_CLIPS` clips, numbered from 1, of about so many frames.

    Every fourth clip has no single label. Of the others, every tenth is one in which "no face was found".

    `layouts` are the copies of the clips to write, none for the annotations alone: `Clip/original/part_P/N.mp4` (128 x
    96 pixels), `Clip/clip_224x224/NNNNN/NNNNN_00001.jpg` and so on, `Clip/clip_224x224_16f/NNNNN/1.jpg` to `16.jpg` (64
    x 64 pixels). As published, the lists count classes from 1 and are called `set_1.csv`; copies of others have 0, and
    `train_set_1.csv`.
    """
    if clips < FEWEST_CLIPS:
        raise RequestError(f"{clips} clips were asked for. The five folds need {FEWEST_CLIPS} or more.")
    generator = np.random.default_rng(seed)
    votes, labels = _draw_votes(generator, clips)
    numbers = np.arange(1, clips + 1)
    single = np.flatnonzero(labels)
    without_face = single[9::10]
    listed = np.setdiff1d(single, without_face)
    rows = [[*votes[clip].tolist(), int(numbers[clip]), int(labels[clip])] for clip in generator.permutation(clips)]
    make_folder(root / "Annotation")
    if annotation == "xlsx":
        write_file(root / "Annotation" / "annotation.xlsx", workbook([list(COLUMNS), *rows]))
    else:
        write_file(root / "Annotation" / "annotation.csv", csv_text([COLUMNS, *rows]))
    fold = np.zeros(clips, dtype=np.int64)
    fold[listed[np.argsort(labels[listed], kind="stable")]] = 1 + np.arange(listed.size) % _SETS
    for part in ("train", "test"):
        folder = root / "EmoLabel_DataSplit" / f"{part}(single-labeled)"
        make_folder(folder)
        for number in range(1, _SETS + 1):
            chosen = [clip for clip in listed if (fold[clip] == number) == (part == "test")]
            lines: list[list[int | str]] = [["video_name", "label"]]
            lines += [[f"{numbers[clip]:05d}", int(labels[clip]) - 1 + first_class] for clip in chosen]
            name = f"set_{number}.csv" if list_names == "set" else f"{part}_set_{number}.csv"
            write_file(folder / name, csv_text(lines))
    if layouts:
        for clip in range(clips):
            pictures = _draw_frames(np.random.default_rng((seed, clip)), DFEW.names[int(votes[clip].argmax())], frames)
            for layout in layouts:
                if layout == "original":
                    write_clip(root / "Clip" / layout / f"part_{1 + clip // 25}" / f"{numbers[clip]}.mp4", pictures)
                elif clip not in without_face:
                    _write_faces(
                        root / "Clip" / layout / f"{numbers[clip]:05d}", pictures, layout == "clip_224x224_16f"
                    )


def workbook(rows: Sequence[Sequence[int | str]]) -> bytes:
    """Make an .xlsx workbook with one sheet, the same bytes for the same rows."""
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = [
            f"<c><v>{cell}</v></c>" if isinstance(cell, int) else f'<c t="inlineStr"><is><t>{cell}</t></is></c>'
            for cell in row
        ]
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    content = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    relations = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{content}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{content}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships {relations}><Relationship Id="rId1" Type="{kinds}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{kinds}"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships {relations}><Relationship Id="rId1" Type="{kinds}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{''.join(lines)}</sheetData></worksheet>",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in parts.items():
            head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
            entry = zipfile.ZipInfo(name)  # dated 1980
            archive.writestr(entry, head + text, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _draw_votes(generator: np.random.Generator, clips: int) -> tuple[Int64[np.ndarray, "N 7"], Int64[np.ndarray, " N"]]:
    """Ten votes for each clip and its published label, 0 for every fourth one."""
    votes = np.zeros((clips, len(DFEW)), dtype=np.int64)
    labels = np.zeros(clips, dtype=np.int64)
    for clip in range(clips):
        main, *others = generator.permutation(len(DFEW))[:3]
        if clip % 4 == 3:
            votes[clip, [main, *others]] = (5, 3, 2)
            continue
        main = (clip - clip // 4) % len(DFEW)  # every class about equally often
        agreed = int(generator.integers(7, 11))
        other = (main + int(generator.integers(1, len(DFEW)))) % len(DFEW)
        votes[clip, main], votes[clip, other] = agreed, 10 - agreed
        labels[clip] = main + 1
    return votes, labels


def _draw_frames(generator: np.random.Generator, emotion: str, frames: int) -> list[UInt8[np.ndarray, "H W 3"]]:
    performance = draw_performance(generator, emotion, clear=True, seconds=frames / FRAME_RATE, frame_rate=FRAME_RATE)
    identity, light = draw_identity(generator), draw_light(generator)
    return list(render_clip(performance, identity, light, width=128, height=96))


def _write_faces(folder: Path, frames: list[UInt8[np.ndarray, "H W 3"]], sixteen: bool) -> None:
    if sixteen:
        frames = [frames[index] for index in np.linspace(0, len(frames) - 1, 16).round().astype(int)]
    write_pictures(
        folder, frames, cropped=True, digits=1 if sixteen else 5, prefix="" if sixteen else f"{folder.name}_"
    )
