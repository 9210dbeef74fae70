"""The stored decision to train: its reasons, that it is made once, and what freezes by it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from flows import steps
from flows.certify import certify
from flows.decide_retrain import NotDecided, RetrainReport, decide_retrain
from flows.monitor import monitor
from flows.rescore import rescore
from flows.watch_drift import watch_drift
from hitl.db import begin
from hitl.evaluation import RetrainRule
from hitl.evaluation.alarms import store as alarms
from hitl.policy import Policy
from hitl.recipe import CertifyRecipe, DriftRecipe, Recipe, RetrainRecipe
from tests.builders import make_policy
from tests.flows.models import crown, train
from tests.flows.test_certify import harmless_now, world
from tests.flows.test_watch_drift import meaner
from tests.flows.traffic import MIDNIGHT, flow_in
from tests.flows.worlds import RECIPE, fill, label_batch

pytestmark = pytest.mark.postgres

EAGER = RECIPE.model_copy(
    update={
        "training": RECIPE.training.model_copy(update={"retrain_after_labels": 100}),
        "retrain": RetrainRecipe(cool_down_hours=0.0),
    }
)


def decide(engine: Engine, policy: Policy, recipe: Recipe = EAGER) -> RetrainReport:
    return decide_retrain(engine, policy=policy, recipe=recipe)


def fired(report: RetrainReport) -> list[RetrainRule]:
    return [one.rule for one in report.reasons if one.fired]


def decisions_on_record(engine: Engine) -> list[tuple[Any, ...]]:
    with begin(engine) as tx:
        return [
            tuple(row)
            for row in tx.execute(text("SELECT * FROM retrain_decisions ORDER BY decision_id"))
        ]


def test_the_first_model_is_decided_once_and_stands_until_it_is_trained(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    early = decide(engine, policy)
    label_batch(engine, policy, batch_id="b1")

    report = decide(engine, policy)
    again = decide(engine, policy)
    train(engine, policy, tmp_path)
    after = decide(engine, policy)

    assert (False, []) == (early.retrain, fired(early))
    assert (True, [RetrainRule.FIRST_MODEL], True) == (report.retrain, fired(report), report.is_new)
    assert (report.reasons, report.decided_at, False) == (
        again.reasons,
        again.decided_at,
        again.is_new,
    )
    assert not after.retrain
    assert [False, True, False] == [row[4] for row in decisions_on_record(engine)]


def test_labels_since_the_newest_model_are_a_reason_once_there_are_enough(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    first = train(engine, policy, tmp_path)

    none = decide(engine, policy)
    label_batch(engine, policy, batch_id="b2", seed=2)
    enough = decide(engine, policy)

    assert (False, [RetrainRule.NOTHING_NEW]) == (none.retrain, fired(none))
    assert (True, [RetrainRule.LABELS]) == (enough.retrain, fired(enough))
    assert (first.model_version, 120) == (enough.model_version, enough.new_labels)
    [why] = [one for one in enough.reasons if one.rule is RetrainRule.LABELS]
    assert "too_few_models" == why.code
    assert (120.0, 100.0) == (why.value, why.bar)


def test_on_the_same_facts_nothing_is_written_anew_and_the_clock_alone_is_no_fact(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    decide(engine, policy)
    before = decisions_on_record(engine)

    report = decide(engine, policy)

    assert not report.is_new
    assert before == decisions_on_record(engine)


def test_what_was_just_trained_cools_down(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    label_batch(engine, policy, batch_id="b2", seed=2)
    cooling = EAGER.model_copy(update={"retrain": RetrainRecipe()})

    report = decide(engine, policy, cooling)

    assert (False, [RetrainRule.LABELS, RetrainRule.COOL_DOWN]) == (report.retrain, fired(report))


def test_another_version_of_the_policy_is_a_reason(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)

    report = decide(engine, make_policy(version="2"))

    assert (True, [RetrainRule.POLICY]) == (report.retrain, fired(report))


def test_drift_trains_when_it_lasts_and_not_when_somebody_took_note(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    label_batch(engine, policy, batch_id="b2", seed=2)
    patient = EAGER.model_copy(
        update={"training": EAGER.training.model_copy(update={"retrain_after_labels": 1000})}
    )
    flow_in(engine, days=range(-35, 14), make=meaner)

    def look(day: int) -> int:
        return watch_drift(
            engine, policy=policy, recipe=DriftRecipe(), embeddings=False,
            end=MIDNIGHT + timedelta(days=day),
        ).lasting  # fmt: skip

    assert 0 == look(6)
    young = decide(engine, policy, patient)
    assert look(13) > 0
    lasting = decide(engine, policy, patient)
    with begin(engine) as tx:
        for one in alarms.list_alarms(tx, policy=policy):
            alarms.acknowledge(tx, one.alarm_id, by="ana", note="known")
    train(engine, policy, tmp_path)
    noted = decide(engine, policy, patient)

    assert (False, []) == (young.retrain, fired(young))
    [why] = [one for one in young.reasons if one.rule is RetrainRule.DRIFT]
    assert "scores hate language de (1 of 2 windows)" in why.words
    assert (True, [RetrainRule.DRIFT]) == (lasting.retrain, fired(lasting))
    assert RetrainRule.DRIFT not in fired(noted)


def test_a_withdrawn_certificate_is_an_alarm_and_a_reason(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path, batches=6, items=2400)
    certify(engine, policy=policy, recipe=CertifyRecipe())
    rescore(engine, policy=policy)
    for k in range(4):
        label_batch(engine, policy, batch_id=f"changed{k}", seed=k, answer=harmless_now)
    report = monitor(engine, policy=policy)
    again = monitor(engine, policy=policy)
    many = EAGER.model_copy(
        update={"training": EAGER.training.model_copy(update={"retrain_after_labels": 5000})}
    )
    decided = decide(engine, policy, many)

    with begin(engine) as tx:
        found = alarms.list_alarms(tx, policy=policy)
    assert report.withdrawn >= 1
    assert 0 == again.withdrawn
    assert report.withdrawn == len(found)
    one = next(each for each in found if each.metric == "precision")
    assert ("certificate", "hate", None) == (one.kind, one.category, one.p_value)
    assert one.evidence == one.statistic
    assert one.statistic >= one.bar == 20.0
    assert one.effect < 0.0
    assert one.n_window > 0
    assert (True, [RetrainRule.CERTIFICATE]) == (decided.retrain, fired(decided))

    train(engine, policy, tmp_path, seed=9)
    crown(engine, policy, tmp_path)
    monitor(engine, policy=policy)

    with begin(engine) as tx:
        assert [] == alarms.list_alarms(tx, policy=policy)
        ended = alarms.list_alarms(tx, policy=policy, ended=True)
    assert {"superseded"} == {each.ended_why for each in ended}


def test_the_scheduled_freeze_waits_for_a_decision_and_a_person_need_not(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    at: Any = SimpleNamespace(
        engine=engine, policy=policy, recipe=EAGER, snapshots=tmp_path / "snapshots"
    )

    with pytest.raises(NotDecided, match="`hitl retrain` says why"):
        steps.freeze_snapshot(at, only_if_decided=True)
    steps.decide_retrain(at)
    frozen = steps.freeze_snapshot(at, only_if_decided=True)
    train(engine, policy, tmp_path)
    with pytest.raises(NotDecided):
        steps.freeze_snapshot(at, only_if_decided=True)
    by_hand = steps.freeze_snapshot(at)

    assert (True, False) == (frozen.is_new, by_hand.is_new)
    assert 0 == steps.labels_since_decision(at)


def test_a_decision_that_is_killed_before_it_is_kept_is_made_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")

    class Killed(BaseException):
        """As kill -9 right before the commit."""

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("flows.decide_retrain._report", die)
        patched.setattr("flows.decide_retrain.log.info", die)
        with pytest.raises(Killed):
            decide(engine, policy)
    left = len(decisions_on_record(engine))

    report = decide(engine, policy)

    assert report.retrain
    assert 1 == len(decisions_on_record(engine))
    assert left <= 1


def test_the_view_has_a_line_a_rule(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    label_batch(engine, policy, batch_id="b2", seed=2)
    report = decide(engine, policy)

    with begin(engine) as tx:
        lines = tx.execute(
            text("""
                SELECT rule, fired, value, bar, code, words, retrain, new_labels
                FROM dashboard.retrain_decisions ORDER BY decision_id, place
            """)
        ).all()

    assert [
        (one.rule.value, one.fired, one.value, one.bar, one.code, one.words, True, 120)
        for one in report.reasons
    ] == [tuple(line) for line in lines]
