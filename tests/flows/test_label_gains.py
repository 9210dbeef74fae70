"""What the last labels bought: which they are, what they cost, and honest words about both."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from flows.reporting.label_gains import (
    Effort,
    effort_of,
    gains_of,
    newest_items,
    newest_rows,
    steps_of,
)
from flows.reporting.label_gains_page import gains_blocks, trainings_blocks
from flows.reporting.obligations import promises_of
from hitl.policy import Obligation
from hitl.records import ModelVersion
from hitl.reports import AnswerTimes, Page, Training, as_markdown
from tests.builders import NOON, make_policy
from tests.flows.judged import clear_cut, make_judged
from tests.flows.test_certify import promising

POLICY = make_policy()
KNOWN = Effort(answers=100, timed=100, hours=0.75, median_seconds=24.0, cut=0)


def words_of(blocks: Any) -> str:
    return as_markdown(Page("t", "a", list(blocks)))


def training(number: int, **changed: Any) -> Training:
    return replace(
        Training(
            ModelVersion(f"m{number}"), "retired", NOON + timedelta(days=number), 300, 600,
            200 + 10 * number, 0.8, 0.7, 0.9, 90, None, None, None, (),
        ),
        **changed,
    )  # fmt: skip


def macro(value: float, low: float, high: float) -> dict[str, Any]:
    return {"rule": "macro", "outcome": "passed", "value": value, "low": low, "high": high, "n": 90}


def test_the_newest_hundred_are_those_answered_last() -> None:
    judged = clear_cut(300)
    judged.answered_at[:] = judged.answered_at[::-1].copy()

    assert 100 == newest_rows(judged).sum()
    assert newest_rows(judged)[:100].all()
    assert "i0" in newest_items(judged)


@pytest.mark.parametrize(("labels", "new"), [(0, 0), (19, 0), (20, 10), (150, 75), (200, 100)])
def test_of_few_labels_the_newer_half_and_of_very_few_none(labels: int, new: int) -> None:
    assert new == newest_rows(clear_cut(labels)).sum()


def test_every_obligation_is_asked_what_it_gained() -> None:
    policy = promising(POLICY, hate=Obligation(recall=0.8), spam=Obligation(precision=0.9))
    judged = clear_cut(300)
    promises = promises_of(judged, {}, policy=policy, by="", at=NOON)

    found = gains_of(judged, promises, policy=policy, seed=1)

    assert [("hate", "recall", "narrower"), ("spam", "precision", "no_number")] == [
        (one.category, one.metric, one.bought.outcome) for one in found
    ]
    assert found == gains_of(judged, promises, policy=policy, seed=1)


def test_without_obligations_all_categories_are_asked() -> None:
    found = gains_of(clear_cut(300), (), policy=POLICY, seed=1)

    assert 4 == len(found)
    assert () == gains_of(clear_cut(10), (), policy=POLICY, seed=1)


def test_hours_are_of_answers_that_say_so_and_nobody_looks_for_longer_than_half_an_hour() -> None:
    effort = effort_of(AnswerTimes(5, (30.0, 60.0, 90_000.0, float("nan"))))

    assert (5, 3, 1) == (effort.answers, effort.timed, effort.cut)
    assert effort.hours == pytest.approx((30 + 60 + 1800) / 3600)
    assert 60.0 == effort.median_seconds
    assert Effort(7, 0, None, None, 0) == effort_of(AnswerTimes(7, ()))


def test_the_page_tells_cost_and_gain() -> None:
    gains = gains_of(clear_cut(300), (), policy=POLICY, seed=1)

    page = Page("t", "a", list(gains_blocks(gains, KNOWN, labels=300)))

    text = as_markdown(page)
    assert "## What the last 100 labels bought" in text
    assert "45 minutes of reviewing (median 24 seconds" in text
    assert "Narrower by more than luck: " in text
    assert "still too few events" in text
    assert ["bought"] == [one.name for one in page.pictures]


def test_a_gain_that_is_none_is_called_so() -> None:
    n = 400
    truth = np.zeros((n, 2))
    truth[: n - 100 : 6] = 1.0  # none of the newest violates
    judged = make_judged(np.where(truth == 1.0, 0.9, 0.1), truth)
    policy = promising(POLICY, hate=Obligation(recall=0.8))
    promises = promises_of(judged, {}, policy=policy, by="", at=NOON)

    text = words_of(
        gains_blocks(gains_of(judged, promises, policy=policy, seed=1), KNOWN, labels=n)
    )

    assert "No gain can be told from nothing (1 asked)" in text
    assert "cannot be told from nothing" in text


def test_unknown_hours_and_too_few_labels_are_said() -> None:
    gains = gains_of(clear_cut(300), (), policy=POLICY, seed=1)
    unknown = Effort(100, 0, None, None, 0)

    assert "is not known: no answer says so" in words_of(gains_blocks(gains, unknown, labels=300))
    assert "There are 12 audit labels" in words_of(gains_blocks((), unknown, labels=12))


def test_a_step_is_the_paired_change_at_the_gate() -> None:
    trained = [
        training(1),
        training(2, beside=ModelVersion("m1"), reasons=(macro(0.03, 0.01, 0.05),)),
        training(3, beside=ModelVersion("m2"), reasons=(macro(0.01, -0.01, 0.03),)),
        training(4, beside=ModelVersion("m2"), reasons=(macro(-0.05, -0.08, -0.02),)),
        training(5, beside=ModelVersion("m2"), reasons=({"rule": "test_items", "value": 3},)),
    ]

    steps = steps_of(trained)

    assert [("m2", 10, "better"), ("m3", 10, "cannot_tell"), ("m4", 20, "worse")] == [
        (one.model_version, one.more_examples, one.outcome) for one in steps
    ]


def test_the_page_of_trainings_says_when_the_newest_cannot_be_told_from_the_one_before() -> None:
    trained = [
        training(1),
        training(2, state="champion", decision="promote", beside=ModelVersion("m1"),
                 reasons=(macro(0.01, -0.01, 0.03),)),
    ]  # fmt: skip

    page = Page("t", "a", list(trainings_blocks(trained, steps_of(trained))))

    text = as_markdown(page)
    assert "cannot be told from the champion of then: +0.010 (-0.010 to +0.030)" in text
    assert "m2 \\*" in text
    assert ["trainings"] == [one.name for one in page.pictures]
    assert "No model was trained yet" in words_of(trainings_blocks([], ()))
