from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, log_loss

from hitl.evaluation import MEASURES, BadArrays, Measure, average_precision, evaluate
from hitl.evaluation.bootstrap import group_rows, percentile_interval, resampled_weights
from hitl.evaluation.calibration_error import equal_mass_starts, expected_calibration_error

STEADY = settings(deadline=None, derandomize=True, max_examples=25)
CATEGORIES = ("hate", "spam", "violence")


def examples(seed: int, n: int = 600, categories: int = 3) -> tuple[NDArray[Any], NDArray[Any]]:
    """Calibrated probabilities (N, C), and answers of which a fifth is unknown."""
    rng = np.random.default_rng(seed)
    probabilities = 1.0 / (1.0 + np.exp(-rng.normal(-1.0, 1.5, (n, categories))))
    truth = (rng.random((n, categories)) < probabilities).astype(float)
    truth[rng.random((n, categories)) < 0.2] = np.nan
    return probabilities, truth


def by_name(found: list[Measure]) -> dict[tuple[str, str, str], Measure]:
    return {(one.metric, one.category, one.slice_value): one for one in found}


def test_values_agree_with_scikit_learn_on_what_is_known() -> None:
    probabilities, truth = examples(seed=1)
    weights = np.random.default_rng(2).uniform(0.5, 4.0, len(truth))

    found = by_name(
        evaluate(
            probabilities, truth, CATEGORIES, thresholds=[0.3, 0.4, 0.5], weights=weights,
            seed=0, resamples=100,
        )
    )  # fmt: skip

    for k, (category, threshold) in enumerate(zip(CATEGORIES, (0.3, 0.4, 0.5), strict=True)):
        known = ~np.isnan(truth[:, k])
        y, p, w = truth[known, k], probabilities[known, k], weights[known]
        expected = {
            "average_precision": average_precision_score(y, p, sample_weight=w),
            "f1": f1_score(y, p >= threshold, sample_weight=w),
            "negative_log_likelihood": log_loss(y, p, sample_weight=w),
            "brier": brier_score_loss(y, p, sample_weight=w),
        }
        for metric, value in expected.items():
            assert value == pytest.approx(found[metric, category, ""].value), metric
        assert (known.sum(), y.sum()) == (
            found["f1", category, ""].n,
            found["f1", category, ""].n_positive,
        )


def test_calibration_error_agrees_with_scikit_learns_curve() -> None:
    rng = np.random.default_rng(3)
    probabilities = rng.random((1500, 1))
    truth = (rng.random((1500, 1)) < probabilities**2).astype(float)

    found = by_name(evaluate(probabilities, truth, ["a"], thresholds=[0.5], seed=0, resamples=100))

    share, mean = calibration_curve(
        truth[:, 0], probabilities[:, 0], n_bins=15, strategy="quantile"
    )
    assert np.abs(share - mean).mean() == pytest.approx(found["calibration_error", "a", ""].value)


def test_calibration_error_of_the_worked_example() -> None:
    probabilities = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
    truth = np.array([0, 0, 1, 0, 1, 0, 1, 1])

    starts = equal_mass_starts(probabilities, bins=4)
    found = expected_calibration_error(probabilities - truth, starts, np.ones((1, 8)))

    assert [0, 2, 4, 6] == starts.tolist()
    assert 0.15 == pytest.approx(found[0])


def test_loss_and_brier_of_the_worked_example() -> None:
    probabilities = np.array([[0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]]).T
    truth = np.array([[0, 0, 1, 0, 1, 0, 1, 1]]).T

    found = by_name(
        evaluate(probabilities, truth, ["a"], thresholds=[0.5], seed=0, resamples=100, min_events=4)
    )

    assert 0.510826 == pytest.approx(found["negative_log_likelihood", "a", ""].value, abs=5e-7)
    assert 0.175 == pytest.approx(found["brier", "a", ""].value)


def test_equal_scores_share_a_bin() -> None:
    starts = equal_mass_starts(np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1]), bins=3)

    assert [0, 1] == starts.tolist()


@STEADY
@given(seed=st.integers(min_value=0, max_value=10_000))
def test_average_precision_with_ties_and_weights_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(60), 1)
    truth = (rng.random(60) < 0.3).astype(float)
    truth[0] = 1.0
    weights = rng.integers(0, 4, 60).astype(float)
    weights[0] = 1.0

    found = average_precision(scores, truth, weights)

    assert average_precision_score(truth, scores, sample_weight=weights) == pytest.approx(found)


