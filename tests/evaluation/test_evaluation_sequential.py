"""The watch: worked values, and that looking at every label does not make false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import BadArrays, BadLevel, last_bets, watch_rate


def test_the_evidence_has_the_worked_values() -> None:
    kept = np.ones(100)
    kept[90:] = 0.0

    watch = watch_rate(kept, at_least=0.95)

    assert watch.log_evidence[89] == pytest.approx(-0.707708, abs=1e-6)
    assert watch.log_evidence[99] == pytest.approx(1.038693, abs=1e-6)
    assert not watch.is_alarmed


def test_looking_at_every_label_raises_few_false_alarms() -> None:
    rng = np.random.default_rng(5)
    alarms = sum(watch_rate(rng.random(5000) < 0.95, at_least=0.95).is_alarmed for _ in range(1000))

    assert alarms <= 50 + 2 * np.sqrt(1000 * 0.05 * 0.95)
    assert alarms >= 1  # it is not asleep


def test_a_loss_is_found_within_a_few_hundred_labels() -> None:
    rng = np.random.default_rng(6)
    found = [watch_rate(rng.random(5000) < 0.92, at_least=0.95).alarm_at for _ in range(200)]

    delays = [5000 if one is None else one + 1 for one in found]
    assert np.median(delays) <= 500


def test_a_stretch_goes_on_where_the_one_before_ended() -> None:
    rng = np.random.default_rng(7)
    kept = (rng.random(600) < 0.9).astype(float)

    whole = watch_rate(kept, at_least=0.95)
    halves = watch_rate(kept[250:], at_least=0.95, before=last_bets(kept[:250], at_least=0.95))

    np.testing.assert_allclose(halves.log_evidence, whole.log_evidence[250:])
    np.testing.assert_allclose(
        last_bets([], at_least=0.95, before=last_bets(kept, at_least=0.95)),
        last_bets(kept, at_least=0.95),
    )


def test_what_nobody_answered_says_nothing() -> None:
    watch = watch_rate([1, np.nan, 0], at_least=0.9)

    assert watch.log_evidence[1] == watch.log_evidence[0]
    assert 0 == len(watch_rate([], at_least=0.9).log_evidence)


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(BadLevel):
        watch_rate([1], at_least=1.0)
    with pytest.raises(BadArrays):
        watch_rate([2], at_least=0.9)
    with pytest.raises(BadArrays):
        watch_rate([1], at_least=0.9, before=[0.0])
