"""Where faces lie in crops that others have cut: measured, kept, and what predictions cut faces by."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from studies.reader.views import boxed

from midas_dfer.cli import main
from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.faces.detection import TEMPLATE, FaceDetector, align_face
from midas_dfer.clips.faces.template import FaceTemplate
from midas_dfer.clips.preparing.crop_faces import find_in_crop, measure_template
from midas_dfer.clips.preparing.extract import fit
from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import STORE_FILE, ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.predict.predictor import Predictor
from midas_dfer.reproduce.substores import write_substore
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.info import ModelInfo
from midas_dfer.synthetic.layouts.drawn_clips import draw_frames
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Provenance, Run
from midas_dfer.video.read import iter_frames
from midas_dfer.video.write import write_video
from tests.support.factories import make_store

SIDE = 64
CROPPED = ExtractSettings(faces="cropped", size=SIDE)
SQUARE = np.array([0.2, 0.3, 0.8, 0.3, 0.5, 0.55, 0.3, 0.8, 0.7, 0.8]).reshape(5, 2)
TOLD = FaceTemplate(tuple(map(tuple, SQUARE.tolist())), ((0.01, 0.02),) * 5, 9, 10)


@pytest.fixture(scope="module")
def frames():
    """Twelve people who were drawn, a frame of each."""
    return [draw_frames("neutral", seed=(number,), frames=1)[0] for number in range(12)]


def write_crops(root: Path, frames, left: int) -> Manifest:
    """The faces, cut out by squares of 64 pixels that begin in this column."""
    root.mkdir(parents=True)
    samples = []
    for number, frame in enumerate(frames):
        crop = np.ascontiguousarray(frame[16:80, left : left + 64, ::-1])
        cv2.imwrite(str(root / f"{number}.png"), crop)
        samples.append(Sample(str(number), f"{number}.png", (1, 2), 1, None, None, f"s{number}", {}))
    return Manifest.from_samples(("sad", "happy"), samples, "crops")


def crop_store(folder: Path, frames, left: int = 32) -> ClipStore:
    manifest = write_crops(folder / "crops", frames, left)
    report = prepare(manifest, folder / "crops", folder / "store", settings=CROPPED, jobs=1)
    assert "faces in the crops: found in" in report.faces_in_crops
    return ClipStore.open(folder / "store")


@pytest.fixture(scope="module")
def store(frames, tmp_path_factory):
    return crop_store(tmp_path_factory.mktemp("template"), frames)


def make_run(path: Path, store: ClipStore, **changes) -> Run:
    config = RunConfig(width=8, size=32, num_segments=4, precision="32", device="cpu", mixer="none")
    provenance = Provenance(
        "crops", store.class_names, str(store.path), store.fingerprint, store.settings, "all clips", 12, 0, 0
    )
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    run = Run(path, config, replace(provenance, template=store.template, **changes))
    run.finish(run.new_model(), "last")
    return Run.open(path)


# --- measuring ------------------------------------------------------------------------------------------------------


def test_the_template_lies_where_faces_lie_in_the_crops(store, frames, tmp_path):
    template = store.template
    assert template.found >= 10
    assert template.looked_at == 12
    detector = FaceDetector()
    seen = [detector.detect(np.ascontiguousarray(cv2.resize(f, None, fx=4, fy=4)[..., ::-1])) for f in frames]
    landmarks = np.mean([(faces[0].landmarks + 0.5) / 4 - (32, 16) for faces in seen if faces], axis=0) / SIDE
    np.testing.assert_allclose(template.points, landmarks, atol=0.03)
    moved = crop_store(tmp_path, frames, left=26).template
    np.testing.assert_allclose(moved.points - template.points, np.tile([6 / SIDE, 0], (5, 1)), atol=0.03)
    assert 0.005 < template.mean_spread < 0.15


def test_crops_without_faces_are_told_and_looked_at_shortly(tmp_path):
    store = make_store(tmp_path, 6)
    template, line = measure_template(store)
    assert store.template is template is None
    assert line.startswith("faces in the crops: found in 0 of the 16 that were looked at, which is too few")


def test_few_faces_are_not_believed(frames, tmp_path, monkeypatch):
    assert crop_store(tmp_path / "four", frames[:4]).template is None
    monkeypatch.setattr("midas_dfer.clips.preparing.crop_faces.SMALLEST_SHARE", 1.1)
    assert crop_store(tmp_path / "all", frames).template is None


def test_stores_of_earlier_versions_learn_it_when_they_are_prepared_again(store, frames, tmp_path, monkeypatch):
    earlier = crop_store(tmp_path, frames)
    content = json.loads((earlier.path / STORE_FILE).read_text())
    del content["template"], content["sha256"]
    (earlier.path / STORE_FILE).write_text(json.dumps(content))
    opened = ClipStore.open(earlier.path)
    assert opened.template is None
    assert opened.fingerprint == store.fingerprint == earlier.fingerprint  # it says what the clips are, as ever
    run = make_run(tmp_path / "run", opened)
    assert "template" not in json.loads((run.path / "run.json").read_text())
    assert ModelInfo.of(run).template is None
    again = (Manifest.from_samples(opened.class_names, list(opened), "crops"), tmp_path / "crops", earlier.path)
    report = prepare(*again, settings=CROPPED, jobs=1)
    assert report.done == 0
    assert ClipStore.open(earlier.path).template == store.template == ModelInfo.of(run).template
    monkeypatch.setattr("midas_dfer.clips.preparing.prepare.measure_template", None)  # it is not measured once more
    assert prepare(*again, settings=CROPPED, jobs=1).faces_in_crops == report.faces_in_crops
    part = write_substore(ClipStore.open(earlier.path), opened.manifest.select([0, 1]), tmp_path / "part")
    assert part.template == store.template


def test_stores_of_whole_videos_have_none(tmp_path):
    drawn = draw_frames("happy", seed=(1,), frames=4)
    write_video(tmp_path / "a.mp4", drawn, 25.0)
    manifest = Manifest.from_samples(("sad", "happy"), [Sample("a", "a.mp4", (0, 1), 1, None, None, "s", {})], "whole")
    report = prepare(manifest, tmp_path, tmp_path / "store", settings=ExtractSettings(size=32), jobs=1)
    assert report.faces_in_crops == ""
    assert "template" not in json.loads((tmp_path / "store" / STORE_FILE).read_text())


# --- keeping --------------------------------------------------------------------------------------------------------


def test_a_run_and_its_export_have_the_stores_template(store, tmp_path):
    run = make_run(tmp_path / "run", store)
    assert run.provenance.template == store.template
    save_pretrained(run, tmp_path / "shared")
    content = json.loads((tmp_path / "shared" / "config.json").read_text())
    assert content["format"] == 4  # earlier versions, which would take whole frames, refuse it
    assert ModelInfo.from_dict(content) == ModelInfo.of(run)
    assert "landmarks found in" in (tmp_path / "shared" / "README.md").read_text()
    bare = replace(ModelInfo.of(run), template=None)
    assert bare.to_dict()["format"] == 2
    assert ModelInfo.from_dict(bare.to_dict()) == bare


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "does not have just"),
        ({"landmarks": [[0.1, 0.2]] * 4}, "landmarks of a template of faces are not 5 pairs"),
        ({"landmarks": [[0.1, 0.2]] * 5}, "lie on one point"),
        ({"landmarks": [[0.1, 0.2], [0.3, 9.0]] * 2 + [[0.0, 0.0]]}, "lie outside"),
        ({"landmarks": [[0.1, "0.2"]] * 5}, "no number"),
        ({"landmarks": 3}, "no number"),
        ({"spread": [[True, 0.1]] * 5}, "no number"),
        ({"found": 1.5}, "found of the template of faces is no whole number"),
        ({"found": 11}, "names 11 faces in 10 crops"),
        ({"more": 1}, "does not have just"),
    ],
)
def test_a_damaged_template_is_told(store, tmp_path, change, message):
    values = [] if change is None else {**TOLD.to_dict(), **change}
    with pytest.raises(RequestError, match=message):
        FaceTemplate.from_dict(values)
    run = make_run(tmp_path / "run", store)
    config = ModelInfo.of(run).to_dict()
    with pytest.raises(RequestError, match=message):
        ModelInfo.from_dict({**config, "template": values})
    for file in (run.path / "run.json", tmp_path / "store.json"):
        content = json.loads(
            (run.path / "run.json" if file.name == "run.json" else store.path / STORE_FILE).read_text()
        )
        content.pop("sha256", None)
        file.write_text(json.dumps({**content, "template": values}))
    wrong = "template is a list; expected an object" if change is None else f"template: .*{message}"
    with pytest.raises(RequestError, match=rf"run\.json is damaged \({wrong}"):
        Run.open(run.path)
    (tmp_path / "manifest.parquet").write_bytes((store.path / "manifest.parquet").read_bytes())
    with pytest.raises(RequestError, match=r"store\.json is damaged"):
        ClipStore.open(tmp_path)


def test_a_template_comes_back_from_json():
    assert FaceTemplate.from_dict(json.loads(json.dumps(TOLD.to_dict()))) == TOLD
    with pytest.raises(RequestError, match="lie outside"):
        replace(TOLD, landmarks=((0.1, float("nan")),) * 5)


# --- cutting --------------------------------------------------------------------------------------------------------


def test_faces_are_cut_to_lie_on_the_template(store, frames, tmp_path):
    predictor = Predictor.from_pretrained(make_run(tmp_path / "run", store))
    large = np.asarray(cv2.resize(frames[0], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    cv2.imwrite(str(tmp_path / "a.png"), large[..., ::-1])
    timeline = predictor.predict_video(tmp_path / "a.png")
    assert (timeline.note, timeline.faces) == ("", "detect")
    (track,) = timeline.tracks
    crop = align_face(large, track.face.landmarks[0], SIDE, store.template.points)
    probabilities, _ = predictor.predict_clips(apply_crop(np.stack([crop] * 4), None, 32)[None])
    np.testing.assert_allclose(track.windows[0].probabilities, probabilities[0], rtol=0, atol=1e-6)
    other, _ = predictor.predict_clips(
        apply_crop(np.stack([align_face(large, track.face.landmarks[0], SIDE)] * 4), None, 32)[None]
    )
    assert not torch.allclose(probabilities, other, rtol=0, atol=2e-6), (probabilities - other).abs().max()


def test_without_a_template_the_projects_own_is_taken_and_told(store, tmp_path, frames):
    run = make_run(tmp_path / "run", store)
    info = replace(ModelInfo.of(run), template=None)
    predictor = Predictor(run.load_model(), info, device="cpu")
    assert predictor.template is TEMPLATE
    cv2.imwrite(str(tmp_path / "a.png"), cv2.resize(frames[0], None, fx=2, fy=2)[..., ::-1])
    note = predictor.predict_video(tmp_path / "a.png").note
    assert note.startswith("where faces lie in the crops that the model learned from is not known")
    whole = replace(info, extract=replace(info.extract, faces="detect"))
    assert Predictor(run.load_model(), whole, device="cpu").predict_video(tmp_path / "a.png").note == ""


def test_a_run_on_crops_finds_no_face_where_there_is_none(store, tmp_path, capsys):
    run = make_run(tmp_path / "run", store)
    drawn = np.full((90, 160, 3), 120, np.uint8)
    cv2.putText(drawn, "TITLE", (20, 60), cv2.FONT_HERSHEY_DUPLEX, 1.5, (240, 240, 250), 3)
    write_video(tmp_path / "title.mp4", [drawn] * 6, 25.0)
    flags = ["predict", str(tmp_path / "title.mp4"), "--run", str(run.path), "--out", str(tmp_path / "out")]
    assert main([*flags, "--no_video"]) == 1
    assert "title.mp4: no face found in 6 frames" in capsys.readouterr().err
    assert main([*flags, "--no_video", "--faces", "cropped"]) == 2
    error = capsys.readouterr().err
    assert "title.mp4: frame 0 is 160x90, too far from square to be a face crop" in error
    write_video(tmp_path / "title.mp4", [drawn[:, :90]] * 6, 25.0)
    assert main([*flags, "--faces", "cropped"]) == 0
    assert "note: whole frames were taken for faces (--faces cropped)" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "title" / "timeline.json").read_text())
    assert (content["faces"], content["note"][:30]) == ("cropped", "whole frames were taken for fa")


def test_real_faces_are_cut_to_lie_where_they_lay_in_the_crops(shared_data, tmp_path):
    detector, samples, last = FaceDetector(), [], None
    for path in sorted((shared_data / "crema_d" / "VideoFlash").glob("*.flv")):
        for frame in islice(iter_frames(path, pixel_format="bgr24"), 0, 40, 10):
            face, *_ = detector.detect(frame.image)
            face = replace(face, box=face.box + np.array([0, 0.1 * face.box[3], 0, 0], np.float32))  # other than ours
            name = f"{len(samples)}.png"
            cv2.imwrite(str(tmp_path / name), fit(boxed(frame.image, face, round(float(max(face.box[2:])))), SIDE))
            samples.append(Sample(name, name, (1, 2), 1, None, None, path.stem, {}))
            last = frame.image
    prepare(Manifest.from_samples(("a", "b"), samples, "real"), tmp_path, tmp_path / "store", settings=CROPPED, jobs=1)
    template = ClipStore.open(tmp_path / "store").template
    assert template.found >= 0.9 * len(samples)
    assert np.abs(template.points - TEMPLATE).max() > 0.08
    crop = align_face(last, detector.detect(last)[0].landmarks, SIDE, template.points)
    again = find_in_crop(crop, detector)
    np.testing.assert_allclose(again.mean(axis=0), template.points.mean(axis=0), atol=0.04)
    np.testing.assert_allclose(np.ptp(again, axis=0), np.ptp(template.points, axis=0), atol=0.08)
