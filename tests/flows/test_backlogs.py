"""Backlogs from their opening to a certificate, on a real database."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from flows.backlog_status import UnknownBacklog, backlog_status
from flows.certify_backlog import (
    LookUnfinished,
    NoLookOpen,
    NothingDrawn,
    certify_backlogs,
)
from flows.look_at_backlog import CannotLook
from flows.open_backlog import CannotOpen
from flows.plain import plain
from hitl import evaluation
from hitl.db import DatabaseRefused, begin
from hitl.evaluation.backlogs import Rule
from hitl.recipe import Lane, LaneMatch, QueueRecipe
from tests.builders import NOON, add_items, make_policy
from tests.flows.backlogs import (
    NAME,
    answer_waiting,
    certify,
    drawn_of,
    look,
    open_one,
)
from tests.flows.models import count
from tests.flows.worlds import RECIPE, fill, gold, label_batch

pytestmark = pytest.mark.postgres

ITEMS = 400


def violating(items: list[str]) -> int:
    return sum(gold(one)["hate"] for one in items)


def test_a_backlog_is_searched_looked_at_and_certified_with_its_numbers(engine: Engine) -> None:
    policy = fill(engine, items=ITEMS)
    opened = open_one(engine, policy)
    # Review goes on until little is left: every batch asks about the likeliest, and some by chance.
    for k in range(3):
        label_batch(engine, policy, batch_id=f"b{k}", seed=k)
    drawn = look(engine, policy, draw=30)
    answered = answer_waiting(engine, policy)

    found = certify(engine)

    assert (ITEMS, 0, 0, True) == (opened.items, opened.reviewed, opened.found, opened.is_new)
    result = found.result
    reviewed = ITEMS - drawn.unreviewed
    assert (1, 30, 30, 30) == (drawn.look, drawn.drawn, drawn.asked, drawn.in_queue)
    assert sorted(answered) == sorted(drawn_of(engine))
    assert violating(answered) == result.violating_in_draw
    assert reviewed == count(
        engine, "SELECT count(DISTINCT item_id) FROM labels WHERE category = 'hate'"
    ) - len(answered)
    expected = evaluation.certify_backlog(
        found_before=result.found_before,
        unreviewed=drawn.unreviewed,
        drawn=30,
        violating_in_draw=violating(answered),
        at_least=0.9,
    )
    assert (expected.found, expected.missed_at_most, expected.recall_at_least) == (
        result.found, result.missed_at_most, result.recall_at_least,
    )  # fmt: skip
    truth = violating([f"i{k}" for k in range(ITEMS)])
    assert result.recall_at_least is not None
    assert result.found is not None
    assert result.recall_at_least <= result.found / truth
    assert result.alpha == pytest.approx(0.04)


def test_a_backlog_that_is_reviewed_to_the_end_needs_no_draw(engine: Engine) -> None:
    policy = fill(engine, items=60)
    open_one(engine, policy, at_least=0.99)
    look(engine, policy, draw=60)
    answer_waiting(engine, policy)

    first = certify(engine)
    left = backlog_status(engine, name=NAME, policy=policy)

    assert (True, 0, 1.0) == (
        first.result.is_certified, first.result.missed_at_most, first.result.recall_at_least,
    )  # fmt: skip
    assert (60, 0, 12) == (left.reviewed, left.unreviewed, left.found)
    with pytest.raises(CannotLook, match="look 1 has certified it"):
        look(engine, policy)


def test_where_nothing_is_left_a_look_draws_nothing_and_certifies(engine: Engine) -> None:
    policy = fill(engine, items=60)
    open_one(engine, policy)
    label_batch(engine, policy, batch_id="b1")

    drawn = look(engine, policy)
    found = certify(engine).result

    assert (0, 0, 0) == (drawn.unreviewed, drawn.drawn, drawn.asked)
    assert (1.0, True) == (found.recall_at_least, found.is_certified)


def test_what_comes_after_the_opening_is_not_in_it(engine: Engine) -> None:
    policy = fill(engine, items=20)
    first = open_one(engine, policy)
    with begin(engine) as tx:
        add_items(tx, {f"i{k}": f"later {k}" for k in range(20, 30)})

    again = open_one(engine, policy)

    assert (20, True) == (first.items, first.is_new)
    assert (20, False, first.opened_at) == (again.items, again.is_new, again.opened_at)
    assert 20 == count(engine, "SELECT count(*) FROM backlog_items")


def test_a_rule_takes_what_it_names_and_nothing_else(engine: Engine) -> None:
    policy = make_policy()
    with begin(engine) as tx:
        add_items(tx, {"i1": "a", "i2": "b"}, surface="comments")
        add_items(tx, {"i3": "c"}, surface="comments", language="de")
        add_items(tx, {"i4": "d"}, surface="comments", content_at=NOON + timedelta(days=1))
        add_items(tx, {"i5": "e"}, surface="posts")
        add_items(tx, {"i6": None}, surface="comments", language=None)
    german = Lane(name="german", match=LaneMatch(language=("de",)))
    lanes = RECIPE.model_copy(update={"queue": QueueRecipe(lanes=(german,))})

    def taken(name: str, **rule: object) -> int:
        made = Rule(**rule)  # type: ignore[arg-type]
        return open_one(engine, policy, recipe=lanes, name=name, rule=made).items

    assert 5 == taken("all")
    assert 4 == taken("comments", surfaces=("comments",))
    assert 3 == taken("english", surfaces=("comments",), languages=("en",))
    assert 4 == taken("before", until=NOON + timedelta(days=1))
    assert 1 == taken("since", since=NOON + timedelta(hours=1))
    assert 1 == taken("german", lane="german")
    assert 4 == taken("others", lane="unrouted")


def test_what_cannot_be_opened_is_told_why(engine: Engine) -> None:
    policy = fill(engine, items=20)
    open_one(engine, policy)

    for changed, why in (
        ({"category": "love"}, "has no category 'love'"),
        ({"at_least": 1.0}, "at least 1.0 cannot be shown"),
        ({"name": "June 1"}, "use lower-case letters"),
        ({"rule": Rule(lane="german")}, "the recipe has no lane 'german'"),
        ({"name": "empty", "rule": Rule(surfaces=("moon",))}, "no item with content is like that"),
        ({"at_least": 0.8}, "it was opened with another share"),
        ({"rule": Rule(surfaces=("posts",))}, "it was opened with another rule"),
    ):
        with pytest.raises(CannotOpen, match=why):
            open_one(engine, policy, **changed)  # type: ignore[arg-type]
    with pytest.raises(evaluation.BadLevel, match="alpha"):
        open_one(engine, policy, name="sure", confidence=1.0)
    assert 1 == count(engine, "SELECT count(*) FROM backlogs")
    with pytest.raises(UnknownBacklog, match="no backlog is named 'july'"):
        look(engine, policy, name="july")


def test_the_certificate_waits_for_every_answer(engine: Engine) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy)
    with pytest.raises(NothingDrawn, match="hitl backlog look june"):
        certify(engine)
    look(engine, policy, draw=20)
    late = drawn_of(engine)[3]
    answer_waiting(engine, policy, but=[late])

    with pytest.raises(LookUnfinished, match="look 1: 1 drawn items wait"):
        certify(engine)
    answer_waiting(engine, policy)

    assert 0 == certify(engine).result.lost


def test_a_certificate_is_written_once(engine: Engine) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy)
    look(engine, policy, draw=20)
    answer_waiting(engine, policy)
    first = certify(engine)
    label_batch(engine, policy, batch_id="later")

    again = certify(engine)

    assert (True, False) == (first.is_new, again.is_new)
    assert first.result == again.result
    for change in ("UPDATE backlog_looks SET drawn = 1", "DELETE FROM backlog_draws"):
        with pytest.raises(DatabaseRefused), begin(engine) as tx:
            tx.execute(text(change))


def test_what_is_found_beside_the_draw_counts_and_the_bound_still_holds(engine: Engine) -> None:
    policy = fill(engine, items=300)
    open_one(engine, policy)
    drawn = look(engine, policy, draw=60)
    answer_waiting(engine, policy)
    label_batch(engine, policy, batch_id="b1")

    found = certify(engine).result

    seen = set(drawn_of(engine))
    with begin(engine) as tx:
        hated = tx.execute(
            text("SELECT item_id FROM labels WHERE category = 'hate' AND value")
        ).scalars()
        beside = set(hated) - seen
    assert len(beside) == found.found_since > 0
    most = evaluation.most_violating(found.violating_in_draw or 0, 60, drawn.unreviewed, alpha=0.04)
    assert found.found == len(beside) + violating(list(seen))
    assert most - found.found == found.missed_at_most


def test_an_answer_that_was_taken_back_counts_as_missed(engine: Engine) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy)
    label_batch(engine, policy, batch_id="b1")
    look(engine, policy, draw=1000)
    answer_waiting(engine, policy)
    with begin(engine) as tx:
        tx.execute(
            text(
                "INSERT INTO labels (entry_id, item_id, policy_id, category, revision, value,"
                " weight, votes_for, votes_total, decided_by)"
                " SELECT entry_id, item_id, policy_id, category, 2, NULL, 0, 0, 0, 'taken_back'"
                " FROM current_labels JOIN entries USING (entry_id, item_id, policy_id)"
                " WHERE batch_id = 'b1' AND category = 'hate' AND value"
                " ORDER BY entry_id LIMIT 2"
            )
        )

    found = certify(engine).result

    assert (18, 2, 0.9) == (found.found, found.missed_at_most, found.recall_at_least)


def test_any_is_answered_by_one_yes_or_by_all_noes(engine: Engine) -> None:
    policy = fill(engine, items=40)
    open_one(engine, policy, category="any")
    look(engine, policy, draw=40)

    def partly(item_id: str) -> dict[str, bool]:
        """Of spam nobody can tell."""
        return {"hate": gold(item_id)["hate"]}

    answer_waiting(engine, policy, answer=partly)
    status = backlog_status(engine, name=NAME, policy=policy)

    assert (8, 8, 32) == (status.reviewed, status.found, status.unreviewed)
    assert {"answered": 8, "open": 0, "blocked": 0, "unasked": 0, "lost": 32} == status.draw


def test_the_forecast_is_that_of_the_newest_decisions_of_what_nobody_reviewed(
    engine: Engine,
) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy)
    label_batch(engine, policy, batch_id="b1")
    with begin(engine) as tx:
        left = tx.execute(
            text(
                "SELECT sum((probabilities ->> 'hate')::float8) FROM decisions"
                " WHERE item_id NOT IN (SELECT item_id FROM labels)"
            )
        ).scalar_one()

    status = backlog_status(engine, name=NAME, policy=policy)

    assert status.forecast is not None
    assert status.forecast.violating == pytest.approx(left or 0.0)
    assert status.forecast.decided == status.unreviewed
    # So many are expected that only a census would do.
    assert status.draw_needed is not None
    json.dumps(plain(status))


def test_all_open_looks_are_tried_and_one_that_waits_stops_no_other(engine: Engine) -> None:
    policy = fill(engine, items=100)
    with pytest.raises(NoLookOpen):
        certify_backlogs(engine)
    open_one(engine, policy)
    open_one(engine, policy, name="july")
    look(engine, policy, draw=10)
    answer_waiting(engine, policy)
    look(engine, policy, name="july", draw=30)

    report = certify_backlogs(engine)

    assert [NAME] == [one.name for one in report.ended]
    assert ["july"] == list(report.waiting)


def test_the_dashboard_shows_every_look_and_what_was_never_looked_at(engine: Engine) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy)
    open_one(engine, policy, name="unseen")
    look(engine, policy, draw=10)
    answer_waiting(engine, policy)
    found = certify(engine).result

    with begin(engine) as tx:
        rows = tx.execute(
            text("SELECT * FROM dashboard.backlog_certificates ORDER BY backlog")
        ).mappings().all()  # fmt: skip

    assert [(NAME, 1, found.recall_at_least), ("unseen", None, None)] == [
        (row["backlog"], row["look"], row["recall_at_least"]) for row in rows
    ]
