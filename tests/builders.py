"""Builders that give every field a dull default, so that a test names only what matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert

from hitl.db import schema
from hitl.db.versions import keep_policy, keep_recipe
from hitl.policy import Policy, policy_from
from hitl.recipe import Recipe
from hitl.records import EntryId

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def make_policy(**changed: Any) -> Policy:
    """A policy of two categories, `hate` (h) and `spam` (s)."""
    body: dict[str, Any] = {
        "name": "community",
        "version": "1",
        "title": "Community rules",
        "category": [
            {"id": "hate", "title": "Hate", "definition": "Attacks a group.", "hotkey": "h"},
            {"id": "spam", "title": "Spam", "definition": "Unwanted selling.", "hotkey": "s"},
        ],
    }
    return policy_from(body | changed, where="test policy")


def add_policy(tx: Connection, policy: Policy | None = None) -> Policy:
    """Store a policy row and give the policy back."""
    policy = policy or make_policy()
    keep_policy(tx, policy)
    return policy


def add_recipe(tx: Connection, recipe: Recipe | None = None) -> Recipe:
    """Store a recipe row and give the recipe back."""
    recipe = recipe or Recipe()
    keep_recipe(tx, recipe)
    return recipe


def add_items(tx: Connection, texts: Mapping[str, str | None], **fields: Any) -> None:
    """Store items by id and text."""
    import hashlib

    tx.execute(
        insert(schema.items),
        [
            {
                "item_id": item_id,
                "text": body,
                "content_hash": body and hashlib.sha256(body.encode()).hexdigest(),
                "content_at": None if body is None else NOON,
                "language": "en",
                "surface": "posts",
                "created_at": NOON,
            }
            | fields
            for item_id, body in texts.items()
        ],
    )


def add_entries(
    tx: Connection,
    item_ids: Iterable[str],
    *,
    policy: Policy,
    batch_id: str = "b1",
    recipe: Recipe | None = None,
    inclusion_probability: float | None = None,
    votes_wanted: int | None = None,
) -> list[EntryId]:
    """Store a batch with one pick and one waiting entry an item (the items must exist).

    With a probability the picks are audits, without one they are chosen ones.
    """
    recipe = add_recipe(tx, recipe)
    tx.execute(
        insert(schema.batches).values(
            batch_id=batch_id,
            policy_id=policy.policy_id,
            recipe_id=recipe.recipe_id,
            seed=1,
            plan={},
            size_wanted=100,
            read_at=NOON,
            training_pool_size=100,
            measuring_pool_size=100,
        )
    )
    made = []
    for rank, item_id in enumerate(item_ids):
        tx.execute(
            insert(schema.picks).values(
                batch_id=batch_id,
                item_id=item_id,
                share="uncertain" if inclusion_probability is None else "audit",
                strategy="uncertain_diverse" if inclusion_probability is None else "random",
                rank=rank,
                inclusion_probability=inclusion_probability,
            )
        )
        made.append(
            tx.execute(
                insert(schema.entries)
                .values(
                    item_id=item_id,
                    batch_id=batch_id,
                    policy_id=policy.policy_id,
                    priority=float(-rank),
                    votes_wanted=votes_wanted or policy.votes_wanted,
                )
                .returning(schema.entries.c.entry_id)
            ).scalar_one()
        )
    return [EntryId(one) for one in made]
