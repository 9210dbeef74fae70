"""A batch: the audit share measures, the rest trains, and no group is on both sides."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from flows.select_batch import CannotSelect, NothingToAsk, QueueFull, seed_of, select_batch
from hitl.db import begin
from hitl.evaluation.store import read_audit
from hitl.policy import policy_from
from hitl.recipe import Lane, LaneMatch, QueueRecipe, Recipe, SelectionRecipe, ShareOfPlan
from hitl.records import BatchId, ModelVersion
from hitl.selection import BatchExists
from tests.builders import make_policy
from tests.flows.worlds import RECIPE, fill, gold, label_batch, measuring_side

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


def recipe_with(**selection: Any) -> Recipe:
    return RECIPE.model_copy(update={"selection": SelectionRecipe(**selection)})


def test_with_nothing_left_to_ask_no_batch_is_made(engine: Engine) -> None:
    with pytest.raises(NothingToAsk, match="`hitl ingest`"):
        select_batch(engine, batch_id=B1, policy=make_policy(), recipe=RECIPE, seed=1)

    with begin(engine) as tx:
        assert 0 == tx.execute(text("SELECT count(*) FROM batches")).scalar_one()


def test_with_a_model_the_batch_spreads_over_its_embedding(engine: Engine) -> None:
    policy = fill(engine)

    class AllAlike(HashedWords):
        def embed(self, texts: list[str]) -> NDArray[np.float32]:
            return np.ones((len(texts), 16), dtype=np.float32)

    def chosen(name: str, embedder: HashedWords) -> set[object]:
        select_batch(
            engine,
            batch_id=BatchId(name),
            policy=policy,
            recipe=recipe_with(batch_size=40, waiting_limit=10_000),
            seed=1,
            model=(ModelVersion("m"), embedder),
        )
        found = {one["item_id"] for one in picks(engine) if one["share"] == "uncertain"}
        with begin(engine) as tx:
            tx.execute(text("UPDATE entries SET state = 'withdrawn' WHERE state = 'waiting'"))
        return found

    spread = chosen("b1", HashedWords())
    alike = chosen("b2", AllAlike()) - spread

    with begin(engine) as tx:
        assert {"m"} == set(tx.execute(text("SELECT model_version FROM batches")).scalars())
    assert 32 == len(spread)
    assert alike


def test_only_texts_that_a_strategy_looks_at_are_embedded(engine: Engine) -> None:
    policy = fill(engine)
    embedded: list[str] = []

    class Counting(HashedWords):
        def embed(self, texts: list[str]) -> NDArray[np.float32]:
            embedded.extend(texts)
            return super().embed(texts)

    select_batch(
        engine,
        batch_id=B1,
        policy=policy,
        recipe=recipe_with(batch_size=8, audit_fraction=0.5),
        seed=1,
        model=(ModelVersion("m"), Counting()),
    )

    assert 0 < len(embedded) == len(set(embedded)) <= 4 * 10 * 4


def test_what_is_labelled_is_not_asked_again_in_other_words(engine: Engine) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="first")
    labelled = {str(one["item_id"]) for one in picks(engine) if one["share"] == "uncertain"}

    class Twins(HashedWords):
        def embed(self, texts: list[str]) -> NDArray[np.float32]:
            rows = np.zeros((len(texts), 200), dtype=np.float32)
            for row, one in zip(rows, texts, strict=True):
                row[int(one.rsplit(" i", 1)[1]) // 2] = 1.0
            return rows

    select_batch(
        engine,
        batch_id=B1,
        policy=policy,
        recipe=recipe_with(batch_size=40, waiting_limit=10_000),
        seed=1,
        model=(ModelVersion("m"), Twins()),
    )

    made = [one for one in picks(engine) if one["batch_id"] == B1 and one["share"] == "uncertain"]
    pairs = [int(str(one["item_id"])[1:]) // 2 for one in made]
    assert 32 == len(set(pairs))
    assert not set(pairs) & {int(one[1:]) // 2 for one in labelled}


def test_a_share_may_look_for_one_category(engine: Engine) -> None:
    policy = fill(engine)
    shares = (
        ShareOfPlan(name="hate", strategy="top_positive", fraction=0.5, category="hate"),
        ShareOfPlan(name="spam", strategy="top_positive", fraction=0.5, category="spam"),
    )

    select_batch(engine, batch_id=B1, policy=policy, recipe=recipe_with(shares=shares), seed=1)

    found = {one["share"]: [] for one in picks(engine)} | {"hate": [], "spam": []}
    for one in picks(engine):
        found[one["share"]].append(gold(str(one["item_id"])))
    for category, other in (("hate", "spam"), ("spam", "hate")):
        held = [answers[category] for answers in found[category]]
        assert np.mean(held) > 2 * np.mean([answers[category] for answers in found[other]])


def test_a_category_that_the_policy_does_not_have_is_refused(engine: Engine) -> None:
    shares = (ShareOfPlan(name="x", strategy="margin", fraction=1.0, category="tarot"),)

    with pytest.raises(CannotSelect, match=r"'tarot'.*write one of: hate, spam"):
        select_batch(
            engine, batch_id=B1, policy=fill(engine), recipe=recipe_with(shares=shares), seed=1
        )


def test_a_shortlist_takes_turns_and_is_not_the_oldest_ids(engine: Engine) -> None:
    policy = fill(engine, items=2000)
    with begin(engine) as tx:
        # hate is certain everywhere but in the last thirty items: only turns let them through
        tx.execute(text("ALTER TABLE decisions DISABLE TRIGGER decisions_append_only"))
        tx.execute(
            text(
                "UPDATE decisions SET probabilities = probabilities || jsonb_build_object('hate', "
                "CASE WHEN substr(item_id, 2)::int >= 1970 THEN 0.2 ELSE 0.1 END)"
            )
        )
    loose = policy_from(
        policy.model_dump(mode="json")
        | {
            "category": [
                one.model_dump(mode="json") | {"review_from": 0.0, "block_from": 1.0}
                for one in policy.category
            ]
        },
        where="a policy that reviews everything",
    )

    select_batch(
        engine,
        batch_id=B1,
        policy=loose,
        recipe=recipe_with(batch_size=100, candidates_limit=100, audit_fraction=0.05),
        seed=1,
    )

    chosen = [int(str(one["item_id"])[1:]) for one in picks(engine) if one["share"] != "audit"]
    assert 95 == len(chosen)
    assert 15 <= sum(number >= 1970 for number in chosen)


def test_at_least_one_pick_of_a_batch_is_an_audit(engine: Engine) -> None:
    policy = fill(engine)

    report = select_batch(engine, batch_id=B1, policy=policy, recipe=RECIPE, seed=1, limit=1)

    assert {"audit": 1} == report.picks_by_share


def test_the_place_of_an_audit_in_the_queue_owes_nothing_to_its_score(engine: Engine) -> None:
    policy = fill(engine)

    select_batch(engine, batch_id=B1, policy=policy, recipe=RECIPE, seed=1)

    with begin(engine) as tx:
        rows = tx.execute(
            text(
                "SELECT p.share, p.rank FROM entries e JOIN picks p USING (batch_id, item_id) "
                "ORDER BY e.turn_at, e.due_at, e.entry_id"
            )
        ).all()
    audits = [row.rank for row in rows if row.share == "audit"]
    seen = np.cumsum([row.share == "audit" for row in rows])
    pace = np.arange(1, len(rows) + 1) * len(audits) / len(rows)
    assert sorted(audits) == audits  # in the order drawn
    assert np.abs(seen - pace).max() < 3


def test_what_a_lane_has_no_room_for_is_recorded_and_is_a_candidate_again(engine: Engine) -> None:
    policy = fill(engine)
    lane = Lane(name="english", match=LaneMatch(language=("en",)), sla_minutes=5, per_hour=60)
    recipe = RECIPE.model_copy(update={"queue": QueueRecipe(lanes=(lane,))})

    first = select_batch(engine, batch_id=B1, policy=policy, recipe=recipe, seed=1)
    second = select_batch(engine, batch_id=BatchId("b2"), policy=policy, recipe=recipe, seed=2)

    audits = [report.picks_by_share["audit"] for report in (first, second)]
    assert {"english"} == {one["lane"] for one in rows_of(engine, "entries")}
    assert 60 == first.picks
    assert {"audit": audits[1]} == second.picks_by_share  # always on, whatever the quota
    out = rows_of(engine, "overflows")
    assert (60, 72) == (first.kept_out, second.kept_out)
    assert 60 == sum(one["batch_id"] == B1 for one in out)
    assert {"per_hour of 60 is full"} == {one["reason"] for one in out}
    twice = Counter(one["item_id"] for one in out)
    assert 2 == max(twice.values())  # it was a candidate again


def rows_of(engine: Engine, table: str) -> list[dict[str, Any]]:
    with begin(engine) as tx:
        return [dict(row._mapping) for row in tx.execute(text(f"SELECT * FROM {table}"))]


def test_nothing_is_chosen_while_enough_waits(engine: Engine) -> None:
    policy = fill(engine)
    recipe = recipe_with(batch_size=50, waiting_limit=60)
    for name in ("b1", "b2"):
        select_batch(engine, batch_id=BatchId(name), policy=policy, recipe=recipe, seed=1)

    with pytest.raises(QueueFull, match=r"100 entries wait .* selection\.waiting_limit is 60"):
        select_batch(engine, batch_id=BatchId("b3"), policy=policy, recipe=recipe, seed=1)


def test_entries_that_wait_under_an_older_version_are_withdrawn_and_asked_anew(
    engine: Engine,
) -> None:
    policy = fill(engine, items=60)
    recipe = recipe_with(batch_size=60, audit_fraction=0.5)
    first = select_batch(engine, batch_id=B1, policy=policy, recipe=recipe, seed=1)
    newer = make_policy(version="2", instructions="Read twice.")

    second = select_batch(engine, batch_id=BatchId("b2"), policy=newer, recipe=recipe, seed=2)

    assert first.picks == second.withdrawn
    assert first.picks == second.picks
    with begin(engine) as tx:
        states = tx.execute(text("SELECT batch_id, state FROM entries GROUP BY 1, 2 ORDER BY 1"))
        assert [("b1", "withdrawn"), ("b2", "waiting")] == [tuple(row) for row in states]


def test_a_batch_id_stands_for_one_size(engine: Engine) -> None:
    policy = fill(engine)
    select_batch(engine, batch_id=B1, policy=policy, recipe=RECIPE, seed=1, limit=20)

    with pytest.raises(BatchExists, match="another size"):
        select_batch(engine, batch_id=B1, policy=policy, recipe=RECIPE, seed=1, limit=30)


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


def test_what_came_too_long_ago_is_no_candidate_and_measuring_reckons_with_it(
    engine: Engine,
) -> None:
    policy = fill(engine)
    came = "UPDATE items SET content_at = now() - make_interval(days => :days) WHERE item_id IN {}"
    with begin(engine) as tx:
        tx.execute(text("UPDATE items SET content_at = now() - interval '20 days'"))
        tx.execute(text(came.format("('i1', 'i2', 'i3')")), {"days": 40})
    recipe = recipe_with(batch_size=400, audit_fraction=0.4, within_days=30)

    report = select_batch(engine, batch_id=B1, policy=policy, recipe=recipe, seed=1)

    assert not {"i1", "i2", "i3"} & {one["item_id"] for one in picks(engine)}
    assert 397 == report.training_pool + report.measuring_pool
    with begin(engine) as tx:
        audit = read_audit(tx, policy=policy)
        read_at = tx.execute(text("SELECT read_at FROM batches")).scalar_one()
    assert (read_at - timedelta(days=30), read_at) == audit.moments
    assert (range(1, 2),) == audit.epochs
