"""From labels to a champion that decides and is measured: steps 5 to 9 over real rows and files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from flows.freeze_snapshot import freeze_snapshot
from flows.measure import measure
from flows.promote_champion import NoChallenger, gate, promote_champion
from flows.rescore import NoChampion, rescore
from flows.train_challenger import TooFewLabels, train_challenger
from hitl import registry
from hitl.db import begin
from hitl.errors import Refused
from hitl.recipe import TrainingRecipe
from hitl.records import ModelState
from tests.builders import NOON, make_policy
from tests.flows.models import SEED, count, crown, train
from tests.flows.worlds import RECIPE, fill, label_batch

pytestmark = pytest.mark.postgres


def test_a_round_ends_with_a_champion_its_card_its_decisions_and_its_figures(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")

    trained = train(engine, policy, tmp_path)
    version = crown(engine, policy, tmp_path)
    scored = rescore(engine, policy=policy)
    again = rescore(engine, policy=policy)
    # From when production decided until the champion has.
    end = datetime.now(UTC) + timedelta(days=1)
    report = measure(engine, policy=policy, start=NOON, end=end)

    assert trained.model_version == version
    assert (72, 48) == (trained.training_examples, trained.test_examples)
    assert version in (tmp_path / "cards" / f"{version}.md").read_text()
    # Everything but the 72 items it was trained on.
    assert (328, 328, True) == (scored.items, scored.new, scored.is_first)
    assert (328, 0, False) == (again.items, again.new, again.is_first)
    assert {"production", version} == set(report.by_model)
    champion = {
        (one.metric, one.category): one
        for one in report.by_model[trained.model_version]
        if one.slice_name == "" and one.kind == "descriptive"
    }
    recall = champion["recall", "any"]
    assert 48 == champion["prevalence", "any"].n
    assert recall.value is not None
    assert recall.value > 0.7


def test_training_again_gives_back_what_stands(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    first = train(engine, policy, tmp_path)
    files = {p: p.read_bytes() for p in (tmp_path / "models").rglob("*") if p.is_file()}

    again = train(engine, policy, tmp_path)

    assert (True, False) == (first.is_new, again.is_new)
    assert first.model_version == again.model_version
    assert files == {p: p.read_bytes() for p in (tmp_path / "models").rglob("*") if p.is_file()}
    assert 1 == count(engine, "SELECT count(*) FROM model_versions")


def test_too_few_labels_say_how_many_are_wanted(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    frozen = freeze_snapshot(engine, policy=policy, recipe=RECIPE, folder=tmp_path)
    greedy = RECIPE.model_copy(update={"training": TrainingRecipe(min_labels=500)})

    with pytest.raises(TooFewLabels, match="72 training examples and the recipe asks for 500"):
        train_challenger(
            engine,
            policy=policy,
            recipe=greedy,
            snapshot=frozen.path,
            models=tmp_path / "models",
            seed=1,
        )


def test_a_judgement_promotes_nothing_and_can_be_repeated(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)

    first = gate(engine, policy=policy, recipe=RECIPE, seed=SEED)
    again = gate(engine, policy=policy, recipe=RECIPE, seed=SEED)

    assert first == again
    assert first.reasons
    assert not first.promoted
    assert 1 == count(engine, "SELECT count(*) FROM verdicts")
    assert 0 == count(engine, "SELECT count(*) FROM promotions")


def test_force_needs_a_reason(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--note"):
        promote_champion(
            engine,
            policy=make_policy(),
            recipe=RECIPE,
            cards=tmp_path,
            seed=1,
            approved_by="ana",
            force=True,
            note="  ",
        )


def test_without_a_challenger_or_champion_the_steps_say_what_to_run(
    engine: Engine, tmp_path: Path
) -> None:
    policy = make_policy()

    with pytest.raises(NoChallenger, match="`hitl train`"):
        gate(engine, policy=policy, recipe=RECIPE, seed=1)
    with pytest.raises(NoChampion, match="`hitl promote`"):
        rescore(engine, policy=policy)


def test_rescoring_again_changes_nothing_and_a_new_champion_adds_its_own(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    crown(engine, policy, tmp_path)
    rescore(engine, policy=policy)
    decisions = count(engine, "SELECT count(*) FROM decisions")

    again = rescore(engine, policy=policy)

    assert 0 == again.new
    assert decisions == count(engine, "SELECT count(*) FROM decisions")
    assert 0 == count(engine, "SELECT count(*) FROM conflicts")

    label_batch(engine, policy, batch_id="b2", seed=2)
    train(engine, policy, tmp_path)
    second = crown(engine, policy, tmp_path)
    newer = rescore(engine, policy=policy)

    assert newer.new == newer.items
    with begin(engine) as tx:
        states = {m.model_version: m.state for m in registry.list_versions(tx, policy.name)}
        back = registry.rollback(tx, policy_name=policy.name, approved_by="ana", note="a drill")
    assert ModelState.CHAMPION is states[second]
    assert back != second
