from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from hitl.evaluation import BadArrays, BadLevel, certify_precision, certify_recall
from hitl.evaluation.thresholds import recall_rank, smallest_sample

# The machine's speed is not what these test, and the same run finds the same examples.
STEADY = settings(deadline=None, derandomize=True, max_examples=25)


def ranked(n: int, wrong_at: tuple[int, ...] = ()) -> tuple[NDArray[np.float64], ...]:
    """Scores from high to low, with errors at these places."""
    truth = np.ones(n)
    truth[list(wrong_at)] = 0.0
    return np.linspace(1.0, 0.5, n), truth


@pytest.mark.parametrize(
    ("errors", "n", "tail"),
    [(0, 59, 0.048495), (1, 93, 0.049976), (3, 160, 0.038821), (10, 336, 0.049674)],
)
def test_so_many_labels_allow_so_many_errors(errors: int, n: int, tail: float) -> None:
    # All scores equal: there is one candidate, all of them.
    truth = np.repeat([0.0, 1.0], [errors, n - errors])

    found = certify_precision(np.full(n, 0.9), truth, at_least=0.95, confidence=0.95)
    one_less = certify_precision(np.full(n - 1, 0.9), truth[:-1], at_least=0.95, confidence=0.95)

    assert found is not None
    assert (n, errors) == (found.n, found.n_errors)
    assert tail == pytest.approx(found.tail, abs=5e-7)
    if errors in (0, 1, 10):  # (3, 160) is not the smallest
        assert one_less is None


@pytest.mark.parametrize(
    ("positives", "rank"), [(28, 0), (29, 1), (46, 2), (61, 3), (100, 5), (200, 13), (500, 39)]
)
def test_the_rank_of_the_recall_threshold_is_the_reference(positives: int, rank: int) -> None:
    assert rank == recall_rank(positives, at_least=0.9, confidence=0.95)


def test_the_least_sample_without_errors() -> None:
    assert (59, 29) == (smallest_sample(0.95, 0.95), smallest_sample(0.9, 0.95))


def test_a_faultless_top_is_certified_down_to_where_faults_begin() -> None:
    scores, truth = ranked(400, wrong_at=tuple(range(200, 400)))

    found = certify_precision(scores, truth, at_least=0.95, confidence=0.95)

    assert found is not None
    assert scores[215] < found.value < scores[150]
    assert found.n == np.count_nonzero(scores >= found.value)


def test_an_error_at_the_very_top_stops_the_walk_and_more_starts_pass_it() -> None:
    scores, truth = ranked(800, wrong_at=(0, 1))

    one_start = certify_precision(scores, truth, at_least=0.95, confidence=0.95)
    four_starts = certify_precision(scores, truth, at_least=0.95, confidence=0.95, starts=4)

    assert one_start is None
    assert four_starts is not None
    assert 800 == four_starts.n


def test_each_of_four_starts_has_a_quarter_of_the_error_to_spend() -> None:
    scores, truth = np.full(59, 0.9), np.ones(59)

    one_start = certify_precision(scores, truth, at_least=0.95, confidence=0.95)
    four_starts = certify_precision(scores, truth, at_least=0.95, confidence=0.95, starts=4)

    assert one_start is not None
    assert four_starts is None


def test_too_few_labels_certify_nothing() -> None:
    scores, truth = ranked(58)

    assert certify_precision(scores, truth, at_least=0.95, confidence=0.95) is None


def test_unknown_answers_do_not_count() -> None:
    scores, truth = ranked(60)
    truth[:2] = np.nan

    assert certify_precision(scores, truth, at_least=0.95, confidence=0.95) is None


def test_equal_scores_are_certified_together() -> None:
    scores = np.repeat([0.9, 0.5], [100, 100])
    truth = np.repeat([1.0, 0.0], [100, 100])

    found = certify_precision(scores, truth, at_least=0.95, confidence=0.95)

    assert found is not None
    assert (0.9, 100) == (found.value, found.n)


@STEADY
@given(seed=st.integers(min_value=0, max_value=10_000))
def test_what_is_certified_passes_the_exact_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(400), 2)
    truth = (rng.random(400) < 0.7 + 0.3 * scores).astype(float)

    found = certify_precision(scores, truth, at_least=0.85, confidence=0.9)

    if found is not None:
        flagged = scores >= found.value
        errors = int(np.count_nonzero(truth[flagged] == 0.0))
        assert (int(np.count_nonzero(flagged)), errors) == (found.n, found.n_errors)
        assert float(binom.cdf(errors, found.n, 0.15)) == pytest.approx(found.tail)
        assert found.tail <= 0.1


def test_precision_that_is_just_too_low_is_rarely_certified_and_a_naive_rule_often_does() -> None:
    # Plateau: .949 everywhere in the upper half, less below; nothing may be certified at .95.
    rng = np.random.default_rng(7)
    runs, n = 1000, 1500
    naive = wrong = 0
    for _ in range(runs):
        scores = rng.random(n)
        truth = (rng.random(n) < np.where(scores > 0.5, 0.949, 0.8)).astype(float)
        found = certify_precision(scores, truth, at_least=0.95, confidence=0.95)
        wrong += found is not None
        kept = np.cumsum(truth[np.argsort(-scores)])[49:] / np.arange(50, n + 1)
        naive += bool((kept >= 0.95).any())

    assert wrong / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert naive / runs > 0.5


def test_a_certified_recall_threshold_is_rarely_too_high_and_the_naive_quantile_often_is() -> None:
    rng = np.random.default_rng(8)
    runs, positives = 2000, 100
    scores = rng.random((runs, positives))

    # Scores are uniform, so a threshold t misses exactly t of the violating items.
    certified = [certify_recall(row, at_least=0.9, confidence=0.95).value > 0.1 for row in scores]
    naive = np.quantile(scores, 0.1, axis=1) > 0.1

    assert np.mean(certified) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert 0.2 < np.mean(naive)


def test_too_few_positives_promise_recall_only_by_looking_at_all() -> None:
    found = certify_recall(np.linspace(0.1, 0.9, 28), at_least=0.9, confidence=0.95)

    assert -math.inf == found.value


def test_a_recall_threshold_reads_as_a_line() -> None:
    found = certify_recall(np.linspace(0.1, 0.9, 61), at_least=0.9, confidence=0.95)

    assert (
        "recall of at least 0.9 from score 0.1267 on, with confidence 0.95 (n 61, errors 2)"
        == str(found)
    )


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(BadArrays, match="not finite"):
        certify_recall([0.1, np.nan], at_least=0.9, confidence=0.95)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_promise_of_all_or_nothing_is_refused(level: float) -> None:
    with pytest.raises(BadLevel, match="at_least"):
        certify_precision([0.5], [1.0], at_least=level, confidence=0.95)
