from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from hitl.evaluation import (
    BadLevel,
    CellTotal,
    clopper_pearson,
    gamma_limits,
    holm,
    newcombe,
    share_limits,
    wilson,
)
from hitl.evaluation.arrays import FloatArray
from hitl.evaluation.intervals import gamma_ends, share_ends

# The machine's speed is not what these test, and the same run finds the same examples.
STEADY = settings(deadline=None, derandomize=True, max_examples=25)

totals = st.floats(min_value=0.5, max_value=1e5)


@pytest.mark.parametrize(
    ("proportion", "n", "low", "high"),
    [
        (0.0, 10, 0.0, 0.27753),
        (0.01, 100, 0.00177, 0.05449),
        (0.95, 100, 0.88825, 0.97846),
        (0.8, 12.5, 0.52312, 0.93584),
    ],
)
def test_wilson_gives_the_reference_values(
    proportion: float, n: float, low: float, high: float
) -> None:
    assert (low, high) == pytest.approx(wilson(proportion, n), abs=5e-6)


@pytest.mark.parametrize(
    ("proportion", "n", "low", "high", "digits"),
    [
        (0.0, 10, 0.0, 0.3085, 4),
        (0.01, 100, 0.00025, 0.05446, 5),
        (0.95, 100, 0.88717, 0.98357, 5),
        (0.8, 12.5, 0.48719, 0.96519, 5),
    ],
)
def test_clopper_pearson_gives_the_reference_values(
    proportion: float, n: float, low: float, high: float, digits: int
) -> None:
    assert (low, high) == pytest.approx(clopper_pearson(proportion, n), abs=0.5 * 10**-digits)


def test_newcombe_gives_the_published_example() -> None:
    found = newcombe(56 / 70, 70, 48 / 80, 80)

    assert (0.0524, 0.3339) == pytest.approx(found, abs=5e-5)


def test_gamma_limits_give_the_worked_example() -> None:
    weights = np.array([10.0, 20.0, 5.0, 100.0])

    found = gamma_limits(weights.sum(), (weights**2).sum(), 100.0)

    assert (12.8251, 587.6361) == pytest.approx(found, abs=5e-5)


def test_gamma_limits_without_events_reach_up_from_zero() -> None:
    assert (0.0, 368.8879) == pytest.approx(gamma_limits(0.0, 0.0, 100.0), abs=5e-5)


def test_gamma_limits_of_unit_weights_are_exact_poisson_limits() -> None:
    assert (2.8144, 14.4227) == pytest.approx(gamma_limits(7.0, 7.0, 1.0), abs=5e-5)


def test_a_census_has_no_width() -> None:
    good = CellTotal(total=0.0, variance=0.0, largest_weight=0.0, certain=30.0)
    bad = CellTotal(total=0.0, variance=0.0, largest_weight=0.0, certain=10.0)

    assert (0.75, 0.75) == pytest.approx(share_limits(good, bad))


def test_without_any_bad_event_the_lower_limit_still_leaves_room_for_some() -> None:
    good = CellTotal(total=300.0, variance=300.0 * 10, largest_weight=10.0)
    nothing = CellTotal(total=0.0, variance=0.0, largest_weight=10.0)

    low, high = share_limits(good, nothing)

    assert 1.0 == high
    assert 0.8 < low < 1.0 - 36.888 / 336.888  # more room than the bad total's limit alone needs


@STEADY
@given(good=totals, bad=totals, weight=st.floats(min_value=0.5, max_value=100.0))
def test_share_limits_hold_the_share_and_mirror_it(good: float, bad: float, weight: float) -> None:
    first = CellTotal(good, good * weight, weight)
    second = CellTotal(bad, bad * weight, weight)

    low, high = share_limits(first, second)
    mirrored = share_limits(second, first)

    assert 0.0 <= low <= good / (good + bad) <= high <= 1.0
    assert (1.0 - high, 1.0 - low) == pytest.approx(mirrored, abs=1e-9)


@STEADY
@given(good=totals, bad=totals, weight=st.floats(min_value=0.5, max_value=100.0), unit=totals)
def test_share_limits_do_not_depend_on_the_unit_of_weight(
    good: float, bad: float, weight: float, unit: float
) -> None:
    def limits(scale: float) -> tuple[float, float]:
        cells = [CellTotal(t * scale, t * weight * scale**2, weight * scale) for t in (good, bad)]
        return share_limits(cells[0], cells[1])

    assert limits(1.0) == pytest.approx(limits(unit), rel=1e-6, abs=1e-12)


