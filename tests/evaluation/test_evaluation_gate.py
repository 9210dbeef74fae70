from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hitl.evaluation import (
    BadArrays,
    BadLevel,
    GateRules,
    Outcome,
    Reason,
    Verdict,
    VerdictDecision,
    average_precision,
    cannot_compare,
    judge,
)
from hitl.evaluation.cells import Table
from hitl.evaluation.gate_reasons import category_reasons
from hitl.evaluation.paired import Spread, paired_categories
from hitl.recipe import GateRecipe

CATEGORIES = ("hate", "spam")
RULES = GateRules(resamples=400)


class World:
    """One test set, and models that see more or less of what is behind its answers."""

    def __init__(self, seed: int, n: int = 1500, categories: int = 2) -> None:
        self._rng = np.random.default_rng(seed)
        self.behind = self._rng.normal(-1.2, 1.6, (n, categories))
        self.truth = (self._rng.random((n, categories)) < _probability(self.behind)).astype(float)

    def model(self, noise: float, *, sharpness: float = 1.0) -> NDArray[np.float64]:
        """Probabilities (N, C) of a model that is `noise` away from what is behind the answers."""
        seen = (
            self.behind + self._rng.normal(0.0, noise, self.behind.shape) if noise else self.behind
        )
        return _probability(sharpness * seen)


def _probability(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-logits))


def verdict(
    champion: Any, challenger: Any, truth: Any, rules: GateRules = RULES, **more: Any
) -> Verdict:
    arguments: dict[str, Any] = {"thresholds": [0.5, 0.5], "seed": 1} | more
    return judge(champion, challenger, truth, CATEGORIES, rules=rules, **arguments)


def reason(found: Verdict, rule: str, category: str = "") -> Reason:
    (one,) = [r for r in found.reasons if (r.rule, r.category) == (rule, category)]
    return one


def test_a_better_challenger_is_promoted_with_its_numbers() -> None:
    world = World(seed=1)

    found = verdict(world.model(noise=1.5), world.model(noise=0.2), world.truth)

    macro = reason(found, "macro")
    assert VerdictDecision.PROMOTE == found.decision
    assert macro.low is not None
    assert macro.low > 0.0
    assert {Outcome.PASSED} == {
        r.outcome for r in found.reasons if r.rule in ("test_items", "macro", "category", "nll")
    }


def test_a_worse_challenger_is_refused() -> None:
    world = World(seed=2)

    found = verdict(world.model(noise=0.2), world.model(noise=1.5), world.truth)

    assert VerdictDecision.REFUSE == found.decision
    assert Outcome.FAILED == reason(found, "macro").outcome


def test_the_macro_change_is_the_mean_difference_of_average_precision() -> None:
    world = World(seed=3)
    old, new = world.model(noise=1.0), world.model(noise=0.5)

    found = verdict(old, new, world.truth)

    changes = [
        average_precision(new[:, k], world.truth[:, k])
        - average_precision(old[:, k], world.truth[:, k])
        for k in range(2)
    ]
    assert np.mean(changes) == pytest.approx(reason(found, "macro").value)
    assert changes[1] == pytest.approx(reason(found, "category", "spam").value)


def test_the_same_model_is_no_loss_and_no_gain() -> None:
    world = World(seed=4)
    model = world.model(noise=0.5)

    found = verdict(model, model, world.truth)
    strict = verdict(model, model, world.truth, GateRules(resamples=400, require_superiority=True))

    assert VerdictDecision.PROMOTE == found.decision
    assert VerdictDecision.PROMOTE != strict.decision


def test_too_few_test_items_are_insufficient() -> None:
    world = World(seed=5, n=39)

    found = verdict(world.model(noise=1.0), world.model(noise=0.1), world.truth)

    assert VerdictDecision.INSUFFICIENT == found.decision
    assert "39 labelled test items" in str(reason(found, "test_items"))


def test_without_events_in_any_category_the_labels_cannot_tell() -> None:
    world = World(seed=6, n=200)

    found = verdict(world.model(noise=1.0), world.model(noise=0.1), world.truth * 0.0)

    assert VerdictDecision.INSUFFICIENT == found.decision
    assert 2 == len([r for r in found.reasons if r.outcome == Outcome.NOTED])


def test_a_thin_category_is_noted_and_not_judged() -> None:
    world = World(seed=7)
    world.truth[:, 1] = 0.0
    world.truth[:9, 1] = 1.0

    found = verdict(world.model(noise=1.5), world.model(noise=0.2), world.truth)

    assert VerdictDecision.PROMOTE == found.decision
    assert Outcome.NOTED == reason(found, "category", "spam").outcome
    assert "9" in str(reason(found, "category", "spam"))


def thin_world(seed: int, *, positives: int) -> tuple[World, NDArray[Any], NDArray[Any]]:
    """A better challenger, and a second category of which the test side knows little."""
    world = World(seed=seed)
    world.truth[:, 1] = 0.0
    world.truth[np.argsort(-world.behind[:, 1])[:positives], 1] = 1.0
    return world, world.model(noise=1.5), world.model(noise=0.2)


