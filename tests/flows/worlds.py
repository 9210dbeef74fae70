"""A small labelled world, made of rows: enough to train, judge and measure without any server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
from sqlalchemy import Engine, insert

from flows.select_batch import select_batch
from hitl import datasets
from hitl.db import begin, schema
from hitl.labels import resolve_entries
from hitl.policy import Policy
from hitl.recipe import GateRecipe, Recipe, SelectionRecipe, TrainingRecipe
from hitl.records import BatchId, EntryId, EntryState
from tests.builders import NOON, add_items, make_policy
from tests.labels.builders import annotate, move

RECIPE = Recipe(
    # Even audits: their chances can be told by hand.
    selection=SelectionRecipe(batch_size=120, audit_fraction=0.4, audit_floor=1.0),
    training=TrainingRecipe(min_labels=20, embedding_dimensions=8, folds=3),
    gate=GateRecipe(margin=0.3, min_test_items=20, min_category_positives=5),
)

_INNOCENT = [
    "walk",
    "garden",
    "music",
    "evening",
    "recipe",
    "train",
    "window",
    "river",
    "paint",
    "letter",
]
_WORDS = {
    "hate": ["grolk", "sneer", "vermin", "outcast"],
    "spam": ["prize", "click", "bonus", "winner"],
}


def gold(item_id: str) -> dict[str, bool]:
    """What a careful reviewer says of an item of this world."""
    number = int(item_id.removeprefix("i"))
    return {"hate": number % 5 == 0, "spam": number % 7 == 0}


def text_of(item_id: str) -> str:
    """Innocent words, and a few telling ones where a rule is broken."""
    rng = np.random.default_rng(int(item_id.removeprefix("i")))
    words = list(rng.choice(_INNOCENT, size=6))
    for category, is_broken in gold(item_id).items():
        if is_broken:
            words += list(rng.choice(_WORDS[category], size=3))
    return " ".join(rng.permutation(words)) + f" {item_id}"


def fill(engine: Engine, *, items: int = 400) -> Policy:
    """Items with a production model's vague decisions."""
    policy = make_policy()
    ids = [f"i{k}" for k in range(items)]
    rng = np.random.default_rng(1)
    with begin(engine) as tx:
        add_items(tx, {one: text_of(one) for one in ids})
        tx.execute(
            insert(schema.decisions),
            [
                {
                    "item_id": one,
                    "model_version": "production",
                    "decided_at": NOON + timedelta(seconds=k),
                    "probabilities": {
                        category: round(float(0.3 + 0.2 * is_broken + 0.3 * rng.random()), 6)
                        for category, is_broken in gold(one).items()
                    },
                }
                for k, one in enumerate(ids)
            ],
        )
    return policy


def label_batch(
    engine: Engine,
    policy: Policy,
    *,
    batch_id: str,
    seed: int = 1,
    answer: Callable[[str], dict[str, bool]] = gold,
) -> int:
    """Choose a batch by the real flow and let a reviewer answer all of it, carefully by default."""
    select_batch(
        engine, batch_id=BatchId(batch_id), policy=policy, recipe=RECIPE, seed=seed, model=None
    )
    with begin(engine) as tx:
        rows = tx.execute(
            schema.entries.select().where(schema.entries.c.batch_id == batch_id)
        ).all()
        entry_ids = [EntryId(row.entry_id) for row in rows]
        move(tx, entry_ids, EntryState.DISPATCHED)
        for row in rows:
            annotate(tx, EntryId(row.entry_id), answer(row.item_id))
        resolve_entries(tx, entry_ids, policy)
    return len(rows)


def measuring_side(item_ids: list[str], engine: Engine) -> set[str]:
    """Those of the items whose group is never trained on."""
    with begin(engine) as tx:
        groups = {
            row.item_id: row.group_id or row.content_hash
            for row in tx.execute(schema.items.select())
        }
    sides = datasets.sides(
        [groups[one] for one in item_ids],
        measuring_fraction=RECIPE.selection.measuring_fraction,
    )
    return {one for one, side in zip(item_ids, sides, strict=True) if side.value == "test"}
