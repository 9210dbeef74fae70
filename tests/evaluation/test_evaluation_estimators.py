from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from hitl.evaluation import (
    METRICS,
    BadArrays,
    CellTotal,
    Kind,
    PostStrata,
    UnknownMetric,
    estimate,
    share_limits,
    wilson,
)

# The machine's speed is not what these test, and the same run finds the same examples.
STEADY = settings(deadline=None, derandomize=True, max_examples=25)

KINDS = ("certified", "descriptive")


def labels(seed: int, n: int = 300) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.3).astype(float)
    flagged = np.where(rng.random(n) < 0.8, truth, 1.0 - truth)
    return {
        "truth": truth,
        "flagged": flagged,
        "inclusion_probability": rng.choice([0.02, 0.1, 0.5, 1.0], size=n),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
        ("accuracy", accuracy_score),
    ],
)
def test_the_value_is_that_of_weighted_counts(metric: str, reference: Any, kind: Any) -> None:
    given_labels = labels(seed=1)
    weights = 1.0 / given_labels["inclusion_probability"]

    found = estimate(metric, **given_labels, kind=kind)

    expected = reference(given_labels["truth"], given_labels["flagged"], sample_weight=weights)
    assert expected == pytest.approx(found.value)


def test_rates_of_error_are_worked_by_hand() -> None:
    # violating & flagged 6, violating & not 4, not & flagged 3, not & not 12; each counts double.
    truth = np.repeat([1, 1, 0, 0], [6, 4, 3, 12])
    flagged = np.repeat([1, 0, 1, 0], [6, 4, 3, 12])
    chance = np.full(25, 0.5)

    found = {
        metric: estimate(metric, truth=truth, flagged=flagged, inclusion_probability=chance)
        for metric in ("prevalence", "fpr", "fnr")
    }

    assert 10 / 25 == pytest.approx(found["prevalence"].value)
    assert 3 / 15 == pytest.approx(found["fpr"].value)
    assert 4 / 10 == pytest.approx(found["fnr"].value)
    assert (15, 3) == (found["fpr"].n, found["fpr"].n_events)


def test_the_effective_n_of_an_even_draw_is_its_size() -> None:
    truth = np.repeat([1.0, 0.0], [160, 40])

    found = estimate(
        "prevalence",
        truth=truth,
        flagged=truth,
        inclusion_probability=np.full(200, 1e-9),
        kind="descriptive",
    )

    assert 200 == pytest.approx(found.n_effective)
    assert "wilson-neff" == found.method


