"""Who is a candidate, and that a batch is written once."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import Connection, insert, update

from hitl import selection
from hitl.db.schema import decisions, entries
from hitl.recipe import Recipe
from hitl.records import BatchId, ItemId, ModelVersion, Pick
from tests.builders import NOON, add_entries, add_items, add_policy, make_policy

pytestmark = pytest.mark.postgres


def add_decision(
    tx: Connection, item_id: str, hours: int = 0, model: str = "m1", **probabilities: float
) -> None:
    tx.execute(
        insert(decisions).values(
            item_id=item_id,
            model_version=model,
            decided_at=NOON + timedelta(hours=hours),
            probabilities=probabilities,
        )
    )


def test_the_newest_decision_counts_and_the_preferred_model_before_it(tx: Connection) -> None:
    policy = make_policy()
    add_items(tx, {"i1": "a", "i2": "b"})
    add_decision(tx, "i1", hours=0, model="old", hate=0.1)
    add_decision(tx, "i1", hours=2, model="old", hate=0.3)
    add_decision(tx, "i1", hours=1, model="champion", hate=0.7)
    add_decision(tx, "i2", hours=0, model="old", hate=0.4)

    by_newest = selection.read_candidates(tx, policy=policy, preferred=None)
    by_champion = selection.read_candidates(tx, policy=policy, preferred=ModelVersion("champion"))

    nan = float("nan")
    np.testing.assert_array_equal([[0.3, nan], [0.4, nan]], by_newest.probabilities)
    np.testing.assert_array_equal([[0.7, nan], [0.4, nan]], by_champion.probabilities)


def test_band_edges_are_inside_and_an_undecided_item_is_too(tx: Connection) -> None:
    policy = make_policy()  # both categories: review_from 0.3, block_from 0.8
    add_items(tx, {f"i{k}": "x" for k in range(6)})
    for item_id, p in (("i0", 0.3), ("i1", 0.8), ("i2", 0.29), ("i3", 0.81)):
        add_decision(tx, item_id, hate=p, spam=0.0)
    add_decision(tx, "i4", hate=0.0, spam=0.5)

    found = selection.read_candidates(tx, policy=policy, preferred=None)

    assert ["i0", "i1", "i4", "i5"] == found.item_ids[found.in_band].tolist()


def test_items_without_content_or_already_asked_are_no_candidates(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, {"open": "a", "done": "b", "withdrawn": "c", "free": "d", "bare": None})
    made = dict(
        zip(
            ("open", "done", "withdrawn"),
            add_entries(tx, ["open", "done", "withdrawn"], policy=policy),
            strict=True,
        )
    )
    for name, ways in {"done": ("dispatched", "done"), "withdrawn": ("withdrawn",)}.items():
        for state in ways:
            tx.execute(update(entries).where(entries.c.entry_id == made[name]).values(state=state))

    found = selection.read_candidates(tx, policy=policy, preferred=None)

    assert ["free", "withdrawn"] == found.item_ids.tolist()


def test_a_batch_is_reported_back_and_refused_under_another_seed(tx: Connection) -> None:
    policy, recipe = make_policy(), Recipe()
    add_items(tx, {"i1": "a", "i2": "b", "i3": "a!", "i4": "c"})
    selection.record_batch(
        tx,
        batch_id=BatchId("b1"),
        policy=policy,
        recipe=recipe,
        model_version=None,
        seed=3,
        plan={},
        size_wanted=2,
        read_at=NOON,
        chosen=[
            Pick(ItemId("i1"), "audit", "random", 0, 0.5),
            Pick(ItemId("i2"), "uncertain", "uncertain_diverse", 0, None),
        ],
        aside={ItemId("i3"): ItemId("i1")},
        training_pool_size=1,
        measuring_pool_size=2,
    )

    def find(batch_id: str, *, seed: int = 3, size: int = 2) -> selection.Batch | None:
        return selection.find_batch(
            tx, BatchId(batch_id), policy=policy, recipe=recipe, seed=seed, size_wanted=size
        )

    assert None is find("b2")
    assert selection.Batch(BatchId("b1"), {"audit": 1, "uncertain": 1}, 2, 1, 2, 1) == find("b1")
    left = selection.read_candidates(tx, policy=policy, preferred=None)
    assert ["i4"] == left.item_ids.tolist(), "what stood aside is not drawn again"
    with pytest.raises(selection.BatchExists, match="exists with another seed"):
        find("b1", seed=4)
    with pytest.raises(selection.BatchExists, match="exists with another size"):
        find("b1", size=5)


def test_texts_come_back_in_the_order_asked(tx: Connection) -> None:
    add_items(tx, {"i1": "first", "i2": "second", "i3": "third"})

    wanted = [ItemId("i3"), ItemId("i1")]

    assert ["third", "first"] == selection.texts_of(tx, wanted)
