"""Bands: their guarantees over many worlds, and what is said where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hitl.evaluation import BadArrays, certify_band, labels_to_certify, thin

FloatArray = NDArray[np.float64]


def world(rng: np.random.Generator, size: int) -> tuple[FloatArray, FloatArray]:
    """Scores and truth: a fifth violates, most of it scored high."""
    truth = (rng.random(size) < 0.2).astype(float)
    scores = np.where(truth == 1.0, rng.beta(6, 2, size), rng.beta(2, 7, size))
    return scores, truth


def test_both_obligations_hold_together_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    everything, all_truth = world(rng, 200_000)
    violated = 0
    loads = []
    for _ in range(600):
        rows = rng.integers(0, len(everything), 1500)
        band = certify_band(
            everything[rows], all_truth[rows], precision=0.95, recall=0.9, confidence=0.95
        )
        blocked = everything >= band.block_from
        kept = everything >= band.allow_below
        bad = blocked.any() and all_truth[blocked].mean() < 0.95
        bad |= kept[all_truth == 1.0].mean() < 0.9
        violated += bool(bad)
        loads.append(band.review_load)

    assert violated / 600 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 600)
    assert np.median(loads) < 0.25  # and yet most is decided without a person


def test_a_band_without_obligations_is_all_review() -> None:
    rng = np.random.default_rng(2)
    scores, truth = world(rng, 500)

    band = certify_band(scores, truth, precision=None, recall=None, confidence=0.95)

    assert (-math.inf, math.inf, 1.0) == (band.allow_below, band.block_from, band.review_load)
    assert () == band.missing


def test_one_obligation_alone_may_err_by_all_of_it() -> None:
    rng = np.random.default_rng(3)
    scores, truth = world(rng, 2000)

    alone = certify_band(scores, truth, precision=0.9, recall=None, confidence=0.95)
    both = certify_band(scores, truth, precision=0.9, recall=0.9, confidence=0.95)

    assert alone.precision is not None
    assert both.precision is not None
    assert (0.95, 0.975) == (alone.precision.confidence, pytest.approx(both.precision.confidence))
    assert both.recall is not None
    assert pytest.approx(0.975) == both.recall.confidence


def test_too_few_violating_items_say_how_many_more() -> None:
    scores = np.linspace(0, 1, 100)
    truth = np.zeros(100)
    truth[-20:] = 1.0

    band = certify_band(scores, truth, precision=None, recall=0.9, confidence=0.95)

    assert -math.inf == band.allow_below
    assert [("violating", 9)] == [(one.kind, one.more) for one in band.missing]
    assert "29 violating items" in str(band.missing[0])


def test_too_few_labels_say_how_many_more() -> None:
    band = certify_band(
        np.linspace(0, 1, 40), np.ones(40), precision=0.95, recall=None, confidence=0.95
    )

    assert math.inf == band.block_from
    assert [("even", 19)] == [(one.kind, one.more) for one in band.missing]


def test_a_model_that_is_not_good_enough_is_told_so() -> None:
    rng = np.random.default_rng(4)
    truth = (rng.random(1000) < 0.6).astype(float)

    band = certify_band(rng.random(1000), truth, precision=0.95, recall=None, confidence=0.95)

    assert [None] == [one.more for one in band.missing]
    assert "does not put what violates on top" in str(band.missing[0])


def test_a_pure_top_that_is_too_thin_says_how_many_draws_fill_it() -> None:
    scores = np.linspace(0, 1, 1000)
    truth = np.zeros(1000)
    truth[-20:] = 1.0  # 2 % violate, and lie on top

    band = certify_band(scores, truth, precision=0.95, recall=None, confidence=0.95)

    # 59 without an error, of which 1,000 draws bring 20.
    more = band.missing[0].more
    assert more is not None
    assert 1000 + more == pytest.approx(2950, rel=0.1)
    assert "even draws are needed" in str(band.missing[0])


def test_so_many_more_draws_do_settle_it() -> None:
    rng = np.random.default_rng(8)
    few, few_truth = world(rng, 120)
    missing = certify_band(few, few_truth, precision=0.95, recall=None, confidence=0.95).missing

    settled = 0
    for _ in range(40):
        scores, truth = world(rng, 2 * (120 + (missing[0].more or 0)))
        settled += (
            certify_band(scores, truth, precision=0.95, recall=None, confidence=0.95).precision
            is not None
        )
    assert settled >= 20


@pytest.mark.parametrize(("errors", "n", "needed"), [(0, 59, 59), (0, 10, 59), (1, 93, 93)])
def test_the_labels_needed_have_the_worked_values(errors: int, n: int, needed: int) -> None:
    assert needed == labels_to_certify(errors, n, at_least=0.95, confidence=0.95)


def test_errors_as_frequent_as_allowed_never_certify() -> None:
    assert labels_to_certify(5, 100, at_least=0.95, confidence=0.95) is None


def test_thinning_makes_an_uneven_draw_even() -> None:
    rng = np.random.default_rng(5)
    chance = np.where(rng.random(50_000) < 0.3, 0.9, 0.1)
    drawn = rng.random(50_000) < chance
    kept = thin(chance[drawn], rng.random(drawn.sum()))

    shares = [float((kept & (chance[drawn] == one)).sum()) for one in (0.9, 0.1)]
    expected = [0.1 * (chance == one).sum() for one in (0.9, 0.1)]
    assert shares[1] == pytest.approx(expected[1], rel=0.05)
    assert shares[0] == pytest.approx(expected[0], rel=0.08)


def test_what_has_no_chance_is_not_kept_and_even_draws_are_left_alone() -> None:
    assert [True, False, True] == thin([0.2, np.nan, 0.2], [0.999, 0.0, 0.5]).tolist()
    assert 0 == len(thin([], []))


def test_impossible_chances_are_refused() -> None:
    with pytest.raises(BadArrays):
        thin([0.0], [0.5])
    with pytest.raises(BadArrays):
        thin([0.5], [1.0])
    with pytest.raises(BadArrays):
        thin([0.5, 0.5], [0.1])