def test_uneven_weights_make_the_effective_n_smaller() -> None:
    truth = np.tile([1.0, 0.0], 100)
    uneven = np.tile([1e-3, 1e-3, 1e-5, 1e-5], 50)

    found = estimate("prevalence", truth=truth, flagged=truth, inclusion_probability=uneven)

    assert found.n_effective is not None
    assert 110 > found.n_effective


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
@STEADY
@given(seed=st.integers(min_value=0, max_value=10_000))
def test_the_interval_holds_the_value_whatever_the_order_of_rows(
    metric: str, kind: Any, seed: int
) -> None:
    given_labels = labels(seed, n=80)
    turned = {name: values[::-1] for name, values in given_labels.items()}

    found = estimate(metric, **given_labels, kind=kind, min_events=1)
    again = estimate(metric, **turned, kind=kind, min_events=1)

    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert (found.value, found.low, found.high) == pytest.approx(
        (again.value, again.low, again.high), rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_missed_is_the_mirror_of_found(kind: Any) -> None:
    given_labels = labels(seed=3)

    recall = estimate("recall", **given_labels, kind=kind)
    missed = estimate("fnr", **given_labels, kind=kind)

    assert recall.value is not None
    assert recall.low is not None
    assert recall.high is not None
    assert (1 - recall.value, 1 - recall.high, 1 - recall.low) == pytest.approx(
        (missed.value, missed.low, missed.high)
    )


def test_under_the_floor_there_is_a_code_and_no_number() -> None:
    truth = np.repeat([1.0, 0.0], [9, 200])

    found = estimate("recall", truth=truth, flagged=truth, inclusion_probability=np.full(209, 0.1))

    assert "too_few_events" == found.code
    assert (None, None, None) == (found.value, found.low, found.high)
    assert "recall too_few_events (n 9)" == str(found)


def test_without_labels_the_code_says_so() -> None:
    found = estimate("precision", truth=[], flagged=[], inclusion_probability=[])

    assert ("no_labels", 0) == (found.code, found.n)


def test_what_cannot_measure_is_left_out_and_counted() -> None:
    given_labels = labels(seed=4)
    without = estimate("precision", **given_labels)
    spoiled = {name: np.append(values, [1.0] * 5) for name, values in given_labels.items()}
    spoiled["inclusion_probability"][-5:-2] = np.nan
    spoiled["truth"][-2:] = np.nan

    found = estimate("precision", **spoiled)

    assert (3, 2) == (found.n_excluded, found.n_unknown)
    assert (without.value, without.low, without.high) == (found.value, found.low, found.high)


def test_few_events_on_one_side_are_marked_unstable() -> None:
    truth = np.repeat([1.0, 0.0], [95, 5])

    steady = estimate(
        "precision", truth=np.repeat([1.0, 0.0], 50), flagged=np.ones(100),
        inclusion_probability=np.full(100, 0.1),
    )  # fmt: skip
    shaky = estimate(
        "precision", truth=truth, flagged=np.ones(100), inclusion_probability=np.full(100, 0.1)
    )

    assert (False, True) == (steady.unstable, shaky.unstable)
    assert "unstable" in str(shaky)


def test_one_heavy_label_is_marked_unstable() -> None:
    chance = np.full(100, 0.5)
    chance[0] = 0.005

    found = estimate(
        "precision", truth=np.repeat([1.0, 0.0], 50), flagged=np.ones(100),
        inclusion_probability=chance,
    )  # fmt: skip

    assert found.unstable


def test_a_kind_of_item_that_the_draw_may_have_missed_marks_a_value_unstable() -> None:
    """60 found and 30 missed, all suspected, one in two asked; of the others one in 200."""
    these: dict[str, Any] = {
        "truth": np.repeat([1.0, 0.0], [90, 300]),
        "flagged": np.repeat([1.0, 0.0], [60, 330]),
        "inclusion_probability": np.repeat([0.5, 1 / 200], [90, 300]),
    }

    shown = estimate("recall", **these, largest_weight=2.0)
    missing = estimate("recall", **these, largest_weight=200.0)

    assert (False, True) == (shown.unstable, missing.unstable)
    assert (shown.value, 2 / 3) == (missing.value, pytest.approx(shown.value))


def test_where_draws_carry_no_everyday_figure_the_certified_one_stands_in() -> None:
    """60 found and 30 missed, all suspected, one in two asked; of the others one in 200."""
    these: dict[str, Any] = {
        "truth": np.repeat([1.0, 0.0], [90, 300]),
        "flagged": np.repeat([1.0, 0.0], [60, 330]),
        "inclusion_probability": np.repeat([0.5, 1 / 200], [90, 300]),
        "post_strata": PostStrata(flagged=120, not_flagged=60_060),
    }

    own = estimate("recall", **these, kind="descriptive", largest_weight=2.0)
    taken = estimate("recall", **these, kind="descriptive", largest_weight=200.0)
    certified = estimate(
        "recall", **these | {"post_strata": None}, kind="certified", largest_weight=200.0
    )

    assert (False, "wilson-neff, post-stratified") == (own.unstable, own.method)
    assert replace(certified, unstable=True) == taken
    assert taken.low < 0.3 < 0.5 < own.low  # type: ignore[operator]


@pytest.mark.parametrize(("most", "unstable"), [(10.0, False), (14.0, True)])
def test_a_figure_that_one_unseen_item_moves_near_an_end_of_its_interval_is_unstable(
    most: float, unstable: bool
) -> None:
    """Recall .8 of 100 found and 25 missed, one in two asked."""
    found = estimate(
        "recall",
        truth=np.ones(125),
        flagged=np.repeat([1.0, 0.0], [100, 25]),
        inclusion_probability=np.full(125, 0.5),
        largest_weight=most,
        kind="descriptive",
    )
    own = wilson(0.8, 0.8 * 0.2 / (2 * (100 * 0.2**2 + 25 * 0.8**2) / 250**2))

    # One of weight w more moves it down by .8 w / 250, less what of it is sure.
    assert unstable == (0.8 * most / 250 * math.sqrt(1 - 1 / most) > 0.75 * (0.8 - own.low))
    assert unstable == found.unstable
    assert unstable or pytest.approx((own.low, own.high)) == (found.low, found.high)


def test_a_census_is_not_unstable() -> None:
    found = estimate(
        "recall", truth=np.ones(90), flagged=np.repeat([1.0, 0.0], [60, 30]),
        inclusion_probability=np.ones(90), largest_weight=1.0,
    )  # fmt: skip

    assert not found.unstable


def test_what_only_flagged_items_can_be_is_as_uncertain_as_flagged_items_are() -> None:
    """40 found, 10 flagged wrongly, one in two asked; 20 missed of one in 50."""
    these: dict[str, Any] = {
        "truth": np.repeat([1.0, 0.0, 1.0, 0.0], [40, 10, 20, 500]),
        "flagged": np.repeat([1.0, 0.0], [50, 520]),
        "inclusion_probability": np.repeat([0.5, 1 / 50], [50, 520]),
        "largest_weight": 50.0,
    }

    precision, recall = (
        estimate(one, **these, largest_flagged=2.0) for one in ("precision", "recall")
    )

    found = CellTotal(80.0, 40 * 2.0, 2.0)
    assert (precision.low, precision.high) == pytest.approx(
        share_limits(found, CellTotal(20.0, 10 * 2.0, 2.0))
    )
    assert (recall.low, recall.high) == pytest.approx(
        share_limits(found, CellTotal(1000.0, 20 * 49.0 * 50.0, 50.0))
    )
    without = estimate("precision", **these)
    assert without.high - without.low > 2 * (precision.high - precision.low)  # type: ignore[operator]


def test_an_estimate_reads_as_a_line() -> None:
    truth = np.repeat([1.0, 0.0], [176, 36])

    found = estimate(
        "precision", truth=truth, flagged=np.ones(212),
        inclusion_probability=np.full(212, 1e-6), kind="descriptive",
    )  # fmt: skip

    assert "precision 0.83 [0.77, 0.87] (n 212, effective 212, wilson-neff)" == str(found)


def test_a_small_figure_keeps_its_digits() -> None:
    truth = np.repeat([1.0, 0.0], [60, 9940])

    found = estimate(
        "prevalence", truth=truth, flagged=truth, inclusion_probability=np.full(10_000, 1e-6)
    )

    assert str(found).startswith("prevalence 0.0060 [0.004")


def test_known_counts_of_flags_pull_the_estimate_to_them() -> None:
    # Half of the labels are flagged, but only a tenth of all items.
    truth = np.concatenate([np.repeat([1.0, 0.0], [30, 20]), np.repeat([1.0, 0.0], [5, 45])])
    flagged = np.repeat([1.0, 0.0], 50)
    arrays = {"truth": truth, "flagged": flagged, "inclusion_probability": np.full(100, 0.01)}

    found = estimate("prevalence", **arrays, post_strata=PostStrata(1_000, 9_000))

    assert 0.1 * 30 / 50 + 0.9 * 5 / 50 == pytest.approx(found.value)


def test_known_counts_of_flags_make_the_labels_worth_more() -> None:
    truth = np.concatenate([np.repeat([1.0, 0.0], [45, 5]), np.repeat([1.0, 0.0], [5, 45])])
    flagged = np.repeat([1.0, 0.0], 50)
    arrays = {"truth": truth, "flagged": flagged, "inclusion_probability": np.full(100, 0.01)}

    blind = estimate("prevalence", **arrays)
    informed = estimate("prevalence", **arrays, post_strata=PostStrata(5_000, 5_000))

    # Within a flag the answer varies by .9 x .1, over all by .5 x .5: the labels count 2.8 fold.
    assert blind.n_effective is not None
    assert 0.25 / 0.09 * blind.n_effective == pytest.approx(informed.n_effective)


def test_a_stratum_that_nobody_labelled_gives_a_code() -> None:
    arrays = {"truth": np.ones(20), "flagged": np.ones(20)}

    found = estimate(
        "recall", **arrays, inclusion_probability=np.full(20, 0.1), post_strata=PostStrata(10, 90)
    )

    assert "stratum_without_labels" == found.code


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": [0.5, 1.0]}, "truth"),
        ({"flagged": [1.0]}, "flagged: has 1 rows"),
        ({"flagged": [1.0, np.nan]}, "never decided"),
        ({"inclusion_probability": [0.0, 0.5]}, "known chance"),
        ({"inclusion_probability": [1.5, 0.5]}, "known chance"),
        ({"truth": ["yes", "no"]}, "not a number"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    arrays: dict[str, Any] = {
        "truth": [0.0, 1.0], "flagged": [0.0, 1.0], "inclusion_probability": [0.5, 0.5],
    }  # fmt: skip

    with pytest.raises(BadArrays, match=message):
        estimate("precision", **(arrays | change))


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(UnknownMetric, match="precision, recall"):
        estimate("precison", truth=[], flagged=[], inclusion_probability=[])


class World:
    """A population with rare violations, some of them hidden from the model, and a design."""

    def __init__(self, seed: int, n: int = 40_000, budget: int = 1_500) -> None:
        rng = np.random.default_rng(seed)
        self.truth = rng.random(n) < 0.02
        # A tenth of the violations is hidden, and some innocent items look like them.
        seen = (self.truth & (rng.random(n) > 0.1)) | (rng.random(n) < 0.006)
        score = 1.0 / (1.0 + np.exp(-(rng.normal(-5.0, 1.3, n) + np.where(seen, 5.5, 0.0))))
        self.flagged = score >= 0.5
        worth = np.sqrt(score * (1.0 - score))
        # Half of the budget evenly, half where the model is unsure.
        chance = budget / 2 / n + budget / 2 * worth / worth.sum()
        self.chance = np.minimum(1.0, chance)

    def true_value(self, metric: str) -> float:
        good, bad = (np.array(one) for one in METRICS[metric])
        at = (self.truth.astype(int), self.flagged.astype(int))
        return float(good[at].sum() / (good[at] + bad[at]).sum())

    def drawn(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        rows = rng.random(len(self.chance)) < self.chance
        return {
            "truth": self.truth[rows],
            "flagged": self.flagged[rows],
            "inclusion_probability": self.chance[rows],
        }


@pytest.mark.parametrize("metric", ["prevalence", "precision", "recall", "f1", "fpr"])
def test_certified_intervals_cover_in_a_world_with_hidden_violations(metric: str) -> None:
    world = World(seed=11)
    rng = np.random.default_rng(12)
    truth = world.true_value(metric)

    draws = [estimate(metric, **world.drawn(rng)) for _ in range(300)]

    covered = [one.low <= truth <= one.high for one in draws if one.low is not None]  # type: ignore[operator]
    assert 300 == len(covered)
    assert 0.95 - 2 * 0.0126 <= np.mean(covered)


def test_counting_active_labels_as_they_come_is_biased_and_weighing_them_is_not() -> None:
    world = World(seed=11)
    rng = np.random.default_rng(13)
    truth = world.true_value("prevalence")

    naive, weighted, naive_covers = [], [], []
    for _ in range(300):
        drawn = world.drawn(rng)
        weighted.append(estimate("prevalence", **drawn).value)
        one = estimate(
            "prevalence",
            truth=drawn["truth"],
            flagged=drawn["flagged"],
            inclusion_probability=np.full(len(drawn["truth"]), 1_500 / 40_000),
        )
        naive.append(one.value)
        naive_covers.append(one.low is not None and one.low <= truth)

    assert truth == pytest.approx(np.mean(weighted), rel=0.03)  # type: ignore[arg-type]
    assert 1.5 * truth < np.mean(naive)  # type: ignore[arg-type]
    assert 0.05 > np.mean(naive_covers)


@pytest.mark.parametrize("kind", ["certified", "descriptive"])
def test_limits_are_plain_floats_whatever_the_weight_came_as(kind: Kind) -> None:
    found = estimate(
        "prevalence",
        truth=np.zeros(40),
        flagged=np.zeros(40),
        inclusion_probability=np.full(40, 0.5),
        kind=kind,
        largest_weight=np.float64(3.0),
    )

    # psycopg2 writes a numpy number as `np.float64(…)`, which Postgres takes for a function.
    assert {float} == {type(found.value), type(found.low), type(found.high)}


@pytest.mark.slow
def test_descriptive_limits_cover_where_most_draws_show_none_of_the_heavy_ones() -> None:
    # Of 120 violating items 100 are suspected and 20 are not: a draw shows .4 of those on average.
    violating = np.repeat([1.0, 1.0, 0.0, 0.0], [100, 20, 100, 9780])
    suspected = np.repeat([True, False, True, False], [100, 20, 100, 9780])
    flagged = suspected & (np.arange(len(violating)) % 2 == 0)
    chance = np.where(suspected, 0.5, 0.02)
    truth = (violating * flagged).sum() / violating.sum()
    rng = np.random.default_rng(20261126)
    covered = np.zeros(2)
    for _ in range(400):
        rows = np.flatnonzero(rng.random(len(violating)) < chance)
        given: dict[str, Any] = {
            "truth": violating[rows], "flagged": flagged[rows],
            "inclusion_probability": chance[rows], "kind": "descriptive",
        }  # fmt: skip
        for k, largest in enumerate((50.0, 2.0)):
            one = estimate("recall", **given, largest_weight=largest)
            assert one.low is not None
            assert one.high is not None
            covered[k] += one.low <= truth <= one.high

    # Without knowing how heavy one may be, nothing seems to be missing.
    assert covered[0] / 400 > 0.94
    assert covered[1] / 400 < 0.80
