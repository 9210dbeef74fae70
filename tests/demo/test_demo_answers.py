"""Simulated reviewers' answers: their errors, and a form that the bridge counts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from flows.demo.answers import (
    Answer,
    annotation_id,
    annotation_result,
    answer_of,
    invent_reviewers,
)
from hitl import defaults
from hitl.labelstudio import vote_from
from hitl.policy import Policy, load_policy
from hitl.records import Annotation, AnnotationKind, EntryId, Stage, Vote
from tests.demo.builders import make_reviewer

PASSWORDS = [SecretStr(f"password {k}") for k in range(12)]
CLEAN = {"hate": False, "harassment": False, "spam": False, "selfharm": False}


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(defaults.folder() / "policy.toml")


def vote_of(answer: Answer, policy: Policy) -> Vote:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    counted = vote_from(
        Annotation(
            unique_id="u",
            updated_at=now,
            created_at=now,
            kind=AnnotationKind.SUBMITTED,
            task_id=1,
            project_id=1,
            entry_id=EntryId(1),
            stage=Stage.REVIEW,
            reviewer="1",
            result=annotation_result(answer),
        ),
        policy,
    )
    assert isinstance(counted, Vote), counted
    return counted


def test_a_reviewer_who_never_errs_votes_as_gold_says(policy: Policy) -> None:
    gold = CLEAN | {"hate": True, "spam": True}

    answer = answer_of(make_reviewer(), "i1", gold, policy=policy)

    assert gold == vote_of(answer, policy).answers


def test_nothing_violated_is_counted_as_no_to_every_category(policy: Policy) -> None:
    answer = answer_of(make_reviewer(), "i1", CLEAN, policy=policy)

    assert CLEAN == vote_of(answer, policy).answers
    assert vote_of(answer, policy).severity is None


def test_what_nobody_annotated_is_answered_with_cannot_tell(policy: Policy) -> None:
    answer = answer_of(make_reviewer(), "i1", {"hate": True, "spam": False}, policy=policy)

    assert ("harassment", "selfharm") == answer.cannot_tell
    assert {"hate": True, "spam": False} == vote_of(answer, policy).answers


def test_an_item_without_any_gold_counts_as_a_vote_without_answers(policy: Policy) -> None:
    answer = answer_of(make_reviewer(), "unheard of", {}, policy=policy)

    assert {} == vote_of(answer, policy).answers


def test_every_answer_of_erring_reviewers_is_one_the_bridge_counts(policy: Policy) -> None:
    reviewer = make_reviewer(sensitivity=0.6, specificity=0.6)

    for k in range(300):
        gold = {one: bool((k >> place) & 1) for place, one in enumerate(policy.category_ids)}
        answer = answer_of(reviewer, f"i{k}", gold, policy=policy)
        assert set(policy.category_ids) == set(vote_of(answer, policy).answers)


def test_error_rates_are_those_of_the_reviewer(policy: Policy) -> None:
    reviewer = make_reviewer(sensitivity=0.9, specificity=0.8, skips=0.1)
    gold = CLEAN | {"hate": True}

    answers = [answer_of(reviewer, f"i{k}", gold, policy=policy) for k in range(4_000)]

    assert sum("hate" in one.violations for one in answers) / 4_000 == pytest.approx(0.9, abs=0.02)
    assert sum("spam" in one.violations for one in answers) / 4_000 == pytest.approx(0.2, abs=0.03)
    assert sum(one.is_skip for one in answers) / 4_000 == pytest.approx(0.1, abs=0.02)


def test_the_same_item_gets_the_same_answer_whenever_it_is_asked(policy: Policy) -> None:
    reviewer = make_reviewer(sensitivity=0.5, specificity=0.5)

    first = [answer_of(reviewer, f"i{k}", CLEAN, policy=policy) for k in range(50)]
    again = [answer_of(reviewer, f"i{k}", CLEAN, policy=policy) for k in reversed(range(50))]

    assert first == again[::-1]


def test_a_task_that_comes_back_is_not_skipped_again(policy: Policy) -> None:
    reviewer = make_reviewer(skips=1.0)

    first = answer_of(reviewer, "i1", CLEAN, policy=policy)
    second = answer_of(reviewer, "i1", CLEAN, policy=policy, attempt=2)

    assert first.is_skip
    assert [] == annotation_result(first)
    assert not second.is_skip


def test_an_adjudication_is_never_skipped_as_nobody_else_could_decide_it(policy: Policy) -> None:
    reviewer = make_reviewer(skips=1.0)

    assert not answer_of(reviewer, "i1", CLEAN, policy=policy, stage=Stage.ADJUDICATION).is_skip


def test_invented_reviewers_differ_and_come_out_the_same_for_a_seed() -> None:
    made = invent_reviewers(PASSWORDS, seed=3)

    assert made == invent_reviewers(PASSWORDS, seed=3)
    assert len(PASSWORDS) == len({one.email for one in made}) == len({one.seed for one in made})
    assert {one.sensitivity for one in made} != {
        one.sensitivity for one in invent_reviewers(PASSWORDS, seed=4)
    }


def test_invented_reviewers_raise_few_false_alarms() -> None:
    """At a few violations in a hundred, more would make most labels wrong."""
    assert all(one.specificity >= 0.99 for one in invent_reviewers(PASSWORDS, seed=3))


def test_a_password_is_not_shown() -> None:
    assert "a long password" not in repr(make_reviewer())


def test_an_annotation_has_one_id_for_reviewer_task_and_attempt() -> None:
    ids = {
        annotation_id(make_reviewer(name), task, attempt)
        for name in ("alma", "bruno")
        for task in (1, 2)
        for attempt in (1, 2)
    }

    assert 8 == len(ids)
    assert annotation_id(make_reviewer("alma"), 1, 1) in ids
