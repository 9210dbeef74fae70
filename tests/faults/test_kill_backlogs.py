"""Backlogs under kill -9: opened, looked at and certified once, with the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hitl.db import begin
from hitl.evaluation.backlogs import Rule
from hitl.labels import resolve_entries
from hitl.recipe import Recipe, recipe_from
from hitl.records import EntryId, EntryState
from tests.builders import add_items, add_policy, make_policy
from tests.faults.databases import Databases
from tests.faults.trial import Ground, survives_kills
from tests.labels.builders import annotate, move

pytestmark = pytest.mark.postgres

OPENED: dict[str, Any] = {
    "backlog": "june", "category": "any", "at_least": 0.9, "confidence": 0.95, "rule": Rule(),
}  # fmt: skip
_TASKS = (
    "INSERT INTO labelling_projects (project_id, policy_id, stage, interface_hash)"
    " SELECT 1, policy_id, 'review', 'x' FROM policies",
    "INSERT INTO pushes (push_id, project_id, confirmed_at)"
    " SELECT gen_random_uuid(), project_id, now() FROM labelling_projects",
    "INSERT INTO tasks (entry_id, stage, push_id, project_id, task_id)"
    " SELECT entry_id, 'review', push_id, project_id, entry_id FROM entries, pushes",
)


def make_recipe() -> Recipe:
    return recipe_from({"selection": {"batch_size": 20}}, where="test recipe")


def test_a_backlog_comes_out_the_same_however_often_its_steps_are_killed(
    databases: Databases, tmp_path: Path
) -> None:
    policy, recipe = make_policy(), make_recipe()

    def ground(name: str, *, like: str | None = None) -> Ground:
        state = tmp_path / name
        state.mkdir()
        return Ground(databases.make(like=like), state, policy, recipe)

    prepared = ground("prepared")
    with databases.opened(prepared.database_url) as engine, begin(engine) as tx:
        add_policy(tx, policy)
        add_items(tx, {f"i{k}": f"something, number {k}" for k in range(60)})

    def killed(step: str, **parameters: Any) -> int:
        tried = survives_kills(
            step,
            fresh=lambda name: ground(f"{step}-{name}", like=prepared.database_url),
            databases=databases,
            parameters=parameters,
        )
        done = prepared.run(step, **parameters)
        assert done.error is None, done.trace
        return tried

    assert killed("open_backlog", **OPENED) >= 10
    assert killed("look_at_backlog", backlog="june", draw=25) >= 20
    with databases.opened(prepared.database_url) as engine, begin(engine) as tx:
        entries = [
            EntryId(one) for one in tx.execute(text("SELECT entry_id FROM entries")).scalars()
        ]
        assert 25 == len(entries)
        move(tx, entries, EntryState.DISPATCHED)
        for k, entry in enumerate(entries):
            annotate(tx, entry, {"hate": k % 5 == 0, "spam": False})
        resolve_entries(tx, entries, policy)
        for statement in _TASKS:
            tx.execute(text(statement))
    assert killed("certify_backlog", backlog="june") >= 10
