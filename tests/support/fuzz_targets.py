"""What is fuzzed: every reader of annotations, of videos and of the files of a store; and what counts as a fault."""

import io
import json
import os
import random
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from operator import eq
from pathlib import Path, PureWindowsPath
from typing import Any

import av
import cv2
import jaxtyping
import numpy as np
import polars as pl
import pyarrow.parquet as pq

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.outcomes import with_outcomes
from midas_dfer.datasets.published.afew import read_afew
from midas_dfer.datasets.published.blemore import read_blemore
from midas_dfer.datasets.published.crema_d import read_crema_d
from midas_dfer.datasets.published.dfew import read_dfew
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.datasets.published.ferv39k import read_ferv39k
from midas_dfer.datasets.published.frame_lists import read_frame_list
from midas_dfer.datasets.published.mafw import read_mafw
from midas_dfer.datasets.table import read_table
from midas_dfer.datasets.tools.cvat import read_cvat
from midas_dfer.datasets.tools.label_studio import read_label_studio
from midas_dfer.emotions import AFEW
from midas_dfer.errors import MidasError, VideoError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.synthetic.layouts.afew import write_afew
from midas_dfer.synthetic.layouts.dfew import write_dfew
from midas_dfer.synthetic.layouts.ferplus import FEWEST_ROWS, write_ferplus
from midas_dfer.synthetic.layouts.ferv39k import write_ferv39k
from midas_dfer.synthetic.layouts.mafw import write_mafw
from midas_dfer.video.pictures import iter_picture_frames
from midas_dfer.video.read import iter_frames, probe
from tests.support.factories import make_store
from tests.support.mutations import Mutant, mutate

MOST_SECONDS = 10.0


@dataclass(frozen=True)
class Target:
    """A reader with something good to read.

    Attributes:
        name: of the reader, and of the format where it has several.
        write: writes a small sound data set into an empty folder.
        read: reads it, given the folder and the file that was damaged.
        damaged: patterns of the files that are damaged.
        place: a pattern of what says in such a file where a clip lies; "" where only a number does.
        annotations: whether `read` gives a manifest; else it reads a video.
        rows: whether a refusal names the row of a table that it is about.
        same: (read of the damaged file, read of the sound one) -> whether the first says nothing that is not in the
            second; None where a reader cannot know, because the file has no checksum.
    """

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path, Path], object]
    damaged: tuple[str, ...]
    place: str = ""
    annotations: bool = True
    rows: bool = True
    same: Callable[[Any, Any], bool] | None = None

    def files(self, root: Path) -> list[Path]:
        return sorted(file for pattern in self.damaged for file in root.glob(pattern))


@dataclass(frozen=True)
class Outcome:
    """What became of a damaged file.

    Attributes:
        target: the name of the target.
        seed: of the damage.
        kind: what was done to the file.
        result: "read", "refused" or "fault".
        detail: the message of a refusal or fault.
        seconds: how long it took.
    """

    target: str
    seed: int
    kind: str
    result: str
    detail: str
    seconds: float


def run_case(target: Target, root: Path, seed: int) -> Outcome:
    """Damage one file of a data set that was written, read it, and put the sound file back."""
    rng = random.Random(f"{target.name} {seed}")  # noqa: S311 -- no secrets here
    file = rng.choice(target.files(root))
    sound = file.read_bytes()
    mutant = mutate(sound, file.suffix.lower(), rng)
    rewritten = mutant.kind.startswith("Parquet column")  # by a program that keeps no checksum: not damage
    expected = None if target.same is None or rewritten else target.read(root, file)
    file.write_bytes(mutant.data)
    try:
        return read_case(target, root, file, mutant, seed, expected)
    finally:
        file.write_bytes(sound)


