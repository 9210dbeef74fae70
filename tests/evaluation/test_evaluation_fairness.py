"""Gaps between slices: by hand, how often they cry without cause, and what they do not claim."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hitl.evaluation import BadArrays, Part, gaps, gaps_of

BoolArray = NDArray[np.bool_]


def innocent(
    rng: np.random.Generator, rates: dict[str, float], size: int
) -> tuple[BoolArray, list[str]]:
    """Which innocent items are flagged, and whose they are."""
    names = [name for name in rates for _ in range(size)]
    flagged = np.concatenate([rng.random(size) < rate for rate in rates.values()])
    return flagged, names


def test_a_gap_is_the_difference_with_newcombes_limits() -> None:
    # 56 of 70 against 48 of 80: the published example.
    flagged = np.array([1] * 56 + [0] * 14 + [1] * 48 + [0] * 32)
    names = ["de"] * 70 + ["en"] * 80

    found = gaps(np.zeros(150), flagged, np.full(150, 0.5), names, metrics=["fpr"])

    by_name = {one.slice_value: one for one in found}
    assert by_name["de"].difference == pytest.approx(0.2)
    # The draw was of half of all, so that a label is worth two of an endless pool.
    low, high = by_name["de"].low, by_name["de"].high
    assert low is not None
    assert high is not None
    assert 0.0524 < low < 0.2 < high < 0.3339
    assert {"gap"} == {one.verdict for one in found}


def test_without_a_gap_a_gate_seldom_cries() -> None:
    rng = np.random.default_rng(1)
    cries = {True: 0, False: 0}
    for _ in range(400):
        flagged, names = innocent(rng, {f"l{k:02d}": 0.05 for k in range(12)}, 300)
        for is_gate in cries:
            found = gaps(
                np.zeros(len(names)), flagged, np.full(len(names), 0.02), names,
                metrics=["fpr"], is_gate=is_gate,
            )  # fmt: skip
            cries[is_gate] += any(one.verdict == "gap" for one in found)

    assert cries[True] / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_slice_that_is_flagged_more_is_found_and_first() -> None:
    rng = np.random.default_rng(2)
    flagged, names = innocent(rng, {"de": 0.02, "en": 0.02, "pt": 0.08}, 800)

    found = gaps(np.zeros(len(names)), flagged, np.full(len(names), 0.1), names, is_gate=True)

    assert ("pt", "fpr", "gap") == (
        found[0].slice_value,
        found[0].metric,
        found[0].verdict,
    )
    assert found[0].difference is not None
    assert found[0].difference == pytest.approx(0.06, abs=0.03)


def test_too_few_events_are_no_verdict() -> None:
    rng = np.random.default_rng(3)
    truth = np.array([1.0] * 6 + [0.0] * 300)
    names = ["de"] * 6 + ["en"] * 300

    found = gaps(truth, rng.random(306) < 0.5, np.ones(306), names, metrics=["recall"])

    assert {"insufficient_evidence"} == {one.verdict for one in found}
    assert {None} == {one.difference for one in found}


def test_uneven_draws_do_not_make_a_gap() -> None:
    rng = np.random.default_rng(4)
    flagged, names = innocent(rng, {"de": 0.3, "en": 0.3}, 4000)
    chance = np.where(flagged, 0.5, 0.05)
    chance[:4000] = 0.1  # one language was drawn evenly, the other by what was flagged
    drawn = rng.random(8000) < chance

    found = gaps(
        np.zeros(drawn.sum()), flagged[drawn], chance[drawn],
        [name for name, is_in in zip(names, drawn, strict=True) if is_in], metrics=["fpr"],
    )  # fmt: skip

    assert {"no_gap_shown"} == {one.verdict for one in found}


def test_one_slice_alone_has_no_rest() -> None:
    assert [] == gaps([0.0], [1.0], [1.0], ["de"])


def test_shapes_must_agree() -> None:
    with pytest.raises(BadArrays):
        gaps([0.0, 1.0], [1.0, 0.0], [1.0, 1.0], ["de"])


def test_of_800_items_five_percent_beside_two_is_nearly_always_found() -> None:
    # statistics.md, section 8: of such worlds Holm finds .950.
    rng = np.random.default_rng(5)
    rates = {f"l{k:02d}": 0.02 for k in range(11)} | {"worse": 0.05}
    found = 0
    for _ in range(200):
        flagged, names = innocent(rng, rates, 800)
        gaps_found = gaps(
            np.zeros(len(names)), flagged, np.full(len(names), 0.001), names,
            metrics=["fpr"], is_gate=True,
        )  # fmt: skip
        found += any(one.slice_value == "worse" and one.verdict == "gap" for one in gaps_found)

    assert found / 200 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


def test_newcombes_limits_of_a_slice_and_the_rest_cover() -> None:
    # statistics.md, section 8: .954.
    rng = np.random.default_rng(6)
    held, worlds = 0, 400
    for _ in range(worlds):
        flagged, names = innocent(rng, {"de": 0.05, "rest": 0.02}, 800)
        [one] = [
            gap
            for gap in gaps(np.zeros(1600), flagged, np.full(1600, 0.001), names, metrics=["fpr"])
            if gap.slice_value == "de"
        ]
        assert one.low is not None
        assert one.high is not None
        held += one.low <= 0.03 <= one.high

    assert held / worlds >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / worlds)


def test_parts_may_overlap_and_are_judged_together() -> None:
    rng = np.random.default_rng(7)
    women, deaf = rng.random(3000) < 0.3, rng.random(3000) < 0.2
    flagged = rng.random(3000) < np.where(women & deaf, 0.4, 0.05)
    parts = [Part("identity_term", "women", women), Part("identity_term", "deaf people", deaf)]

    found = gaps_of(np.zeros(3000), flagged, np.full(3000, 0.1), parts, metrics=["fpr"])

    by_name = {one.slice_value: one for one in found}
    assert {"women": int(women.sum()), "deaf people": int(deaf.sum())} == {
        name: one.here.n for name, one in by_name.items()
    }
    assert {3000} == {one.here.n + one.elsewhere.n for one in found}
    assert {"gap"} == {one.verdict for one in found}
    assert {("identity_term", "newcombe")} == {(one.slice_name, one.method) for one in found}


def test_a_part_of_everything_or_nothing_has_no_gap() -> None:
    rows = np.ones(3, dtype=bool)

    assert [] == gaps_of(
        [0.0] * 3, [1.0] * 3, [1.0] * 3, [Part("language", "de", rows), Part("x", "y", ~rows)]
    )


def test_uneven_draws_say_by_which_method() -> None:
    flagged, names = innocent(np.random.default_rng(8), {"de": 0.3, "en": 0.3}, 100)
    chance = np.where(np.arange(200) % 2 == 0, 0.1, 0.5)

    found = gaps(np.zeros(200), flagged, chance, names, metrics=["fpr"])

    assert {"newcombe-neff"} == {one.method for one in found}


def test_a_gap_of_few_events_joins_certified_limits_and_says_so() -> None:
    flagged = np.zeros(600)
    flagged[[0, 1, 2, 3, 4, 100, 101, 102, 103, 104]] = 1.0
    names = np.repeat(["de", "en"], [40, 560])

    [found, _] = gaps(np.zeros(600), flagged, np.full(600, 0.5), names, metrics=["fpr"])

    assert ("mover", "gmover", True) == (found.method, found.here.method, found.here.unstable)
