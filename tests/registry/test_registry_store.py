"""One row a training, one champion a policy, whoever asks at once; on a real Postgres."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

from hitl.db import begin
from hitl.errors import Refused
from hitl.recipe import GateRecipe, Recipe
from hitl.records import ModelState, ModelVersion, SnapshotId
from hitl.registry import (
    AnotherChampion,
    NeverPromoted,
    NoChampionBefore,
    NotPromotable,
    UnknownModelVersion,
    UnknownSnapshot,
    VerdictStands,
    VersionTaken,
    challenger,
    champion,
    evaluations_of,
    find,
    list_promotions,
    list_versions,
    make_challenger,
    newest_snapshot_path,
    newest_verdict,
    place,
    promote,
    promoted_at,
    read_card,
    rollback,
    save_evaluations,
    snapshot_path,
)
from tests.builders import add_policy, make_policy
from tests.registry.builders import add_model, add_snapshot, judge, make_figure, promoted

pytestmark = pytest.mark.postgres

A, B, C = ModelVersion("a"), ModelVersion("b"), ModelVersion("c")
S1 = SnapshotId("s1")


@pytest.fixture
def shop(tx: Connection) -> Connection:
    """A transaction with a policy and the snapshot s1."""
    add_snapshot(tx, add_policy(tx))
    return tx


def states(tx: Connection) -> dict[str, str]:
    rows = tx.execute(text("SELECT model_version, state FROM model_versions"))
    return {row.model_version: row.state for row in rows}


def test_the_same_training_is_one_row_under_its_first_name(shop: Connection) -> None:
    first = add_model(shop, "a", seed=1)

    again = add_model(shop, "another name", seed=1)

    assert first == again
    assert first == find(shop, A)
    assert None is find(shop, ModelVersion("another name"))


def test_a_name_that_stands_for_another_training_is_refused(shop: Connection) -> None:
    add_model(shop, "a", seed=1)

    with pytest.raises(VersionTaken, match="model a: exists with another"):
        add_model(shop, "a", seed=2)


def test_the_challenger_is_the_newest_one_after_the_champion(shop: Connection) -> None:
    nobody = (challenger(shop, "community"), champion(shop, "community"))
    promoted(shop, "a")
    alone = challenger(shop, "community")
    add_model(shop, "b")
    add_model(shop, "c")
    add_model(shop, "d", state=ModelState.TRAINED)

    found = challenger(shop, "community")

    assert (None, None) == nobody
    assert None is alone
    assert found is not None
    assert "c" == found.model_version
    assert ["d", "c", "b", "a"] == [one.model_version for one in list_versions(shop, "community")]


def test_a_challenger_older_than_the_champion_is_none_any_more(shop: Connection) -> None:
    add_model(shop, "a")
    promoted(shop, "b")

    assert None is challenger(shop, "community")


def test_promotion_retires_the_champion_and_writes_down_who_said_so(shop: Connection) -> None:
    promoted(shop, "a")
    add_model(shop, "b")

    changed = promote(
        shop, challenger=B, verdict_id=judge(shop, "b"), approved_by="ana", note="better on spam"
    )

    assert changed
    assert {"a": "retired", "b": "champion"} == states(shop)
    row = shop.execute(text("SELECT * FROM promotions ORDER BY promotion_id DESC LIMIT 1")).one()
    assert ("promotion", "b", "a", "ana", "better on spam") == (
        row.kind,
        row.model_version,
        row.previous,
        row.approved_by,
        row.note,
    )
    assert row.promoted_at == promoted_at(shop, B)


def test_promoting_the_champion_again_changes_nothing(shop: Connection) -> None:
    promoted(shop, "a")
    before = list_promotions(shop, "community")

    assert not promote(shop, challenger=A, verdict_id=None, approved_by="ben")
    assert before == list_promotions(shop, "community")


def test_against_the_gate_only_with_force_and_a_note(shop: Connection) -> None:
    add_model(shop, "a")
    verdict_id = judge(shop, "a", "keep")

    with pytest.raises(NotPromotable, match="the gate says keep"):
        promote(shop, challenger=A, verdict_id=verdict_id, approved_by="ana")
    unchanged = states(shop)
    promote(
        shop, challenger=A, verdict_id=verdict_id, approved_by="ana", note="first one", force=True
    )

    assert {"a": "challenger"} == unchanged
    assert {"a": "champion"} == states(shop)


def test_rollbacks_go_back_one_champion_at_a_time(shop: Connection) -> None:
    for name in "abc":
        promoted(shop, name)

    first = rollback(shop, policy_name="community", approved_by="ana", note="false alarms")
    after_first = states(shop)
    second = rollback(shop, policy_name="community", approved_by="ana", note="still")

    assert ("b", "a") == (first, second)
    assert {"a": "retired", "b": "champion", "c": "retired"} == after_first
    assert {"a": "champion", "b": "retired", "c": "retired"} == states(shop)
    with pytest.raises(NoChampionBefore, match="policy community: no champion before"):
        rollback(shop, policy_name="community", approved_by="ana", note="again")


def test_a_repeated_rollback_of_one_champion_happens_once(shop: Connection) -> None:
    for name in "abc":
        promoted(shop, name)
    for _ in range(2):
        back = rollback(shop, policy_name="community", approved_by="ana", note="x", leaving=C)

    assert "b" == back
    assert {"a": "retired", "b": "champion", "c": "retired"} == states(shop)
    with pytest.raises(AnotherChampion, match="the champion is b, not a"):
        rollback(shop, policy_name="community", approved_by="ana", note="x", leaving=A)


def test_a_rolled_back_model_comes_back_by_rollback_alone(shop: Connection) -> None:
    promoted(shop, "a")
    promoted(shop, "b")
    rollback(shop, policy_name="community", approved_by="ana", note="false alarms")

    with pytest.raises(NotPromotable, match="rollback"):
        promote(
            shop, challenger=B, verdict_id=judge(shop, "b"), approved_by="ana", note="x", force=True
        )
    with pytest.raises(NotPromotable, match="cannot be a challenger again"):
        make_challenger(shop, B)


def test_nothing_to_roll_back_to_before_the_second_champion(shop: Connection) -> None:
    with pytest.raises(NoChampionBefore):
        rollback(shop, policy_name="community", approved_by="ana", note="x")
    promoted(shop, "a")

    with pytest.raises(NoChampionBefore):
        rollback(shop, policy_name="community", approved_by="ana", note="x")
    assert {"a": "champion"} == states(shop)


def test_a_trained_version_can_be_made_a_challenger(shop: Connection) -> None:
    add_model(shop, "a", state=ModelState.TRAINED)

    make_challenger(shop, A)
    make_challenger(shop, A)

    assert {"a": "challenger"} == states(shop)


def test_a_verdict_is_kept_once_and_never_changed(shop: Connection) -> None:
    promoted(shop, "a")
    add_model(shop, "b")

    assert judge(shop, "b") == judge(shop, "b")
    assert judge(shop, "b") != judge(shop, "b", beside=None)
    with pytest.raises(VerdictStands, match="said promote before and says keep now"):
        judge(shop, "b", "keep")


def test_by_another_recipe_the_gate_may_say_something_else(shop: Connection) -> None:
    promoted(shop, "a")
    add_model(shop, "b")
    first = judge(shop, "b", "insufficient")

    second = judge(shop, "b", recipe=Recipe(gate=GateRecipe(margin=0.1)))

    assert first != second
    now = newest_verdict(shop, B)
    assert now is not None
    assert (second, "promote") == (now.verdict_id, now.decision)


def test_a_bundle_that_was_moved_is_found_where_it_is_now(shop: Connection) -> None:
    before = add_model(shop, "a")

    place(shop, A, path="/elsewhere/a")

    assert replace(before, path="/elsewhere/a") == find(shop, A)


def test_figures_are_kept_as_they_were_and_numpy_is_understood(shop: Connection) -> None:
    add_model(shop, "a")
    figures = [
        make_figure(value=np.float64(0.5), n=np.int64(7)),
        make_figure(category="spam", value=None, low=None, high=None, code="too_few_events"),
        make_figure(slice_name="language", slice_value="id"),
    ]
    save_evaluations(shop, figures, model_version=A, snapshot_id=S1)

    save_evaluations(shop, [replace(figures[0], value=0.9)], model_version=A, snapshot_id=S1)

    assert [replace(figures[0], value=0.5, n=7), *figures[1:]] == evaluations_of(shop, A, S1)


def test_what_is_not_known_is_refused_by_name(shop: Connection) -> None:
    nobody = ModelVersion("nobody")
    with pytest.raises(UnknownModelVersion, match="model nobody"):
        promote(shop, challenger=nobody, verdict_id=None, approved_by="ana")
    with pytest.raises(UnknownModelVersion, match="model nobody"):
        read_card(shop, nobody)
    with pytest.raises(UnknownSnapshot, match="snapshot s9"):
        snapshot_path(shop, SnapshotId("s9"))
    with pytest.raises(NeverPromoted, match="model a"):
        promoted_at(shop, A)


def test_the_newest_snapshot_is_the_one_with_the_newest_labels(shop: Connection) -> None:
    policy = add_policy(shop, make_policy(version="2"))
    empty = newest_snapshot_path(shop, policy.policy_id)
    add_snapshot(shop, policy, "s2", last_label_id=20)
    add_snapshot(shop, policy, "s3", last_label_id=10)

    assert None is empty
    assert "/snapshots/s2" == newest_snapshot_path(shop, policy.policy_id)
    assert "/snapshots/s1" == snapshot_path(shop, S1)


def test_the_card_is_made_from_rows_and_says_the_same_twice(shop: Connection) -> None:
    spam = {"known": 70, "positives": 0, "constant": True, "calibrated_by": "none"}
    promoted(
        shop,
        "a",
        data_note="Made by a generator.",
        metrics={
            "examples": {"training": 72, "test": 28},
            "categories": {"spam": spam},
            "characters_read": 10_000,
        },
    )
    save_evaluations(shop, [make_figure()], model_version=A, snapshot_id=S1)

    card = read_card(shop, A)

    assert card == read_card(shop, A)
    for line in (
        "# Model card: a",
        "> **Note on the data.** Made by a generator.",
        "| State | champion |",
        "| Approved by | ana |",
        "| examples in the snapshot | 100 |",
        "| training examples | 72 |",
        "| spam | 70 | 0 | every answer was the same: it says one number of any text |",
        "- Of a text it reads the first 10,000 characters.",
        "| average_precision | hate | 0.812 | 0.750 to 0.860 | 200 | 30 | bootstrap |",
        "Judged without a champion: **promote**.",
        "- passed: average precision is higher",
    ):
        assert line in card.splitlines()


def test_of_many_promotions_at_once_one_wins_and_the_rest_are_told(engine: Engine) -> None:
    names = [f"m{k}" for k in range(6)]
    with begin(engine) as tx:
        add_snapshot(tx, add_policy(tx))
        promoted(tx, "a")
        verdict_ids = {}
        for number, name in enumerate(names):
            add_model(tx, name, seed=1000 + number)
            verdict_ids[name] = judge(tx, name)
    start = threading.Barrier(len(names))
    won: list[str] = []
    refused: list[str] = []

    def work(name: str) -> None:
        start.wait()
        try:
            with begin(engine) as tx:
                promote(
                    tx,
                    challenger=ModelVersion(name),
                    verdict_id=verdict_ids[name],
                    approved_by="ana",
                )
            won.append(name)
        except Refused as fault:
            refused.append(str(fault))

    workers = [threading.Thread(target=work, args=(name,)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert 1 == len(won)
    assert 5 == sum("the champion is now" in one for one in refused)
    with begin(engine) as tx:
        assert [won[0]] == [name for name, state in states(tx).items() if state == "champion"]
        assert 2 == len(list_promotions(tx, "community"))


def test_a_promotion_that_is_not_committed_leaves_the_champion(engine: Engine) -> None:
    with begin(engine) as tx:
        add_snapshot(tx, add_policy(tx))
        promoted(tx, "a")
        add_model(tx, "b")
        verdict_id = judge(tx, "b")

    with pytest.raises(ZeroDivisionError), begin(engine) as tx:
        promote(tx, challenger=B, verdict_id=verdict_id, approved_by="ana")
        1 / 0  # noqa: B018

    with begin(engine) as tx:
        assert {"a": "champion", "b": "challenger"} == states(tx)
