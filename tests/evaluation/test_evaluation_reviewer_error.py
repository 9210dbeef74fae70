"""The reviewers' own error taken out: by hand, by coverage, and where it cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import BadLevel, Interval, Rate, without_reviewer_error


def test_it_is_the_formula() -> None:
    found = without_reviewer_error(
        Rate(0.12, 2000), sensitivity=Rate(0.85, 200), specificity=Rate(0.96, 400)
    )

    assert found.value == pytest.approx((0.12 + 0.96 - 1) / (0.85 + 0.96 - 1))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found.code is None


def test_perfect_reviewers_change_nothing_much() -> None:
    found = without_reviewer_error(
        Rate(0.2, 1000), sensitivity=Rate(1.0, 10**6), specificity=Rate(1.0, 10**6)
    )

    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.1764, 0.2260), abs=0.001)


def test_given_limits_are_carried_as_wide_as_they_are() -> None:
    perfect = {"sensitivity": Rate(1.0, 10**6), "specificity": Rate(1.0, 10**6)}
    good = {"sensitivity": Rate(0.85, 200), "specificity": Rate(0.96, 400)}
    limits = Interval(0.09, 0.3)

    same = without_reviewer_error(Rate(0.12, 2000), limits=limits, **perfect)
    moved = without_reviewer_error(Rate(0.12, 2000), limits=limits, **good)
    narrow = without_reviewer_error(Rate(0.12, 2000), **good)

    assert (same.value, same.low, same.high) == pytest.approx((0.12, *limits), abs=1e-3)
    assert moved.value == narrow.value
    assert moved.high - moved.value > (0.3 - 0.12) / (0.85 + 0.96 - 1)  # type: ignore[operator]
    assert moved.low <= narrow.low < narrow.high < moved.high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("truth", "hit", "right", "gold"), [(0.1, 0.85, 0.97, 150), (0.02, 0.9, 0.99, 300)]
)
def test_its_interval_covers(truth: float, hit: float, right: float, gold: int) -> None:
    rng = np.random.default_rng(9)
    apparent = truth * hit + (1 - truth) * (1 - right)
    covered = answered = 0
    for _ in range(1500):
        found = without_reviewer_error(
            Rate(rng.binomial(1500, apparent) / 1500, 1500),
            sensitivity=Rate(rng.binomial(gold, hit) / gold, gold),
            specificity=Rate(rng.binomial(gold, right) / gold, gold),
        )
        if found.low is not None and found.high is not None:
            answered += 1
            covered += found.low <= truth <= found.high

    assert answered >= 1450
    assert covered / answered >= 0.935


def test_reviewers_who_cannot_tell_give_no_number() -> None:
    found = without_reviewer_error(
        Rate(0.3, 500), sensitivity=Rate(0.55, 50), specificity=Rate(0.5, 50)
    )

    assert (found.value, found.code) == (None, "reviewers_cannot_tell")


def test_fewer_than_their_errors_explain_is_a_code() -> None:
    few = without_reviewer_error(
        Rate(0.01, 5000), sensitivity=Rate(0.9, 500), specificity=Rate(0.9, 500)
    )
    many = without_reviewer_error(
        Rate(0.99, 5000), sensitivity=Rate(0.8, 500), specificity=Rate(0.95, 500)
    )

    assert ("fewer_than_their_errors", "more_than_their_errors") == (few.code, many.code)


def test_impossible_rates_are_refused() -> None:
    with pytest.raises(BadLevel):
        without_reviewer_error(Rate(1.2, 5), sensitivity=Rate(0.9, 5), specificity=Rate(0.9, 5))
    with pytest.raises(BadLevel):
        without_reviewer_error(Rate(0.2, 5), sensitivity=Rate(0.9, 0), specificity=Rate(0.9, 5))
