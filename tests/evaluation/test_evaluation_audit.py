"""The chance of an audited item over all batches: by hand, and in streams that move."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import estimate
from hitl.evaluation.audit import AuditDraw, chances


def test_one_batch_gives_its_own_chance() -> None:
    assert [0.04] == chances([AuditDraw(1000, 40, 40)]).tolist()


def test_an_item_that_waited_had_the_chance_of_every_batch() -> None:
    found = chances([AuditDraw(100, 20, 20), AuditDraw(200, 20, 20), AuditDraw(300, 30, 30)])

    assert found == pytest.approx([1 - 0.8 * 0.9 * 0.9, 1 - 0.9 * 0.9, 0.1])


def test_audits_that_nobody_answered_lower_the_chance_and_stay_drawn() -> None:
    found = chances([AuditDraw(100, 20, 15), AuditDraw(100, 20, 20)])

    assert found == pytest.approx([0.2 * 0.75 + 0.8 * 0.2, 0.2])


def test_a_batch_that_is_hardly_answered_does_not_count_yet() -> None:
    early = AuditDraw(100, 20, 9)

    assert not early.counts
    assert AuditDraw(100, 20, 10).counts
    assert [0.0] == chances([early]).tolist()
    assert chances([AuditDraw(100, 20, 20), early]) == pytest.approx([0.2, 0.0])


def test_without_audits_there_is_no_chance() -> None:
    assert [] == chances([]).tolist()
    assert [0.0] == chances([AuditDraw(0, 0, 0)]).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("answered", [1.0, 0.7])
def test_over_ten_batches_of_a_rising_stream_intervals_cover_as_they_say(answered: float) -> None:
    rng = np.random.default_rng(20261125)
    days, new, asked, worlds = 10, 1000, 60, 300
    covered = naive_covered = 0
    values, truths = [], []
    for _ in range(worlds):
        violates, joined, chosen, seen = (np.zeros(0, dtype=int) for _ in range(4))
        draws, drawn_alone = [], []
        for day in range(days):
            violates = np.append(violates, rng.random(new) < 0.02 + 0.02 * day)
            joined = np.append(joined, np.full(new, day))
            left = np.setdiff1d(np.arange(len(violates)), chosen)
            batch = rng.choice(left, asked, replace=False)
            chosen = np.append(chosen, batch)
            seen = np.append(seen, batch[: round(answered * asked)])
            draws.append(AuditDraw(len(left), asked, round(answered * asked)))
            drawn_alone += [asked / len(left)] * round(answered * asked)
        chance = chances(draws)
        truth = violates.mean()
        found = estimate(
            "prevalence",
            truth=violates[seen].astype(float),
            flagged=np.zeros(len(seen)),
            inclusion_probability=chance[joined[seen]],
            largest_weight=1 / chance.min(),
        )
        naive = estimate(
            "prevalence",
            truth=violates[seen].astype(float),
            flagged=np.zeros(len(seen)),
            inclusion_probability=np.array(drawn_alone),
        )
        assert found.value is not None
        assert naive.value is not None
        values.append(found.value)
        truths.append(truth)
        covered += found.low <= truth <= found.high  # type: ignore[operator]
        naive_covered += naive.low <= truth <= naive.high  # type: ignore[operator]

    error = np.std(np.array(values) - truths) / np.sqrt(worlds)
    assert abs(np.mean(values) - np.mean(truths)) < 3 * error + 0.001
    assert covered >= 0.94 * worlds
    assert naive_covered < 0.85 * worlds  # the chance of one batch alone is not the item's
