"""Policies and recipes as rows: kept once, before anything refers to them."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from hitl.db.schema import policies, policy_categories, recipes
from hitl.errors import Refused


class PolicyToKeep(Protocol):
    """What a row of `policies` is made of. A policy has it; this floor does not import one."""

    @property
    def policy_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def continues(self) -> str | None: ...
    @property
    def meanings(self) -> dict[str, str]: ...
    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


class RecipeToKeep(Protocol):
    """What a row of `recipes` is made of."""

    @property
    def recipe_id(self) -> str: ...
    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


class UnknownPolicy(Refused):
    """A policy says that it continues one that was never used here."""

    def __init__(self, policy_id: str, continues: str) -> None:
        super().__init__(
            f"policy {policy_id} continues {continues}, which this database does not know; "
            "`hitl policies` lists those that it knows, or leave `continues` out"
        )
        self.policy_id = policy_id
        self.continues = continues


def keep_policy(tx: Connection, policy: PolicyToKeep) -> None:
    """Store the policy and what it asks, unless it is there.

    Its id changes with its body, so a row never differs from its policy.

    Raises:
        UnknownPolicy: `continues` names no policy of this name here.
    """
    known = select(policies.c.policy_id).where(policies.c.policy_id == policy.policy_id)
    if tx.execute(known).one_or_none() is not None:
        return
    meanings = policy.meanings | _continued(tx, policy)
    kept = tx.execute(
        insert(policies)
        .values(
            policy_id=policy.policy_id,
            name=policy.name,
            version=policy.version,
            body=policy.model_dump(mode="json"),
        )
        .on_conflict_do_nothing()
    )
    if kept.rowcount:
        rows = [
            {"policy_id": policy.policy_id, "category": category, "meaning": meaning}
            for category, meaning in meanings.items()
        ]
        tx.execute(insert(policy_categories), rows)


def _continued(tx: Connection, policy: PolicyToKeep) -> dict[str, str]:
    if policy.continues is None:
        return {}
    rows = tx.execute(
        select(policy_categories.c.category, policy_categories.c.meaning)
        .join(policies, policies.c.policy_id == policy_categories.c.policy_id)
        .where(policies.c.policy_id == policy.continues, policies.c.name == policy.name)
    ).all()
    if not rows:
        raise UnknownPolicy(policy.policy_id, policy.continues)
    return {row.category: row.meaning for row in rows if row.category in policy.meanings}


def keep_recipe(tx: Connection, recipe: RecipeToKeep) -> None:
    """Store the recipe unless it is there; as for a policy."""
    tx.execute(
        insert(recipes)
        .values(recipe_id=recipe.recipe_id, body=recipe.model_dump(mode="json"))
        .on_conflict_do_nothing()
    )