@STEADY
@given(
    events=st.integers(min_value=0, max_value=60),
    others=st.integers(min_value=0, max_value=60),
    confidence=st.floats(min_value=0.5, max_value=0.99),
)
def test_the_exact_interval_is_never_inside_a_narrower_confidence(
    events: int, others: int, confidence: float
) -> None:
    n = events + others + 1
    proportion = events / n

    narrow = clopper_pearson(proportion, n, confidence=confidence)
    wide = clopper_pearson(proportion, n, confidence=(1 + confidence) / 2)

    assert wide.low <= narrow.low <= proportion <= narrow.high <= wide.high


@pytest.mark.parametrize("confidence", [0.0, 1.0, math.nan])
def test_an_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(BadLevel, match="confidence"):
        wilson(0.5, 10, confidence=confidence)


def test_nothing_has_no_interval() -> None:
    with pytest.raises(BadLevel, match="nothing"):
        wilson(0.5, 0.0)


def test_holm_steps_down() -> None:
    found = holm([0.01, 0.04, 0.03, 0.005])

    np.testing.assert_allclose([0.03, 0.06, 0.06, 0.02], found)


@STEADY
@given(st.lists(st.floats(min_value=0.0, max_value=1.0), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_value_and_bonferroni(p_values: list[float]) -> None:
    found = holm(p_values)

    assert np.all(found >= np.array(p_values))
    smallest = int(np.argmin(p_values))
    assert min(1.0, p_values[smallest] * len(p_values)) == pytest.approx(found[smallest])


TOTALS = st.tuples(
    st.sampled_from([0.0, 0.5, 7.0, 300.0]),  # total
    st.sampled_from([0.0, 1.0, 40.0]),  # variance over total
    st.sampled_from([0.0, 1.0, 40.0]),  # largest weight
    st.sampled_from([0.0, 12.0]),  # certain
)


@STEADY
@given(TOTALS, TOTALS)
def test_many_limits_at_once_are_those_of_one(
    one: tuple[float, ...], two: tuple[float, ...]
) -> None:
    cells = [
        CellTotal(total, total * per, largest, certain)
        for total, per, largest, certain in (one, two)
    ]

    def ends(cell: CellTotal) -> tuple[FloatArray, FloatArray, FloatArray]:
        total, certain = np.array([cell.total]), np.array([cell.certain])
        low, high = gamma_ends(
            total, np.array([cell.variance]), np.array([cell.largest_weight]), confidence=0.95
        )
        assert gamma_limits(cell.total, cell.variance, cell.largest_weight) == pytest.approx(
            (low[0], high[0])
        )
        assert by_chi_square(cell) == pytest.approx((low[0], high[0]))
        return total + certain, certain + low, certain + high

    found = share_ends(ends(cells[0]), ends(cells[1]))

    if cells[0].value + cells[1].value > 0.0:
        assert share_limits(*cells) == pytest.approx([one[0] for one in found], abs=1e-12)
    if min(cells[0].value, cells[1].value) > 0.0:
        assert by_logarithms(*cells) == pytest.approx([one[0] for one in found], abs=1e-12)


def by_chi_square(cell: CellTotal) -> tuple[float, float]:
    """Fay and Feuer's limits, as they are written."""
    total, variance, most = cell.total, cell.variance, cell.largest_weight
    low, high = total, total
    if total and variance:
        low = variance / (2 * total) * float(chi2.ppf(0.025, 2 * total**2 / variance))
    if most:
        above, spread = total + most, variance + most**2
        high = spread / (2 * above) * float(chi2.ppf(0.975, 2 * above**2 / spread))
    return low, high


def by_logarithms(good: CellTotal, bad: CellTotal) -> tuple[float, float]:
    """Zou and Donner's limits of a ratio, as they are written; of a share."""
    (g_low, g_high), (b_low, b_high) = (
        [cell.certain + end for end in by_chi_square(cell)] for cell in (good, bad)
    )
    middle = math.log(bad.value / good.value)
    more = less = math.inf
    if g_low:
        more = math.hypot(math.log(b_high / bad.value), math.log(good.value / g_low))
    if b_low:
        less = math.hypot(math.log(bad.value / b_low), math.log(g_high / good.value))
    return (
        0.0 if more == math.inf else 1 / (1 + math.exp(middle + more)),
        1 / (1 + math.exp(middle - less)),
    )
