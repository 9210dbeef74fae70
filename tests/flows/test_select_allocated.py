"""Audits that go where they narrow a promise: what the ledger keeps, and how their labels count."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pytest
from sqlalchemy import Engine, text

from flows.measure import measure
from flows.select_batch import select_batch
from hitl.db import begin
from hitl.evaluation.store import Judged, read_audit, read_judged
from hitl.labels import resolve_entries
from hitl.policy import Policy
from hitl.recipe import Recipe, SelectionRecipe
from hitl.records import BatchId, EntryId, EntryState, ModelVersion
from tests.builders import NOON, add_items, make_policy
from tests.flows.test_measure import DAY, PRODUCTION
from tests.flows.worlds import RECIPE, fill, gold, measuring_side, text_of
from tests.labels.builders import annotate, move

pytestmark = pytest.mark.postgres


def recipe_with(floor: float, *, by: str = "") -> Recipe:
    return RECIPE.model_copy(
        update={
            "selection": SelectionRecipe(batch_size=80, audit_fraction=0.5, audit_floor=floor),
            "certify": RECIPE.certify.model_copy(update={"by": by}),
        }
    )


def select_and_answer(
    engine: Engine,
    policy: Policy,
    name: str,
    *,
    floor: float = 0.4,
    model: tuple[ModelVersion, Nowhere] | None = None,
) -> None:
    select_batch(
        engine,
        batch_id=BatchId(name),
        policy=policy,
        recipe=recipe_with(floor),
        seed=5,
        model=model,
    )
    with begin(engine) as tx:
        rows = tx.execute(
            text("SELECT entry_id, item_id FROM entries WHERE batch_id = :b"), {"b": name}
        ).all()
        ids = [EntryId(row.entry_id) for row in rows]
        move(tx, ids, EntryState.DISPATCHED)
        for row in rows:
            annotate(tx, EntryId(row.entry_id), gold(row.item_id))
        resolve_entries(tx, ids, policy)


def judged(engine: Engine, policy: Policy) -> Judged:
    with begin(engine) as tx:
        return read_judged(
            tx,
            policy=policy,
            audit=read_audit(tx, policy=policy),
            model_version=PRODUCTION,
            start=NOON - DAY,
            end=NOON + DAY,
        )


def test_the_ledger_keeps_each_chance_and_labels_count_by_it(engine: Engine) -> None:
    policy = fill(engine)
    select_and_answer(engine, policy, "b1")
    with begin(engine) as tx:
        rows = tx.execute(text("SELECT * FROM picks WHERE share = 'audit'")).all()
        draw = tx.execute(text("SELECT plan -> 'audit_draw' FROM batches")).scalar_one()
    chance = {row.item_id: row.inclusion_probability for row in rows}
    found = judged(engine, policy)

    everything = measuring_side([f"i{k}" for k in range(400)], engine)
    assert {"allocated"} == {row.strategy for row in rows}
    assert 40 == len(rows)
    assert draw["mean"] == pytest.approx(40 / len(everything))
    assert draw["least"] >= 0.4 * 40 / len(everything) - 1e-12
    assert min(chance.values()) >= draw["least"]
    assert len({round(one, 6) for one in chance.values()}) > 5  # they do differ
    expected = [chance[one] for one in found.item_ids.tolist()]
    assert found.inclusion_probability == pytest.approx(expected)
    assert found.largest_weight == pytest.approx(1 / draw["least"])
    assert found.least_chance == pytest.approx(np.full(40, draw["least"]))
    assert found.evenness == pytest.approx(draw["least"] / np.array(expected))
    weight = 1 / np.array(expected)
    assert found.variance_weight == pytest.approx(weight * (weight - 1))


def test_several_batches_give_the_figures_of_the_whole_side_on_average(engine: Engine) -> None:
    policy = fill(engine)
    for name in ("b1", "b2"):
        select_and_answer(engine, policy, name)
    found = judged(engine, policy)
    everything = measuring_side([f"i{k}" for k in range(400)], engine)
    spread = np.sqrt(found.variance_weight.sum())

    assert (1 / found.inclusion_probability).sum() == pytest.approx(len(everything), abs=4 * spread)
    assert (found.inclusion_probability > 0).all()
    report = measure(engine, policy=policy, start=NOON - DAY, end=NOON + DAY)
    [one] = [
        row
        for row in report.by_model[ModelVersion("production")]
        if (row.metric, row.category, row.slice_name, row.kind)
        == ("prevalence", "hate", "", "certified")
    ]
    assert one.low is not None
    assert one.high is not None
    truth = np.mean([gold(item)["hate"] for item in everything])
    assert one.low <= truth <= one.high


def test_where_nothing_is_known_of_the_items_the_audit_is_even(engine: Engine) -> None:
    policy = make_policy()
    with begin(engine) as tx:
        add_items(tx, {f"i{k}": text_of(f"i{k}") for k in range(400)})
    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=recipe_with(0.4), seed=5)
    with begin(engine) as tx:
        strategies = tx.execute(
            text("SELECT DISTINCT strategy FROM picks WHERE share = 'audit'")
        ).scalars()
        plan = tx.execute(text("SELECT plan FROM batches")).scalar_one()

        assert ["random"] == list(strategies)
    assert "audit_draw" not in plan


def test_what_was_given_back_was_drawn_with_so_much_less(engine: Engine) -> None:
    policy = fill(engine)
    select_and_answer(engine, policy, "b1")
    before = judged(engine, policy)
    with begin(engine) as tx:
        # As a newer version of the policy does with what still waits.
        tx.execute(text("ALTER TABLE entries DISABLE TRIGGER USER"))
        tx.execute(
            text("""
                UPDATE entries SET state = 'withdrawn' WHERE entry_id IN (
                    SELECT entry_id FROM entries JOIN picks USING (batch_id, item_id)
                    WHERE share = 'audit' ORDER BY entry_id LIMIT 10)
            """)
        )
        tx.execute(text("ALTER TABLE entries ENABLE TRIGGER USER"))
        [draw] = read_audit(tx, policy=policy).draws

    assert 0.75 == draw.kept
    assert draw.asked == 30
    assert draw.least == pytest.approx(0.75 / before.largest_weight)  # type: ignore[operator]


def test_each_slice_gets_its_part(engine: Engine) -> None:
    policy = fill(engine)
    with begin(engine) as tx:
        tx.execute(text("UPDATE items SET language = CASE WHEN item_id < 'i12' THEN 'pt' END"))
        languages = dict(tx.execute(text("SELECT item_id, language FROM items")).all())
    select_batch(
        engine,
        batch_id=BatchId("b1"),
        policy=policy,
        recipe=recipe_with(0.2, by="language"),
        seed=5,
    )
    with begin(engine) as tx:
        picked = tx.execute(text("SELECT item_id FROM picks WHERE share = 'audit'")).scalars().all()
    everything = measuring_side([f"i{k}" for k in range(400)], engine)

    def share(items: Collection[str]) -> float:
        return sum(languages[one] == "pt" for one in items) / len(items)

    assert share(picked) > 2 * share(everything)


class Nowhere:
    """An embedder to whom all texts are alike."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.zeros((len(texts), 2), dtype=np.float32)


