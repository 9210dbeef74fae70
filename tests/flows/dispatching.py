"""Entries that wait, dispatched to a fake Label Studio; and whether both sides' books agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Engine, select

from flows.dispatch_batch import DispatchReport, dispatch_batch
from hitl.db import schema
from hitl.policy import Policy
from hitl.recipe import DispatchRecipe, Recipe
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.labelstudio.fake import FakeLabelStudio

SMALL = Recipe(dispatch=DispatchRecipe(window=6, tasks_per_push=2))


def wait(engine: Engine, count: int, *, policy: Policy | None = None, **more: Any) -> Policy:
    """So many waiting entries, i0 the most urgent."""
    policy = policy or make_policy()
    texts = more.pop("texts", {f"i{n}": f"text {n}" for n in range(count)})
    with engine.begin() as tx:
        add_policy(tx, policy)
        add_items(tx, texts)
        add_entries(tx, texts, policy=policy, **more)
    return policy


def dispatch(
    engine: Engine, server: FakeLabelStudio, policy: Policy, recipe: Recipe = SMALL, **more: Any
) -> DispatchReport:
    more.setdefault("sleep", lambda _: None)
    return dispatch_batch(engine, server, policy, recipe, **more)


def states(engine: Engine) -> Counter[str]:
    with engine.begin() as tx:
        return Counter(tx.execute(select(schema.entries.c.state)).scalars())


def books_agree(engine: Engine, server: FakeLabelStudio) -> bool:
    """Every task here is one there, about the same entry, and there is no other."""
    with engine.begin() as tx:
        rows = tx.execute(select(schema.tasks.c.task_id, schema.tasks.c.entry_id)).all()
    here = {row.task_id: row.entry_id for row in rows}
    there = {one.task_id: one.data["entry_id"] for one in server.held.values()}
    return here == there and len(set(there.values())) == len(there)
