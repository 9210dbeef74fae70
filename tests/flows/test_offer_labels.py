"""What was said of one near copy is proposed for the others, checked by chance, never measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from flows.freeze_snapshot import freeze_snapshot
from flows.offer_labels import errors_of, offer_labels, twin_stats
from hitl import datasets
from hitl.db import begin
from hitl.policy import Policy
from hitl.recipe import Recipe, TwinsRecipe
from hitl.records import EntryId, ItemId, Split
from hitl.twins import Checked
from tests.builders import make_policy
from tests.flows.test_select_twins import (
    RECIPE,
    answer,
    asked,
    fill,
    measuring_side,
    replace_selection,
    select,
)

OFFERING = replace_selection(RECIPE, batch_size=60).model_copy(
    update={
        "twins": TwinsRecipe(
            is_on=True, offers_labels=True, audit_of_offers=0.5, audits_an_answer=20
        )
    }
)


def offers(engine: Engine) -> list[tuple[str, str, bool, float]]:
    """Item, the item whose labels it is offered, whether it is to be checked, by which chance."""
    with begin(engine) as tx:
        rows = tx.execute(
            text(
                "SELECT o.item_id, e.item_id, o.is_audited, o.audit_probability"
                " FROM proposals o JOIN entries e USING (entry_id) ORDER BY 1"
            )
        )
        return [tuple(row) for row in rows]


def reviewed_once(engine: Engine) -> tuple[Policy, dict[str, str]]:
    """A batch in which everything is answered, and what is offered by it."""
    policy, spam = fill(engine)
    select(engine, policy, "b1", OFFERING)
    answer(engine, policy, spam)
    offer_labels(engine, policy=policy, recipe=OFFERING)
    return policy, spam


@pytest.mark.postgres
def test_a_reviewed_copy_offers_its_labels_to_the_others_of_the_training_side(
    engine: Engine,
) -> None:
    policy, spam = reviewed_once(engine)
    again = offer_labels(engine, policy=policy, recipe=OFFERING)

    made = offers(engine)

    audits = {one for one, (share, _) in asked(engine, "b1").items() if share == "audit"}
    taking, giving = ({row[place] for row in made} for place in (0, 1))
    measuring = measuring_side(engine)
    assert len(taking) == len(made) > 50
    assert taking <= spam.keys() - measuring
    assert giving <= spam.keys() - measuring - audits
    assert (0, 0) == (again.offered, again.audited)


@pytest.mark.postgres
def test_offers_are_checked_with_the_chance_on_record_and_only_once(engine: Engine) -> None:
    policy, spam = reviewed_once(engine)
    due = {item for item, _, is_audited, _ in offers(engine) if is_audited}
    chances = {item: chance for item, _, _, chance in offers(engine)}

    checks: list[dict[str, tuple[str, int]]] = []
    for name in ("b2", "b3", "b4", "b5"):
        select(engine, policy, name, OFFERING)
        answer(engine, policy, spam)
        checks.append({k: v for k, v in asked(engine, name).items() if v[0] == "proposals"})

    found = [item for each in checks for item in each]
    with begin(engine) as tx:
        rows = tx.execute(
            text("SELECT item_id, inclusion_probability FROM picks WHERE share = 'proposals'")
        ).all()
    assert set(found) == due
    assert len(found) == len(set(found))
    assert max(map(len, checks)) <= 6, "a tenth of the batch at most"
    assert {row.item_id: row.inclusion_probability for row in rows} == {
        item: chances[item] for item in found
    }
    stats = twin_stats(engine, policy=policy)
    assert len(due) == stats.offers.audited == stats.offers.answered


@pytest.mark.postgres
def test_a_wave_is_checked_a_few_times_however_large(engine: Engine) -> None:
    policy, spam = fill(engine)
    few = OFFERING.model_copy(
        update={"twins": OFFERING.twins.model_copy(update={"audits_an_answer": 2})}
    )
    select(engine, policy, "b1", few)
    answer(engine, policy, spam)

    report = offer_labels(engine, policy=policy, recipe=few)

    answers = len({giver for _, giver, _, _ in offers(engine)})
    assert report.offered > 50
    assert sum(chance for *_, chance in offers(engine)) <= 2 * answers + 1e-9
    assert report.audited <= 8 * answers


@pytest.mark.postgres
def test_labels_that_are_taken_back_take_their_proposals_with_them(engine: Engine) -> None:
    policy, _ = reviewed_once(engine)
    before = twin_stats(engine, policy=policy).offers.offers

    with begin(engine) as tx:
        tx.execute(
            text(
                "INSERT INTO labels (entry_id, item_id, policy_id, category, revision, value,"
                " weight, votes_for, votes_total, decided_by) SELECT entry_id, item_id, policy_id,"
                " category, 2, NULL, 0, 0, 0, 'taken_back' FROM labels"
            )
        )

    assert before > 0
    assert 0 == twin_stats(engine, policy=policy).offers.offers


@pytest.mark.postgres
@pytest.mark.parametrize("learns", [False, True])
def test_proposals_train_only_where_the_recipe_says_so_and_never_measure(
    engine: Engine, tmp_path: Path, learns: bool
) -> None:
    policy, _ = reviewed_once(engine)
    recipe = OFFERING.model_copy(
        update={"twins": OFFERING.twins.model_copy(update={"trains_on_offers": learns})}
    )

    report = freeze_snapshot(engine, policy=policy, recipe=recipe, folder=tmp_path)

    rows = datasets.read_snapshot(report.path).rows
    proposed = [row for row in rows if row.share == "proposals"]
    labelled = {row.example.item_id for row in rows if row.share != "proposals"}
    assert learns == bool(proposed)
    assert not labelled & {row.example.item_id for row in proposed}
    assert all(row.example.split is Split.TRAIN for row in proposed)
    assert all(row.share == "audit" for row in rows if row.example.split is Split.TEST)
    assert all(row.example.labels == {"hate": 0.0, "spam": 1.0} for row in proposed)


@pytest.mark.postgres
def test_a_copy_of_what_measures_is_not_learned_from_however_it_was_changed(
    engine: Engine, tmp_path: Path
) -> None:
    policy, spam = fill(engine)
    select(engine, policy, "b1")
    answer(engine, policy, spam)
    plain = Recipe(selection=RECIPE.selection)

    apart = freeze_snapshot(engine, policy=policy, recipe=RECIPE, folder=tmp_path / "a")
    mixed = freeze_snapshot(engine, policy=policy, recipe=plain, folder=tmp_path / "b")

    assert apart.left_out >= mixed.left_out
    assert not clusters_on_both_sides(engine, apart.path)


def clusters_on_both_sides(engine: Engine, path: Path) -> set[int]:
    with begin(engine) as tx:
        rows = tx.execute(
            text("SELECT t.item_id, f.pivot_id FROM twin_items t JOIN twin_forms f USING (form_id)")
        )
        cluster = {row.item_id: row.pivot_id for row in rows}
    on: dict[Split, set[int]] = {side: set() for side in Split}
    for row in datasets.read_snapshot(path).rows:
        on[row.example.split].add(cluster[row.example.item_id])
    return on[Split.TRAIN] & on[Split.TEST]


def test_the_error_weighs_each_check_by_its_chance() -> None:
    def checked(item: str, *, wrong: bool, chance: float) -> Checked:
        return Checked(ItemId(item), EntryId(1), "spam", True, not wrong, chance)

    # One in two of 200 was checked and a tenth is wrong; one in fifty of 5,000, and all is right.
    rows = [checked(f"a{k}", wrong=k < 10, chance=0.5) for k in range(100)]
    rows += [checked(f"b{k}", wrong=False, chance=0.02) for k in range(100)]

    found = errors_of(rows, make_policy())

    assert found["spam"].value == pytest.approx(20 / 5200)
    assert found["spam"] == found["any"]
    assert "no_labels" == found["hate"].code


@pytest.mark.slow
def test_the_measured_error_covers_the_true_one_as_it_says() -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        wrong = rng.random(2000) < 0.06
        chance = np.where(np.arange(2000) < 1000, 0.3, 0.05)
        drawn = np.flatnonzero(rng.random(2000) < chance)
        rows = [
            Checked(ItemId(f"i{k}"), EntryId(1), "spam", True, not wrong[k], float(chance[k]))
            for k in drawn.tolist()
        ]
        error = errors_of(rows, make_policy())["spam"]
        if error.low is not None and error.high is not None:
            covered += error.low <= wrong.mean() <= error.high

    assert covered >= 0.93 * 200