def test_the_least_chance_of_what_the_preferred_model_flags_is_kept(engine: Engine) -> None:
    policy = fill(engine)
    model = (PRODUCTION, Nowhere())
    select_and_answer(engine, policy, "b1", model=model)
    found = judged(engine, policy)
    hate = policy.category_ids.index("hate")
    flagged = found.probabilities[:, hate] >= policy.category[hate].threshold

    with begin(engine) as tx:
        draw = tx.execute(text("SELECT plan -> 'audit_draw' FROM batches")).scalar_one()
    told = draw["flagged"]["hate"]
    assert policy.category[hate].threshold == told["from"]
    assert told["least"] > draw["least"]
    assert found.least_flagged[:, hate] == pytest.approx(np.full(len(found), told["least"]))
    assert (found.inclusion_probability[flagged] >= told["least"] - 1e-12).all()
    assert (found.evenness_flagged[flagged, hate] > found.evenness[flagged]).all()

    # A policy that flags from lower on cannot go by what was reckoned with a higher threshold.
    lower = tuple(one.model_copy(update={"threshold": 0.2}) for one in policy.category)
    with begin(engine) as tx:
        same = read_judged(
            tx, policy=policy.model_copy(update={"category": lower}),
            audit=read_audit(tx, policy=policy), model_version=PRODUCTION,
            start=NOON - DAY, end=NOON + DAY,
        )  # fmt: skip
    assert same.least_flagged == pytest.approx(np.tile(same.least_chance[:, None], (1, 2)))


def test_of_what_another_model_flags_the_least_chance_of_everything_counts(engine: Engine) -> None:
    policy = fill(engine)
    select_and_answer(engine, policy, "b1")
    found = judged(engine, policy)

    assert found.least_flagged == pytest.approx(np.tile(found.least_chance[:, None], (1, 2)))