def test_a_category_too_thin_to_show_that_nothing_is_lost_does_not_hold_up_the_rest() -> None:
    world, old, new = thin_world(seed=20, positives=15)
    new[:, 1] = old[:, 1]
    new[::7, 1] *= 0.9

    found = verdict(old, new, world.truth)

    thin = reason(found, "category", "spam")
    assert VerdictDecision.PROMOTE == found.decision
    assert Outcome.NOTED == thin.outcome
    assert "with 15 of 50 events it counts only where it is shown to be lower" in thin.words
    assert "over 1 categories" in reason(found, "macro").words


def test_a_thin_category_that_is_shown_to_be_lower_stops_the_challenger() -> None:
    world, old, new = thin_world(seed=21, positives=15)
    old[:, 1] = _probability(world.behind[:, 1])
    new[:, 1] = np.random.default_rng(0).random(len(new))

    found = verdict(old, new, world.truth)

    assert VerdictDecision.REFUSE == found.decision
    assert ("category", "spam", Outcome.FAILED) == (
        found.reasons[0].rule, found.reasons[0].category, found.reasons[0].outcome,
    )  # fmt: skip


def test_a_mean_needs_more_events_than_a_warning() -> None:
    world = World(seed=22)
    kept = [np.flatnonzero(world.truth[:, k])[15:] for k in range(2)]
    for k, rows in enumerate(kept):
        world.truth[rows, k] = 0.0

    found = verdict(world.model(noise=1.5), world.model(noise=0.2), world.truth)

    assert VerdictDecision.INSUFFICIENT == found.decision
    assert "none of 2 categories has 20 events" in reason(found, "macro").words


def test_what_decides_leads_the_reasons() -> None:
    world = World(seed=2)

    found = verdict(world.model(noise=0.2), world.model(noise=1.5), world.truth)

    order = [Outcome.FAILED, Outcome.UNDECIDED, Outcome.PASSED, Outcome.NOTED]
    outcomes = [order.index(one.outcome) for one in found.reasons]
    assert Outcome.FAILED == found.reasons[0].outcome
    assert sorted(outcomes) == outcomes


def test_a_champion_that_cannot_be_asked_leaves_it_to_a_person() -> None:
    found = cannot_compare("model a: its bundle is gone")

    assert VerdictDecision.INSUFFICIENT == found.decision
    assert ["nothing was compared: model a: its bundle is gone"] == [
        one.words for one in found.reasons
    ]


def test_categories_of_one_event_each_are_undecided_and_never_a_crash() -> None:
    # Nearly every resample lacks the one event of some category: the mean has no replicates.
    rng = np.random.default_rng(0)
    names = [f"c{k}" for k in range(12)]
    truth = np.zeros((60, 12))
    truth[np.arange(12), np.arange(12)] = 1.0

    found = judge(
        rng.random((60, 12)), rng.random((60, 12)), truth, names,
        rules=GateRules(min_category_positives=1, resamples=100), thresholds=[0.5] * 12, seed=1,
    )  # fmt: skip

    macro = reason(found, "macro")
    assert VerdictDecision.PROMOTE != found.decision
    assert (Outcome.UNDECIDED, None, None) == (macro.outcome, macro.low, macro.high)
    assert "too few resamples have it" in macro.words


def test_a_mean_counts_each_item_once() -> None:
    world = World(seed=23)

    macro = reason(verdict(world.model(noise=1.5), world.model(noise=0.2), world.truth), "macro")

    assert (1500, int(world.truth.any(axis=1).sum())) == (macro.n, macro.n_positive)


def test_one_category_that_is_much_worse_stops_a_better_mean() -> None:
    world = World(seed=8)
    old, new = world.model(noise=2.0), world.model(noise=0.0)
    old[:, 1], new[:, 1] = _probability(world.behind[:, 1]), world.model(noise=1.0)[:, 1]

    found = verdict(old, new, world.truth)

    assert Outcome.PASSED == reason(found, "macro").outcome
    assert Outcome.FAILED == reason(found, "category", "spam").outcome
    assert VerdictDecision.REFUSE == found.decision


def test_a_challenger_that_orders_as_well_but_is_badly_calibrated_is_refused() -> None:
    world = World(seed=9)

    found = verdict(world.model(noise=0.0), world.model(noise=0.0, sharpness=2.5), world.truth)

    assert 0.0 == pytest.approx(reason(found, "macro").value)
    assert Outcome.FAILED == reason(found, "nll").outcome
    assert VerdictDecision.REFUSE == found.decision


