"""Of near copies one is asked for all, and every figure stays what it would have been."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, insert, text

from benchmarks.near_copies import different, shuffled, wave
from flows.measure import measure
from flows.select_batch import BatchReport, select_batch
from flows.selecting.standing_for import Crowd, draw_audits
from hitl import datasets, twins
from hitl.db import begin, schema
from hitl.evaluation.audit import AuditDraw, levelled
from hitl.evaluation.store import read_audit, read_judged
from hitl.labels import resolve_entries
from hitl.policy import Policy
from hitl.recipe import Recipe, SelectionRecipe, TwinsRecipe
from hitl.records import BatchId, EntryId, EntryState, ModelVersion, Split
from hitl.selection import Candidates
from tests.builders import NOON, add_items, make_policy
from tests.labels.builders import annotate, move

RECIPE = Recipe(
    selection=SelectionRecipe(
        batch_size=40, audit_fraction=0.5, audit_floor=1.0, waiting_limit=100_000
    ),
    twins=TwinsRecipe(is_on=True),
)
DAY = timedelta(days=1)
WAVE, OTHERS = 160, 240


def fill(engine: Engine) -> tuple[Policy, dict[str, str]]:
    """A wave of spam among strangers, of which the model is a little surer."""
    rng = np.random.default_rng(20)
    texts = wave(rng, WAVE) + different(rng, OTHERS)
    spam = set(texts[:WAVE])
    mixed = {f"i{k:03d}": one for k, one in enumerate(shuffled(rng, texts))}
    with begin(engine) as tx:
        add_items(tx, mixed)
        tx.execute(
            insert(schema.decisions),
            [
                {
                    "item_id": item_id,
                    "model_version": "production",
                    "decided_at": NOON,
                    "probabilities": {"hate": 0.45, "spam": 0.5 if one in spam else 0.45},
                    "payload_hash": "x",
                }
                for item_id, one in mixed.items()
            ],
        )
    return make_policy(), {item_id: one for item_id, one in mixed.items() if one in spam}


def select(engine: Engine, policy: Policy, name: str, recipe: Recipe = RECIPE) -> BatchReport:
    return select_batch(
        engine, batch_id=BatchId(name), policy=policy, recipe=recipe, seed=sum(name.encode())
    )


def asked(engine: Engine, batch_id: str) -> dict[str, tuple[str, int]]:
    """Of each pick its share and how many it stands for."""
    with begin(engine) as tx:
        rows = tx.execute(schema.picks.select().where(schema.picks.c.batch_id == batch_id))
        return {row.item_id: (row.share, row.stands_for) for row in rows}


@pytest.mark.postgres
def test_a_cluster_costs_one_answer_for_training_and_one_a_batch_for_measuring(
    engine: Engine,
) -> None:
    policy, spam = fill(engine)
    reports = [select(engine, policy, name) for name in ("b1", "b2", "b3")]

    of_wave = [
        [share for item_id, (share, _) in asked(engine, name).items() if item_id in spam]
        for name in ("b1", "b2", "b3")
    ]

    with begin(engine) as tx:
        [line] = twins.scheme_lines(tx)
    parts = line.clusters - OTHERS  # copies changed twice may be too far from each other
    assert parts <= 4
    assert all(one.count("audit") <= parts for one in of_wave)
    assert sum(len(one) - one.count("audit") for one in of_wave) <= parts
    assert of_wave[0], "a wave of two fifths of the pool was not met at all"
    assert [40, 40, 40] == [one.picks for one in reports]
    assert reports[0].stood_aside > 0


@pytest.mark.postgres
def test_every_drawn_item_is_asked_or_stood_aside_and_is_not_drawn_again(engine: Engine) -> None:
    policy, _ = fill(engine)
    for name in ("b1", "b2", "b3", "b4", "b5"):
        select(engine, policy, name)

    with begin(engine) as tx:
        out_of_step = tx.execute(
            text(
                "SELECT count(*) FROM picks p LEFT JOIN (SELECT batch_id, for_item_id AS item_id,"
                " count(*) AS aside FROM stood_aside GROUP BY 1, 2) a USING (batch_id, item_id)"
                " WHERE p.share = 'audit' AND p.stands_for <> 1 + coalesce(a.aside, 0)"
            )
        ).scalar_one()
        twice = tx.execute(
            text(
                "SELECT count(*) FROM (SELECT item_id FROM stood_aside UNION ALL"
                " SELECT item_id FROM picks) x GROUP BY item_id HAVING count(*) > 1"
            )
        ).all()
    assert (0, []) == (out_of_step, twice)


@pytest.mark.postgres
def test_an_audit_that_is_withdrawn_gives_back_what_stood_aside_for_it(engine: Engine) -> None:
    policy, _ = fill(engine)
    first = select(engine, policy, "b1")
    with begin(engine) as tx:
        tx.execute(text("UPDATE entries SET state = 'withdrawn'"))
        audit = read_audit(tx, policy=policy)

    second = select(engine, policy, "b2")

    assert first.stood_aside > 0
    assert (0, 0) == (audit.draws[0].asked, audit.draws[0].aside)
    assert first.measuring_pool == second.measuring_pool


@pytest.mark.postgres
def test_a_census_by_one_answer_a_cluster_gives_the_very_prevalence(engine: Engine) -> None:
    policy, spam = fill(engine)
    everything = replace_selection(RECIPE, batch_size=400, audit_fraction=0.9)
    report = select(engine, policy, "b1", everything)
    answer(engine, policy, spam)

    measured = measure(engine, policy=policy, start=NOON - DAY, end=NOON + DAY)

    on_measuring = measuring_side(engine)
    truth = len(on_measuring & spam.keys()) / len(on_measuring)
    [found] = [
        one
        for one in measured.by_model[ModelVersion("production")]
        if (one.metric, one.category, one.slice_name, one.kind)
        == ("prevalence", "spam", "", "descriptive")
    ]
    assert len(on_measuring) == report.measuring_pool
    assert report.picks_by_share["audit"] + report.stood_aside == len(on_measuring)
    assert found.value == pytest.approx(truth)
    assert found.n == report.picks_by_share["audit"] < len(on_measuring)


@pytest.mark.postgres
def test_an_answer_counts_for_all_that_were_drawn_with_it(engine: Engine) -> None:
    policy, spam = fill(engine)
    select(engine, policy, "b1")
    answer(engine, policy, spam)

    with begin(engine) as tx:
        audit = read_audit(tx, policy=policy)
        judged = read_judged(
            tx,
            policy=policy,
            audit=audit,
            model_version=ModelVersion("production"),
            start=NOON - DAY,
            end=NOON + DAY,
        )

    [one] = audit.draws
    drawn = (one.asked + one.aside) / one.pool
    stands_for = {
        item_id: n for item_id, (share, n) in asked(engine, "b1").items() if share == "audit"
    }
    expected = [drawn / stands_for[item_id] for item_id in judged.item_ids.tolist()]
    assert judged.inclusion_probability.tolist() == pytest.approx(expected)
    assert judged.largest_weight == pytest.approx(max(stands_for.values()) / drawn)
    assert (1.0 / judged.inclusion_probability).sum() == pytest.approx(one.pool)


@pytest.mark.slow
@pytest.mark.parametrize("floor", [1.0, 0.5])
@pytest.mark.parametrize("answered", [1.0, 0.6])
def test_over_batches_of_a_wave_that_comes_and_goes_totals_are_unbiased(
    answered: float, floor: float
) -> None:
    world = Stream()
    runs = 1500
    weights = np.zeros((runs, len(world.truth)))
    for run in range(runs):
        weights[run] = world.weights(seed=run, answered=answered, floor=floor)

    totals = weights @ world.truth
    assert abs(totals.mean() - world.truth.sum()) < 3.5 * totals.std() / np.sqrt(runs)
    error = weights.std(axis=0) / np.sqrt(runs)
    assert (np.abs(weights.mean(axis=0) - 1.0) < 3.5 * error).all()


class Stream:
    """Items that come in over three batches: a wave whose copies are not all alike in truth, a
    pair that comes apart in time, and items alone."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        clusters = [0] * 18 + [1] * 2 + list(range(2, 22))
        joined = [0] * 4 + [1] * 12 + [2] * 2 + [0, 2] + [k % 3 for k in range(20)]
        self.clusters = np.array(clusters)
        self.joined = np.array(joined)
        self.truth = (rng.random(len(clusters)) < 0.4).astype(float)
        self.policy = make_policy()

    def weights(self, *, seed: int, answered: float, floor: float) -> NDArray[np.float64]:
        """Of each item what its answer counts for, as `hitl measure` counts it; 0 without one."""
        is_out = np.zeros(len(self.truth), dtype=bool)
        draws: list[AuditDraw] = []
        answers: list[tuple[int, int, int, float]] = []
        for batch in range(3):
            pool = np.flatnonzero(~is_out & (self.joined <= batch))
            crowd = Crowd(candidates(pool), self.clusters[pool], np.zeros(len(pool), dtype=bool))
            found = draw_audits(crowd, self.policy, limit=4, floor=floor, seed=3 * seed + batch)
            picks = found.picks
            is_out[[number(one.item_id) for one in picks]] = True
            is_out[[number(one) for one in found.aside]] = True
            seen = max(1, round(answered * len(picks)))
            draws.append(AuditDraw(len(pool), len(picks), seen, len(found.aside), **found.draw))
            order = np.random.default_rng([seed, batch]).permutation(len(picks))[:seen]
            answers += [
                (number(one.item_id), batch, one.stands_for, one.inclusion_probability or 0.0)
                for one in (picks[k] for k in order)
            ]
        items, batches, stands_for, chance = (np.array(one) for one in zip(*answers, strict=True))
        found_weights = levelled(
            draws, batch=batches, epoch=self.joined[items], chance=chance
        ).weight
        counted = np.zeros(len(self.truth))
        counted[items] = stands_for * found_weights
        return counted