def test_a_resample_is_the_figure_of_the_repeated_items() -> None:
    probabilities, truth = examples(seed=4, n=200, categories=1)
    truth = np.nan_to_num(truth)
    rng = np.random.default_rng(0)
    (weights,) = resampled_weights(group_rows(None, 200), np.ones(200), resamples=5, rng=rng)

    for row in weights:
        repeated = np.repeat(np.arange(200), row.astype(int))
        expected = average_precision_score(truth[repeated, 0], probabilities[repeated, 0])
        found = average_precision(probabilities[:, 0], truth[:, 0], row)
        assert expected == pytest.approx(found)


def test_whole_groups_are_drawn_together() -> None:
    groups = ["a", "a", "b", "c", "c", "c"]
    rng = np.random.default_rng(1)

    weights = np.concatenate(
        list(resampled_weights(group_rows(groups, 6), np.ones(6), resamples=50, rng=rng))
    )

    assert np.all(weights[:, 0] == weights[:, 1])
    assert np.all(weights[:, 3:] == weights[:, 3:4])
    assert np.all(3 == weights[:, 0] + weights[:, 2] + weights[:, 3])


def test_copies_in_one_group_do_not_pass_for_evidence() -> None:
    probabilities, truth = examples(seed=5, n=150, categories=1)
    copies = 6
    tall = (np.repeat(probabilities, copies, axis=0), np.repeat(truth, copies, axis=0))
    groups = np.repeat(np.arange(150), copies).tolist()

    def width(*arrays: NDArray[Any], groups: Any = None) -> float:
        found = by_name(
            evaluate(*arrays, ["a"], thresholds=[0.5], seed=1, groups=groups, resamples=400)
        )["average_precision", "a", ""]
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    once, grouped, torn = width(probabilities, truth), width(*tall, groups=groups), width(*tall)

    assert once == pytest.approx(grouped, rel=0.15)
    assert 0.6 * once > torn


def test_a_wave_of_copies_is_one_event() -> None:
    probabilities, truth = examples(seed=6, n=300, categories=1)
    truth[:, 0] = 0.0
    truth[:50, 0] = 1.0

    found = by_name(
        evaluate(
            probabilities, truth, ["a"], thresholds=[0.5], seed=1, resamples=100,
            groups=["wave"] * 50 + list(range(250)),
        )
    )  # fmt: skip

    assert "too_few_events" == found["average_precision", "a", ""].code
    assert 50 == found["average_precision", "a", ""].n_positive


def test_bootstrap_intervals_cover_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    z = rng.normal(-1.0, 1.5, 200_000)
    y = (rng.random(len(z)) < 1.0 / (1.0 + np.exp(-z))).astype(float)
    p = 1.0 / (1.0 + np.exp(-z))
    true_area = average_precision(p, y)
    true_loss = log_loss(y, p)
    covered = np.zeros(2)
    runs = 200
    for seed in range(runs):
        rows = rng.integers(0, len(z), 300)
        found = by_name(
            evaluate(
                p[rows, None], y[rows, None], ["a"], thresholds=[0.5], seed=seed, resamples=300
            )
        )
        for k, (metric, true) in enumerate(
            (("average_precision", true_area), ("negative_log_likelihood", true_loss))
        ):
            one = found[metric, "a", ""]
            covered[k] += one.low <= true <= one.high  # type: ignore[operator]

    assert np.all(covered / runs >= 0.95 - 0.045)
    assert np.all(covered / runs < 1.0)


def test_the_same_seed_gives_the_same_figures_and_another_gives_others() -> None:
    probabilities, truth = examples(seed=8)

    def run(seed: int) -> list[Measure]:
        return evaluate(
            probabilities, truth, CATEGORIES, thresholds=[0.5] * 3, seed=seed, resamples=100
        )

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_slices_see_only_their_items_and_small_ones_get_a_code() -> None:
    probabilities, truth = examples(seed=9)
    languages = ["en"] * 300 + ["de"] * 280 + ["pt"] * 20

    found = by_name(
        evaluate(
            probabilities, truth, CATEGORIES, thresholds=[0.5] * 3, seed=1, resamples=100,
            slices={"language": languages},
        )
    )  # fmt: skip
    alone = by_name(
        evaluate(
            probabilities[:300], truth[:300], CATEGORIES, thresholds=[0.5] * 3, seed=1,
            resamples=100,
        )
    )  # fmt: skip

    for metric in MEASURES:
        sliced, whole = found[metric, "hate", "en"], alone[metric, "hate", ""]
        assert (whole.value, whole.n) == pytest.approx((sliced.value, sliced.n))
        assert "too_few_events" == found[metric, "spam", "pt"].code
        assert found[metric, "spam", "pt"].value is None


