"""The decision to train anew: each reason alone, what holds it up, and the learning curve."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from hitl.evaluation import (
    Measured,
    RetrainDecision,
    RetrainRule,
    RetrainRules,
    Standing,
    decide_retraining,
    expected_gain,
)
from tests.builders import NOON

RULES = RetrainRules()
DAY = timedelta(days=1)


def decide(**changed: Any) -> RetrainDecision:
    facts = {"now": NOON, "new_labels": 50, "trained_at": NOON - 3 * DAY, "training_labels": 1000}
    return decide_retraining(Standing(**(facts | changed)), RULES, seed=1)


def curve(*sizes: int, c: float = 0.1, spread: float = 0.002) -> list[Measured]:
    return [Measured(n, 2.0 * n**-0.5 + c, spread) for n in sizes]


@pytest.mark.parametrize(
    ("changed", "fired"),
    [
        ({}, []),
        ({"new_labels": 200}, [RetrainRule.LABELS]),
        ({"new_labels": 200, "training_labels": 2001}, []),
        ({"new_labels": 201, "training_labels": 2001}, [RetrainRule.LABELS]),
        ({"withdrawn": ["certificate hate precision everywhere"]}, [RetrainRule.CERTIFICATE]),
        ({"drifts": [("scores hate everywhere", 2)]}, [RetrainRule.DRIFT]),
        ({"drifts": [("scores hate everywhere", 1), ("mix language pt", 1)]}, []),
        ({"is_of_this_policy": False}, [RetrainRule.POLICY]),
        ({"trained_at": NOON - 30 * DAY}, []),
        ({"trained_at": NOON - 30.1 * DAY}, [RetrainRule.AGE]),
        (
            {"new_labels": 300, "is_of_this_policy": False, "trained_at": NOON - 40 * DAY},
            [RetrainRule.LABELS, RetrainRule.POLICY, RetrainRule.AGE],
        ),
    ],
)
def test_each_reason_speaks_for_itself(changed: dict[str, Any], fired: list[RetrainRule]) -> None:
    found = decide(**changed)

    assert (bool(fired), fired) == (found.retrain, list(found.fired))


@pytest.mark.parametrize("when", ["trained_at", "last_fired_at"])
def test_what_was_just_trained_or_decided_is_let_alone_for_a_day(when: str) -> None:
    early = decide(new_labels=500, **{when: NOON - 23 * timedelta(hours=1)})
    late = decide(new_labels=500, **{when: NOON - 25 * timedelta(hours=1)})

    assert (False, (RetrainRule.LABELS, RetrainRule.COOL_DOWN)) == (early.retrain, early.fired)
    assert late.retrain


def test_without_a_new_label_the_same_model_would_come_out() -> None:
    found = decide(new_labels=0, withdrawn=["certificate hate recall everywhere"])
    other = decide(new_labels=0, is_of_this_policy=False)

    assert (False, (RetrainRule.CERTIFICATE, RetrainRule.NOTHING_NEW)) == (
        found.retrain,
        found.fired,
    )
    assert other.retrain


@pytest.mark.parametrize(("labels", "retrain"), [(99, False), (100, True)])
def test_the_first_model_needs_labels_and_nothing_else(labels: int, retrain: bool) -> None:
    found = decide(trained_at=None, new_labels=labels)

    assert retrain == found.retrain
    assert [RetrainRule.FIRST_MODEL] == [one.rule for one in found.reasons]
    assert (labels, 100) == (found.reasons[0].value, found.reasons[0].bar)


def test_the_curve_that_made_the_errors_is_found_again() -> None:
    """2 n^-.5 from 1,000 to 1,500 labels falls by .0116."""
    found = expected_gain(curve(200, 300, 450, 700, 1000), more=500, seed=1)

    assert found.value == pytest.approx(2 * 1000**-0.5 - 2 * 1500**-0.5, abs=5e-4)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_the_band_holds_the_truth_four_times_in_five() -> None:
    rng = np.random.default_rng(1)
    truth = 2 * 1000**-0.5 - 2 * 1500**-0.5
    held = 0
    for seed in range(400):
        seen = [
            Measured(one.labels, one.error + 0.004 * rng.standard_normal(), 0.004)
            for one in curve(200, 300, 450, 700, 1000)
        ]
        found = expected_gain(seen, more=500, seed=seed)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high

    assert held / 400 > 0.8 - 3 * (0.8 * 0.2 / 400) ** 0.5


def test_the_same_seed_gives_the_same_band() -> None:
    assert expected_gain(curve(200, 300, 450, 700), more=100, seed=3) == expected_gain(
        curve(200, 300, 450, 700), more=100, seed=3
    )


def test_a_model_that_learns_no_more_waits_and_one_that_does_is_trained() -> None:
    flat = [Measured(n, 0.2, 0.002) for n in (2000, 2200, 2500, 2800, 3200)]

    waits = decide(new_labels=400, training_labels=3200, measured=flat)
    trains = decide(new_labels=400, measured=curve(200, 300, 450, 700, 1000))

    [why] = [one for one in waits.reasons if one.rule is RetrainRule.LABELS]
    assert not waits.retrain
    assert why.value == pytest.approx(0.0, abs=0.002)
    assert (0.005, None) == (why.bar, why.code)
    assert trains.retrain


def test_too_few_measured_models_leave_it_to_the_labels_and_say_so() -> None:
    found = decide(new_labels=250, measured=curve(200, 300, 300, 450))

    [why] = [one for one in found.reasons if one.rule is RetrainRule.LABELS]
    assert found.retrain
    assert ("too_few_models", 250, 200) == (why.code, why.value, why.bar)
