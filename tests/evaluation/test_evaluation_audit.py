"""The chance of an audited item over all batches: by hand, and in streams that move."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hitl.evaluation import estimate
from hitl.evaluation.audit import AuditDraw, Levelled, epochs_of, levelled

TICK = timedelta(microseconds=1)


def levels(
    draws: Sequence[AuditDraw],
    epochs: Sequence[range] | None = None,
    *,
    batch: Sequence[int] = (),
    epoch: Sequence[int] = (),
    chance: Sequence[float] = (),
) -> Levelled:
    return levelled(
        draws,
        epochs,
        batch=np.asarray(batch, dtype=np.intp),
        epoch=np.asarray(epoch, dtype=np.intp),
        chance=np.asarray(chance, dtype=float),
    )


def chances(draws: Sequence[AuditDraw], epochs: Sequence[range] | None = None) -> np.ndarray:
    """Of even draws: the chance to be drawn by any batch, and answered; 0 where there was none."""
    most = levels(draws, epochs).most
    return np.divide(1.0, most, out=np.zeros_like(most), where=most > 0.0)


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


def test_an_item_had_the_chances_of_the_days_on_which_it_was_a_candidate() -> None:
    noons = [datetime(2026, 6, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    two_days = timedelta(days=2)
    draws = [AuditDraw(100, 20, 20), AuditDraw(200, 20, 20), AuditDraw(300, 30, 30)]

    moments, epochs = epochs_of(noons, [None, noons[1] - two_days, noons[2] - two_days])
    found = chances(draws, epochs)

    def at(moment: datetime) -> float:
        return float(found[bisect_left(moments, moment)])

    assert at(datetime(2020, 1, 1, tzinfo=UTC)) == pytest.approx(0.2)
    assert at(noons[1] - two_days) == pytest.approx(0.2)  # no longer a candidate of the second
    assert at(noons[1] - two_days + TICK) == pytest.approx(1 - 0.8 * 0.9)
    assert at(noons[0]) == pytest.approx(1 - 0.8 * 0.9)
    assert at(noons[0] + TICK) == pytest.approx(1 - 0.9 * 0.9)
    assert at(noons[2]) == pytest.approx(0.1)


def test_without_a_limit_epochs_are_the_batches() -> None:
    noons = [datetime(2026, 6, day, 12, tzinfo=UTC) for day in (1, 2, 3)]

    assert (noons, [range(1), range(2), range(3)]) == epochs_of(noons, [None] * 3)


@pytest.mark.slow
def test_intervals_cover_where_items_are_candidates_for_three_days_only() -> None:
    rng = np.random.default_rng(20261126)
    days, new, asked, worlds = 12, 600, 40, 300
    start = datetime(2026, 6, 1, tzinfo=UTC)
    noons = [start + timedelta(days=day) for day in range(days)]
    moments, epochs = epochs_of(noons, [noon - timedelta(days=2.75) for noon in noons])
    covered = 0
    errors, naive_errors = [], []
    for _ in range(worlds):
        # Half of a day's arrivals come twelve hours before its noon, half one hour before.
        joined = np.repeat(np.arange(days), new)
        early = np.tile(np.arange(new) % 2 == 0, days)
        violates = rng.random(days * new) < 0.01 + 0.02 * joined + 0.1 * early
        chosen = np.zeros(days * new, dtype=bool)
        draws = []
        for day in range(days):
            left = np.flatnonzero(~chosen & (joined <= day) & (joined > day - 3))
            batch = rng.choice(left, asked, replace=False)
            chosen[batch] = True
            draws.append(AuditDraw(len(left), asked, asked))
        chance = chances(draws, epochs)
        epoch = np.array(
            [
                bisect_left(moments, noons[day] - timedelta(hours=12 if is_early else 1))
                for day, is_early in zip(joined[chosen], early[chosen], strict=True)
            ]
        )
        found = estimate(
            "prevalence",
            truth=violates[chosen].astype(float),
            flagged=np.zeros(chosen.sum()),
            inclusion_probability=chance[epoch],
            largest_weight=1 / chance[chance > 0].min(),
        )
        assert found.value is not None
        truth = violates.mean()
        errors.append(found.value - truth)
        naive = 1 / chances(draws)[joined[chosen]]
        naive_errors.append(np.average(violates[chosen], weights=naive) - truth)
        covered += found.low <= truth <= found.high  # type: ignore[operator]

    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(worlds) + 0.001
    assert covered >= 0.94 * worlds
    # As if every item had waited for all batches, old ones would count too little.
    assert np.mean(naive_errors) > 5 * np.std(naive_errors) / np.sqrt(worlds)


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


def test_labels_of_even_draws_of_one_age_count_alike() -> None:
    draws = [AuditDraw(100, 20, 15), AuditDraw(200, 20, 12), AuditDraw(300, 30, 30)]
    found = levels(draws, batch=[0, 1, 2, 1, 2, 2], epoch=[0, 0, 0, 1, 1, 2], chance=[1.0] * 6)
    chance = chances(draws)

    assert found.weight == pytest.approx(1 / chance[[0, 0, 0, 1, 1, 2]])
    assert found.variance == pytest.approx(found.weight * (found.weight - 1))
    assert found.least_chance == pytest.approx(1 / found.weight)


def test_uneven_draws_have_the_weights_worked_out_by_hand() -> None:
    draws = [
        AuditDraw(100, 20, 20, mean=0.2, least=0.1),
        AuditDraw(80, 20, 10, mean=0.25, least=0.1),
    ]
    found = levels(draws, batch=[0, 1, 1], epoch=[0, 0, 1], chance=[0.4, 0.5, 0.1])
    # The last batch takes .25 x .5 = .125 of V; the first .2 (1 - .125) = .175; V = .3.
    a, b, v = 0.175, 0.125, 0.3

    assert found.weight == pytest.approx(
        [(a / 0.4 + b) / v, b / 0.5 / 0.5 / v, b / 0.1 / 0.5 / 0.125]
    )
    assert found.most == pytest.approx([max(b / 0.1 / 0.5, a / 0.1 + b) / v, 0.125 / 0.05 / 0.125])
    assert found.variance[0] == pytest.approx((a / v) ** 2 * 0.6 / 0.16)
    by_answer = 0.25 * found.weight[1] ** 2
    assert found.variance[1] == pytest.approx(((b / v) ** 2 * 0.5 / 0.25 + by_answer) / 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("new", [0, 30])
def test_certified_precision_is_narrow_where_the_draw_knew_what_is_flagged(new: int) -> None:
    """Where it did not, a tenth of what is flagged now being new and impure, it is wide, and covers
    all the same."""
    rng = np.random.default_rng(20261128)
    worlds, covered, widths = 400, 0, []
    flagged = np.arange(6000) < 300
    known = flagged & (np.arange(6000) >= new)
    chance = np.where(known, 0.4, 0.03)
    for _ in range(worlds):
        violates = rng.random(6000) < np.where(known, 0.9, np.where(flagged, 0.5, 0.01))
        drawn = rng.random(6000) < chance
        found = estimate(
            "precision", truth=violates[drawn], flagged=flagged[drawn],
            inclusion_probability=chance[drawn], largest_weight=1 / 0.03,
            largest_flagged=1 / 0.4 if new == 0 else None,
        )  # fmt: skip
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= violates[flagged].mean() <= found.high
        widths.append(found.high - found.low)

    assert covered >= 0.94 * worlds
    assert (np.mean(widths) < 0.2) == (new == 0)
