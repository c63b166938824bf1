"""The tables of disagreement: which figures, with which intervals, of which reading; blends; and the card's."""

import re
from dataclasses import replace

import numpy as np

from midas_dfer.comparison.intervals import method_limits
from midas_dfer.comparison.predictions import pool_predictions
from midas_dfer.comparison.run_results import Entry
from midas_dfer.report.tables.markup import html_table
from midas_dfer.report.tables.measure_tables import ambiguity_table, blend_table, disagreement_table
from midas_dfer.report.tables.run_tables import agreement_table, people_table, with_limits
from midas_dfer.training.scoring.baselines import human_line
from midas_dfer.training.scoring.blends import BlendReference, BlendScores
from midas_dfer.training.scoring.measures import Limits
from midas_dfer.training.scoring.scores import Predictions, score

NAMES = ("happy", "sad", "angry")


def predictions(seed=0, n=90):
    rng = np.random.default_rng(seed)
    counts = np.random.default_rng(7).multinomial(8, np.random.default_rng(6).dirichlet([0.6, 0.6, 0.4], n))
    top = np.sort(counts, axis=1)
    labels = np.where(top[:, -1] == top[:, -2], -1, counts.argmax(axis=1))
    p = 0.5 * counts / 8 + 0.5 * rng.dirichlet(np.ones(3), n)
    ids = tuple(f"clip{i}" for i in range(n))
    return Predictions(ids, labels, np.ones(n, bool), counts / 8, p, p, np.full(n, 8)), counts


def entry(name="one", limits=True):
    found, counts = predictions()
    evaluation = score(
        found,
        limits=limits,
        method="m",
        model="m",
        dataset="d",
        class_names=NAMES,
        part="test",
        caution="",
        human_line=human_line(counts, found.predicted, found.probabilities),
    )
    return Entry(name, (), evaluation, pool_predictions(NAMES, [(found, None, 0)]))


def test_figures_of_the_judged_reading_with_their_intervals():
    one = entry()
    table = disagreement_table([one])
    assert table.columns == ("judged by", "TV less noise", "KL, nats", "macro F1", "AURC", "risk at 0.9", "risk at 0.8")
    (row,) = table.rows
    assert row[0].text == "one, vote shares"
    f1, limits = one.evaluation.judged.soft_macro_f1, one.evaluation.limits.agreement["vote_shares"]["soft_macro_f1"]
    assert row[3].text == f"{f1:.3f} [{limits.low:.3f}\u2013{limits.high:.3f}]"
    assert table.footnotes[-1] == "In brackets: 95 % intervals, by the draw of clips."
    plain = disagreement_table([entry(limits=False)])
    assert plain.rows[0][3].text == f"{f1:.3f}"
    assert "In brackets" not in " ".join(plain.footnotes)
    assert '<span class="deviation">[' in html_table(table)
    ambiguity = ambiguity_table([one])
    strata = one.evaluation.judged.calibration_by_ambiguity
    assert [row[1].text for row in ambiguity.rows] == [str(each.num_clips) for each in strata]
    assert ambiguity.groups == (("one, vote shares", len(strata)),)
    assert re.fullmatch(r"[+-]\d\.\d{3} \[.*\]", ambiguity.rows[1][4].text)
    assert not any(ambiguity.is_text(number) for number in range(1, 5))
    people = people_table([one])
    assert [row[0].text for row in people.rows] == ["people, by the other half", "one", "a perfect prediction"]
    assert "[" in people.rows[1][5].text
    assert agreement_table([one]).rows[0][1].text.count("[") == 1
    without = replace(one, evaluation=replace(one.evaluation, agreement=None))
    assert disagreement_table([without]) is None
    assert ambiguity_table([without]) is None


def test_intervals_of_a_method_are_over_its_trainings():
    runs = [(predictions(seed)[0], None, seed) for seed in (0, 1, 2)]
    found = method_limits(pool_predictions(NAMES, runs)).agreement["vote_shares"]
    alone = entry().evaluation.limits.agreement["vote_shares"]
    assert set(alone) - set(found) == {"wasserstein"}
    for name in ("soft_macro_f1", "total_variation", "risk_coverage_area"):
        assert found[name].high - found[name].low > 0.8 * (alone[name].high - alone[name].low)
    assert method_limits(pool_predictions(NAMES, [runs[0], (predictions(1, 80)[0], None, 1)])) is None


def test_negative_ends_take_no_dash():
    assert with_limits("0.1", Limits(-0.1234, 0.2)) == "0.1 [-0.12 to 0.20]"
    assert with_limits("\u2013", Limits(0, 1)) == "\u2013"


def test_blends():
    references = (BlendReference("this model", 0.5, 0.25), BlendReference("most frequent emotion", 0.1, None))
    one = entry(limits=False)
    one = replace(one, evaluation=replace(one.evaluation, blends=BlendScores(40, 12, 0.1, 0.1, references)))
    table = blend_table([one, entry("two", limits=False)])
    assert table.groups == (("one: 40 clips, 12 blends", 2),)
    assert [cell.text for cell in table.rows[0]] == ["this model", "50.00 %", "25.00 %"]
    assert table.rows[1][2].text == "\u2013"
    assert blend_table([entry(limits=False)]) is None
