"""What curves come to: areas, costs to a score, found positives, and their paired intervals."""

from __future__ import annotations

import numpy as np
import pytest

from sampling import BadPlan, Replay
from sampling.pool import FloatArray
from sampling.reach import first_reached


def made(
    scores: list[list[list[float]]],
    budgets: list[int],
    *,
    seconds: list[list[float]] | None = None,
    positives: list[list[list[int]]] | None = None,
) -> Replay:
    """Plans a and b; `seconds` by plan and round, the same for every seed."""
    array = np.array(scores)
    return Replay(
        ("a", "b")[: len(array)],
        tuple(range(array.shape[1])),
        np.array(budgets),
        array,
        None if positives is None else np.array(positives),
        None
        if seconds is None
        else np.broadcast_to(np.array(seconds, dtype=float)[:, None, :], array.shape),
    )


def test_the_paired_interval_of_a_worked_example() -> None:
    found = made([[[0.5], [0.7], [0.9]], [[0.4], [0.5], [0.6]]], [10])

    curve = found.difference("a", against="b")

    # Differences .1, .2, .3: mean .2, standard error .1 / sqrt 3, t(2, .975) = 4.302653.
    np.testing.assert_allclose([0.2], curve.mean)
    np.testing.assert_allclose([0.2 - 4.302653 * 0.1 / np.sqrt(3)], curve.low, rtol=1e-6)
    np.testing.assert_allclose([0.2 + 4.302653 * 0.1 / np.sqrt(3)], curve.high, rtol=1e-6)


def test_area_and_labels_to_reach_of_a_worked_example() -> None:
    found = made([[[0.0, 0.4, 0.8]]], [0, 10, 30])

    # (.2 * 10 + .6 * 20) / 30
    np.testing.assert_allclose([14 / 30], found.area("a").mean)
    assert 20.0 == pytest.approx(found.labels_to_reach("a", 0.6))
    assert 0.0 == found.labels_to_reach("a", -1.0)
    assert np.isnan(found.labels_to_reach("a", 0.9))


def test_one_seed_has_no_interval() -> None:
    curve = made([[[0.5, 0.6]]], [10, 20]).curve("a")

    assert [0.5, 0.6] == curve.mean.tolist()
    assert bool(np.isnan(curve.low).all())
    assert bool(np.isnan(curve.high).all())


def test_a_cost_lies_on_the_line_between_points_and_is_inf_where_nothing_gets_there() -> None:
    costs = np.array([[10.0, 20.0, 40.0]] * 4)
    scores = np.array([[0.0, 0.4, 0.8], [0.5, 0.4, 0.9], [0.0, 0.1, 0.2], [0.3, 0.3, 0.9]])

    found = first_reached(costs, scores, np.array([0.6, 0.45, 0.3, 0.3]))

    np.testing.assert_allclose([30.0, 10.0, np.inf, 10.0], found)


RANDOM = [[0.1, 0.3, 0.5], [0.1, 0.2, 0.7]]  # ends at .6
QUICK = [[0.1, 0.6, 0.7], [0.1, 0.6, 0.9]]  # at .6 after 20


def test_the_cost_of_a_plan_beside_that_of_its_baseline() -> None:
    found = made([QUICK, RANDOM], [10, 20, 30])

    reach = found.reach("a", against="b")

    assert 20.0 == pytest.approx(reach.cost)
    assert 20 / 30 == pytest.approx(reach.ratio)
    assert 2 == reach.seeds_reached
    assert reach.low <= reach.cost <= reach.high
    assert reach.ratio_low <= reach.ratio <= reach.ratio_high
    assert not reach.is_bound


def test_a_baseline_takes_all_its_labels_to_its_own_end() -> None:
    reach = made([QUICK, RANDOM], [10, 20, 30]).reach("b", against="b")

    assert (30.0, 1.0, 1.0, 1.0) == (reach.cost, reach.ratio, reach.ratio_low, reach.ratio_high)
    assert 1 == reach.seeds_reached  # one ends below the mean of both


def test_time_is_counted_where_it_is_asked_for() -> None:
    found = made([QUICK, RANDOM], [10, 20, 30], seconds=[[60, 200, 300], [60, 120, 180]])

    reach = found.reach("a", against="b", by_seconds=True)

    assert 200.0 == pytest.approx(reach.cost)
    assert 200 / 180 == pytest.approx(reach.ratio)


