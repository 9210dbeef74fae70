"""Obligations beside certificates: which stood when, and what the others lack."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from flows.reporting.obligations import Promise, promises_of, standing, standing_of
from flows.reporting.obligations_page import obligations_blocks
from hitl.policy import Obligation, Policy
from hitl.registry import Certificate, Finding, Subject
from hitl.reports import Page, as_html, as_markdown
from tests.builders import NOON, make_policy
from tests.flows.judged import clear_cut, make_judged
from tests.flows.test_certify import promising

HATE = Subject("hate")
DAY = timedelta(days=1)
BOTH = Obligation(precision=0.9, recall=0.8, confidence=0.95)


def policy() -> Policy:
    return promising(make_policy(), hate=BOTH, spam=Obligation(precision=0.95))


def attempt(metric: str = "precision", **changed: Any) -> Certificate:
    finding = {
        "metric": metric, "at_least": 0.9, "confidence": 0.97, "threshold": 0.7, "n": 60,
        "n_errors": 1, "shortfall": None, "more_labels": None,
    }  # fmt: skip
    finding |= {name: changed.pop(name) for name in list(changed) if name in finding}
    life: dict[str, Any] = {
        "certificate_id": 1, "subject": HATE, "attempt": 1, "evidence": "e", "issued_at": NOON,
        "expires_at": NOON + 30 * DAY, "withdrawn_at": None, "withdrawn_why": None,
    }  # fmt: skip
    return Certificate(finding=Finding(**finding), **(life | changed))


def of(attempts: dict[Subject, list[Certificate]], *, at: datetime = NOON + DAY, n: int = 300) -> (
    dict[tuple[str, str], Promise]
):  # fmt: skip
    found = promises_of(clear_cut(n), attempts, policy=policy(), by="", at=at)
    return {(one.subject.category, one.metric): one for one in found}


def test_a_certificate_stands_from_its_issue_until_it_ends() -> None:
    one = attempt(withdrawn_at=NOON + 5 * DAY, withdrawn_why="it fell")

    stood = [standing([one], "precision", at=NOON + k * DAY) for k in (-1, 0, 4, 5, 40)]

    assert [None, one, one, None, None] == stood
    assert standing([attempt()], "precision", at=NOON + 30 * DAY) is None
    assert standing([attempt()], "recall", at=NOON) is None
    assert {HATE: {"precision": one}} == standing_of({HATE: [one]}, at=NOON)
    assert {} == standing_of({HATE: [one]}, at=NOON - DAY)


def test_a_later_attempt_without_a_threshold_takes_nothing_away() -> None:
    first, second = attempt(), attempt(threshold=None, shortfall="too few", issued_at=NOON + DAY)

    assert first is standing([first, second], "precision", at=NOON + 2 * DAY)


def test_what_is_certified_is_measured_where_it_decides() -> None:
    found = of({HATE: [attempt(threshold=0.95), attempt("recall", threshold=0.05)]})

    precision, recall = found["hate", "precision"], found["hate", "recall"]
    assert (0.95, "too_few_events") == (precision.threshold, precision.likely.code)
    assert (0.05, 1.0, "") == (recall.threshold, recall.likely.value, recall.missing)
    assert 0.5 == found["spam", "precision"].threshold


def test_what_is_missing_is_said_in_labels_or_in_what_to_do() -> None:
    short = attempt("recall", threshold=None, shortfall="16 more, please", more_labels=16)
    bad = attempt(threshold=None, shortfall="the model must learn")
    ended = attempt(withdrawn_at=NOON, withdrawn_why="it fell")

    none, few, never, gone, over = (
        of({}), of({HATE: [short]}), of({HATE: [bad]}), of({HATE: [ended]}),
        of({HATE: [attempt()]}, at=NOON + 31 * DAY),
    )  # fmt: skip

    assert "not tried yet" == none["hate", "recall"].in_short
    recall = few["hate", "recall"]
    assert ("16 more, please", "16 more violating items", 16) == (
        recall.missing, recall.in_short, recall.more_labels,
    )  # fmt: skip
    assert "the model must learn first" == never["hate", "precision"].in_short
    assert gone["hate", "precision"].missing.endswith(": it fell")
    assert over["hate", "precision"].in_short.startswith("expired on ")


def test_of_many_slices_those_with_most_labels_are_told() -> None:
    n = 300
    judged = make_judged(np.full((n, 2), 0.1), np.zeros((n, 2)))
    judged.language[:] = [f"l{k % 30:02}" if k < 60 else "en" for k in range(n)]

    found = promises_of(judged, {}, policy=policy(), by="language", at=NOON)

    told = {one.subject.slice_value for one in found}
    assert 12 == len(told)
    assert "en" in told


def test_the_page_says_what_is_kept_and_lists_what_is_not() -> None:
    found = tuple(of({HATE: [attempt("recall", threshold=0.05)]}).values())

    page = Page("t", "a", list(obligations_blocks(found, policy=policy(), labels=300, days=90)))

    text = as_markdown(page)
    assert "1 of 3 obligations are certified" in text
    assert "until 2026-" in text
    assert "not tried yet: hitl certify does" in text
    [picture] = page.pictures
    assert "hate recall: promised 80%, estimate 100.0%" in picture.alt
    assert "certified until" in picture.svg


def test_a_promise_that_is_broken_for_sure_is_said_so() -> None:
    n = 200
    judged = make_judged(np.full((n, 2), 0.9), (np.arange(2 * n) % 2).reshape(n, 2) * 1.0)
    found = promises_of(judged, {}, policy=policy(), by="", at=NOON)

    words = as_markdown(
        Page("t", "a", list(obligations_blocks(found, policy=policy(), labels=n, days=90)))
    )

    assert "Shown to fall short of the promise: hate precision" in words


def test_names_that_somebody_else_chose_stay_names() -> None:
    nasty = "<script>$\\frac$ $x$ | `rm` \u202e"
    n = 120
    judged = make_judged(np.full((n, 2), 0.9), np.ones((n, 2)), language=nasty)

    found = promises_of(judged, {}, policy=policy(), by="language", at=NOON)
    page = Page("t", "a", list(obligations_blocks(found, policy=policy(), labels=n, days=90)))

    html = as_html(page)
    assert "<script" not in html
    assert "&lt;script&gt;$\\frac$ $x$ |" in page.pictures[0].svg
    assert "\u202e" not in page.pictures[0].svg


def test_without_an_obligation_the_page_says_how_to_write_one() -> None:
    words = as_markdown(
        Page("t", "a", list(obligations_blocks((), policy=make_policy(), labels=0, days=90)))
    )

    assert "promises nothing yet" in words
    assert "hitl certify" in words
