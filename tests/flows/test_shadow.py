"""A challenger runs along: on record, compared by the gate, and never acted on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from flows.certify import judged_since
from flows.deciding.bundles import load_registered
from flows.measure import measure
from flows.promote_champion import NoChallenger
from flows.rescore import rescore
from flows.shadow import shadow
from hitl import decisions, registry
from hitl.db import begin
from hitl.evaluation.store import read_audit, read_judged
from hitl.policy import Policy
from hitl.records import ModelVersion
from tests.builders import NOON, add_items, make_policy
from tests.flows.models import (
    SEED,
    add_worse,
    count,
    crown,
    judge,
    promote,
    record_of,
    train,
)
from tests.flows.worlds import fill, label_batch

pytestmark = pytest.mark.postgres


def with_challenger(
    engine: Engine, folder: Path, *, items: int = 400
) -> tuple[Policy, ModelVersion, ModelVersion]:
    """A champion that has decided, and a challenger that has not."""
    policy = fill(engine, items=items)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, folder)
    champion = crown(engine, policy, folder)
    rescore(engine, policy=policy)
    challenger = train(engine, policy, folder, seed=SEED + 1).model_version
    return policy, champion, challenger


def test_the_challenger_decides_on_what_is_measured_or_open_and_nobody_acts_on_it(
    engine: Engine, tmp_path: Path
) -> None:
    policy, champion, challenger = with_challenger(engine, tmp_path)
    acted = count(engine, "SELECT count(*) FROM decisions WHERE NOT is_shadow")

    report = shadow(engine, policy=policy)
    again = shadow(engine, policy=policy)

    # Of the 120 that were picked 72 are learned from.
    assert (challenger, 48, 48, True) == (
        report.model_version, report.items, report.new, report.is_first,
    )  # fmt: skip
    assert (48, 0, False) == (again.items, again.new, again.is_first)
    assert acted == count(engine, "SELECT count(*) FROM decisions WHERE NOT is_shadow")
    assert 48 == count(
        engine,
        "SELECT count(*) FROM decisions WHERE is_shadow AND action IS NULL "
        f"AND model_version = '{challenger}'",
    )
    with begin(engine) as tx:
        row = tx.execute(
            text("SELECT i.text, d.probabilities FROM decisions d JOIN items i USING (item_id) "
                 "WHERE is_shadow ORDER BY item_id LIMIT 1")
        ).one()  # fmt: skip
    model = load_registered(record_of(engine, challenger))
    said = dict(zip(model.categories, model.predict([row.text])[0].tolist(), strict=True))
    assert said == pytest.approx(row.probabilities, abs=1e-8)
    found = measure(engine, policy=policy, start=NOON, end=_later(engine))
    assert {"production", champion} == set(found.by_model)


def _later(engine: Engine) -> object:
    with begin(engine) as tx:
        return tx.execute(text("SELECT now() + interval '1 day'")).scalar_one()


def test_without_a_challenger_nobody_runs_along(engine: Engine) -> None:
    with pytest.raises(NoChallenger):
        shadow(engine, policy=make_policy())


def test_what_was_decided_as_a_shadow_does_not_stand_for_a_champions_decision(
    engine: Engine, tmp_path: Path
) -> None:
    policy, _, challenger = with_challenger(engine, tmp_path)
    shadow(engine, policy=policy)
    crown(engine, policy, tmp_path)

    first = rescore(engine, policy=policy)
    again = rescore(engine, policy=policy)

    assert (challenger, first.items, True) == (first.model_version, first.new, first.is_first)
    assert (0, False) == (again.new, again.is_first)
    assert 0 == count(engine, "SELECT count(*) FROM conflicts")


def test_items_that_came_while_it_ran_are_left_to_the_next_run(
    engine: Engine, tmp_path: Path
) -> None:
    """A promotion meanwhile gives the same model a decision of the same moment."""
    policy, _, challenger = with_challenger(engine, tmp_path)
    with begin(engine) as tx:
        before = decisions.settled_moment(tx)
        add_items(tx, {"late": "click the bonus prize"})
        tx.execute(
            text("INSERT INTO picks (batch_id, item_id, share, strategy, rank, "
                 "inclusion_probability) VALUES ('b1', 'late', 'audit', 'random', 999, 0.5)")
        )  # fmt: skip

    def found(until: object) -> set[str]:
        with begin(engine) as tx:
            rows = decisions.read_picked(
                tx, policy_id=policy.policy_id, after="", limit=1000, before=until
            )
        return {one.item_id for one in rows}

    with begin(engine) as tx:
        after = decisions.settled_moment(tx)
    assert {"late"} == found(after) - found(before)
    shadow(engine, policy=policy)
    assert 1 == count(
        engine,
        f"SELECT count(*) FROM decisions WHERE item_id = 'late' AND model_version = '{challenger}'",
    )


def test_live_decisions_are_read_apart_from_those_that_were_acted_on(
    engine: Engine, tmp_path: Path
) -> None:
    policy, champion, challenger = with_challenger(engine, tmp_path)
    shadow(engine, policy=policy)

    with begin(engine) as tx:
        window = {"start": NOON, "end": tx.execute(text("SELECT now()")).scalar_one()}
        audit = read_audit(tx, policy=policy)
        acted = judged_since(tx, policy=policy, model_version=champion, **window)
        along = read_judged(
            tx, policy=policy, audit=audit, model_version=challenger, as_shadow=True, **window
        )
        nobody = judged_since(tx, policy=policy, model_version=challenger, **window)

    assert acted.item_ids.tolist() == along.item_ids.tolist()
    assert 48 == len(along)
    assert np.array_equal(acted.inclusion_probability, along.inclusion_probability)
    assert 0 == len(nobody)


def test_the_gate_sets_live_decisions_beside_each_other(engine: Engine, tmp_path: Path) -> None:
    policy, champion, _ = with_challenger(engine, tmp_path)

    before = judge(engine, policy)
    shadow(engine, policy=policy)
    after = judge(engine, policy)
    again = judge(engine, policy)

    assert any("run `hitl shadow`" in one for one in before.reasons)
    live = [one for one in after.numbers if one.rule == "live"]
    assert {("hate", "recall"), ("hate", "precision")} <= {(o.category, o.metric) for o in live}
    assert "beside the champion's live decisions, weighted to the stream" in live[0].words
    assert before.verdict_id != after.verdict_id
    assert after == again
    assert 2 == count(engine, f"SELECT count(*) FROM verdicts WHERE champion = '{champion}'")


def test_a_challenger_that_is_worse_live_is_left_to_a_person(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    for k in range(3):
        label_batch(engine, policy, batch_id=f"b{k}", seed=k)
    trained = train(engine, policy, tmp_path).model_version
    crown(engine, policy, tmp_path)
    rescore(engine, policy=policy)
    add_worse(engine, policy, like=trained)
    shadow(engine, policy=policy)

    report = promote(engine, policy, tmp_path)

    worse = [one for one in report.numbers if one.rule == "live" and one.outcome == "undecided"]
    assert not report.promoted
    assert worse
    assert all("a person has to approve" in one.words for one in worse)


def test_every_verdict_is_listed_with_its_numbers_and_who_acted_on_it(
    engine: Engine, tmp_path: Path
) -> None:
    policy, champion, challenger = with_challenger(engine, tmp_path)
    judged = judge(engine, policy)
    crown(engine, policy, tmp_path)

    with begin(engine) as tx:
        found = registry.list_judgements(tx, policy.name, limit=10)
        [one] = registry.list_judgements(tx, policy.name, challenger=challenger, limit=10)
        seen = tx.execute(
            text("SELECT challenger, champion, decision, approved_by, note, is_forced, decided_by "
                 "FROM dashboard.verdicts WHERE challenger = :challenger"),
            {"challenger": challenger},
        ).one()  # fmt: skip

    assert [challenger, champion] == [other.verdict.challenger for other in found]
    assert judged.verdict_id == one.verdict.verdict_id
    assert ("ana", "a test", champion) == (one.approved_by, one.note, one.verdict.champion)
    assert one.is_forced == (judged.decision != "promote")
    numbers = {(r["rule"], r["category"], r["metric"], r["slice_value"]): r["value"]
               for r in one.verdict.reasons}  # fmt: skip
    assert numbers == {(r.rule, r.category, r.metric, r.slice_value): r.value
                       for r in judged.numbers}  # fmt: skip
    assert (challenger, champion, judged.decision, "ana", "a test", one.is_forced,
            judged.numbers[0].words) == tuple(seen)  # fmt: skip
