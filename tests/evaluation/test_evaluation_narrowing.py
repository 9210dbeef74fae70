"""What labels bought: narrower by design, with the luck of the draw told."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import BadArrays, bought, estimate


def world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    z = rng.normal(size=n) - 2.0
    p = 1.0 / (1.0 + np.exp(-1.5 * z))
    return (rng.random(n) < p).astype(float), p > 0.4


def newest(n: int, new: int) -> np.ndarray:
    return np.arange(n) >= n - new


def test_without_the_newest_the_rest_stand_for_all() -> None:
    truth, flagged = world(np.random.default_rng(1), 600)
    chance = np.full(600, 0.3)

    found = bought(
        "recall", truth=truth, flagged=flagged, inclusion_probability=chance,
        is_new=newest(600, 100), seed=1,
    )  # fmt: skip

    before = estimate(
        "recall", truth=truth[:500], flagged=flagged[:500],
        inclusion_probability=np.full(500, 0.3 * 5 / 6),
    )  # fmt: skip
    after = estimate("recall", truth=truth, flagged=flagged, inclusion_probability=chance)
    assert (before, after, 100) == (found.before, found.after, found.labels)
    assert before.low is not None
    assert before.high is not None
    assert after.low is not None
    assert after.high is not None
    assert found.narrowed == pytest.approx((before.high - before.low) - (after.high - after.low))


def test_labels_without_a_violating_item_buy_nothing_for_recall() -> None:
    truth, flagged = world(np.random.default_rng(2), 1200)
    chance = np.full(1200, 0.1)
    is_new = newest(1200, 100)

    def outcome(truth: np.ndarray) -> str:
        return bought(
            "recall", truth=truth, flagged=flagged, inclusion_probability=chance,
            is_new=is_new, seed=1,
        ).outcome  # fmt: skip

    assert "narrower" == outcome(truth)
    assert "cannot_tell" == outcome(np.where(is_new, 0.0, truth))


def test_a_first_number_and_none_are_told_apart() -> None:
    truth, flagged = np.tile([1.0, 0.0, 0.0], 6), np.tile([True, False, False], 6)
    given = {"truth": truth, "flagged": flagged, "inclusion_probability": np.full(18, 0.5)}

    def outcome(copies: int) -> str:
        many = {name: np.tile(one, copies) for name, one in given.items()}
        n = 18 * copies
        return bought("recall", **many, is_new=newest(n, n // 2), seed=1).outcome  # type: ignore[arg-type]

    assert ["no_number", "first_number"] == [outcome(1), outcome(2)]


def test_the_same_seed_gives_the_same_interval() -> None:
    truth, flagged = world(np.random.default_rng(3), 400)
    given = {"truth": truth, "flagged": flagged, "inclusion_probability": np.full(400, 0.2)}

    found = [
        bought("precision", **given, is_new=newest(400, 100), seed=seed)  # type: ignore[arg-type]
        for seed in (1, 1, 2)
    ]

    assert found[0] == found[1]
    assert found[0].low != found[2].low


def test_what_cannot_be_compared_is_refused() -> None:
    given = {"truth": [1, 0], "flagged": [1, 0], "inclusion_probability": [0.5, 0.5]}

    with pytest.raises(BadArrays, match="every label"):
        bought("recall", **given, is_new=[True, True], seed=1)
    with pytest.raises(BadArrays, match="dtype"):
        bought("recall", **given, is_new=[1, 0], seed=1)
    with pytest.raises(BadArrays, match="rows"):
        bought("recall", **given, is_new=[True], seed=1)


@pytest.mark.slow
def test_its_interval_holds_what_such_labels_buy_on_average() -> None:
    """Nominal 95 %, of the mean narrowing over worlds; a bar of two standard errors below .90."""
    rng = np.random.default_rng(4)
    size, new, worlds = 500, 100, 100

    def one(resamples: int) -> tuple[float, float, float]:
        truth, flagged = world(rng, size)
        found = bought(
            "recall", truth=truth, flagged=flagged, inclusion_probability=np.full(size, 0.1),
            is_new=newest(size, new), seed=1, resamples=resamples,
        )  # fmt: skip
        assert found.narrowed is not None
        return found.narrowed, found.low or -1.0, found.high or 1.0

    average = float(np.mean([one(1)[0] for _ in range(400)]))
    held = np.mean([low <= average <= high for _, low, high in (one(60) for _ in range(worlds))])

    assert average > 0.0
    assert held >= 0.90 - 2.0 * np.sqrt(0.9 * 0.1 / worlds)
