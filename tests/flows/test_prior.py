"""What earlier models decided is learned from: theirs, not ours, never on the measuring side."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from flows.training.prior import learn_from_earlier
from hitl import decisions, training
from hitl.db import begin
from hitl.recipe import Recipe
from hitl.records import Action, Decision, ItemId, ModelVersion
from tests.builders import NOON, make_policy
from tests.flows.worlds import RECIPE, fill, measuring_side

pytestmark = pytest.mark.postgres

HOW = training.TrainingRecipe(categories=("hate", "spam"), embedding_dimensions=8)


def recipe_of(items: int) -> Recipe:
    return RECIPE.model_copy(
        update={"training": RECIPE.training.model_copy(update={"prior_items": items})}
    )


def test_it_is_learned_on_the_training_side_alone(engine: Engine) -> None:
    policy = fill(engine)

    found = learn_from_earlier(engine, policy=policy, recipe=RECIPE, how=HOW)

    assert found is not None
    measuring = measuring_side([f"i{k}" for k in range(400)], engine)
    assert 400 - len(measuring) == found.prior.items
    assert [True, True] == found.prior.knows.tolist()


def test_what_was_decided_since_changes_nothing_under_the_same_bound(engine: Engine) -> None:
    policy = fill(engine)
    first = learn_from_earlier(engine, policy=policy, recipe=RECIPE, how=HOW)
    assert first is not None
    with begin(engine) as tx:
        later = [
            Decision(ItemId(f"i{k}"), ModelVersion("newer"), NOON.replace(year=2027), None, {})
            for k in range(50)
        ]
        decisions.merge_decisions(tx, later, source="later")

    again = learn_from_earlier(
        engine, policy=policy, recipe=RECIPE, how=HOW, taken_in_by=first.taken_in_by
    )
    newest = learn_from_earlier(engine, policy=policy, recipe=RECIPE, how=HOW)

    assert again is not None
    assert newest is not None
    assert first.prior.sha256 == again.prior.sha256 != newest.prior.sha256


def test_decisions_of_our_own_models_are_left_out(engine: Engine) -> None:
    policy = fill(engine)
    before = learn_from_earlier(engine, policy=policy, recipe=RECIPE, how=HOW)
    with begin(engine) as tx:
        ours = [
            Decision(
                ItemId(f"i{k}"),
                ModelVersion("ours"),
                NOON.replace(year=2027),
                Action.REVIEW,
                {"hate": 1.0, "spam": 1.0},
            )
            for k in range(400)
        ]
        decisions.merge_decisions(tx, ours, source="rescore")
        found = decisions.read_decided(
            tx,
            other_than=[ModelVersion("ours")],
            taken_in_by=decisions.settled_moment(tx),
            limit=1000,
            max_characters=20,
        )

    assert before is not None
    assert 400 == len(found)
    assert all(max(one.probabilities.values()) < 1.0 for one in found)
    assert all(len(one.text) <= 20 for one in found)


def test_a_part_of_the_items_is_the_same_part_each_time(engine: Engine) -> None:
    policy = fill(engine)

    some = learn_from_earlier(engine, policy=policy, recipe=recipe_of(50), how=HOW)
    again = learn_from_earlier(engine, policy=policy, recipe=recipe_of(50), how=HOW)

    assert some is not None
    assert again is not None
    assert some.prior.sha256 == again.prior.sha256
    assert 0 < some.prior.items <= 50


def test_without_decisions_or_wish_there_is_none(engine: Engine) -> None:
    assert None is learn_from_earlier(engine, policy=make_policy(), recipe=RECIPE, how=HOW)
    policy = fill(engine)
    assert None is learn_from_earlier(engine, policy=policy, recipe=recipe_of(0), how=HOW)
    with begin(engine) as tx:
        tx.execute(text("ALTER TABLE decisions DISABLE TRIGGER USER"))
        tx.execute(text("UPDATE decisions SET probabilities = '{\"other\": 0.5}'"))
    assert None is learn_from_earlier(engine, policy=policy, recipe=RECIPE, how=HOW)
