"""Policies and recipes as rows: kept once, before anything refers to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, select, text
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
    continued = _continued(tx, policy)
    if policy.continues is not None and not continued:
        raise UnknownPolicy(policy.policy_id, policy.continues)
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
            for category, meaning in (policy.meanings | continued).items()
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
    return {row.category: row.meaning for row in rows if row.category in policy.meanings}


_VERSIONS = """
    SELECT p.policy_id, p.version, p.created_at, count(l.label_id) AS labels,
           count(l.label_id) FILTER (WHERE CAST(:asked AS jsonb) ->> l.category = c.meaning)
               AS labels_counting
    FROM policies p
    LEFT JOIN current_labels l USING (policy_id)
    LEFT JOIN policy_categories c ON c.policy_id = l.policy_id AND c.category = l.category
    WHERE p.name = :name
    GROUP BY p.policy_id, p.version, p.created_at ORDER BY p.created_at DESC, p.policy_id
"""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy as it was used here: its current labels, and how many still count for another."""

    policy_id: str
    version: str
    first_used: datetime
    labels: int
    labels_counting: int


def list_policies(tx: Connection, policy: PolicyToKeep) -> list[PolicyVersion]:
    """Every version of this name that was used here, newest first.

    `labels_counting` is for `policy` as it is written now, used already or not: what an edit
    costs can be read before it is used. A `continues` that names no version here adds nothing.
    """
    asked = policy.meanings | _continued(tx, policy)
    rows = tx.execute(text(_VERSIONS), {"name": policy.name, "asked": json.dumps(asked)})
    return [PolicyVersion(*row) for row in rows]


def keep_recipe(tx: Connection, recipe: RecipeToKeep) -> None:
    """Store the recipe unless it is there; as for a policy."""
    tx.execute(
        insert(recipes)
        .values(recipe_id=recipe.recipe_id, body=recipe.model_dump(mode="json"))
        .on_conflict_do_nothing()
    )