def test_the_macro_figure_is_the_mean_of_those_that_exist_and_says_how_many() -> None:
    probabilities, truth = examples(seed=10)
    probabilities[:, 1] = np.nan  # a category this model does not know

    found = by_name(
        evaluate(probabilities, truth, CATEGORIES, thresholds=[0.5] * 3, seed=1, resamples=100)
    )

    macro = found["average_precision", "macro", ""]
    parts = [found["average_precision", one, ""].value for one in ("hate", "violence")]
    assert "no_labels" == found["average_precision", "spam", ""].code
    assert np.mean(parts) == pytest.approx(macro.value)  # type: ignore[arg-type]
    assert macro.method.endswith("2 of 3 categories")


def test_the_macro_figure_counts_each_item_once_and_only_where_it_was_averaged() -> None:
    probabilities, truth = examples(seed=10, n=300)
    truth[:, 1] = 0.0  # too few events: known, and not part of the mean
    truth[:50, 0], truth[100:120, 2] = np.nan, np.nan

    found = by_name(
        evaluate(probabilities, truth, CATEGORIES, thresholds=[0.5] * 3, seed=1, resamples=100)
    )

    macro = found["average_precision", "macro", ""]
    averaged = truth[:, [0, 2]]
    known = ~np.isnan(averaged).all(axis=1)
    assert (known.sum(), (averaged == 1.0).any(axis=1).sum()) == (macro.n, macro.n_positive)


@pytest.mark.parametrize("seed", range(5))
def test_every_number_has_a_width_that_holds_it(seed: int) -> None:
    probabilities, truth = examples(seed=seed, n=120)
    truth[:, 0] = probabilities[:, 0] > 0.5  # a category the model gets all right

    found = evaluate(
        probabilities, truth, CATEGORIES, thresholds=[0.5] * 3, seed=seed, resamples=200
    )

    numbers = [one for one in found if one.value is not None]
    assert numbers
    for one in numbers:
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.value <= one.high, one  # type: ignore[operator]
        assert one.low < one.high, one
    assert all((one.value is None) == (one.code is not None) for one in found)


def test_a_perfect_precision_of_a_few_is_not_certainty() -> None:
    probabilities, truth = examples(seed=11, n=200, categories=1)
    truth[:, 0] = probabilities[:, 0] > 0.5

    found = by_name(evaluate(probabilities, truth, ["a"], thresholds=[0.5], seed=1, resamples=100))

    perfect = found["precision", "a", ""]
    assert (1.0, "wilson") == (perfect.value, perfect.method)
    assert perfect.low is not None
    assert 0.97 > perfect.low


def test_where_nothing_is_flagged_precision_has_no_number() -> None:
    probabilities, truth = examples(seed=12)

    found = by_name(
        evaluate(probabilities, truth, CATEGORIES, thresholds=[2.0] * 3, seed=1, resamples=100)
    )

    assert "nothing_flagged" == found["precision", "hate", ""].code
    assert 0.0 == found["recall", "hate", ""].value


def test_an_error_that_noise_makes_larger_is_mirrored_back() -> None:
    replicates = np.linspace(0.02, 0.06, 101)

    found = percentile_interval(0.03, replicates, confidence=0.9, reverse=True)

    assert (0.06 - 0.058, 0.06 - 0.022) == pytest.approx(found)


def test_an_interval_that_too_few_resamples_have_is_none() -> None:
    assert percentile_interval(0.5, np.array([0.4, np.nan, np.nan]), confidence=0.95) is None


def test_thresholds_by_name_are_those_in_order() -> None:
    probabilities, truth = examples(seed=13)
    by_category = {"violence": 0.7, "hate": 0.2, "spam": 0.5}

    named = evaluate(
        probabilities, truth, CATEGORIES, thresholds=by_category, seed=1, resamples=100
    )
    listed = evaluate(
        probabilities, truth, CATEGORIES, thresholds=[0.2, 0.5, 0.7], seed=1, resamples=100
    )

    assert listed == named


def test_no_items_give_codes_and_no_error() -> None:
    found = evaluate(np.zeros((0, 1)), np.zeros((0, 1)), ["a"], thresholds=[0.5], seed=1)

    assert {"no_labels"} == {one.code for one in found}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": np.full((3, 2), 0.5)}, "truth"),
        ({"truth": np.zeros((2, 2))}, "shape"),
        ({"probabilities": np.full((3, 2), 1.5)}, "outside"),
        ({"categories": ["a"]}, "names 1"),
        ({"thresholds": {"a": 0.5}}, "none for b"),
        ({"thresholds": [0.5]}, "has 1 rows"),
        ({"weights": [1.0, -1.0, 1.0]}, "negative"),
        ({"groups": ["a"]}, "groups"),
        ({"slices": {"language": ["en"]}}, "language"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "probabilities": np.full((3, 2), 0.5), "truth": np.zeros((3, 2)), "categories": ["a", "b"],
        "thresholds": [0.5, 0.5], "seed": 1,
    }  # fmt: skip

    with pytest.raises(BadArrays, match=message):
        evaluate(**(arguments | change))
