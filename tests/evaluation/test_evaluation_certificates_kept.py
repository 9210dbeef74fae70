"""Would the champion's certificates be lost? A forecast, which pays for every look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hitl.evaluation import (
    BadLevel,
    Outcome,
    Promise,
    Reason,
    certificates_kept,
    certify_band,
    certify_precision,
)

FloatArray = NDArray[np.float64]


def draws(
    items: int = 1500, *, purity: float = 0.99, seed: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Scores and answers: of the upper fifth this share violates, of the rest one in fifty."""
    rng = np.random.default_rng(seed)
    scores = rng.random(items)
    truth = rng.random(items) < np.where(scores >= 0.8, purity, 0.02)
    return scores, truth.astype(float)


def promise(scores: FloatArray, truth: FloatArray, **changed: Any) -> Promise:
    fields: dict[str, Any] = {
        "category": "hate",
        "slice_name": "",
        "slice_value": "",
        "precision": 0.9,
        "recall": 0.7,
        "confidence": 0.95,
        "standing": {"precision": 0.8, "recall": 0.3},
        "champion_scores": scores,
        "challenger_scores": scores,
        "truth": truth,
    }
    return Promise(**(fields | changed))


def reasons(one: Promise, *, look: int = 1) -> dict[str, Reason]:
    return {reason.metric: reason for reason in certificates_kept([one], look=look)}


def test_what_the_challenger_would_be_given_is_said_with_what_it_would_decide() -> None:
    scores, truth = draws(purity=1.0)

    found = reasons(promise(scores, truth))

    band = certify_band(
        scores, truth, precision=0.9, recall=0.7, confidence=1 - 0.05 * 6 / np.pi**2
    )
    assert {"precision", "recall"} == set(found)
    assert {Outcome.PASSED} == {one.outcome for one in found.values()}
    assert (band.block_from, 1500) == (found["precision"].value, found["precision"].n)
    blocked = f"{np.mean(scores >= band.block_from):.1%} of 1500 even draws alone"
    assert f"block from {band.block_from:.3f}, {blocked}" in found["precision"].words
    assert "the champion 29.5%" in found["recall"].words
    assert all("a forecast" in one.words for one in found.values())
    assert all("not a certificate" in one.words for one in found.values())


def test_only_what_stands_can_be_lost() -> None:
    scores, truth = draws()

    found = reasons(promise(scores, truth, standing={"recall": 0.3}))

    assert {"recall"} == set(found)


def test_a_challenger_that_puts_something_else_on_top_is_shown_to_lose_it() -> None:
    scores, truth = draws()
    blind = np.random.default_rng(2).random(len(scores))

    found = reasons(promise(scores, truth, challenger_scores=blind))

    assert Outcome.FAILED == found["precision"].outcome
    assert "would lose the precision certificate of hate" in found["precision"].words


def test_too_few_labels_leave_it_to_a_person_and_say_how_many_more() -> None:
    scores, truth = draws(30)

    found = reasons(promise(scores, truth))

    assert {Outcome.UNDECIDED} == {one.outcome for one in found.values()}
    assert "more" in found["precision"].words
    assert "violating items from even draws" in found["recall"].words


def test_without_any_label_nothing_is_shown() -> None:
    nothing = np.zeros(0)

    found = reasons(promise(nothing, nothing))

    assert {(Outcome.UNDECIDED, 0)} == {(one.outcome, one.n) for one in found.values()}


def test_a_threshold_below_which_nothing_lies_is_no_certificate_kept() -> None:
    scores, truth = draws()
    upside_down = np.where(truth == 1, 0.0, 0.5)

    found = reasons(promise(scores, truth, challenger_scores=upside_down, precision=None))

    assert Outcome.UNDECIDED == found["recall"].outcome
    assert "nothing of 1500 even draws lies below" in found["recall"].words


def test_a_slice_is_named() -> None:
    scores, truth = draws()

    found = reasons(promise(scores, truth, slice_name="language", slice_value="de"))

    assert "certificate of hate where language is de" in found["precision"].words
    assert ("language", "de") == (found["recall"].slice_name, found["recall"].slice_value)


def test_the_first_look_asks_what_the_first_attempt_will_and_later_ones_more() -> None:
    scores, truth = draws(400, purity=0.99, seed=6)
    one = promise(scores, truth, recall=None, standing={"precision": 0.8})

    looks = [reasons(one, look=k)["precision"] for k in (1, 2, 30)]

    assert [0.9696, 0.9924, 0.99997] == pytest.approx(
        [float(o.words.split("confidence ")[1].split()[0]) for o in looks], abs=1e-4
    )
    assert [Outcome.PASSED, Outcome.UNDECIDED, Outcome.UNDECIDED] == [o.outcome for o in looks]
    with pytest.raises(BadLevel):
        list(certificates_kept([one], look=0))


def test_of_many_challengers_that_cannot_keep_it_the_gate_lets_few_through() -> None:
    """Ten challengers beside one champion, judged one after the other on the same answers.

    Each has a precision just below what is promised at every score, whatever the others have; so
    the chance that the gate lets any through is as large as it can be.
    """
    rng = np.random.default_rng(3)
    worlds, challengers, labels = 400, 10, 300
    levels = [confidence_of(look + 1) for look in range(challengers)]
    paid = unpaid = 0
    for _ in range(worlds):
        truth = (rng.random(labels) < 0.895).astype(float)
        # A model says nothing of what violates: scores have nothing to do with answers.
        each = [rng.random(labels) for _ in range(challengers)]
        paid += any(is_certified(one, truth, at) for one, at in zip(each, levels, strict=True))
        unpaid += any(is_certified(one, truth, levels[0]) for one in each)

    # Two standard errors of 400 worlds are .022.
    assert paid / worlds <= 0.05 + 0.022
    assert unpaid / worlds > 0.1


def confidence_of(look: int) -> float:
    """That of a look at one promise, as the forecast itself says it."""
    one = promise(np.zeros(1), np.zeros(1), recall=None, standing={"precision": 0.8})
    return float(reasons(one, look=look)["precision"].words.split("confidence ")[1].split()[0])


def is_certified(scores: FloatArray, truth: FloatArray, confidence: float) -> bool:
    """As the forecast finds it, without the words for what it does not find."""
    return certify_precision(scores, truth, at_least=0.9, confidence=confidence) is not None