def test_what_passes_alone_may_not_pass_among_others() -> None:
    world = World(seed=19, n=200)
    table = Table.checked(
        world.model(noise=0.5), world.truth, CATEGORIES,
        thresholds=[0.5, 0.5], weights=None, groups=None,
    )  # fmt: skip
    pairs, _ = paired_categories(table, table, CATEGORIES, min_events=10)
    rules = dataclasses.replace(RULES, min_category_positives=10)
    # Four in a hundred resamples lose more than the margin.
    spread = Spread(0.0, np.concatenate([np.full(40, -0.03), np.full(960, 0.01)]))

    alone = list(category_reasons([spread], pairs[:1], rules))
    together = list(category_reasons([spread, spread], pairs, rules))

    assert [Outcome.PASSED] == [one.outcome for one in alone]
    assert [Outcome.UNDECIDED] * 2 == [one.outcome for one in together]


def test_few_labels_leave_an_equal_challenger_undecided() -> None:
    world = World(seed=10, n=80)

    found = verdict(world.model(noise=0.7), world.model(noise=0.7), world.truth)

    assert VerdictDecision.INSUFFICIENT == found.decision


def test_without_a_champion_a_skilful_challenger_is_promoted() -> None:
    world = World(seed=11, n=300)

    found = verdict(None, world.model(noise=0.5), world.truth)

    assert VerdictDecision.PROMOTE == found.decision
    assert "no champion" in str(reason(found, "skill"))


def test_without_a_champion_and_without_skill_a_person_has_to_approve() -> None:
    world = World(seed=12, n=300)
    blind = np.random.default_rng(0).random((300, 2))

    found = verdict(None, blind, world.truth)

    assert VerdictDecision.INSUFFICIENT == found.decision
    assert "a person has to approve" in str(reason(found, "skill"))


@pytest.mark.slow
def test_scores_without_skill_rarely_pass_even_with_few_events_in_waves() -> None:
    rng = np.random.default_rng(13)
    rules = GateRules(resamples=200, margin=0.0, min_category_positives=5)
    passed = 0
    for seed in range(200):
        wave = np.repeat(np.arange(60), rng.integers(1, 8, 60))
        truth = (rng.random((60, 2)) < 0.15).astype(float)[wave]
        blind = rng.random((60, 2))[wave]
        found = verdict(None, blind, truth, rules, groups=wave.tolist(), seed=seed)
        passed += found.decision == VerdictDecision.PROMOTE

    assert passed / 200 <= 0.05 + 2 * 0.0154


@pytest.mark.slow
def test_a_loss_as_large_as_the_margin_rarely_passes() -> None:
    rng = np.random.default_rng(14)

    def draw(n: int) -> tuple[NDArray[Any], ...]:
        behind = rng.normal(-1.2, 1.6, n)
        truth = (rng.random(n) < _probability(behind)).astype(float)
        return truth, behind + rng.normal(0, 0.5, n), behind + rng.normal(0, 1.2, n)

    truth, old, new = draw(400_000)
    margin = average_precision(old, truth) - average_precision(new, truth)
    rules = GateRules(resamples=200, margin=margin)
    passed = 0
    for seed in range(200):
        truth, old, new = (one[:, None] for one in draw(400))
        found = judge(
            _probability(old), _probability(new), truth, ["a"], rules=rules, thresholds=[0.5],
            seed=seed,
        )  # fmt: skip
        passed += reason(found, "macro").outcome == Outcome.PASSED

    assert 0.02 < margin < 0.2
    assert passed / 200 <= 0.05 + 2 * 0.0154


def test_cells_that_one_model_does_not_know_are_compared_for_neither() -> None:
    world = World(seed=15)
    old, new = world.model(noise=1.5), world.model(noise=0.2)
    old[:, 1] = np.nan

    found = verdict(old, new, world.truth)

    assert Outcome.NOTED == reason(found, "category", "spam").outcome
    assert VerdictDecision.PROMOTE == found.decision


def test_the_same_seed_gives_the_same_verdict() -> None:
    world = World(seed=16, n=300)
    old, new = world.model(noise=1.0), world.model(noise=0.8)

    assert verdict(old, new, world.truth) == verdict(old, new, world.truth)


def test_reasons_are_sentences_with_numbers() -> None:
    world = World(seed=17)

    found = verdict(world.model(noise=1.5), world.model(noise=0.2), world.truth)

    line = str(reason(found, "macro"))
    assert line.startswith("passed: macro average precision over 2 categories changes by +0.")
    assert "it has to be above -0.020" in line
    assert str(found).startswith("promote\n  passed: 1500 labelled test items")


def test_the_rules_are_the_fields_of_the_recipes_gate() -> None:
    recipe = GateRecipe()

    rules = GateRules(**recipe.model_dump())

    defaults = dataclasses.asdict(GateRules())
    assert defaults == dataclasses.asdict(rules)


def test_probabilities_of_other_items_are_refused() -> None:
    world = World(seed=18, n=100)

    with pytest.raises(BadArrays, match="shape"):
        verdict(world.model(noise=0.1)[:50], world.model(noise=0.1), world.truth)


def test_rules_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(BadLevel, match="margin"):
        GateRules(margin=-0.1)
