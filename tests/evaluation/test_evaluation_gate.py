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
    # Four in a hundred resamples lose more than the margin.
    spread = Spread(0.0, np.concatenate([np.full(40, -0.03), np.full(960, 0.01)]))

    alone = list(category_reasons([spread], pairs[:1], RULES))
    together = list(category_reasons([spread, spread], pairs, RULES))

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
