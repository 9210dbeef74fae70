from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from hitl.labelstudio import (
    KnownTask,
    NotCounted,
    SeenTask,
    TaskContent,
    annotations_of,
    deleted_version,
    task_data,
    unique_id_of,
    vote_from,
)
from hitl.records import Annotation, AnnotationKind, EntryId, Stage, Vote
from tests.builders import NOON, make_policy
from tests.labelstudio.fake import chose

PUSH = UUID(int=7)


def make_annotation(result: Any, **changed: Any) -> Annotation:
    return replace(
        Annotation(
            unique_id="1@x",
            updated_at=NOON,
            created_at=NOON,
            kind=AnnotationKind.SUBMITTED,
            task_id=5,
            project_id=2,
            entry_id=EntryId(3),
            stage=Stage.REVIEW,
            reviewer="9",
            result=result,
        ),
        **changed,
    )


def make_content(**changed: Any) -> TaskContent:
    return replace(TaskContent(EntryId(3), "i1", "hello", "posts", "en", NOON), **changed)


def seen(**body: Any) -> SeenTask:
    whole = {
        "id": 11,
        "result": chose("hate"),
        "completed_by": 9,
        "was_cancelled": False,
        "created_at": "2026-06-01T12:00:00.000000Z",
        "updated_at": "2026-06-01T12:00:05Z",
        "lead_time": 3,
    } | body
    return SeenTask(5, NOON, True, {}, (whole,))


KNOWN = KnownTask(5, 2, EntryId(3), Stage.REVIEW, PUSH)


def test_a_task_says_which_entry_and_push_it_is_where_it_can_be_searched() -> None:
    body = task_data(make_content(), push_id=PUSH, stage=Stage.REVIEW, policy=make_policy())

    assert (3, str(PUSH), "review") == (body["entry_id"], body["push_id"], body["stage"])
    assert ("hello", "posts · en · 2026-06-01 12:00 UTC") == (body["text"], body["about"])
    json.dumps(body)


def test_the_models_opinion_is_not_even_in_the_task_unless_the_policy_shows_it() -> None:
    content = make_content(opinion={"hate": 0.31, "spam": 0.9, "gone": 1.0})
    hidden, shown = make_policy(), make_policy(show_model_opinion=True)

    assert "opinion" not in task_data(content, push_id=PUSH, stage=Stage.REVIEW, policy=hidden)
    body = task_data(content, push_id=PUSH, stage=Stage.REVIEW, policy=shown)

    assert "Model: Spam 90%, Hate 31%" == body["opinion"]


def test_markup_in_content_goes_through_unchanged_because_the_text_tag_shows_it_as_it_is() -> None:
    nasty = "<script>alert(1)</script> $about & \u2028 \U0001f600"

    body = task_data(
        make_content(text=nasty), push_id=PUSH, stage=Stage.REVIEW, policy=make_policy()
    )

    assert nasty == json.loads(json.dumps(body))["text"]


def test_an_annotation_becomes_a_record_of_its_entry() -> None:
    (one,) = annotations_of(seen(), KNOWN)

    assert (EntryId(3), "9", AnnotationKind.SUBMITTED) == (one.entry_id, one.reviewer, one.kind)
    assert (NOON, NOON + timedelta(seconds=5)) == (one.created_at, one.updated_at)
    assert unique_id_of(11, PUSH) == one.unique_id


def test_a_skip_is_a_kind_of_its_own() -> None:
    (one,) = annotations_of(seen(was_cancelled=True, result=[]), KNOWN)

    assert AnnotationKind.SKIPPED is one.kind


@pytest.mark.parametrize(
    ("completed_by", "reviewer"), [(9, "9"), ({"id": 9, "email": "x"}, "9"), (None, "unknown")]
)
def test_the_reviewer_is_the_number_of_the_account(completed_by: Any, reviewer: str) -> None:
    (one,) = annotations_of(seen(completed_by=completed_by), KNOWN)

    assert reviewer == one.reviewer


def test_the_same_number_on_another_server_is_another_annotation() -> None:
    assert unique_id_of(11, PUSH) != unique_id_of(11, UUID(int=8))


