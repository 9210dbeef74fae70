"""Flows 5, 6 and 7 under kill -9: the tables, the snapshot, the bundle and the model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hitl import registry
from hitl.db import begin
from hitl.labels import resolve_entries
from hitl.recipe import Recipe, recipe_from
from hitl.records import EntryState
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.faults.databases import Databases
from tests.faults.trial import Ground, survives_kills
from tests.labels.builders import annotate, move

pytestmark = pytest.mark.postgres

ITEMS = 60
# The tasks that the answers came by, so that the accounts balance.
_TASKS = (
    "INSERT INTO labelling_projects (project_id, policy_id, stage, interface_hash)"
    " VALUES (1, :policy_id, 'review', 'x')",
    "INSERT INTO pushes (push_id, project_id, confirmed_at)"
    " SELECT gen_random_uuid(), project_id, now() FROM labelling_projects",
    "INSERT INTO tasks (entry_id, stage, push_id, project_id, task_id)"
    " SELECT entry_id, 'review', push_id, project_id, entry_id FROM entries, pushes",
)


def make_recipe(seed: int = 1) -> Recipe:
    body = {
        "training": {"min_labels": 10, "folds": 2, "embedding_dimensions": 4, "seed": seed},
        "gate": {"resamples": 100},
    }
    return recipe_from(body, where="test recipe")


class Loop:
    """A database as far as the loop has come, and the state folder that its rows point into."""

    def __init__(self, databases: Databases, folder: Path) -> None:
        self._databases = databases
        self._folder = folder
        self.policy = make_policy()
        self.prepared = self._ground("prepared", recipe=make_recipe())
        texts = {f"i{k}": f"{_words(k)} {k}" for k in range(ITEMS)}
        with databases.opened(self.prepared.database_url) as engine, begin(engine) as tx:
            add_policy(tx, self.policy)
            add_items(tx, texts)
            entries = add_entries(tx, texts, policy=self.policy, inclusion_probability=0.5)
            move(tx, entries, EntryState.DISPATCHED)
            for k, entry in enumerate(entries):
                annotate(tx, entry, {"hate": k % 2 == 0, "spam": k % 3 == 0})
            resolve_entries(tx, entries, self.policy)
            for statement in _TASKS:
                tx.execute(text(statement), {"policy_id": self.policy.policy_id})

    def go(self, step: str, *, seed: int = 1, **parameters: Any) -> None:
        """Take the prepared loop one step on."""
        self.prepared.recipe = make_recipe(seed)
        done = self.prepared.run(step, **parameters)
        assert done.error is None, done.trace

    def fresh(self, name: str) -> Ground:
        """A copy of the database, and an empty state folder for what is written now."""
        recipe = self.prepared.recipe
        return self._ground(name, recipe=recipe, like=self.prepared.database_url)

    def _ground(self, name: str, *, recipe: Recipe, like: str | None = None) -> Ground:
        state = self._folder / name
        state.mkdir()
        return Ground(self._databases.make(like=like), state, self.policy, recipe)


def _words(k: int) -> str:
    hate = "go away you lot" if k % 2 == 0 else "have a good day"
    return hate + (" buy this now" if k % 3 == 0 else " see you there")


@pytest.fixture
def loop(databases: Databases, tmp_path: Path) -> Loop:
    return Loop(databases, tmp_path)


def test_a_freeze_that_is_killed_anywhere_and_run_again_leaves_one_and_the_same_snapshot(
    loop: Loop, databases: Databases
) -> None:
    tried = survives_kills("freeze_snapshot", fresh=loop.fresh, databases=databases)

    assert tried >= 20


def test_a_training_that_is_killed_anywhere_and_run_again_gives_the_same_challenger(
    loop: Loop, databases: Databases
) -> None:
    loop.go("freeze_snapshot")

    tried = survives_kills("train_challenger", fresh=loop.fresh, databases=databases)

    assert tried >= 20


def test_a_promotion_that_is_killed_anywhere_and_run_again_promotes_once_and_writes_the_card(
    loop: Loop, databases: Databases
) -> None:
    # By force: sixty items are too few for the gate to be sure of anything.
    forced: dict[str, Any] = {"force": True, "note": "a test"}
    loop.go("freeze_snapshot")
    loop.go("train_challenger")
    loop.go("promote_champion", approved_by="ana", **forced)
    loop.go("train_challenger", seed=2)

    def card_of_the_champion(ground: Ground) -> bool:
        with databases.opened(ground.database_url) as engine, begin(engine) as tx:
            champion = registry.champion(tx, loop.policy.name)
        assert champion is not None
        return (ground.state / "cards" / f"{champion.model_version}.md").exists()

    tried = survives_kills(
        "promote_champion",
        fresh=loop.fresh,
        databases=databases,
        parameters={"approved_by": "ben", **forced},
        # Killed after the promotion, there is none that waits.
        refusal_when_done="NoChallenger",
        check=card_of_the_champion,
    )

    assert tried >= 20
