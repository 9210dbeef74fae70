"""A batch: the audit share measures, the rest trains, and no group is on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from flows.select_batch import CannotSelect, seed_of, select_batch
from hitl.db import begin
from hitl.recipe import SelectionRecipe, ShareOfPlan
from hitl.records import BatchId, ModelVersion
from hitl.selection import BatchExists
from tests.builders import make_policy
from tests.flows.worlds import RECIPE, fill, measuring_side

pytestmark = pytest.mark.postgres

B1 = BatchId("b1")


class HashedWords:
    """An embedder that needs no training."""

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), 16), dtype=np.float32)
        for row, one in zip(rows, texts, strict=True):
            for word in one.split():
                row[sum(word.encode()) % 16] += 1.0
        return rows


def picks(engine: Engine) -> list[dict[str, object]]:
    with begin(engine) as tx:
        rows = tx.execute(text("SELECT * FROM picks ORDER BY batch_id, item_id"))
        return [dict(row._mapping) for row in rows]


def test_audits_lie_on_the_measuring_side_with_their_exact_chance(engine: Engine) -> None:
    policy = fill(engine)

    report = select_batch(engine, batch_id=B1, policy=policy, recipe=RECIPE, seed=1)

    made = picks(engine)
    audits = [one for one in made if one["share"] == "audit"]
    others = [one for one in made if one["share"] != "audit"]
    everything = measuring_side([f"i{k}" for k in range(400)], engine)
    assert {"audit": 48, "uncertain": 72} == report.picks_by_share
    assert {str(one["item_id"]) for one in audits} <= everything
    assert not {str(one["item_id"]) for one in others} & everything
    assert {48 / len(everything)} == {one["inclusion_probability"] for one in audits}
    assert {None} == {one["inclusion_probability"] for one in others}


def test_the_same_batch_id_twice_is_one_batch(engine: Engine) -> None:
    policy = fill(engine)
    first = select_batch(engine, batch_id=B1, policy=policy, recipe=RECIPE, seed=1)
    before = picks(engine)

    again = select_batch(engine, batch_id=B1, policy=policy, recipe=RECIPE, seed=1)

    assert first.is_new
    assert not again.is_new
    assert first.picks_by_share == again.picks_by_share
    assert before == picks(engine)
    with pytest.raises(BatchExists, match="another seed"):
        select_batch(engine, batch_id=B1, policy=policy, recipe=RECIPE, seed=2)


def test_a_second_batch_asks_about_other_items(engine: Engine) -> None:
    policy = fill(engine)
    for name in ("b1", "b2"):
        select_batch(
            engine, batch_id=BatchId(name), policy=policy, recipe=RECIPE, seed=seed_of(name)
        )

    asked = [one["item_id"] for one in picks(engine)]

    assert len(asked) == len(set(asked))


def test_an_empty_pool_gives_an_empty_batch(engine: Engine) -> None:
    report = select_batch(engine, batch_id=B1, policy=make_policy(), recipe=RECIPE, seed=1)

    assert 0 == report.picks


def test_with_a_model_the_batch_spreads_over_its_embedding(engine: Engine) -> None:
    policy = fill(engine)

    select_batch(
        engine,
        batch_id=B1,
        policy=policy,
        recipe=RECIPE,
        seed=1,
        model=(ModelVersion("m"), HashedWords()),
    )

    with begin(engine) as tx:
        assert "m" == tx.execute(text("SELECT model_version FROM batches")).scalar_one()
    assert 120 == len(picks(engine))


def test_a_shortlist_keeps_the_least_certain(engine: Engine) -> None:
    policy = fill(engine)
    recipe = RECIPE.model_copy(
        update={
            "selection": SelectionRecipe(batch_size=60, audit_fraction=0.05, candidates_limit=100)
        }
    )

    report = select_batch(engine, batch_id=B1, policy=policy, recipe=recipe, seed=1)

    assert {"audit": 3, "uncertain": 57} == report.picks_by_share


def test_an_unknown_strategy_is_refused_by_name_and_nothing_is_written(engine: Engine) -> None:
    policy = fill(engine)
    recipe = RECIPE.model_copy(
        update={
            "selection": SelectionRecipe(
                shares=(ShareOfPlan(name="odd", strategy="tarot", fraction=1.0),)
            )
        }
    )

    with pytest.raises(CannotSelect, match="tarot"):
        select_batch(engine, batch_id=B1, policy=policy, recipe=recipe, seed=1)

    assert [] == picks(engine)


def test_the_seed_follows_from_the_batch_id_and_fits_the_column() -> None:
    seeds = [seed_of(f"b-{k}") for k in range(1000)]

    assert seed_of("b-1") == seeds[1]
    assert 1000 == len(set(seeds))
    assert all(0 <= seed < 2**62 for seed in seeds)
