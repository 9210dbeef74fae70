"""What is said of plans beside a baseline: one wins, random does, or nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sampling import BadPlan, Replay
from sampling.comparison import Outcome, compare
from sampling.verdicts import overall, overall_by_minutes, verdict

BUDGETS = np.arange(50, 301, 50)


def make_replay(
    gains: dict[str, float],
    *,
    seeds: int = 10,
    noise: float = 0.005,
    minutes: dict[str, float] | None = None,
) -> Replay:
    """Curves that rise together, each plan's own by `gains` higher; `minutes` a label."""
    rng = np.random.default_rng(0)
    names = ("random", *gains)
    shared = np.linspace(0.1, 0.3, len(BUDGETS)) + rng.normal(0.0, 0.05, size=(seeds, 1))
    own = rng.normal(0.0, noise, size=(len(names), seeds, 1))
    rise = np.linspace(0.0, 1.0, len(BUDGETS))
    height = np.array([0.0, *gains.values()])[:, None, None] * rise
    cost = minutes or {}
    seconds = np.array([60.0 * cost.get(name, 1.0) for name in names])[:, None, None]
    shape = (len(names), seeds, len(BUDGETS))
    return Replay(
        names,
        tuple(range(seeds)),
        BUDGETS,
        shared + own + height,
        np.broadcast_to(np.arange(1, 7), shape),
        np.broadcast_to(seconds * BUDGETS, shape),
    )


def test_a_plan_that_learns_faster_leads() -> None:
    found = compare(make_replay({"margin": 0.1, "entropy": 0.0}))

    margin = found.of("margin")
    assert Outcome.ABOVE is margin.outcome
    assert Outcome.UNCLEAR is found.of("entropy").outcome
    assert Outcome.BASELINE is found.of("random").outcome
    assert ("margin",) == found.leaders
    assert margin.by_labels.gain.low > 0.0
    assert margin.by_labels.reach.ratio < 1.0
    assert "margin learns faster than random: +0.05" in verdict(found, "margin")
    assert "no difference from random that 10 seeds can tell" in verdict(found, "entropy")
    assert overall(found).startswith("margin learns fastest")
    assert "entropy" not in overall(found)


def test_random_wins_in_plain_words() -> None:
    found = compare(make_replay({"k_center": -0.1, "entropy": 0.0}))

    assert Outcome.BELOW is found.of("k_center").outcome
    assert () == found.leaders
    assert verdict(found, "k_center").startswith("random wins against k_center: -0.0")
    assert "its 300 labels do not reach 0.3" in verdict(found, "k_center")
    assert "random wins: no plan is above it with confidence, and it beats k_center" == overall(
        found
    )


def test_a_winner_does_not_hide_whom_random_beats() -> None:
    found = compare(make_replay({"margin": 0.1, "k_center": -0.1, "bald": -0.1}))

    assert overall(found).startswith("margin learns fastest")
    assert overall(found).endswith("random wins against k_center and bald")


def test_where_nothing_can_be_told_apart_it_says_what_would_be_seen() -> None:
    replay = make_replay({"margin": 0.0, "entropy": 0.0}, noise=0.02)

    said = overall(compare(replay))

    widths = [
        (one.high - one.low).item() / 2
        for one in (replay.area(name, against="random") for name in ("margin", "entropy"))
    ]
    assert said.startswith("Nothing can be told from random: 10 seeds do not show")
    assert f"{max(widths):.3f}" in said


def test_plans_that_cannot_be_told_from_the_best_are_named_with_it() -> None:
    found = compare(make_replay({"margin": 0.1, "default": 0.1, "entropy": 0.03}, noise=0.008))

    assert {"margin", "default"} == set(found.leaders)
    assert overall(found).endswith(f"{found.leaders[1]} cannot be told from it")


def test_one_seed_gets_no_verdict() -> None:
    found = compare(make_replay({"margin": 0.1}, seeds=1))

    assert Outcome.UNCLEAR is found.of("margin").outcome
    assert () == found.leaders
    assert "one seed shows no width" in verdict(found, "margin")
    assert "One seed shows no width" in overall(found)


