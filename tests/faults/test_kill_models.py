"""Models under kill -9: the tables, the snapshot, the bundle, the card and the certificates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hitl import registry
from hitl.datasets import sides
from hitl.db import begin
from hitl.labels import resolve_entries
from hitl.policy import policy_from
from hitl.recipe import Recipe, recipe_from
from hitl.records import EntryState, Split
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
        obligation = {"precision": 0.6, "recall": 0.6, "confidence": 0.6}
        made = make_policy()
        self.policy = policy_from(
            made.model_dump(mode="json")
            | {
                "category": [
                    one.model_dump(mode="json") | {"obligation": obligation}
                    for one in made.category
                ]
            },
            where="test policy",
        )
        self.prepared = self._ground("prepared", recipe=make_recipe())
        texts = {f"i{k}": _words(k) for k in range(ITEMS)}
        audited, chosen = _by_side(texts)
        with databases.opened(self.prepared.database_url) as engine, begin(engine) as tx:
            add_policy(tx, self.policy)
            add_items(tx, texts)
            entries = add_entries(tx, audited, policy=self.policy, inclusion_probability=0.5)
            entries += add_entries(
                tx, chosen, policy=self.policy, batch_id="b2", recipe=make_recipe()
            )
            move(tx, entries, EntryState.DISPATCHED)
            for item_id, entry in zip([*audited, *chosen], entries, strict=True):
                k = int(item_id.removeprefix("i"))
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
    # Letters of its own: texts that differ in a number are near copies and share a side.
    own = "abcdefghij"[k // 10] + "klmnopqrst"[k % 10]
    return hate + (" buy this now " if k % 3 == 0 else " see you there ") + own


def _by_side(texts: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The items that measure, and those that train."""
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts.values()]
    on_side = sides(hashes, measuring_fraction=make_recipe().selection.measuring_fraction)
    audited = [one for one, side in zip(texts, on_side, strict=True) if side is Split.TEST]
    return audited, [one for one in texts if one not in audited]


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


def test_a_shadow_that_is_killed_anywhere_and_run_again_has_decided_the_same(
    loop: Loop, databases: Databases
) -> None:
    loop.go("freeze_snapshot")
    loop.go("train_challenger")

    tried = survives_kills("shadow", fresh=loop.fresh, databases=databases)

    assert tried >= 8


def test_a_promotion_that_is_killed_anywhere_and_run_again_promotes_once_and_writes_both_cards(
    loop: Loop, databases: Databases
) -> None:
    # By force: sixty items are too few for the gate to be sure of anything.
    forced: dict[str, Any] = {"force": True, "note": "a test"}
    loop.go("freeze_snapshot")
    loop.go("train_challenger")
    loop.go("promote_champion", approved_by="ana", **forced)
    loop.go("train_challenger", seed=2)

    def states_on_cards(ground: Ground) -> dict[str, bool]:
        """Of each model, whether its card says what the database says."""
        with databases.opened(ground.database_url) as engine, begin(engine) as tx:
            models = registry.list_versions(tx, loop.policy.name)
        pages = ground.state / "cards"
        return {
            one.state: f"| State | {one.state} |" in (pages / f"{one.model_version}.md").read_text()
            for one in models
        }

    tried = survives_kills(
        "promote_champion",
        fresh=loop.fresh,
        databases=databases,
        parameters={"approved_by": "ben", **forced},
        # Killed after the promotion, there is none that waits.
        refusal_when_done="NoChallenger",
        check=states_on_cards,
    )

    assert tried >= 20


def test_what_is_certified_and_decided_is_the_same_however_often_it_was_killed(
    loop: Loop, databases: Databases
) -> None:
    loop.go("freeze_snapshot")
    loop.go("train_challenger")
    loop.go("promote_champion", approved_by="ana", force=True, note="a test")
    loop.go("rescore")

    def killed(step: str) -> int:
        return survives_kills(
            step, fresh=lambda name: loop.fresh(f"{step}-{name}"), databases=databases, every=2
        )

    certified = killed("certify")
    loop.go("certify")

    assert certified >= 5
    assert killed("monitor") >= 4
    assert killed("watch_drift") >= 4
    assert killed("decide_retrain") >= 4
    assert killed("rescore") >= 5
