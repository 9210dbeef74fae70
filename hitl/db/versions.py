"""Policies and recipes as rows: kept once, before anything refers to them."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from hitl.db.schema import policies, recipes


class PolicyToKeep(Protocol):
    """What a row of `policies` is made of. A policy has it; this floor does not import one."""

    @property
    def policy_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


class RecipeToKeep(Protocol):
    """What a row of `recipes` is made of."""

    @property
    def recipe_id(self) -> str: ...
    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


def keep_policy(tx: Connection, policy: PolicyToKeep) -> None:
    """Store the policy unless it is there. Its id changes with its body, so it never differs."""
    tx.execute(
        insert(policies)
        .values(
            policy_id=policy.policy_id,
            name=policy.name,
            version=policy.version,
            body=policy.model_dump(mode="json"),
        )
        .on_conflict_do_nothing()
    )


def keep_recipe(tx: Connection, recipe: RecipeToKeep) -> None:
    """Store the recipe unless it is there; as for a policy."""
    tx.execute(
        insert(recipes)
        .values(recipe_id=recipe.recipe_id, body=recipe.model_dump(mode="json"))
        .on_conflict_do_nothing()
    )
