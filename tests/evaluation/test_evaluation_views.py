"""Prevalence by views: a ratio of totals by hand, and what its intervals cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hitl.evaluation import BadArrays, estimate


def test_it_is_the_share_of_views_by_hand() -> None:
    # Each of 20 items stands for two; the 10 that violate have 1 view, the others 9.
    truth = np.repeat([1.0, 0.0], 10)
    views = np.repeat([1.0, 9.0], 10)

    found = estimate(
        "prevalence", truth=truth, flagged=truth, inclusion_probability=np.full(20, 0.5),
        amounts=views, kind="descriptive",
    )  # fmt: skip

    assert 0.1 == found.value
    # e = v (y - .1) / 200, V = sum (1 - .5) (e / .5)^2, effective n = .09 / V, all by hand
    variance = 0.5 * 4 * (10 * (0.9 / 200) ** 2 + 10 * (0.9 / 200) ** 2)
    assert found.n_effective == pytest.approx(0.09 / variance)
    assert (20, 10) == (found.n, found.n_events)


def test_what_nobody_sees_and_what_is_not_known_is_not_in_it() -> None:
    truth = np.array([1.0, 0.0] * 15)
    views = np.array([2.0, 2.0] * 10 + [0.0, 0.0] * 3 + [np.nan, np.nan] * 2)

    found = estimate(
        "prevalence", truth=truth, flagged=truth, inclusion_probability=np.full(30, 0.5),
        amounts=views,
    )  # fmt: skip

    assert (20, 4, 0.5) == (found.n, found.n_unknown, found.value)


def test_one_item_that_nearly_everybody_sees_is_marked_unstable() -> None:
    truth = np.array([1.0] * 20 + [0.0] * 40)
    views = np.array([1000.0] + [1.0] * 59)

    found = estimate(
        "prevalence", truth=truth, flagged=truth, inclusion_probability=np.full(60, 0.1),
        amounts=views, kind="descriptive",
    )  # fmt: skip

    assert found.unstable
    assert not estimate(
        "prevalence", truth=truth, flagged=truth, inclusion_probability=np.full(60, 0.1),
        kind="descriptive",
    ).unstable  # fmt: skip


@pytest.mark.parametrize("unit", [0.001, 1000.0])
def test_the_unit_of_views_is_of_no_account(unit: float) -> None:
    given: dict[str, Any] = {
        "truth": np.repeat([1.0, 0.0], [90, 300]),
        "flagged": np.repeat([1.0, 0.0], [60, 330]),
        "inclusion_probability": np.repeat([0.5, 1 / 200], [90, 300]),
        "kind": "descriptive",
    }

    one, other = (
        estimate("recall", **given, amounts=np.full(390, each), largest_weight=200.0 * each)
        for each in (1.0, unit)
    )

    assert (True, "gmover") == (one.unstable, one.method)
    assert (other.unstable, other.method) == (one.unstable, one.method)
    assert (other.low, other.high) == pytest.approx((one.low, one.high))


def test_impossible_views_are_refused() -> None:
    with pytest.raises(BadArrays, match="amounts"):
        estimate("prevalence", truth=[1.0], flagged=[1.0], inclusion_probability=[0.5],
                 amounts=[np.inf])  # fmt: skip


@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_certified_limits_cover_the_share_of_views(spread: float) -> None:
    """1,000 worlds of views over some orders of magnitude, violating items seen less often."""
    rng = np.random.default_rng(11)
    items, worlds = 20_000, 1000
    truth = rng.random(items) < 0.03
    views = np.exp(rng.normal(2.0 - 0.5 * truth, spread))
    chance = np.clip(0.01 + 0.1 * truth + 0.02 * rng.random(items), 0.0, 1.0)
    share = views[truth].sum() / views.sum()
    by_items = truth.mean()
    held, values, naive = {"certified": 0, "descriptive": 0}, [], []
    for _ in range(worlds):
        drawn = rng.random(items) < chance
        for kind in held:
            found = estimate(
                "prevalence", truth=truth[drawn], flagged=truth[drawn],
                inclusion_probability=chance[drawn], amounts=views[drawn], kind=kind,  # type: ignore[arg-type]
                largest_weight=float(views.max() / chance.min()),
            )  # fmt: skip
            assert found.value is not None
            assert found.low is not None
            assert found.high is not None
            held[kind] += found.low <= share <= found.high
        values.append(found.value)
        naive.append((views * truth)[drawn].sum() / views[drawn].sum())

    error = 2.0 * np.sqrt(0.05 * 0.95 / worlds)
    assert held["certified"] / worlds >= 0.95 - error
    assert held["descriptive"] / worlds >= 0.90
    # A ratio of totals leans by a part of its variance only; counting without weights by its size.
    assert np.mean(values) == pytest.approx(share, rel=0.02)
    assert np.mean(naive) > 2 * share
    assert abs(by_items / share - 1.0) > 0.3
