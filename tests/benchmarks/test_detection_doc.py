"""What docs/video.md says of detecting faces in batches is what was measured."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = " ".join((ROOT / "docs" / "video.md").read_text(encoding="utf-8").split())
FOUND = json.loads((ROOT / "benchmarks" / "results" / "detection.json").read_text())


def test_the_page_says_how_far_the_network_is_from_opencv():
    (found,) = FOUND["differences"]
    assert f"On {found['pictures']} pictures ({found['faces']} faces)" in PAGE
    assert found["pictures with another number of faces"] == 0
    assert all(found[of] < 0.001 for of in ("score", "box, pixels", "landmarks, pixels"))
    bits = FOUND["float32 and fewer bits"]
    sixteen = [bits[f"torch.{name}"]["pixels"] for name in ("bfloat16", "float16")]
    assert "In bfloat16 they would by {:.2f} pixels, in float16 by {:.2f}".format(*sixteen) in PAGE


def test_the_page_says_what_it_takes():
    rows = {(row["what"], row["batch"]): row["median ms"] for row in FOUND["speed"] if row["size"] == "640x480"}
    one, many, opencv = rows["PyTorch", 1], rows["PyTorch", 32], rows["OpenCV", 1]
    assert (
        f"{one:.1f} ms of one CPU thread for one picture and {many:.1f} in batches of 32, OpenCV {opencv:.1f}" in PAGE
    )
    tracking, every_frame = FOUND["following"]
    rest = every_frame["processor ms outside the network"]["median ms"]
    assert f"takes {rest:.1f} ms of processor time a frame, tracking {tracking['median ms']:.1f} in all" in PAGE
    assert FOUND["gpu"] == "no GPU: not measured"
    assert "Nothing was measured on a GPU" in PAGE


def test_the_page_says_how_searching_every_frame_compares_with_tracking():
    found, clips = FOUND["summary"], FOUND["videos"].values()
    assert f"On those {found['videos']} clips" in PAGE
    assert f"shakes {found['shaking beside tracking, median']:.2f} times as much as a tracked one" in PAGE
    assert f"change by {found['change of vote shares, mean']:.3f} in total variation in the mean" in PAGE
    assert sum(row["tracking, tracks"] != row["every frame, tracks"] for row in clips) == 1
    leaning = {angle: found[f"every frame, leaning over 5 degrees at {angle}"] for angle in (15, 30, 45)}
    assert leaning == {15: 0, 30: 0, 45: found["tracking, leaning over 5 degrees at 45"]}
    assert f"by 45 it is {leaning[45]} of {2 * found['videos']}, as in tracking" in PAGE