def test_a_deletion_lies_behind_what_it_deletes_even_if_our_clock_is_slow() -> None:
    last = make_annotation(chose("hate"))

    gone = deleted_version(last, now=NOON.replace(year=2020))

    assert AnnotationKind.DELETED is gone.kind
    assert gone.updated_at > last.updated_at
    assert [] == gone.result


def test_chosen_categories_are_true_and_the_others_false() -> None:
    vote = vote_from(make_annotation(chose("hate", severity="3")), make_policy())

    assert isinstance(vote, Vote)
    assert {"hate": True, "spam": False} == vote.answers
    assert 3 == vote.severity


def test_none_of_these_is_false_everywhere() -> None:
    vote = vote_from(make_annotation(chose("none")), make_policy())

    assert isinstance(vote, Vote)
    assert {"hate": False, "spam": False} == vote.answers


def test_what_a_reviewer_cannot_tell_is_absent() -> None:
    vote = vote_from(make_annotation(chose("hate", unsure=["spam"])), make_policy())

    assert isinstance(vote, Vote)
    assert {"hate": True} == vote.answers


def test_somebody_who_can_tell_nothing_casts_an_empty_vote() -> None:
    vote = vote_from(make_annotation(chose("none", unsure=["hate", "spam"])), make_policy())

    assert isinstance(vote, Vote)
    assert {} == vote.answers


def _part(**changed: Any) -> dict[str, Any]:
    return chose("hate")[0] | changed


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ([], "no answer to violations"),
        (chose(), "no answer to violations"),
        (chose(unsure=["hate"]), "no answer to violations"),
        (chose("NOT_A_LABEL"), "a label in violations that the policy does not have"),
        (chose("Hate"), "a label in violations that the policy does not have"),
        (chose("hate", unsure=["none"]), "a label in cannot_tell that the policy does not have"),
        (chose("hate", severity="5"), "severity is not one of 1 to 4"),
        (chose("none", severity="2"), "severity without a violation"),
        (chose("hate", "hate"), "a label twice in violations"),
        (chose("hate") + chose("spam"), "two answers to violations"),
        ([_part(from_name="other")], "does not ask"),
        ([_part(from_name=["violations"])], "does not ask"),
        ([_part(to_name="other")], "another form"),
        ([_part(type="labels")], "another form"),
        ([_part(value=None)], "another form"),
        ([_part(value={"choices": "hate"})], "another form"),
        ([_part(value={"choices": [{}]})], "another form"),
        ([{"unreadable": True}], "does not ask"),
    ],
)
def test_what_the_interface_cannot_produce_is_set_aside(result: Any, reason: str) -> None:
    verdict = vote_from(make_annotation(result), make_policy())

    assert isinstance(verdict, NotCounted)
    assert reason in verdict.reason
    assert "NOT_A_LABEL" not in verdict.reason


@pytest.mark.parametrize(
    ("result", "answers", "severity"),
    [
        (chose("none", "hate", severity="3"), {"hate": True, "spam": False}, 3),
        (chose("hate", "spam", unsure=["spam"], severity="3"), {"hate": True}, 3),
        (chose("hate", unsure=["hate"], severity="3"), {"spam": False}, None),
    ],
)
def test_a_slip_of_the_hand_loses_no_violation_and_invents_none(
    result: Any, answers: dict[str, bool], severity: int | None
) -> None:
    vote = vote_from(make_annotation(result), make_policy())

    assert isinstance(vote, Vote)
    assert (answers, severity) == (vote.answers, vote.severity)


WHY = {
    "from_name": "rationale",
    "to_name": "content",
    "type": "textarea",
    "value": {"text": ["because"]},
}


@pytest.mark.parametrize(
    ("result", "unasked"),
    [
        (chose("hate", severity="2"), {"ask_severity": False}),
        ([*chose("hate"), WHY], {"ask_rationale": False}),
    ],
)
def test_what_the_policy_does_not_ask_is_set_aside(result: Any, unasked: dict[str, Any]) -> None:
    verdict = vote_from(make_annotation(result), make_policy(**unasked))

    assert isinstance(verdict, NotCounted)
    assert "does not ask" in verdict.reason


def test_a_rationale_is_kept_and_does_not_change_the_vote() -> None:
    vote = vote_from(make_annotation([*chose("spam"), WHY]), make_policy())

    assert isinstance(vote, Vote)
    assert vote.answers["spam"]
