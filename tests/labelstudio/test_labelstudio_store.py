from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert

from hitl.db import schema
from hitl.db.versions import keep_policy
from hitl.labelstudio import pushes, store
from hitl.policy import Policy
from hitl.records import Stage
from tests.builders import NOON, add_entries, add_items, add_policy, make_policy

pytestmark = pytest.mark.postgres


def keep_project(tx: Connection, policy: Policy, project_id: int = 1) -> None:
    store.keep_project(
        tx, project_id=project_id, policy=policy, stage=Stage.REVIEW, interface_hash="x"
    )


def intend(tx: Connection, policy: Policy, **more: int) -> pushes.Push | None:
    asked = {"limit": 10, "max_characters": 10**6} | more
    return pushes.intend_push(
        tx, UUID(int=1), project_id=1, policy=policy, stage=Stage.REVIEW, **asked
    )


def test_every_version_of_a_policy_that_was_asked_is_found(tx: Connection) -> None:
    first, second, unasked = (make_policy(version=one) for one in "123")
    keep_project(tx, first, 1)
    keep_project(tx, second, 2)
    keep_policy(tx, unasked)

    found = store.asked_policies(tx, "community")

    assert [first.policy_id, second.policy_id] == [one.policy_id for one in found]


def test_an_entry_is_in_one_push_alone(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, {"a": "x"})
    add_entries(tx, ["a"], policy=policy)
    keep_project(tx, policy)

    first, second = intend(tx, policy), intend(tx, policy)

    assert first is not None
    assert ["a"] == [one.item_id for one in first.contents]
    assert second is None


def test_a_push_of_long_texts_is_cut_and_never_empty(tx: Connection) -> None:
    policy = add_policy(tx)
    texts = {"a": "x" * 60, "b": "x" * 60, "c": "x"}
    add_items(tx, texts)
    add_entries(tx, texts, policy=policy)
    keep_project(tx, policy)

    push = intend(tx, policy, max_characters=50)

    assert push is not None
    assert ["a"] == [one.item_id for one in push.contents]


def test_an_opinion_shown_is_the_newest_decision(tx: Connection) -> None:
    policy = add_policy(tx, make_policy(show_model_opinion=True))
    add_items(tx, {"a": "x", "b": "undecided"})
    for days, value in ((0, 0.2), (2, 0.9), (1, 0.5)):
        tx.execute(
            insert(schema.decisions).values(
                item_id="a",
                model_version="m",
                decided_at=NOON + timedelta(days=days),
                probabilities={"hate": value},
            )
        )
    add_entries(tx, ["a", "b"], policy=policy)
    keep_project(tx, policy)

    push = intend(tx, policy)

    assert push is not None
    assert [{"hate": 0.9}, None] == [one.opinion for one in push.contents]


def test_the_sweep_begins_at_the_oldest_task_that_is_open_or_freshly_closed(
    tx: Connection,
) -> None:
    policy = add_policy(tx)
    add_items(tx, {one: one for one in "abc"})
    entry_ids = add_entries(tx, "abc", policy=policy)
    keep_project(tx, policy)
    assert intend(tx, policy) is not None
    pushes.adopt(tx, UUID(int=1), Stage.REVIEW, {one: 10 + at for at, one in enumerate(entry_ids)})
    tx.execute(schema.entries.update().where(schema.entries.c.item_id != "c").values(state="done"))

    # The database's clock closed them; both bounds lie a day away from it.
    assert 12 == store.oldest_task_to_sweep(tx, 1, closed_within=-timedelta(days=1))
    assert 10 == store.oldest_task_to_sweep(tx, 1, closed_within=timedelta(days=1))
