"""The page on how sure a model is shows what the study of the reader's silence measured; the package has its rule."""

import json
from pathlib import Path

from studies.reader.silence import RESULTS

from midas_dfer.sharing.trained import packaged_reader
from midas_dfer.training.scoring.held_out import HeldOut

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "surety.md").read_text(encoding="utf-8")


def test_the_page_and_the_package_say_what_was_measured():
    measured, rule = json.loads(RESULTS.read_text()), HeldOut.read(packaged_reader().path)
    for row in measured["risks"]:
        assert rule.silent_above(row["risk"]).to_dict() == {name: row[name] for name in row if name != "test"}
        (low, high), test = row["coverage_interval"], row["test"]
        assert test["wrong"] / test["answered"] <= row["risk"]
        line = (
            f"| {row['risk']:g} | {row['threshold']:.3f} | {row['coverage']:.1%} ({low:.1%} to {high:.1%}) | "
            f"{test['answered'] / test['pictures']:.1%} | {test['wrong']:,} of {test['answered']:,}, "
            f"{test['wrong'] / test['answered']:.1%} |"
        )
        assert line.replace("%", " %") in PAGE
    assert f"{measured['error_rate']:.1%}".replace("%", " %") in PAGE
    (groups,) = (each for each in measured["reasons"] if each["risk"] == 0.1)
    for name in ("answered", "people would disagree", "does not know"):
        g = groups[name]
        line = f"| {name} | {g['pictures']:,} | {g['votes_entropy']:.2f} | {g['total_variation']:.3f} |"
        assert line in PAGE
