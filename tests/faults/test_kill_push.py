"""A push under kill -9: sent again with its key, it comes out as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flows.push_decisions import push_decisions
from flows.wiring import open_world
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.settings import Settings
from hitl.web import Push
from tests.builders import make_policy
from tests.faults.databases import Databases
from tests.faults.killing import Outcome, run
from tests.faults.trial import Ground, survives_kills

pytestmark = pytest.mark.postgres


def push_once(*, database_url: str, state: Path, policy: Policy, rows: list[Any]) -> None:
    """What the route does with a body, in a process of its own."""
    settings = Settings(state=state, database_url=SecretStr(database_url), log_level="ERROR")
    with open_world(settings, policy=policy, recipe=Recipe()) as world:
        push_decisions(
            world.engine,
            Push("ranker", "k1", "hash of the body", rows),
            recipe=world.recipe,
            categories=policy.category_ids,
        )


class Pushing(Ground):
    """A ground on which a push takes place, whatever the step is called."""

    def run(self, name: str, **parameters: Any) -> Outcome:
        return run(
            push_once,
            database_url=self.database_url,
            state=self.state,
            policy=self.policy,
            **parameters,
        )


def test_a_push_that_is_killed_anywhere_and_sent_again_leaves_the_same_tables(
    databases: Databases, tmp_path: Path
) -> None:
    def row(number: int, **changed: Any) -> dict[str, Any]:
        return {
            "item_id": f"i{number}",
            "model_version": "m1",
            "decided_at": "2026-06-01T12:00:00Z",
            "action": "review",
            "probabilities": {"hate": number / 50},
            "text": f"what somebody wrote, number {number}",
        } | changed

    rows = [row(number) for number in range(40)]
    rows += [row(3, action="block"), row(4, text="another text"), row(50, decided_at="some day")]
    rows = json.loads(json.dumps(rows))

    def fresh(name: str) -> Ground:
        state = tmp_path / name
        state.mkdir()
        return Pushing(databases.make(), state, make_policy(), Recipe())

    tried = survives_kills(
        "push_decisions", fresh=fresh, databases=databases, parameters={"rows": rows}
    )

    assert tried >= 20
