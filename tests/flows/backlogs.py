"""A backlog over the small world, and reviewers who answer what was drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Engine, text

from flows.certify_backlog import CertifiedLook, certify_backlog
from flows.look_at_backlog import LookReport, look_at_backlog
from flows.open_backlog import OpenReport, open_backlog
from hitl.db import begin
from hitl.evaluation.backlogs import Rule
from hitl.labels import resolve_entries
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import EntryId, EntryState
from tests.flows.worlds import RECIPE, gold
from tests.labels.builders import annotate, move

NAME = "june"


def open_one(engine: Engine, policy: Policy, *, recipe: Recipe = RECIPE, **more: Any) -> OpenReport:
    given = {
        "name": NAME, "category": "hate", "at_least": 0.9, "confidence": 0.95, "rule": Rule(),
    } | more  # fmt: skip
    return open_backlog(engine, policy=policy, recipe=recipe, **given)


def look(engine: Engine, policy: Policy, **more: Any) -> LookReport:
    given = {"name": NAME, "recipe": RECIPE} | more
    return look_at_backlog(engine, policy=policy, **given)


def certify(engine: Engine, **more: Any) -> CertifiedLook:
    return certify_backlog(engine, name=NAME, **more)


def answer_waiting(
    engine: Engine,
    policy: Policy,
    *,
    but: Collection[str] = (),
    answer: Callable[[str], dict[str, bool]] = gold,
) -> list[str]:
    """A careful reviewer answers all that waits, but for these items. Which were answered."""
    with begin(engine) as tx:
        rows = [
            row
            for row in tx.execute(
                text(
                    "SELECT entry_id, item_id FROM entries WHERE state = 'waiting' ORDER BY turn_at"
                )
            )
            if row.item_id not in but
        ]
        entry_ids = [EntryId(row.entry_id) for row in rows]
        move(tx, entry_ids, EntryState.DISPATCHED)
        for row in rows:
            annotate(tx, EntryId(row.entry_id), answer(row.item_id))
        resolve_entries(tx, entry_ids, policy)
    return [row.item_id for row in rows]


def drawn_of(engine: Engine, number: int = 1) -> list[str]:
    """The items of a look, in the order drawn."""
    with begin(engine) as tx:
        found = tx.execute(
            text("SELECT item_id FROM backlog_draws WHERE look = :look ORDER BY rank"),
            {"look": number},
        )
        return list(found.scalars())


def set_state(engine: Engine, item_id: str, *states: str) -> None:
    """Move an item's newest entry through these states."""
    for state in states:
        with begin(engine) as tx:
            tx.execute(
                text(
                    "UPDATE entries SET state = :state WHERE entry_id = ("
                    "SELECT max(entry_id) FROM entries WHERE item_id = :item_id)"
                ),
                {"state": state, "item_id": item_id},
            )
