"""Shifts: what moves is told with its size, what only chance moves is not, and codes stand in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hitl.evaluation import (
    About,
    Confusion,
    Scores,
    Shift,
    ShiftKind,
    embedding_shift,
    label_shift,
    mix_shift,
    score_shift,
    together,
)

SCORES = About(ShiftKind.SCORES, "hate", "", "", "m1")
MIX = About(ShiftKind.MIX, "", "language", "pt")
LABELS = About(ShiftKind.LABELS, "hate", "", "", "m1")
EDGES = np.linspace(0.0, 1.0, 201)


def scores_of(values: NDArray[np.float64], *, threshold: float = 0.5) -> Scores:
    return Scores(
        np.histogram(values, EDGES)[0].astype(float),
        float(values.sum()),
        float((values**2).sum()),
        int((values >= threshold).sum()),
    )


def flags(flagged: int, n: int) -> Scores:
    return scores_of(np.where(np.arange(n) < flagged, 0.9, 0.1))


def score(then: NDArray[np.float64], now: NDArray[np.float64], **more: Any) -> Shift:
    return score_shift(SCORES, scores_of(then), scores_of(now), **{"least": 100} | more)


def test_scores_that_moved_are_told_by_how_much() -> None:
    rng = np.random.default_rng(1)

    found = score(rng.beta(2, 5, 4000), rng.beta(3, 4, 1000))

    [told] = together([found], alpha=1e-4)
    assert told.is_alarm
    assert told.statistic is not None
    assert told.statistic > 0.1
    assert told.effect == pytest.approx(3 / 7 - 2 / 7, abs=0.02)
    assert told.low is not None
    assert told.high is not None
    assert told.low < told.effect < told.high


def test_a_sure_shift_too_small_to_matter_is_no_alarm() -> None:
    rng = np.random.default_rng(2)

    [found] = together([score(rng.beta(2, 5, 400_000), rng.beta(2.1, 5, 100_000))], alpha=1e-4)

    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert not found.is_alarm


def test_the_chance_of_scores_holds_where_the_index_s_own_would_not() -> None:
    """At one in a thousand and a hundred items, the index's limit is passed 1.5 times as often."""
    rng = np.random.default_rng(3)
    worlds, hits = 4000, 0
    for _ in range(worlds):
        hits += (score(rng.random(400), rng.random(100)).p_value or 0.0) <= 0.01

    assert hits / worlds == pytest.approx(0.01, abs=3 * (0.01 * 0.99 / worlds) ** 0.5)


@pytest.mark.parametrize(
    ("then", "now", "code"), [(99, 500, "no_reference"), (500, 99, "too_few_items")]
)
def test_too_few_items_are_said_and_no_number(then: int, now: int, code: str) -> None:
    rng = np.random.default_rng(4)

    found = score(rng.random(then), rng.random(now))

    assert (code, None, None) == (found.code, found.statistic, found.p_value)
    assert not found.is_alarm


def test_one_and_the_same_score_everywhere_has_no_bins() -> None:
    assert "one_score" == score(np.full(500, 0.3), np.full(500, 0.3)).code


def test_scores_in_few_buckets_are_compared_all_the_same() -> None:
    then = np.repeat([0.1, 0.9], [900, 100])
    now = np.repeat([0.1, 0.9], [500, 500])

    [found] = together([score(then, now)], alpha=1e-4)

    # By hand: (.9 - .5) log(.9 / .5) + (.1 - .5) log(.1 / .5).
    assert found.statistic == pytest.approx(0.878890, abs=1e-6)
    assert found.is_alarm


def test_a_language_that_was_never_seen_is_an_alarm_at_three_in_a_hundred() -> None:
    [found] = together([mix_shift(MIX, (0, 4000), (35, 1000), least=100)], alpha=1e-4)
    [less] = together([mix_shift(MIX, (0, 4000), (15, 1000), least=100)], alpha=1e-4)

    assert found.is_alarm
    assert 0.035 == found.effect
    assert found.low is not None
    assert found.low > 0.02
    assert not less.is_alarm


def test_more_violations_are_told_as_times_as_many() -> None:
    """Flags with hit rate .9 and false alarm rate .1: .1 of violations, then .2 of them."""
    confusion = Confusion(hits=90, misses=10, false_alarms=90, passes=810)

    found = label_shift(LABELS, confusion, flags(1800, 10_000), flags(650, 2500), least=100, seed=1)

    [told] = together([found], alpha=1e-4)
    assert told.effect == pytest.approx(2.0, abs=1e-9)
    assert told.low is not None
    assert told.high is not None
    assert told.low < 2.0 < told.high
    assert told.is_alarm


@pytest.mark.parametrize(
    ("confusion", "code"),
    [
        (Confusion(8, 1, 90, 810), "too_few_labels"),
        (Confusion(20, 30, 400, 600), "flags_say_nothing"),
        (Confusion(30, 20, 300, 600), "errors_unknown"),
    ],
)
def test_what_labels_cannot_say_has_a_code(confusion: Confusion, code: str) -> None:
    found = label_shift(LABELS, confusion, flags(1800, 10_000), flags(650, 2500), least=100, seed=1)

    assert code == found.code
    assert found.effect is None


def test_the_interval_of_a_label_shift_holds_the_truth() -> None:
    rng = np.random.default_rng(5)
    held, worlds = 0, 400
    for seed in range(worlds):
        hits, false = rng.binomial(60, 0.8), rng.binomial(340, 0.1)
        confusion = Confusion(hits, 60 - hits, false, 340 - false)
        before = rng.binomial(4000, 0.8 * 0.15 + 0.1 * 0.85)
        after = rng.binomial(1000, 0.8 * 0.3 + 0.1 * 0.7)
        one = label_shift(LABELS, confusion, flags(before, 4000), flags(after, 1000), least=100,
                          seed=seed)  # fmt: skip
        assert one.low is not None
        assert one.high is not None
        held += one.low <= 2.0 <= one.high

    assert held / worlds > 0.95 - 3 * (0.95 * 0.05 / worlds) ** 0.5


def test_embeddings_of_another_place_are_an_alarm_and_those_of_the_same_are_not() -> None:
    rng = np.random.default_rng(6)
    about = About(ShiftKind.EMBEDDINGS, model_version="m1")
    then, same = rng.normal(size=(300, 8)), rng.normal(size=(300, 8))
    other = np.concatenate([same[:200], rng.normal(3.0, 1.0, (100, 8))])

    moved, still = (
        together(
            [embedding_shift(about, then, now, least=100, seed=1, permutations=2000)], alpha=1e-3
        )[0]
        for now in (other, same)
    )

    assert moved.is_alarm
    assert not still.is_alarm


def test_all_questions_of_a_look_err_together_no_more_than_one_may() -> None:
    rng = np.random.default_rng(7)
    worlds, wrong = 300, 0
    for _ in range(worlds):
        asked = [score(rng.random(800), rng.random(200), psi_bar=0.0) for _ in range(12)]
        wrong += any(one.is_alarm for one in together(asked, alpha=0.05))

    assert wrong / worlds <= 0.05 + 3 * (0.05 * 0.95 / worlds) ** 0.5


def test_what_has_a_code_costs_the_others_nothing() -> None:
    rng = np.random.default_rng(8)
    one = score(rng.beta(2, 5, 400), rng.beta(3, 5, 100))
    unsaid = [score(rng.random(10), rng.random(10)) for _ in range(50)]

    [alone] = together([one], alpha=0.05)
    [among, *others] = together([one, *unsaid], alpha=0.05)

    assert alone == among
    assert unsaid == others