def test_a_plan_that_never_gets_there_has_no_cost_and_says_how_many_seeds_do() -> None:
    slow = [[0.1, 0.2, 0.3], [0.1, 0.2, 0.65]]

    reach = made([slow, RANDOM], [10, 20, 30]).reach("a", against="b")

    assert (np.inf, np.inf, np.inf) == (reach.cost, reach.high, reach.ratio_high)
    assert 1 == reach.seeds_reached


def test_a_plan_that_gets_there_by_luck_has_no_upper_limit() -> None:
    rng = np.random.default_rng(0)
    base = np.full((10, 3), 0.5) + np.array([-0.2, -0.1, 0.0])
    lucky = base + rng.normal(0.0, 0.1, size=(10, 1))
    lucky += base[:, -1].mean() - lucky[:, -1].mean() + 0.005

    reach = made([lucky.tolist(), base.tolist()], [10, 20, 30]).reach("a", against="b")

    assert np.isfinite(reach.cost)
    assert np.isinf(reach.high)
    assert np.isinf(reach.ratio_high)


def test_where_the_baseline_never_gets_there_the_ratio_is_a_bound() -> None:
    reach = made([QUICK, RANDOM], [10, 20, 30]).reach("a", against="b", score=0.75)

    assert reach.is_bound
    assert 27.5 == pytest.approx(reach.cost)
    assert 27.5 / 30 == pytest.approx(reach.ratio)


def test_the_same_seed_draws_the_same_interval() -> None:
    rng = np.random.default_rng(1)
    rising = rng.random((2, 6, 3)) + np.array([0.0, 0.4, 0.8])
    rising[0] += 0.2
    found = made(rising.tolist(), [10, 20, 30])

    first, same, other = (found.reach("a", against="b", seed=seed) for seed in (1, 1, 2))

    assert first == same
    assert first != other


def test_one_seed_has_no_interval_of_cost() -> None:
    reach = made([QUICK[:1], RANDOM[:1]], [10, 20, 30]).reach("a", against="b")

    assert np.isfinite(reach.cost)
    assert bool(np.isnan([reach.low, reach.high, reach.ratio_low, reach.ratio_high]).all())


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10])
def test_the_interval_of_a_cost_holds_the_truth_as_often_as_it_says(seeds: int) -> None:
    rng = np.random.default_rng(0)
    budgets = np.arange(50, 551, 50)

    def learned(pace: float) -> FloatArray:
        return np.asarray(0.3 * (1.0 - np.exp(-budgets / pace)))

    goal = learned(300.0)[-1]
    truth = -180.0 * np.log(1.0 - goal / 0.3) / 550.0
    held = 0
    for turn in range(300):
        start = rng.normal(0.0, 0.02, size=(1, seeds, 1))  # shared by both plans
        drift = 0.3 * rng.normal(0.0, 0.02, size=(2, seeds, 11)).cumsum(axis=2)
        scores = np.stack([learned(180.0), learned(300.0)])[:, None, :] + start + drift
        reach = made(scores.tolist(), budgets.tolist()).reach("a", against="b", seed=turn)
        held += reach.ratio_low <= truth <= reach.ratio_high

    assert 0.90 <= held / 300 <= 0.99


def test_equal_time_is_compared_with_equal_time() -> None:
    # In 60 s `a` climbs to 1 and stays there; `b` gets as far in 120 s. Over the first 60 s their
    # mean heights are 1/2 and 1/4.
    found = made(
        [[[0.0, 1.0, 1.0]], [[0.0, 0.5, 1.0]]],
        [10, 20, 30],
        seconds=[[0, 60, 60], [0, 60, 120]],
    )

    gain = found.area_by_seconds("a", against="b")

    np.testing.assert_allclose([0.25], gain.mean)


def test_positives_are_counted_in_pairs() -> None:
    found = made([[[0.5, 0.5]] * 2] * 2, [10, 20], positives=[[[1, 5], [1, 9]], [[1, 2], [1, 4]]])

    assert [1.0, 7.0] == found.found("a").mean.tolist()
    assert [0.0, 4.0] == found.found("a", against="b").mean.tolist()


@pytest.mark.parametrize("asked", ["found", "time", "area_by_seconds", "reach"])
def test_what_was_not_counted_is_refused_with_the_mend(asked: str) -> None:
    found = made([QUICK, RANDOM], [10, 20, 30])
    arguments = {"against": "b"} if asked in ("area_by_seconds", "reach") else {}
    arguments |= {"by_seconds": True} if asked == "reach" else {}

    with pytest.raises(BadPlan, match=r"replay\(\.\.\., (seconds|positives)="):
        getattr(found, asked)("a", **arguments)
