"""Labels of real votes: CREMA-D and FER+, and the figures that docs/labels.md gives for them."""

import re
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from midas_dfer.datasets.published.crema_d import read_crema_d
from midas_dfer.labels import (
    ambiguity_groups,
    clear_clips,
    coexistence_matrix,
    ferplus_targets,
    majority_labels,
    votes_to_soft_labels,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def crema_d(shared_data):
    return read_crema_d(shared_data / "crema_d")


@pytest.fixture(scope="module")
def ferplus(shared_data, tmp_path_factory) -> Path:
    """The folder of FER+ with its file of votes alone."""
    archive = shared_data / "ferplus.tar.xz"
    if not archive.is_file():
        pytest.skip(f"the votes of FER+ are not there: {archive}")
    folder = tmp_path_factory.mktemp("ferplus")
    with tarfile.open(archive, "r|xz") as packed:  # as a stream: it is unpacked once
        member = next(entry for entry in packed if entry.name == "ferplus/fer2013new.csv")
        content = packed.extractfile(member)
        assert content is not None
        (folder / "fer2013new.csv").write_bytes(content.read())
    return folder


def test_ferplus_keeps_what_the_page_says(ferplus):
    table = pl.read_csv(ferplus / "fer2013new.csv")
    votes = table.select(table.columns[2:]).to_numpy()
    for mode in ("majority", "multi_target", "crossentropy", "probability"):
        kept = ferplus_targets(votes, mode, np.random.default_rng(0))
        row = re.search(rf"\| `{mode}` \|.*\| ([\d,]+) \|\n", PAGE)
        assert row is not None
        assert f"{len(kept.rows):,}" == row[1]
        assert set(np.unique(kept.targets.argmax(axis=1))) == set(range(8))  # fear and contempt among them
    majority = ferplus_targets(votes, "majority")
    whole = majority_labels(votes[majority.rows])
    np.testing.assert_array_equal(majority.targets.argmax(axis=1), whole)  # a clear majority is the majority


def test_agreement_is_what_the_page_says(shared_data, ferplus):
    pytest.importorskip("krippendorff", reason="the extra `agreement` is not installed")
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names = {"CREMA_D": shared_data / "crema_d", "FERPLUS": ferplus}
    for block in (
        "from midas_dfer.labels import clear_clips, entropy, majority_labels, votes_to_soft_labels",
        blocks[-1],
    ):
        exec(compile(block, "labels.md", "exec"), names)  # noqa: S102 - our own page
    for name, figures in names["measured_rows"].items():
        votes = names["rows"][name]
        numbers = votes.sum(axis=1)
        span = f"{numbers.min()} to {numbers.max()}" if numbers.min() < numbers.max() else f"{numbers.min()}"
        assert f"| {name} | {len(votes):,} | {span} | {' | '.join(figures)} |" in PAGE


def test_the_groups_of_section_5_5(crema_d):
    votes = crema_d.votes
    groups = ambiguity_groups(votes, 2000, np.random.default_rng(0))
    labels = majority_labels(votes)
    np.testing.assert_array_equal(np.bincount(labels[groups.clear]), np.bincount(labels[groups.mixed]))
    assert clear_clips(votes)[groups.clear].all()
    assert clear_clips(votes)[groups.mixed].mean() < 0.3
    assert len(np.unique(groups.mixed)) == 2000


def test_happy_coexists_least(crema_d):
    matrix = coexistence_matrix(votes_to_soft_labels(crema_d.votes))
    assert crema_d.class_names[int(matrix.diagonal().argmax())] == "happy"
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
