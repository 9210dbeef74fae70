"""Two models on items as they came in, each standing for those that were not asked about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hitl.evaluation import BadArrays, GateRules, Outcome, Reason, live_reasons, no_live_reason

RULES = GateRules()


def stream(items: int = 600) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Truth, the chance of being asked, and what a champion says that finds .9 of both kinds."""
    rng = np.random.default_rng(2)
    truth = (rng.random(items) < 0.3).astype(float)
    chance = np.where(np.arange(items) % 2 == 0, 0.5, 0.05)
    said = np.where(rng.random(items) < 0.9, 0.9, 0.1)
    return truth, chance, np.where(truth == 1, said, 0.1)


def live(old: NDArray[Any], new: NDArray[Any], truth: NDArray[Any], chance: Any) -> list[Reason]:
    return list(
        live_reasons(
            old[:, None], new[:, None], truth[:, None], ["hate"],
            inclusion_probability=chance, rules=RULES, thresholds=[0.5],
            slices={"language": ["en" if k % 3 else "de" for k in range(len(truth))]},
        )
    )  # fmt: skip


def over_all(found: list[Reason], metric: str) -> Reason:
    [one] = [o for o in found if (o.metric, o.slice_name) == (metric, "")]
    return one


def test_equal_models_are_noted_with_their_numbers() -> None:
    truth, chance, said = stream()

    found = live(said, said, truth, chance)

    recall = over_all(found, "recall")
    assert {Outcome.NOTED} == {one.outcome for one in found}
    assert (0.0, int(truth.sum())) == (recall.value, recall.n)
    assert recall.low is not None
    # Half of the labels stand for ten times as many items as the other half.
    weights = 1 / chance[truth == 1]
    assert f"effective {weights.sum() ** 2 / (weights**2).sum():.0f}" in recall.words


def test_what_the_stream_loses_is_weighed_by_what_each_label_stands_for() -> None:
    truth, chance, said = stream()
    new = said.copy()
    new[(chance == 0.05) & (truth == 1)] = 0.1

    found = live(said, new, truth, chance)

    lost = (said >= 0.5) & (new < 0.5)
    weights = (truth == 1) / chance
    assert -(weights[lost].sum() / weights.sum()) == pytest.approx(over_all(found, "recall").value)
    assert Outcome.UNDECIDED == over_all(found, "recall").outcome
    assert "a person has to approve" in over_all(found, "recall").words


def test_a_category_that_one_does_not_know_has_a_code_and_no_number() -> None:
    truth, chance, said = stream()

    found = live(np.full_like(said, np.nan), said, truth, chance)

    assert {("precision", ""), ("recall", "")} == {(one.metric, one.slice_name) for one in found}
    assert {(None, Outcome.NOTED)} == {(one.value, one.outcome) for one in found}
    assert all("too_few_events" in one.words for one in found)


def test_without_shadow_decisions_it_says_what_to_run() -> None:
    found = no_live_reason("run `hitl shadow`")

    assert (Outcome.NOTED, None) == (found.outcome, found.value)
    assert "no live decisions were compared" in found.words


def test_models_that_are_equal_in_the_stream_are_rarely_held_up() -> None:
    rng = np.random.default_rng(4)
    held_up = 0
    for _ in range(400):
        truth = (rng.random(400) < 0.3).astype(float)
        chance = np.where(rng.random(400) < 0.5, 0.5, 0.1)
        old, new = (np.where(rng.random(400) < 0.2 + 0.6 * truth, 0.9, 0.1) for _ in range(2))
        held_up += any(one.outcome == Outcome.UNDECIDED for one in live(old, new, truth, chance))

    # Two standard errors of 400 worlds are .022.
    assert held_up / 400 <= 0.05 + 0.022


def test_chances_of_other_items_are_refused() -> None:
    truth, chance, said = stream()

    with pytest.raises(BadArrays, match="weights"):
        live(said, said, truth, chance[1:])