def read_case(
    target: Target, root: Path, file: Path, mutant: Mutant, seed: int = 0, expected: object = None
) -> Outcome:
    """Read a file that was damaged; where something is expected, that or a refusal must come."""
    began = time.perf_counter()
    try:
        found = target.read(root, file)
    except MidasError as error:
        result, detail = "refused", str(error)
        fault = refusal_fault(target, root, file, mutant, error)
    except Exception as error:
        # The tests' own checker of types comes before `check_settings`, which test_values.py tests without it.
        is_setting = isinstance(error, jaxtyping.TypeCheckError) and "RunConfig.__init__" in str(error)
        result, detail = "refused" if is_setting else "fault", f"{type(error).__name__}: {error}"[:2000]
        fault = "" if is_setting else detail
    else:
        result, detail = "read", ""
        fault = manifest_fault(found) if isinstance(found, Manifest) else ""
        if expected is not None and target.same is not None and not target.same(found, expected):
            fault = "gives something else than the sound file, without a word"
    seconds = time.perf_counter() - began
    if not fault and seconds > MOST_SECONDS:
        fault = f"took {seconds:.1f} s"
    kind = f"{file.relative_to(root).as_posix()}: {mutant.kind}"
    return Outcome(target.name, seed, kind, "fault" if fault else result, fault or detail, seconds)


def put_path(data: bytes, suffix: str, place: str, path: str) -> bytes:
    """Put a path where a file says where a clip lies, written as the format wants it."""
    if suffix == ".parquet":
        about = pq.read_metadata(io.BytesIO(data)).metadata or {}
        kept = {key.decode(): value.decode() for key, value in about.items() if key == b"midas_dfer.manifest"}
        texts = pl.col(pl.String)
        held = pl.read_parquet(io.BytesIO(data))
        stream = io.BytesIO()
        found = held.with_columns(
            pl.when(texts.str.contains(f"^{place}$")).then(pl.lit(path)).otherwise(texts).name.keep()
        )
        found.write_parquet(stream, metadata=kept)
        return stream.getvalue()
    written = path.encode("utf-8")
    if "json" in suffix or suffix == ".ndjson":
        written = json.dumps(path)[1:-1].encode()
    elif suffix == ".csv" and re.search(r'[",\s]', path):
        written = b'"' + written.replace(b'"', b'""') + b'"'
    return re.sub(place.encode(), lambda _: written, data)


def refusal_fault(target: Target, root: Path, file: Path, mutant: Mutant, error: MidasError) -> str:
    """What a refusal fails to say; "" if it says all."""
    text = str(error)
    if len(text) > 5000:
        return f"a message of {len(text)} characters: {text[:500]}"
    if target in STORES:
        return "" if str(root / "store") in text else f"names no file: {text}"
    if not target.annotations:
        named = file.name in text or file.parent.name in text
        return "" if named and isinstance(error, VideoError) else f"names no file: {text}"
    if not any(str(each) in text or each.name in text for each in (root, *target.files(root))):
        return f"names no file: {text}"
    if target.rows and mutant.in_a_row and not re.search(r"\b(?:row|rows|line|lines|item|task|label) \d", text):
        return f"names no row: {text}"
    return ""


def manifest_fault(manifest: Manifest) -> str:
    """What a manifest that was read holds and should not; "" if nothing."""
    for path in manifest.table["path"].to_list():
        if leaves_root(path):
            return f"the path {path!r} leaves the root"
    if manifest.table["video_id"].is_duplicated().any():
        return "a video_id is there twice"
    known = manifest.table["votes"].drop_nulls()
    if len(known) and (known.list.sum() <= 0).any():
        return "a clip has no votes"
    return ""


def leaves_root(path: str) -> bool:
    """Whether a path, joined to a folder, can name something outside of it, on any system."""
    windows = PureWindowsPath(path)
    away = os.path.relpath(os.path.join("/r/o/o/t", path), "/r/o/o/t").split("/")[0] == ".."  # noqa: PTH118 - plain text
    return (
        away
        or bool(windows.drive or windows.root)
        or ".." in windows.parts
        or re.search(r"[\0-\x1f]", path) is not None
    )


WIDE = "video_id,path,happy,sad,neutral,subject,fold,split,label,note\n" + "".join(
    f"clip{n},videos/{n:03}.mp4,{n % 4},{n % 3},{1 + n % 2},s{n % 5},{1 + n % 3},{'train' if n % 4 else 'test'},"
    f'{("happy", "Sad", "")[n % 3]},"a note, {n}"\n'
    for n in range(12)
)
LONG = "video,emotion,annotator,subject\n" + "".join(
    f"v/{n // 3}.mp4,{('happy', 'sad', 'Happiness')[n % 3]},r{n % 3},s{n // 6}\n" for n in range(18)
)