def number(item_id: str) -> int:
    return int(item_id[1:])


def candidates(rows: NDArray[np.intp]) -> Candidates:
    names = np.array([f"i{row:03d}" for row in rows.tolist()], dtype=object)
    return Candidates(
        item_ids=names,
        group_ids=names,
        probabilities=np.column_stack([(rows % 10 + 0.5) / 10, np.full(len(rows), 0.3)]),
        in_band=np.ones(len(rows), dtype=bool),
        by_preferred=np.zeros(len(rows), dtype=bool),
        characters=np.full(len(rows), 20),
        slices=np.full(len(rows), "", dtype=object),
        read_at=NOON,
    )


def replace_selection(recipe: Recipe, **changed: float) -> Recipe:
    selection = recipe.selection.model_copy(update=changed)
    return recipe.model_copy(update={"selection": selection})


def measuring_side(engine: Engine) -> set[str]:
    with begin(engine) as tx:
        rows = tx.execute(schema.items.select()).all()
    sides = datasets.sides(
        [row.group_id or row.content_hash for row in rows],
        measuring_fraction=RECIPE.selection.measuring_fraction,
    )
    return {row.item_id for row, side in zip(rows, sides, strict=True) if side is Split.TEST}


def answer(engine: Engine, policy: Policy, spam: dict[str, str]) -> None:
    """A careful reviewer answers everything that waits."""
    with begin(engine) as tx:
        rows = tx.execute(
            text("SELECT entry_id, item_id FROM entries WHERE state = 'waiting'")
        ).all()
        ids = [EntryId(row.entry_id) for row in rows]
        move(tx, ids, EntryState.DISPATCHED)
        for row in rows:
            annotate(tx, EntryId(row.entry_id), {"hate": False, "spam": row.item_id in spam})
        resolve_entries(tx, ids, policy)