def test_random_alone_has_nothing_beside_it() -> None:
    assert "Only random was replayed" in overall(compare(make_replay({})))


def test_a_difference_by_itself_may_be_luck_among_many() -> None:
    rng = np.random.default_rng(5)
    replay = make_replay({f"plan{number}": 0.0 for number in range(40)})
    scores = replay.scores.copy()
    # One plan whose own interval just leaves 0 behind, which of 40 one or two do by chance.
    noise = rng.normal(0.0, 1.0, size=10)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    scores[1:] = scores[0] + 0.01 * noise[:, None]
    scores[1] += 0.01 * 2.4 / np.sqrt(10)
    found = compare(Replay(replay.plans, replay.seeds, replay.budgets, scores))

    one = found.of("plan0")

    assert Outcome.ABOVE is one.outcome
    assert not found.holds_among_all(one)
    assert "plan0" not in found.leaders
    assert "of 40 plans one may do so by luck" in verdict(found, "plan0")
    assert "random (the gap of plan0 can be luck among so many)" in overall(found)


def test_the_p_value_is_the_paired_tests_and_holm_multiplies_it() -> None:
    replay = make_replay({"a": 0.004, "b": 0.01}, noise=0.01)
    plain = {
        name: float(stats.ttest_rel(replay.areas(name), replay.areas("random")).pvalue)
        for name in ("a", "b")
    }

    found = compare(replay)

    low, high = sorted(plain, key=plain.__getitem__)
    assert 2 * plain[low] == pytest.approx(found.of(low).p)
    assert max(plain[high], 2 * plain[low]) == pytest.approx(found.of(high).p)


def test_two_plans_that_are_the_same_differ_by_nothing() -> None:
    replay = make_replay({"copy": 0.0})
    scores = replay.scores.copy()
    scores[1] = scores[0]

    one = compare(Replay(replay.plans, replay.seeds, BUDGETS, scores)).of("copy")

    assert Outcome.UNCLEAR is one.outcome
    assert 1.0 == one.p
    assert (0.0, 0.0, 0.0) == (
        one.by_labels.gain.value,
        one.by_labels.gain.low,
        one.final_gain.high,
    )


def test_a_plan_of_dear_items_wins_by_labels_and_not_by_the_minute() -> None:
    found = compare(make_replay({"margin": 0.02}, noise=0.001, minutes={"margin": 2.0}))

    one = found.of("margin")

    assert one.by_seconds is not None
    assert Outcome.ABOVE is one.outcome
    assert one.by_seconds.gain.high < 0.0
    assert "but learns slower per reviewer minute" in verdict(found, "margin")
    assert overall_by_minutes(found).startswith("Per reviewer minute random wins against margin")


def test_what_holds_for_labels_and_minutes_alike_is_said_once() -> None:
    found = compare(make_replay({"margin": 0.1}))

    assert "minute" not in verdict(found, "margin")
    assert overall_by_minutes(found).startswith("Per reviewer minute margin learns fastest")


def test_a_score_of_ones_own_is_the_target() -> None:
    found = compare(make_replay({"margin": 0.1}), target=0.25)

    assert 0.25 == found.target
    assert found.of("random").by_labels.reach.cost < 300
    assert compare(make_replay({"margin": 0.1})).of("random").by_labels.reach.cost == 300


def test_what_was_not_counted_is_not_told() -> None:
    replay = make_replay({"margin": 0.1})

    one = compare(Replay(replay.plans, replay.seeds, BUDGETS, replay.scores)).of("margin")

    assert (None, None, None) == (one.by_seconds, one.positives, one.positives_gain)


def test_any_plan_can_be_the_baseline_and_one_that_is_not_there_cannot() -> None:
    replay = make_replay({"margin": 0.1})

    assert Outcome.BELOW is compare(replay, against="margin").of("random").outcome
    with pytest.raises(BadPlan, match="'entropy' was not replayed"):
        compare(replay, against="entropy")