def _wide_table() -> pl.DataFrame:
    return pl.read_csv(WIDE.encode())


def _write_parquet_manifest(root: Path) -> None:
    (root / "table.csv").write_text(WIDE)
    read_table(root / "table.csv").to_parquet(root / "manifest.parquet")


def _write_crema_d(root: Path) -> None:
    lines = ['"","A","D","F","H","N","S","fileName","numResponses"']
    for source in (1, 2, 3):
        for n in range(12):
            name = f"10{n % 6:02}_DFA_{('ANG', 'HAP', 'SAD')[n % 3]}_{('XX', 'HI')[n // 6]}"
            lines.append(f'"{source}000{n:02}",{n % 3},2,0,{n % 4},3,0,"{name}",10')
    (root / "processedResults").mkdir()
    (root / "processedResults" / "tabulatedVotes.csv").write_text("\n".join(lines) + "\n")


def _write_single_votes(root: Path) -> None:
    _write_crema_d(root)
    lines = ['"","localid","queryType","questNum","clipName","sessionNums","respEmo"']
    lines += [
        f'"{n}","p{n % 4}",2,{n},"10{n % 6:02}_DFA_{("ANG", "HAP", "SAD")[n % 3]}_XX",{n},"AHN"' for n in range(12)
    ]
    lines = [line.replace('"AHN"', f'"{"AHN"[n % 3]}"') for n, line in enumerate(lines)]
    (root / "finishedResponses.csv").write_text("\n".join(lines) + "\n")


def _write_blemore(root: Path) -> None:
    lines = ["filename,video_id,mix,emotion_1,emotion_2,emotion_1_salience,emotion_2_salience,fold"]
    for n in range(8):
        lines.append(f"A10{n}_ang_int1_ver1,A10{n},0,ang,,,,{n % 5}")
        lines.append(f"A10{n}_mix_ang_sad_30_70_ver1,A10{n},1,ang,sad,30.0,70.0,{n % 5}")
    (root / "train_metadata.csv").write_text("\n".join(lines) + "\n")


def _label_studio_tasks(root: Path) -> None:
    def task(number: int) -> dict[str, object]:
        annotations = [
            {
                "id": 10 * number + rater,
                "completed_by": {"id": rater, "email": f"r{rater}@example.org"} if number % 2 else rater,
                "was_cancelled": rater == 3 and number == 2,
                "updated_at": f"2024-01-0{1 + rater}T10:00:00.000000Z",
                "result": [
                    {
                        "from_name": "emotion",
                        "to_name": "video",
                        "type": "choices",
                        "value": {"choices": [("Happy", "Sad", "Neutral")[(number + rater) % 3]]},
                    }
                ],
            }
            for rater in range(3)
        ]
        address = ("/data/upload/3/1a2b3c4d-c{}.mp4", "/data/local-files/?d=clips/c{}.mp4", "s3://b/clips/c{}.mp4")
        data = {"video": address[number % 3].format(number), "subject": f"s{number % 3}", "split": "train"}
        return {"id": number, "data": data, "annotations": annotations, "predictions": []}

    (root / "tasks.json").write_text(json.dumps([task(number) for number in range(6)]))


def _cvat_items(root: Path) -> None:
    names = ("happy", "sad", "neutral")
    items = [
        {
            "id": f"clips/c{number}",
            "annotations": [
                {"id": 0, "type": "label", "attributes": {"annotator": f"r{rater}"}, "group": 0, "label_id": rater % 3}
                for rater in range(number % 3, 4)
            ],
            "attr": {"frame": number},
            "image": {"path": f"clips/c{number}.jpg", "size": [32, 48]},
        }
        for number in range(6)
    ]
    labels = [{"name": name, "parent": "", "attributes": []} for name in names]
    categories = {"label": {"labels": labels, "attributes": []}, "points": {"items": []}}
    (root / "default.json").write_text(json.dumps({"info": {}, "categories": categories, "items": items}))


