"""Whether a challenger keeps what the policy promises, and how often that is said wrongly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hitl.evaluation import (
    BadArrays,
    BadLevel,
    GateRules,
    Outcome,
    RateChange,
    Reason,
    Verdict,
    VerdictDecision,
    could_show,
    judge,
    rate_change,
)

RULES = GateRules(resamples=100)
# An equal challenger that decides one in ten violating items otherwise, half of them rightly.
CHURN = 0.05
MARGIN = 0.05


def change(
    new: Any,
    old: Any,
    truth: Any,
    metric: Any = "recall",
    *,
    groups: Any = None,
    weights: Any = None,
) -> RateChange:
    size = len(truth)
    return rate_change(
        metric,
        new=np.asarray(new, dtype=bool),
        old=np.asarray(old, dtype=bool),
        truth=np.asarray(truth, dtype=float),
        group_of=np.arange(size) if groups is None else np.asarray(groups),
        weights=np.ones(size) if weights is None else np.asarray(weights, dtype=float),
    )


def test_the_change_of_a_rate_is_the_difference_of_the_two_rates() -> None:
    truth = [1, 1, 1, 1, 0, 0]
    new, old = [1, 1, 1, 0, 1, 0], [1, 1, 0, 0, 0, 0]

    recall = change(new, old, truth)
    precision = change(new, old, truth, "precision")

    assert 0.75 - 0.5 == pytest.approx(recall.value)
    assert 0.75 - 1.0 == pytest.approx(precision.value)
    # Four violating items, of which one is decided otherwise: (3/4 of 1/16 + 1/4 of 9/16) / 4.
    assert (3 * (1 / 16) ** 2 + (3 / 16) ** 2) == pytest.approx(recall.variance)
    assert (4, 4, 4) == (recall.events, recall.n, recall.n_positive)
    assert (2, 4, 3) == (precision.events, precision.n, precision.n_positive)


def test_the_variance_of_a_rate_is_that_of_drawing_the_items_again() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(600) < 0.3
    old = np.where(truth, rng.random(600) < 0.8, rng.random(600) < 0.1)
    new = old ^ (rng.random(600) < 0.1)
    weights = rng.uniform(1.0, 4.0, 600)
    groups = rng.integers(0, 300, 600)
    of_group = [np.flatnonzero(groups == one) for one in np.unique(groups)]

    for metric in ("precision", "recall"):
        found = change(new, old, truth, metric, groups=groups, weights=weights)
        again = []
        for _ in range(1500):
            rows = np.concatenate(
                [of_group[k] for k in rng.integers(0, len(of_group), len(of_group))]
            )
            again.append(
                change(new[rows], old[rows], truth[rows], metric, weights=weights[rows]).value
            )
        # A standard deviation of 1,500 replicates is known to about 2 %.
        assert np.std(again) == pytest.approx(math.sqrt(found.variance), rel=0.08)


def test_copies_of_one_item_count_as_one() -> None:
    truth, old = [1] * 60, [1] * 60
    new = [0] * 6 + [1] * 54

    apart = change(new, old, truth)
    together = change(new, old, truth, groups=[0] * 6 + list(range(1, 55)))

    assert apart.value == together.value
    assert (60, 55) == (apart.events, together.events)
    assert apart.chance_not_lower() < 0.05 < together.chance_not_lower()


def test_what_neither_flags_has_no_precision() -> None:
    found = change([0, 0], [1, 0], [1, 0], "precision")

    assert (0, 1) == (found.events, found.n)
    assert math.isnan(found.value)
    assert (1.0, 1.0) == (found.chance_within(MARGIN), found.chance_not_lower())


@pytest.mark.parametrize("events", [60, 200])
@pytest.mark.parametrize("churn", [0.0, 0.02, 0.05])
def test_a_recall_that_is_lower_by_the_margin_passes_rarely(events: int, churn: float) -> None:
    lost_more = _worlds(events, won=churn, lost=churn + MARGIN, seed=6)
    equal = _worlds(events, won=churn, lost=churn, seed=7)

    wrongly = np.mean([one.chance_within(MARGIN) <= 0.05 for one in lost_more])
    rightly = np.mean([one.chance_within(MARGIN) <= 0.05 for one in equal])

    # 4,000 worlds: two standard errors are .007.
    assert wrongly <= 0.065
    assert rightly > 2 * wrongly


def test_far_from_the_margin_it_is_shown_and_a_loss_is_shown_too() -> None:
    equal = _worlds(500, won=CHURN, lost=CHURN, seed=8)
    worse = _worlds(500, won=CHURN, lost=CHURN + 2 * MARGIN, seed=9)

    assert np.mean([one.chance_within(MARGIN) <= 0.05 for one in equal]) > 0.95
    assert np.mean([one.chance_not_lower() <= 0.05 for one in equal]) <= 0.05 + 2 * 0.0035
    assert np.mean([one.chance_within(MARGIN) <= 0.05 for one in worse]) < 0.001
    assert np.mean([one.chance_not_lower() <= 0.05 for one in worse]) > 0.95


def _worlds(events: int, *, won: float, lost: float, seed: int) -> list[RateChange]:
    """4,000 pairs of models on violating items; of which these shares are decided otherwise."""
    rng = np.random.default_rng(seed)
    return [
        change(new, old, np.ones(events))
        for kinds in rng.choice(4, size=(4000, events), p=[won, lost, 0.8 - lost, 0.2 - won])
        for new, old in [((kinds == 0) | (kinds == 2), (kinds == 1) | (kinds == 2))]
    ]


@pytest.mark.parametrize("churn", [0.0, 0.3])
def test_a_precision_that_is_lower_by_the_margin_passes_rarely(churn: float) -> None:
    """New items are flagged that do not violate; others are swapped for their like."""
    rng = np.random.default_rng(10)
    flagged, precision = 100, 0.9
    kept = flagged * (1 - churn / 2)
    more = flagged * precision / (precision - MARGIN) - flagged
    # Both, the champion alone, the challenger alone; first those that violate.
    expected = np.array([kept * precision, kept * (1 - precision)])
    swapped = np.array([precision, 1 - precision]) * flagged * churn / 2
    cells = np.concatenate([expected, swapped, swapped + np.array([0.0, more])])
    wrongly = 0
    for _ in range(2000):
        counts = rng.poisson(cells)
        truth, old, new = (
            np.repeat(kind, counts)
            for kind in ([1, 0, 1, 0, 1, 0], [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 1])
        )
        wrongly += change(new, old, truth, "precision").chance_within(MARGIN) <= 0.05

    # Two standard errors of 2,000 worlds are .010.
    assert wrongly / 2000 <= 0.05 + 0.010


def test_what_could_not_pass_by_any_answer_is_not_asked() -> None:
    def asked(events: list[int]) -> list[bool]:
        return could_show(events, margin=MARGIN, alpha=0.05, at_least=50)

    assert [False, True] == [asked([51])[0], asked([52])[0]]
    # The second has to pass at half the error.
    assert [True, True] == asked([52, 73])
    assert [False, True] == asked([52, 72])
    assert [True, False, True, True] == asked([400, 40, 300, 100])
    assert [] == asked([])
    # Whoever is asked and lost nothing passes, at the error that Holm's correction leaves it.
    nothing_lost = change([1] * 73, [1] * 73, [1] * 73)
    assert nothing_lost.chance_within(MARGIN) <= 0.025


def verdict(
    old: NDArray[Any], new: NDArray[Any], truth: NDArray[Any], rules: GateRules = RULES, **more: Any
) -> Verdict:
    given: dict[str, Any] = {"obligations": {"hate": ["precision", "recall"]}, "thresholds": [0.5]}
    return judge(
        old[:, None], new[:, None], truth[:, None], ["hate"], rules=rules, seed=1, **(given | more)
    )


def reasons_of(found: Verdict, rule: str = "obligation") -> dict[tuple[str, str], Reason]:
    return {(one.metric, one.slice_value): one for one in found.reasons if one.rule == rule}


def models(
    *, german: float, english: float = 0.95, items: int = 2000
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], list[str]]:
    """A champion that finds .95, and a challenger that finds these shares by language."""
    rng = np.random.default_rng(11)
    truth = (np.arange(items) % 5 == 0).astype(float)
    language = np.where(np.arange(items) % 4 == 3, "de", "en")
    luck, low = rng.random(items), rng.uniform(0.0, 0.2, items)
    found = np.where(language == "de", german, english)
    old = np.where(truth == 1, np.where(luck < 0.95, 0.9, 0.3), low)
    new = np.where(truth == 1, np.where(luck < found, 0.9, 0.3), low)
    return old, new, truth, language.tolist()


def test_every_promise_is_judged_over_all_and_in_each_slice() -> None:
    old, new, truth, language = models(german=0.95)

    found = verdict(old, new, truth, slices={"language": language})

    judged = reasons_of(found)
    assert {(m, s) for m in ("precision", "recall") for s in ("", "de", "en")} == set(judged)
    assert {Outcome.PASSED} == {one.outcome for one in judged.values()}
    assert VerdictDecision.PROMOTE == found.decision
    assert "recall of hate where language is de changes by +0.000" in judged["recall", "de"].words
    assert (-0.05, 100) == (judged["recall", "de"].bound, judged["recall", "de"].n)


def test_a_slice_that_holds_everything_is_not_asked_twice() -> None:
    old, new, truth, _ = models(german=0.95)

    found = verdict(old, new, truth, slices={"surface": ["posts"] * len(truth)})

    assert {("precision", ""), ("recall", "")} == set(reasons_of(found))


def test_a_language_that_loses_stops_a_challenger_that_is_better_over_all() -> None:
    old, new, truth, language = models(german=0.7, english=1.0)

    found = verdict(old, new, truth, slices={"language": language})

    judged = reasons_of(found)
    assert Outcome.FAILED == judged["recall", "de"].outcome
    assert Outcome.PASSED == judged["recall", "en"].outcome
    assert VerdictDecision.REFUSE == found.decision


def test_a_slice_of_few_events_fails_where_it_is_worse_and_else_holds_up_nobody() -> None:
    old, new, truth, _ = models(german=0.95)
    of_item = np.array(["many"] * 2000, dtype=object)
    of_item[np.flatnonzero(truth == 1)[:30]] = "some"
    of_item[np.flatnonzero(truth == 1)[30:39]] = "few"

    equal = verdict(old, new, truth, slices={"surface": of_item.tolist()})
    new[of_item == "some"] = 0.1
    worse = verdict(old, new, truth, slices={"surface": of_item.tolist()})

    some, few = (reasons_of(equal)["recall", one] for one in ("some", "few"))
    assert (Outcome.NOTED, Outcome.NOTED) == (some.outcome, few.outcome)
    assert (None, 9) == (few.value, few.n)
    assert "too_few_events" in few.words
    assert VerdictDecision.PROMOTE == equal.decision
    assert Outcome.FAILED == reasons_of(worse)["recall", "some"].outcome


def test_many_slices_that_lose_nothing_are_rarely_said_to_be_worse() -> None:
    rng = np.random.default_rng(12)
    slices = np.repeat(np.arange(12), 60).astype(str).tolist()
    wrong = 0
    for _ in range(300):
        luck = rng.random((2, 720))
        old, new = (np.where(one < 0.9, 0.9, 0.3) for one in luck)
        truth = np.ones(720)
        truth[::6] = 0.0
        found = verdict(old, new, truth, slices={"market": slices})
        wrong += any(o.outcome == Outcome.FAILED for o in reasons_of(found).values())

    assert wrong / 300 <= 0.05 + 2 * 0.0126


def test_mcnemar_and_the_calibration_error_are_noted_beside_what_decides() -> None:
    old, new, truth, _ = models(german=0.7, english=1.0)
    strict = GateRules(resamples=400, require_superiority=True)

    found = verdict(old, new, truth, strict, obligations={})

    [told] = [one for one in found.reasons if one.rule == "decisions"]
    [error] = [one for one in found.reasons if one.rule == "reliability"]
    won = int(np.sum((new >= 0.5) & (old < 0.5)))
    lost = int(np.sum((new < 0.5) & (old >= 0.5)))
    assert f"the challenger alone decides {won} of 2000 groups of items rightly" in told.words
    assert f"the champion alone {lost}" in told.words
    assert "superiority goes by macro average precision" in told.words
    assert {Outcome.NOTED} == {told.outcome, error.outcome}
    assert error.low is not None


def test_a_slice_with_a_value_too_few_is_refused() -> None:
    old, new, truth, language = models(german=0.9)

    with pytest.raises(BadArrays, match="language"):
        verdict(old, new, truth, slices={"language": language[1:]})


def test_a_margin_that_is_none_is_refused() -> None:
    with pytest.raises(BadLevel, match="obligation_margin"):
        GateRules(obligation_margin=1.0)
