"""What an edit of the policy costs: labels count for every version that asks the same question."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, text

from hitl.db import UnknownPolicy, keep_policy, list_policies
from hitl.policy import Policy
from hitl.records import EntryState
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.labels.builders import annotate, move

pytestmark = pytest.mark.postgres

FIRST = make_policy()


def edited(category: dict[str, Any] | None = None, **changed: Any) -> Policy:
    """The first policy with some words changed: of `hate`, or of the whole."""
    body = FIRST.model_dump(mode="json") | changed
    body["category"][0] |= category or {}
    return make_policy(**body)


@pytest.fixture
def labelled(tx: Connection) -> Connection:
    """Two items labelled for `hate` and `spam` under the first policy."""
    from hitl.labels import resolve_entries

    add_items(tx, {"i1": "a", "i2": "b"})
    entry_ids = add_entries(tx, ["i1", "i2"], policy=add_policy(tx, FIRST))
    move(tx, entry_ids, EntryState.DISPATCHED)
    for entry_id in entry_ids:
        annotate(tx, entry_id, {"hate": True, "spam": False})
    resolve_entries(tx, entry_ids, FIRST)
    return tx


def counting(tx: Connection, policy: Policy) -> dict[str, int]:
    """Labels by category that count for a policy once it is used."""
    keep_policy(tx, policy)
    rows = tx.execute(
        text(
            "SELECT category, count(*) FROM labels_by_policy WHERE for_policy_id = :policy_id "
            "GROUP BY category"
        ),
        {"policy_id": policy.policy_id},
    )
    return {row[0]: row[1] for row in rows}


_FREE = [
    edited({"threshold": 0.9, "review_from": 0.1, "block_from": 0.95}),
    edited({"hotkey": "x", "severity": 4, "title": "Hate speech"}),
    edited(votes_wanted=3, version="2", title="Rules"),
]


@pytest.mark.parametrize("policy", _FREE)
def test_what_asks_nothing_else_of_a_reviewer_costs_no_label(
    labelled: Connection, policy: Policy
) -> None:
    assert {"hate": 2, "spam": 2} == counting(labelled, policy)


def test_another_definition_costs_the_labels_of_its_category(labelled: Connection) -> None:
    assert {"spam": 2} == counting(labelled, edited({"definition": "Attacks a person."}))


def test_other_instructions_cost_every_label(labelled: Connection) -> None:
    assert {} == counting(labelled, edited(instructions="Think twice."))


def test_a_policy_that_continues_another_keeps_its_labels(labelled: Connection) -> None:
    mended = edited({"definition": "Attacks a group!"}, continues=FIRST.policy_id)
    later = edited({"definition": "Attacks any group!"}, continues=mended.policy_id)

    assert {"hate": 2, "spam": 2} == counting(labelled, mended)
    assert {"hate": 2, "spam": 2} == counting(labelled, later)


def test_a_policy_cannot_continue_what_was_never_used(labelled: Connection) -> None:
    with pytest.raises(UnknownPolicy, match="`hitl policies` lists those that it knows"):
        keep_policy(labelled, edited(continues="community@1-000000000000"))


def test_versions_are_listed_with_what_an_edit_would_leave_before_it_is_used(
    labelled: Connection,
) -> None:
    keep_policy(labelled, _FREE[0])
    other_name = edited(name="elsewhere")
    keep_policy(labelled, other_name)

    def listed(policy: Policy) -> list[tuple[str, int, int]]:
        return [
            (one.policy_id, one.labels, one.labels_counting)
            for one in list_policies(labelled, policy)
        ]

    def with_counting(count: int) -> list[tuple[str, int, int]]:
        return [(_FREE[0].policy_id, 0, 0), (FIRST.policy_id, 4, count)]

    assert with_counting(4) == listed(FIRST)
    assert with_counting(2) == listed(edited({"definition": "Attacks a person."}))
    assert with_counting(0) == listed(edited(instructions="Think twice."))
    continuing = edited(instructions="Think twice.", continues=FIRST.policy_id)
    assert with_counting(4) == listed(continuing)
    unknown = edited(instructions="Think twice.", continues="community@9-nothing")
    assert with_counting(0) == listed(unknown)
    assert [(other_name.policy_id, 0, 0)] == listed(other_name)