def _cvat_xml(root: Path) -> None:
    names = ("happy", "sad", "neutral")
    images = "".join(
        f'<image id="{number}" name="clips/c{number}.jpg" width="48" height="32">\n'
        + "".join(
            f'<tag label="{names[rater % 3]}"><attribute name="annotator">r{rater}</attribute></tag>\n'
            for rater in range(number % 3, 4)
        )
        + "</image>\n"
        for number in range(6)
    )
    labels = "".join(f"<label><name>{name}</name></label>" for name in names)
    meta = f"<meta><task><id>1</id><subset>train</subset><labels>{labels}</labels></task></meta>\n"
    (root / "annotations.xml").write_text(f"<annotations>\n{meta}{images}</annotations>\n")


def _read_afew_lists(root: Path, _: Path) -> Manifest:
    return read_afew(root, lists=sorted((root / "lists").glob("*.txt")))


def _read_frame_list(root: Path, file: Path) -> Manifest:
    return read_frame_list(file, root / "AFEW_Face", class_names=AFEW.names)


def _read_the_file(_: Path, file: Path) -> Manifest:
    return read_table(file)


def _text_file(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


def _picture(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return np.kron(rng.integers(0, 255, (4, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def write_small_video(file: Path, codec: str, frames: int = 10, *, sound: bool = False) -> None:
    """A video of 48x32, with a tone if wanted."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 48, 32
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 4
        tone = container.add_stream("aac", rate=8000) if sound else None
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_picture(number), format="rgb24")))
        container.mux(stream.encode(None))
        if tone is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 8000
            container.mux(tone.encode(silence))
            container.mux(tone.encode(None))


def _write_pictures(root: Path) -> None:
    (root / "clip").mkdir()
    for number, suffix in enumerate((".jpg", ".png", ".bmp", ".webp", ".jpg"), start=8):
        cv2.imwrite(str(root / "clip" / f"{number}{suffix}"), _picture(number))


def _write_single_pictures(root: Path) -> None:
    for number, suffix in enumerate((".jpg", ".png", ".bmp", ".webp", ".tif")):
        cv2.imwrite(str(root / f"still{number}{suffix}"), _picture(number))


def read_video(_: Path, file: Path) -> int:
    """Probe a video and read all its frames."""
    probe(file)
    return sum(1 for _ in iter_frames(file))


def _read_folder(_: Path, file: Path) -> int:
    return sum(1 for _ in iter_picture_frames(file.parent))


@cache
def _sound_store() -> dict[str, bytes]:
    """The files of a small store; made once, since that takes a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), clips=6)
        return {str(f.relative_to(store.path)): f.read_bytes() for f in store.path.rglob("*") if f.is_file()}


def write_sound_store(root: Path) -> ClipStore:
    """A small store in `root/store`."""
    for name, content in _sound_store().items():
        (root / "store" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "store" / name).write_bytes(content)
    return ClipStore.open(root / "store")


def write_interrupted_store(root: Path) -> None:
    """The same as a kill leaves it: its first clips are in the manifest, the others in the journal."""
    store = write_sound_store(root)
    outcomes = list(store.outcomes.values())
    known = {o.video_id: o if n < 3 else replace(o, status="pending", location=None) for n, o in enumerate(outcomes)}
    with_outcomes(store.annotations, known).to_parquet(store.path / "manifest.parquet")
    (store.path / "journal.jsonl").write_text("".join(o.to_json() + "\n" for o in outcomes[3:]))


def write_store_without_checksums(root: Path) -> None:
    """The same as earlier versions wrote it."""
    store = write_sound_store(root)
    bare = {i: replace(o, location=replace(o.location, checksums=b"")) for i, o in store.outcomes.items()}
    write_plain_manifest(store, with_outcomes(store.annotations, bare).table.drop("clip_checksums"))
    description = json.loads((store.path / "store.json").read_text())
    del description["sha256"]
    (store.path / "store.json").write_text(json.dumps(description))


def write_plain_manifest(store: ClipStore, table: pl.DataFrame) -> None:
    """A store's manifest as another program writes it: without a digest."""
    about = json.dumps({"format": 1, "name": "toy", "class_names": list(store.class_names)})
    table.write_parquet(store.path / "manifest.parquet", metadata={"midas_dfer.manifest": about})


def read_store(root: Path, _: Path) -> dict[str, Any]:
    """All that a store gives: every clip with all of its frames, and what is said of it."""
    store = ClipStore.open(root / "store")
    found: dict[str, Any] = {
        sample.video_id: (
            sample,
            store.outcomes[sample.video_id],
            store.read(sample.video_id, range(store.num_frames(sample.video_id))).tobytes(),
            list(store.stored_frames(sample.video_id)),
        )
        for sample in store
    }
    found |= {o.video_id: o for o in store.outcomes.values() if o.status != "done"}
    return found | {"about": (store.dataset, store.settings, store.class_names, store.manifest.notes)}


def same_or_pending(found: dict[str, Any], sound: dict[str, Any]) -> bool:
    """A journal that is cut short is one of an earlier kill: then clips are pending, and said to be."""

    def pending(clip: object) -> bool:
        return getattr(clip, "status", "") == "pending"

    return found.keys() == sound.keys() and all(found[k] == sound[k] or pending(found[k]) for k in sound)


def _video(suffix: str, codec: str, *, sound: bool = False) -> Target:
    return Target(
        f"video {suffix} ({codec})",
        lambda root: write_small_video(root / f"small.{suffix}", codec, sound=sound),
        read_video,
        ("small.*",),
        annotations=False,
    )


ANNOTATIONS: tuple[Target, ...] = (
    Target("table, wide CSV", _text_file("votes.csv", WIDE), _read_the_file, ("votes.csv",), place=r"videos/003\.mp4"),
    Target(
        "table, long CSV",
        _text_file("votes.tsv", LONG.replace(",", "\t")),
        _read_the_file,
        ("votes.tsv",),
        place=r"v/3\.mp4",
    ),
    Target(
        "table, wide JSON lines",
        lambda root: _wide_table().write_ndjson(root / "votes.jsonl"),
        _read_the_file,
        ("votes.jsonl",),
        place=r"videos/003\.mp4",
    ),
    Target(
        "table, long JSON lines",
        lambda root: pl.read_csv(LONG.encode()).write_ndjson(root / "votes.ndjson"),
        _read_the_file,
        ("votes.ndjson",),
        place=r"v/3\.mp4",
    ),
    Target(
        "table, wide Parquet",
        lambda root: _wide_table().write_parquet(root / "votes.parquet"),
        _read_the_file,
        ("votes.parquet",),
        place=r"videos/003\.mp4",
    ),
    Target(
        "table, long Parquet",
        lambda root: pl.read_csv(LONG.encode()).write_parquet(root / "votes.parquet"),
        _read_the_file,
        ("votes.parquet",),
        place=r"v/3\.mp4",
    ),
    Target(
        "manifest, Parquet",
        _write_parquet_manifest,
        lambda _, file: Manifest.from_parquet(file),
        ("manifest.parquet",),
        place=r"videos/003\.mp4",
    ),
    Target(
        "crema_d",
        _write_crema_d,
        lambda root, _: read_crema_d(root),
        ("processedResults/*.csv",),
        place=r"1003_DFA_ANG_XX",
    ),
    Target(
        "crema_d, single votes",
        _write_single_votes,
        lambda root, _: read_crema_d(root, annotators=True),
        ("finishedResponses.csv",),
        place=r"1003_DFA_ANG_XX",
    ),
    Target(
        "blemore",
        _write_blemore,
        lambda root, _: read_blemore(root),
        ("train_metadata.csv",),
        place=r"A103_ang_int1_ver1",
    ),
    Target(
        "dfew, workbook",
        lambda root: write_dfew(root, layouts=()),
        lambda root, _: read_dfew(root),
        ("Annotation/*.xlsx",),
    ),
    Target(
        "dfew, lists",
        lambda root: write_dfew(root, layouts=()),
        lambda root, _: read_dfew(root),
        ("EmoLabel*/*/*.csv",),
        place=r"\b000\d\d\b",
    ),
    Target(
        "dfew, CSV from 0",
        lambda root: write_dfew(root, layouts=(), annotation="csv", list_names="part_set", first_class=0),
        lambda root, _: read_dfew(root),
        ("Annotation/*.csv", "EmoLabel*/*/*.csv"),
        place=r"\b000\d\d\b",
    ),
    Target(
        "ferv39k, published",
        lambda root: write_ferv39k(root, pictures=False),
        lambda root, _: read_ferv39k(root),
        ("4_setups/*/*.csv",),
        place=r"\w+/\w+/\d{4}",
    ),
    Target(
        "ferv39k, path and id",
        lambda root: write_ferv39k(root, pictures=False, form="path_id"),
        lambda root, _: read_ferv39k(root),
        ("4_setups/*/*.csv",),
        place=r"\w+/\w+/\d{4}",
    ),
    Target(
        "ferv39k, frame lists",
        lambda root: write_ferv39k(root, pictures=False, form="frame_list"),
        lambda root, _: read_ferv39k(root),
        ("4_setups/*/*.csv",),
        place=r"\S+/\w+/\d{4}",
    ),
    Target(
        "afew, lists", lambda root: write_afew(root, drawn=False), _read_afew_lists, ("lists/*.txt",), place=r"\S+/\S+"
    ),
    Target(
        "frame list", lambda root: write_afew(root, drawn=False), _read_frame_list, ("lists/*.txt",), place=r"\S+/\S+"
    ),
    Target(
        "mafw, single",
        lambda root: write_mafw(root, drawn=False),
        lambda root, _: read_mafw(root),
        ("*/single/no_caption/*/*.txt",),
        place=r"\d{5}\.mp4",
    ),
    Target(
        "mafw, compound with captions",
        lambda root: write_mafw(root, drawn=False),
        lambda root, _: read_mafw(root, labels="compound", captions=True),
        ("*/compound/with_caption/*/*.txt",),
        place=r"\d{5}\.mp4",
    ),
    Target(
        "ferplus, folders",
        lambda root: write_ferplus(root, clips=FEWEST_ROWS),
        lambda root, _: read_ferplus(root),
        ("data/*/*.csv", "*.csv"),
        place=r"fer\d{7}\.png",
    ),
    Target(
        "ferplus, pixels",
        lambda root: write_ferplus(root, clips=FEWEST_ROWS, form="pixels"),
        lambda root, _: read_ferplus(root),
        ("fer2013new.csv", "fer2013.csv"),
        place=r"fer\d{7}\.png",
    ),
    Target(
        "label_studio",
        _label_studio_tasks,
        lambda _, file: read_label_studio(file),
        ("tasks.json",),
        place=r"/data/upload/3/1a2b3c4d-c0\.mp4",
    ),
    Target("cvat, xml", _cvat_xml, lambda _, file: read_cvat(file), ("annotations.xml",), place=r"clips/c0\.jpg"),
    Target("cvat", _cvat_items, lambda _, file: read_cvat(file), ("default.json",), place=r"clips/c0\.jpg"),
)

STORES: tuple[Target, ...] = tuple(
    Target(f"store, {name}", write_interrupted_store, read_store, (f"store/{name}",), annotations=False, same=same)
    for name, same in {
        "store.json": eq,
        "manifest.parquet": eq,
        "journal.jsonl": same_or_pending,
        "failures.csv": eq,
        "shards/*.arrow": eq,
    }.items()
) + tuple(
    Target(
        f"store without checksums, {name}",
        write_store_without_checksums,
        read_store,
        (f"store/{name}",),
        annotations=False,
    )
    for name in ("store.json", "manifest.parquet", "shards/*.arrow")
)

VIDEOS: tuple[Target, ...] = (
    _video("mp4", "libx264", sound=True),
    _video("mkv", "libx264"),
    _video("avi", "mpeg4"),
    _video("mov", "mjpeg"),
    _video("mpg", "mpeg1video"),
    _video("ts", "mpeg2video"),
    _video("flv", "flv1"),
    _video("webm", "libvpx"),
    Target("folder of pictures", _write_pictures, _read_folder, ("clip/*",), annotations=False),
    Target("single pictures", _write_single_pictures, read_video, ("still*",), annotations=False),
)
