"""Certificates and a change of champion: foreseen by the gate, brought back by a rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from flows.certify import certify
from flows.deciding.bundles import load_registered
from flows.rescore import rescore
from flows.rollback import CameBackAlready, rollback
from hitl import registry
from hitl.db import begin
from hitl.errors import Refused
from hitl.evaluation import Reason
from hitl.policy import Obligation, Policy
from hitl.recipe import CertifyRecipe
from hitl.records import ModelVersion
from tests.flows.models import (
    SEED,
    add_worse,
    champion_of,
    count,
    crown,
    judge,
    promote,
    record_of,
    train,
)
from tests.flows.test_certify import BOTH, RULES, promising
from tests.flows.worlds import fill, label_batch, text_of

pytestmark = pytest.mark.postgres


def certified(
    engine: Engine, folder: Path, *, batches: int = 7, **obligations: Obligation
) -> tuple[Policy, ModelVersion]:
    """A champion that holds certificates and decides by them."""
    policy = promising(fill(engine, items=1400), **(obligations or {"hate": BOTH, "spam": BOTH}))
    for k in range(batches):
        label_batch(engine, policy, batch_id=f"b{k}", seed=k)
    train(engine, policy, folder)
    champion = crown(engine, policy, folder)
    rescore(engine, policy=policy)
    certify(engine, policy=policy, recipe=RULES)
    rescore(engine, policy=policy)
    return policy, champion


def forecasts(reasons: tuple[Reason, ...]) -> dict[tuple[str, str], Reason]:
    return {(one.category, one.metric): one for one in reasons if one.rule == "certificate"}


def standing(engine: Engine, policy: Policy, model_version: ModelVersion) -> set[tuple[str, str]]:
    with begin(engine) as tx:
        found = registry.standing_certificates(tx, policy=policy, model_version=model_version)
    return {(subject.category, metric) for subject, by in found.items() for metric in by}


def test_the_forecast_is_what_the_new_champion_is_given(engine: Engine, tmp_path: Path) -> None:
    policy, champion = certified(engine, tmp_path)
    newer = train(engine, policy, tmp_path, seed=SEED + 1).model_version
    before = count(engine, "SELECT count(*) FROM certificates")

    report = judge(engine, policy)

    foreseen = forecasts(report.numbers)
    assert standing(engine, policy, champion) == set(foreseen)
    assert before == count(engine, "SELECT count(*) FROM certificates")
    crown(engine, policy, tmp_path)
    rescore(engine, policy=policy)
    certify(engine, policy=policy, recipe=RULES)
    given = standing(engine, policy, newer)
    assert {key for key, one in foreseen.items() if one.outcome == "passed"} == given
    assert {1} == {
        one.attempt
        for attempts in _attempts(engine, policy, newer).values()
        for one in attempts
    }  # fmt: skip
    with begin(engine) as tx:
        found = registry.standing_certificates(tx, policy=policy, model_version=newer)
    for subject, by_metric in found.items():
        for metric, one in by_metric.items():
            assert foreseen[subject.category, metric].value == pytest.approx(one.finding.threshold)


def _attempts(engine: Engine, policy: Policy, version: ModelVersion) -> dict[Any, Any]:
    with begin(engine) as tx:
        return registry.attempts(tx, policy=policy, model_version=version)


def test_a_challenger_that_would_lose_a_certificate_is_refused(
    engine: Engine, tmp_path: Path
) -> None:
    policy, champion = certified(engine, tmp_path)
    add_worse(engine, policy, like=champion)

    report = promote(engine, policy, tmp_path)

    lost = forecasts(report.numbers)["hate", "precision"]
    assert ("refuse", False) == (report.decision, report.promoted)
    assert "failed" == lost.outcome
    assert "would lose the precision certificate of hate" in lost.words
    assert "not a certificate" in lost.words


def test_certificates_that_ended_are_no_reason_any_more(engine: Engine, tmp_path: Path) -> None:
    policy, champion = certified(engine, tmp_path)
    train(engine, policy, tmp_path, seed=SEED + 1)
    first = judge(engine, policy)
    with begin(engine) as tx:
        found = registry.standing_certificates(tx, policy=policy, model_version=champion)
        for by_metric in found.values():
            for one in by_metric.values():
                registry.withdraw(tx, one.certificate_id, why="a test")

    second = judge(engine, policy)

    assert forecasts(first.numbers)
    assert {} == forecasts(second.numbers)
    assert first.verdict_id != second.verdict_id


def test_thresholds_that_go_by_another_column_are_not_at_stake(
    engine: Engine, tmp_path: Path
) -> None:
    policy, _ = certified(engine, tmp_path)
    certify(engine, policy=policy, recipe=CertifyRecipe(by="language"))
    train(engine, policy, tmp_path, seed=SEED + 1)

    found = forecasts(judge(engine, policy).numbers)

    assert found
    assert {""} == {one.slice_name for one in found.values()}


def test_every_further_challenger_is_looked_at_more_closely(engine: Engine, tmp_path: Path) -> None:
    policy, _ = certified(engine, tmp_path)
    train(engine, policy, tmp_path, seed=SEED + 1)
    first = judge(engine, policy)
    train(engine, policy, tmp_path, seed=SEED + 2)

    second = judge(engine, policy)
    again = judge(engine, policy)

    assert "for challenger 1 of this champion" in str(forecasts(first.numbers)["hate", "precision"])
    assert "for challenger 2 of this champion" in str(
        forecasts(second.numbers)["hate", "precision"]
    )
    assert second == again


def test_a_rollback_takes_model_calibration_and_thresholds_together(
    engine: Engine, tmp_path: Path
) -> None:
    policy, older = certified(engine, tmp_path)
    train(engine, policy, tmp_path, seed=SEED + 1)
    newer = crown(engine, policy, tmp_path)
    rescore(engine, policy=policy)
    certify(engine, policy=policy, recipe=RULES)
    rescore(engine, policy=policy)
    assert {newer} == {model for model, _, _, _ in _newest(engine)}

    back = rollback(
        engine, policy=policy, cards=tmp_path / "cards", approved_by="ana", note="false alarms"
    )
    rescore(engine, policy=policy)

    assert (older, newer) == (back.champion, back.left)
    found = _newest(engine)
    assert {older} == {model for model, _, _, _ in found}
    model = load_registered(record_of(engine, older))
    said = model.predict([text_of(item) for _, item, _, _ in found])
    stored = np.array([[p[c] for c in model.categories] for _, _, _, p in found])
    assert np.abs(said - stored).max() < 1e-8
    with begin(engine) as tx:
        own, others = (
            {
                (subject.category, metric): one.finding.threshold
                for subject, by in registry.standing_certificates(
                    tx, policy=policy, model_version=version
                ).items()
                for metric, one in by.items()
            }
            for version in (older, newer)
        )
    assert own != others
    actions = {item: action for _, item, action, _ in found}
    expected = {item: _action(p, own) for _, item, _, p in found}
    assert expected == actions
    assert {"allow", "block"} <= set(actions.values())
    # By the newer model's thresholds some would have been decided otherwise.
    assert expected != {item: _action(p, others) for _, item, _, p in found}


def _newest(engine: Engine) -> list[tuple[str, str, str, dict[str, float]]]:
    """Of each item that a model of ours decided on, the newest decision that was acted on."""
    with begin(engine) as tx:
        rows = tx.execute(
            text("""
                SELECT DISTINCT ON (item_id) model_version, item_id, action, probabilities
                FROM decisions d WHERE NOT is_shadow AND EXISTS (
                    SELECT 1 FROM decisions o
                    WHERE o.item_id = d.item_id AND o.model_version <> 'production')
                ORDER BY item_id, decided_at DESC
            """)
        )
        return [tuple(row) for row in rows]


def _action(said: dict[str, float], thresholds: dict[tuple[str, str], float]) -> str:
    if any(p >= thresholds.get((c, "precision"), np.inf) for c, p in said.items()):
        return "block"
    is_low = all(p < thresholds.get((c, "recall"), -np.inf) for c, p in said.items())
    return "allow" if is_low else "review"


def test_a_rollback_that_is_typed_twice_goes_back_once(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    versions = []
    for k in range(3):
        train(engine, policy, tmp_path, seed=SEED + k)
        versions.append(crown(engine, policy, tmp_path))

    def go_back(leaving: ModelVersion | None = None) -> str:
        cards = tmp_path / "cards"
        return rollback(
            engine, policy=policy, cards=cards, approved_by="ana", note="bad", leaving=leaving
        ).champion

    assert versions[1] == go_back()
    with pytest.raises(CameBackAlready, match=f"--leaving {versions[1]}"):
        go_back()
    assert versions[1] == champion_of(engine, policy)
    # Named, it does happen once more; and named again it is found done.
    assert versions[0] == go_back(versions[1])
    assert versions[0] == go_back(versions[1])
    assert 5 == count(engine, "SELECT count(*) FROM promotions")
    with pytest.raises(Refused, match="no champion before"):
        go_back(versions[0])
