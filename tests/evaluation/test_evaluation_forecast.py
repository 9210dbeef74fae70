"""Forecasts of labels and days: the law they follow, and that their band holds looking back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hitl.evaluation import (
    BadArrays,
    BadLevel,
    UnknownMetric,
    days_needed,
    estimate,
    forecast_labels,
)
from hitl.evaluation.forecast import _Labels


def stream(rng: np.random.Generator, labels: int) -> tuple[NDArray[np.float64], ...]:
    """Audit labels of a model that finds three quarters; flagged items are drawn more often."""
    flagged = rng.random(labels) < 0.4
    truth = np.where(flagged, rng.random(labels) < 0.7, rng.random(labels) < 0.05)
    chance = np.where(flagged, 0.02, 0.005)
    return truth.astype(float), flagged.astype(float), chance


def half_width(metric: str, truth: NDArray, flagged: NDArray, chance: NDArray) -> float:
    one = estimate(
        metric, truth=truth, flagged=flagged, inclusion_probability=chance, kind="descriptive"
    )
    return (one.high - one.low) / 2 if one.high is not None and one.low is not None else 1.0


def test_a_share_of_even_draws_takes_what_the_formula_says() -> None:
    truth = np.repeat([1.0, 0.0], [100, 400])
    found = forecast_labels(
        "prevalence", truth=truth, flagged=np.zeros(500), inclusion_probability=np.full(500, 1e-6),
        within=0.02, seed=1,
    )  # fmt: skip
    # 1.96^2 x .2 x .8 / .02^2 = 1,537, a little less by Wilson.
    assert found.labels == pytest.approx(1537, rel=0.06)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1537 < found.high
    assert found.half_width == pytest.approx(0.035, abs=0.001)


def test_what_is_there_is_there_and_what_cannot_be_told_is_not() -> None:
    truth = np.repeat([1.0, 0.0], [100, 400])
    even = {"flagged": np.zeros(500), "inclusion_probability": np.full(500, 1e-6), "seed": 1}
    there = forecast_labels("prevalence", truth=truth, within=0.1, **even)  # type: ignore[arg-type]
    far = forecast_labels("prevalence", truth=truth, within=0.001, **even)  # type: ignore[arg-type]
    few = forecast_labels("precision", truth=truth, within=0.1, **even)  # type: ignore[arg-type]

    assert ("there", 500) == (there.code, there.labels)
    assert ("too_far", None) == (far.code, far.labels)
    assert ("too_few_events", None) == (few.code, few.labels)


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "within"), [("recall", 0.05), ("precision", 0.035)])
def test_looking_back_the_band_of_eighty_per_cent_holds(metric: str, within: float) -> None:
    rng = np.random.default_rng(20261128)
    inside, worlds, told = 0, 200, 0
    for world in range(worlds):
        truth, flagged, chance = stream(rng, 8000)
        first = 800
        found = forecast_labels(
            metric, truth=truth[:first], flagged=flagged[:first],
            inclusion_probability=chance[:first], within=within, seed=world,
        )  # fmt: skip
        if found.low is None:
            continue
        told += 1
        labels = _Labels.of(
            metric, truth, flagged, chance, None, largest_weight=None, largest_flagged=None
        )
        widths = labels.half_width(np.cumsum(labels.parts, axis=0)[first:], 0.95)
        reached = first + 1 + int((widths <= within).argmax())
        inside += found.low <= reached <= (found.high or len(truth))
    assert widths[-1] == pytest.approx(half_width(metric, truth, flagged, chance))

    assert told >= 0.9 * worlds
    share = inside / told
    assert abs(share - 0.8) < 0.03 + 2.5 * np.sqrt(0.16 / told)


def test_days_follow_the_pace_and_its_swings() -> None:
    even = days_needed(300, [30] * 14, seed=1)
    uneven = days_needed(300, [0, 60] * 7, seed=1)

    assert (10, 10, 10) == even
    assert uneven is not None
    assert uneven[0] < 10 < uneven[2]
    assert (0, 0, 0) == days_needed(0, [30], seed=1)
    assert days_needed(10, [0, 0], seed=1) is None
    assert days_needed(1e9, [1], seed=1) is None


def test_the_same_seed_tells_the_same() -> None:
    truth, flagged, chance = stream(np.random.default_rng(4), 400)
    given = {"truth": truth, "flagged": flagged, "inclusion_probability": chance, "within": 0.05}

    assert forecast_labels("recall", **given, seed=3) == forecast_labels("recall", **given, seed=3)  # type: ignore[arg-type]


def test_nonsense_is_refused() -> None:
    given = {"truth": [1.0], "flagged": [1.0], "inclusion_probability": [0.5], "seed": 1}
    with pytest.raises(UnknownMetric):
        forecast_labels("auc", **given, within=0.1)  # type: ignore[arg-type]
    with pytest.raises(BadLevel):
        forecast_labels("recall", **given, within=0.5)  # type: ignore[arg-type]
    with pytest.raises(BadArrays):
        days_needed(3, [], seed=1)
