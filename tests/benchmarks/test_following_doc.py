"""What docs/video.md says of following faces is what was measured."""

import json
from pathlib import Path
from statistics import mean, median

ROOT = Path(__file__).resolve().parents[2]
PAGE = " ".join((ROOT / "docs" / "video.md").read_text(encoding="utf-8").split())
FOUND = json.loads((ROOT / "benchmarks" / "results" / "following.json").read_text())


def test_the_page_has_the_figures_of_the_file():
    rows = FOUND["synthetic"].values()
    followed, searched = (mean(row[f"{way}_error"] for row in rows) for way in ("follow", "search"))
    assert f"off by {followed:.3f} eye distances in the mean" in PAGE
    assert f"a search of the whole frame by {searched:.3f}" in PAGE
    worse = {name: row["follow_error"] - row["search_error"] for name, row in FOUND["synthetic"].items()}
    assert all(name.endswith("300 px") or by < 0.01 for name, by in worse.items())
    assert f"by at most {max(worse.values()):.3f}" in PAGE
    clips = [row for row in FOUND["videos"].values() if "shares_change" in row]
    ratios = [row["follow_shaking"] / row["search_shaking"] for row in clips]
    shakier = sum(ratio > 1 for ratio in ratios)
    assert (
        f"On {len(clips)} real clips the median face shakes {median(ratios):.2f} times as much ({shakier} shake" in PAGE
    )
    assert sum(row["follow_tracks"] != row["search_tracks"] for row in clips) == 1
    changes = [row["shares_change"] for row in clips]
    assert f"by {mean(changes):.3f} in total variation in the mean (median {median(changes):.3f}" in PAGE


def test_the_page_says_how_upright_tilted_heads_are_stored():
    def leans(angle: int, way: str = "follow") -> list[float]:
        turned = [each[str(sign * angle)][way] for each in FOUND["turned"].values() for sign in (-1, 1)]
        return [abs(value) for value in turned if value == value]  # not a number: no face was found

    upright = {angle: (sum(lean <= 5 for lean in leans(angle)), len(leans(angle))) for angle in (15, 30, 45, 60)}
    assert all(number == of for number, of in (upright[15], upright[30]))
    assert f"in {upright[45][0]} of {upright[45][1]} at 45" in PAGE
    assert f"in {upright[60][0]} of {upright[60][1]} at 60" in PAGE
    at_45 = f"the median lean at 45 is {median(leans(45)):.1f} degrees"
    assert f"{at_45}, where a search of whole frames leaves {median(leans(45, 'search')):.1f}" in PAGE


def test_the_page_says_what_it_saves():
    rows = [row for row in FOUND["videos"].values() if row["size"] == "640x480" and "shares_change" in row]
    follow, search = (median(row[f"{way}_ms"] for row in rows) for way in ("follow", "search"))
    assert f"At 640x480 this takes {follow:.1f} ms a frame" in PAGE
    assert f"searching every frame takes {search:.1f}" in PAGE
