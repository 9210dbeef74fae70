"""A look at a backlog leaves what measures as it was, and trains what may train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from flows.freeze_snapshot import freeze_snapshot
from flows.measure import measure
from flows.select_batch import select_batch
from hitl import datasets, decisions, selection
from hitl.db import begin
from hitl.evaluation.store import read_audit, read_judged
from hitl.policy import Policy
from hitl.recipe import AUDIT, ELUSION_APART
from hitl.records import BatchId, Split
from tests.builders import NOON
from tests.flows.backlogs import answer_waiting, certify, drawn_of, look, open_one, set_state
from tests.flows.models import count
from tests.flows.test_measure import DAY, PRODUCTION, figure, of_june
from tests.flows.worlds import RECIPE, fill, gold, label_batch, measuring_side

pytestmark = pytest.mark.postgres

ITEMS = 400
EVERYTHING = [f"i{k}" for k in range(ITEMS)]


def pool_to_measure(engine: Engine, policy: Policy) -> list[str]:
    """The measuring side of what a batch could draw now."""
    with begin(engine) as tx:
        found = selection.read_candidates(tx, policy=policy, preferred=None)
    on_side = datasets.sides(
        found.group_ids.tolist(), measuring_fraction=RECIPE.selection.measuring_fraction
    )
    return [
        one
        for one, side in zip(found.item_ids.tolist(), on_side, strict=True)
        if side is Split.TEST
    ]


def audits(engine: Engine) -> list[tuple[str, str, float]]:
    with begin(engine) as tx:
        rows = tx.execute(
            text(
                "SELECT batch_id, item_id, inclusion_probability FROM picks"
                " WHERE share = 'audit' ORDER BY batch_id, rank"
            )
        )
        return [tuple(row) for row in rows]


def test_the_audits_pool_does_not_depend_on_a_look_asked_or_answered(engine: Engine) -> None:
    policy = fill(engine, items=ITEMS)
    open_one(engine, policy)
    before = pool_to_measure(engine, policy)

    look(engine, policy, draw=200)
    asked = pool_to_measure(engine, policy)
    answer_waiting(engine, policy)
    answered = pool_to_measure(engine, policy)

    assert len(set(before) & set(drawn_of(engine))) > 10
    assert before == asked == answered


def test_audits_are_drawn_and_weighed_as_if_nobody_had_looked(
    engine: Engine, database_url: str
) -> None:
    """The same seeds with a look between and without one: the same items, with the same chances."""
    policy = fill(engine, items=ITEMS)
    open_one(engine, policy)
    label_batch(engine, policy, batch_id="b0", seed=0)
    look(engine, policy, draw=100)
    # While the look's entries are open, and after they were answered.
    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=RECIPE, seed=1)
    answer_waiting(engine, policy)
    label_batch(engine, policy, batch_id="b2", seed=2)
    with_look = audits(engine), judged(engine, policy)
    looked_at = set(drawn_of(engine)) & {one for _, one, _ in with_look[0]}

    with begin(engine) as tx:
        tx.execute(text("SET session_replication_role = replica"))
        for table in (
            "votes", "annotations", "labels", "entry_events", "entries", "picks", "batches",
        ):  # fmt: skip
            tx.execute(text(f"DELETE FROM {table}"))
    for k in range(3):
        label_batch(engine, policy, batch_id=f"b{k}", seed=k)

    assert looked_at
    assert audits(engine) == with_look[0]
    assert judged(engine, policy) == with_look[1]


def judged(engine: Engine, policy: Policy) -> list[tuple[str, float, float]]:
    """Audited items, whether they are hate, and the chance that they count by."""
    with begin(engine) as tx:
        found = read_judged(
            tx,
            policy=policy,
            audit=read_audit(tx, policy=policy),
            model_version=PRODUCTION,
            start=NOON - DAY,
            end=NOON + DAY,
        )
    columns = found.item_ids.tolist(), found.truth[:, 0].tolist(), found.inclusion_probability
    return list(zip(columns[0], columns[1], columns[2].round(12).tolist(), strict=True))


def test_a_census_by_audits_gives_the_very_figures_after_a_look(engine: Engine) -> None:
    policy = fill(engine, items=ITEMS)
    open_one(engine, policy)
    look(engine, policy, draw=200)
    answer_waiting(engine, policy)
    for k in range(3):
        label_batch(engine, policy, batch_id=f"b{k}", seed=k)

    report = of_june(engine, policy)

    apart = measuring_side(EVERYTHING, engine)
    found = figure(report, "prevalence", "hate")
    assert len(apart) == found.n == report.asked
    assert found.value == pytest.approx(np.mean([gold(one)["hate"] for one in apart]))


def test_what_an_audit_takes_over_is_answered_once_and_the_look_counts_it(engine: Engine) -> None:
    policy = fill(engine, items=ITEMS)
    open_one(engine, policy)
    look(engine, policy, draw=ITEMS)

    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=RECIPE, seed=1)
    answered = answer_waiting(engine, policy)

    taken = {item_id for _, item_id, _ in audits(engine)}
    assert len(taken) > 10
    assert sorted(EVERYTHING) == sorted(answered)
    assert len(taken) == count(
        engine, "SELECT count(*) FROM entries WHERE reason = 'asked for another share'"
    )
    assert (80, 0) == (
        certify(engine).result.violating_in_draw, certify(engine).result.missed_at_most,
    )  # fmt: skip


def test_the_training_side_learns_from_a_look_and_the_other_neither_learns_nor_measures(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine, items=ITEMS)
    open_one(engine, policy)
    look(engine, policy, draw=200)
    answer_waiting(engine, policy)

    frozen = freeze_snapshot(engine, policy=policy, recipe=RECIPE, folder=tmp_path)
    report = measure(engine, policy=policy, start=NOON - DAY, end=NOON + DAY)

    apart = measuring_side(EVERYTHING, engine)
    rows = {one.example.item_id for one in _examples(engine, policy) if one.share != ELUSION_APART}
    assert (200 - len(apart & set(drawn_of(engine))), 0) == (
        frozen.training_examples, frozen.test_examples,
    )  # fmt: skip
    assert rows == set(drawn_of(engine)) - apart
    assert {} == report.by_model


def _examples(engine: Engine, policy: Policy) -> list[datasets.SourcedExample]:
    with begin(engine) as tx:
        return datasets.read_examples(
            tx, policy.policy_id, measuring_fraction=RECIPE.selection.measuring_fraction
        )


def test_an_audits_answer_stays_the_example_whatever_a_look_says_later(engine: Engine) -> None:
    policy = fill(engine, items=ITEMS)
    open_one(engine, policy, category="any")
    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=RECIPE, seed=1)
    # Of spam nobody can tell: the backlog asks these again.
    answer_waiting(engine, policy, answer=lambda one: {"hate": False})
    look(engine, policy, draw=ITEMS)
    answer_waiting(engine, policy)

    by_share = {one.example.item_id: one.share for one in _examples(engine, policy)}

    audited = {item_id for _, item_id, _ in audits(engine)}
    assert len(audited) > 10
    assert audited <= set(drawn_of(engine))
    assert {AUDIT} == {by_share[one] for one in audited}


def test_the_champion_decides_on_what_was_looked_at_apart(engine: Engine) -> None:
    policy = fill(engine, items=ITEMS)
    open_one(engine, policy)
    look(engine, policy, draw=200)
    answer_waiting(engine, policy)

    with begin(engine) as tx:
        found = decisions.read_scorable(tx, policy_id=policy.policy_id, after="", limit=ITEMS)

    learned = set(drawn_of(engine)) - measuring_side(EVERYTHING, engine)
    assert set(EVERYTHING) - learned == {one.item_id for one in found}


def test_a_look_withdrawn_by_a_person_is_asked_again_beside_an_audit(engine: Engine) -> None:
    policy = fill(engine, items=ITEMS)
    open_one(engine, policy)
    look(engine, policy, draw=ITEMS)
    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=RECIPE, seed=1)
    audited = audits(engine)[0][1]
    set_state(engine, audited, "withdrawn")

    again = look(engine, policy)

    assert (1, ITEMS) == (again.asked, again.in_queue)
