"""Who becomes champion, by whose word, and what the cards say of it afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from flows.promote_champion import ChallengerOfAnotherPolicy
from flows.rollback import rollback
from flows.train_challenger import SnapshotOfAnotherPolicy, train_challenger
from hitl import registry
from hitl.db import begin
from hitl.errors import Refused
from hitl.recipe import GateRecipe, Recipe
from hitl.records import ModelState
from hitl.registry import VerdictStands
from tests.builders import make_policy
from tests.flows.models import (
    SEED,
    add_worse,
    champion_of,
    change_of,
    count,
    crown,
    judge,
    promote,
    record_of,
    train,
)
from tests.flows.worlds import RECIPE, fill, label_batch

pytestmark = pytest.mark.postgres

HATE, SPAM = (one.model_dump() for one in make_policy().category)
SCAM = {"id": "scam", "title": "Scam", "definition": "Takes money by a lie.", "hotkey": "c"}


def test_a_challenger_that_the_gate_prefers_becomes_champion(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    first = train(engine, policy, tmp_path)
    worse = add_worse(engine, policy, like=first.model_version)
    assert worse == crown(engine, policy, tmp_path)
    better = train(engine, policy, tmp_path, seed=SEED + 1)

    report = promote(engine, policy, tmp_path)

    assert ("promote", True, worse) == (report.decision, report.promoted, report.champion_before)
    assert better.model_version == champion_of(engine, policy)
    assert ModelState.RETIRED is record_of(engine, worse).state
    assert 1 == count(engine, "SELECT count(*) FROM promotions WHERE note = ''")
    assert report.reasons[0].startswith("passed: ")


def test_a_challenger_that_is_worse_leaves_the_champion(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    champion = train(engine, policy, tmp_path).model_version
    crown(engine, policy, tmp_path)
    card = (tmp_path / "cards" / f"{champion}.md").read_bytes()
    worse = add_worse(engine, policy, like=champion)

    report = promote(engine, policy, tmp_path)

    assert ("refuse", False) == (report.decision, report.promoted)
    assert report.reasons[0].startswith("failed: ")
    assert champion == champion_of(engine, policy)
    assert ModelState.CHALLENGER is record_of(engine, worse).state
    assert 1 == count(engine, "SELECT count(*) FROM promotions")
    assert card == (tmp_path / "cards" / f"{champion}.md").read_bytes()


def test_a_new_order_of_the_categories_changes_no_comparison(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    crown(engine, policy, tmp_path)
    reordered = make_policy(version="2", category=[SPAM, HATE])

    trained = train(engine, reordered, tmp_path)
    report = judge(engine, reordered)

    assert trained.model_version == report.model_version
    assert "promote" == report.decision
    # The same labels and the same recipe: the two know the same.
    assert 0.0 == pytest.approx(change_of(engine, "macro"), abs=0.02)


def test_a_category_that_the_champion_does_not_know_is_noted(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    crown(engine, policy, tmp_path)
    extended = make_policy(version="2", category=[SCAM, HATE, SPAM])

    trained = train(engine, extended, tmp_path)
    report = promote(engine, extended, tmp_path)

    assert ("scam",) == trained.constant_categories
    assert report.promoted
    assert any("scam is not judged" in one for one in report.reasons)
    assert 0.0 == pytest.approx(change_of(engine, "macro"), abs=0.02)


def test_a_challenger_of_another_policy_is_not_judged(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    changed = make_policy(version="2")

    with pytest.raises(ChallengerOfAnotherPolicy) as refusal:
        judge(engine, changed)

    assert policy.policy_id in str(refusal.value)
    assert changed.policy_id in str(refusal.value)


def test_a_snapshot_of_another_policy_is_not_trained_on(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    (snapshot,) = (tmp_path / "snapshots").iterdir()
    changed = make_policy(version="2")

    with pytest.raises(SnapshotOfAnotherPolicy) as refusal:
        train_challenger(
            engine,
            policy=changed,
            recipe=RECIPE,
            snapshot=snapshot,
            models=tmp_path / "models",
            seed=SEED,
        )

    assert policy.policy_id in str(refusal.value)
    assert changed.policy_id in str(refusal.value)
    assert 1 == count(engine, "SELECT count(*) FROM model_versions")


def test_both_cards_follow_every_change_of_champion(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    cards = tmp_path / "cards"
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path, data_note="Made up by a generator.")
    first = crown(engine, policy, tmp_path)
    train(engine, policy, tmp_path, seed=SEED + 1)
    second = crown(engine, policy, tmp_path)

    def states() -> tuple[bool, bool]:
        """Whether the cards name the first, and the second, as champion."""
        pages = [(cards / f"{one}.md").read_text() for one in (first, second)]
        return "| State | champion |" in pages[0], "| State | champion |" in pages[1]

    assert (False, True) == states()

    back = rollback(engine, policy=policy, cards=cards, approved_by="ana", note="false alarms")

    assert (first, second) == (back.champion, back.left)
    assert (True, False) == states()
    page = (cards / f"{first}.md").read_text()
    assert "> **Note on the data.** Made up by a generator." in page
    assert "| Note | false alarms |" in page


def test_a_rollback_needs_a_reason(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--note"):
        rollback(engine, policy=make_policy(), cards=tmp_path, approved_by="ana", note=" ")


def test_a_training_that_was_champion_once_does_not_await_promotion(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    new = train(engine, policy, tmp_path)
    crown(engine, policy, tmp_path)
    train(engine, policy, tmp_path, seed=SEED + 1)
    crown(engine, policy, tmp_path)
    rollback(
        engine, policy=policy, cards=tmp_path / "cards", approved_by="ana", note="false alarms"
    )

    retired = train(engine, policy, tmp_path, seed=SEED + 1)

    assert (True, ModelState.CHALLENGER) == (new.awaits_promotion, new.state)
    assert (False, ModelState.RETIRED) == (retired.awaits_promotion, retired.state)


def test_changed_rules_judge_the_same_challenger_anew(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    judge(engine, policy)
    stricter = Recipe(training=RECIPE.training, gate=GateRecipe(min_test_items=10_000))

    report = promote(engine, policy, tmp_path, recipe=stricter)

    assert ("insufficient", False) == (report.decision, report.promoted)
    assert 2 == count(engine, "SELECT count(*) FROM verdicts")


def test_force_goes_by_the_verdict_that_stands(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    trained = train(engine, policy, tmp_path)
    with begin(engine) as tx:
        stands = registry.save_verdict(
            tx,
            challenger=trained.model_version,
            champion=None,
            snapshot_id=trained.snapshot_id,
            recipe=RECIPE,
            decision="refuse",
            reasons=[],
        )

    with pytest.raises(VerdictStands, match="--force"):
        promote(engine, policy, tmp_path)
    crown(engine, policy, tmp_path)

    assert stands == count(engine, "SELECT verdict_id FROM promotions")
