"""Labels and queue states follow the votes, whatever happens to them, on a real Postgres."""

from __future__ import annotations

import random
import threading

import pytest
from sqlalchemy import Connection, Engine, text

from hitl.db import begin
from hitl.labels import ResolveCounts, UnknownEntries, count_since, resolve_entries
from hitl.labels.store import _read_votes
from hitl.recipe import Recipe
from hitl.records import EntryId, EntryState
from tests.builders import add_entries, make_policy
from tests.labels.builders import annotate, asked, current_labels, everything, move, states

pytestmark = pytest.mark.postgres


def test_a_vote_becomes_one_label_a_category_and_the_entry_is_done(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry, {"hate": True, "spam": False})

    counts = resolve_entries(tx, [entry], policy)

    assert ResolveCounts(resolved=1, moved=1, labels_written=2) == counts
    assert [(entry, "hate", True), (entry, "spam", False)] == current_labels(tx)
    assert ["done"] == states(tx)


def test_a_second_call_changes_nothing(tx: Connection) -> None:
    policy, entries = asked(tx, ["i1", "i2", "i3"], votes_wanted=2)
    for reviewer in ("ana", "ben"):
        annotate(tx, entries[0], {"hate": True}, reviewer=reviewer)
        annotate(tx, entries[1], {"hate": reviewer == "ana"}, reviewer=reviewer)
    annotate(tx, entries[2], reviewer="ana")
    resolve_entries(tx, entries, policy)
    before = everything(tx)

    again = resolve_entries(tx, entries, policy)

    assert ResolveCounts(resolved=1, needs_vote=1, needs_adjudication=1) == again
    assert before == everything(tx)
    assert ["done", "adjudicating", "dispatched"] == states(tx)


def test_an_edited_answer_is_a_new_revision_and_the_old_one_stays(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry, {"hate": True, "spam": False})
    resolve_entries(tx, [entry], policy)
    annotate(tx, entry, {"hate": False, "spam": False}, version=1)

    counts = resolve_entries(tx, [entry], policy)

    assert ResolveCounts(resolved=1, labels_written=1) == counts
    assert [("hate", 1, True), ("hate", 2, False), ("spam", 1, False)] == [
        tuple(row)
        for row in tx.execute(
            text("SELECT category, revision, value FROM labels ORDER BY category, revision")
        )
    ]


def test_a_deleted_annotation_takes_its_label_back_and_asks_again(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry)
    resolve_entries(tx, [entry], policy)
    annotate(tx, entry, kind="deleted", version=1)

    counts = resolve_entries(tx, [entry], policy)

    assert ResolveCounts(needs_vote=1, moved=1, labels_taken_back=2) == counts
    assert [] == current_labels(tx)
    assert ["dispatched"] == states(tx)
    assert [] == tx.execute(text("SELECT * FROM examples")).all()


def test_a_label_that_was_taken_back_can_come_again(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry, {"hate": True})
    resolve_entries(tx, [entry], policy)
    annotate(tx, entry, kind="deleted", version=1)
    resolve_entries(tx, [entry], policy)
    annotate(tx, entry, {"hate": True}, reviewer="ben")

    resolve_entries(tx, [entry], policy)

    assert [(entry, "hate", True)] == current_labels(tx)
    assert [1, 2, 3] == list(
        tx.execute(text("SELECT revision FROM labels ORDER BY revision")).scalars()
    )
    assert ["done"] == states(tx)


def test_a_tie_waits_for_a_lead_and_the_ruling_ends_it(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"], votes_wanted=2)
    annotate(tx, entry, {"hate": True, "spam": False}, reviewer="ana")
    annotate(tx, entry, {"hate": False, "spam": False}, reviewer="ben")
    resolve_entries(tx, [entry], policy)
    waiting = (states(tx), current_labels(tx))
    annotate(tx, entry, {"hate": True, "spam": False}, reviewer="lead", stage="adjudication")

    resolve_entries(tx, [entry], policy)

    assert (["adjudicating"], []) == waiting
    assert ["done"] == states(tx)
    assert [("hate", True, 1.0, "adjudication"), ("spam", False, 1.0, "adjudication")] == [
        tuple(row)
        for row in tx.execute(
            text("SELECT category, value, weight, decided_by FROM current_labels ORDER BY 1")
        )
    ]


def test_a_disagreement_that_is_edited_away_needs_no_lead(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"], votes_wanted=2)
    annotate(tx, entry, {"hate": True}, reviewer="ana")
    annotate(tx, entry, {"hate": False}, reviewer="ben")
    resolve_entries(tx, [entry], policy)
    annotate(tx, entry, {"hate": True}, reviewer="ben", version=1)

    resolve_entries(tx, [entry], policy)

    assert ["done"] == states(tx)
    assert [(entry, "hate", True)] == current_labels(tx)


def test_a_withdrawn_ruling_brings_the_tie_back(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"], votes_wanted=2)
    annotate(tx, entry, {"hate": True}, reviewer="ana")
    annotate(tx, entry, {"hate": False}, reviewer="ben")
    annotate(tx, entry, {"hate": True}, reviewer="lead", stage="adjudication")
    resolve_entries(tx, [entry], policy)
    annotate(tx, entry, reviewer="lead", stage="adjudication", kind="deleted", version=1)

    resolve_entries(tx, [entry], policy)

    assert ["adjudicating"] == states(tx)
    assert [] == current_labels(tx)


def test_two_reviewers_who_skip_send_an_entry_to_a_lead(tx: Connection) -> None:
    policy, (one, two) = asked(tx, ["i1", "i2"])
    annotate(tx, one, reviewer="ana", kind="skipped")
    annotate(tx, two, reviewer="ana", kind="skipped")
    annotate(tx, two, reviewer="ben", kind="skipped")

    resolve_entries(tx, [one, two], policy)

    assert ["dispatched", "adjudicating"] == states(tx)


def test_a_reviewer_who_skips_and_then_answers_has_not_skipped(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"], votes_wanted=2)
    annotate(tx, entry, reviewer="ana", kind="skipped", name=" first")
    annotate(tx, entry, reviewer="ana", name=" second")
    annotate(tx, entry, reviewer="ben", kind="skipped")

    counts = resolve_entries(tx, [entry], policy)

    assert 1 == counts.needs_vote


def test_an_annotation_that_could_not_be_counted_is_no_vote(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry, {"hate": True})
    annotate(tx, entry, version=1, counted=False)

    counts = resolve_entries(tx, [entry], policy)

    assert ResolveCounts(needs_vote=1) == counts


@pytest.mark.parametrize("state", [EntryState.WITHDRAWN, EntryState.DEAD, EntryState.WAITING])
def test_an_entry_that_is_not_in_label_studio_is_left_alone(
    tx: Connection, state: EntryState
) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry)
    move(tx, [entry], state)

    counts = resolve_entries(tx, [entry], policy)

    assert ResolveCounts(left_alone=1) == counts
    assert [] == current_labels(tx)


def test_a_question_that_cannot_be_opened_again_gives_its_label_back_all_the_same(
    tx: Connection,
) -> None:
    policy, (entry, other) = asked(tx, ["i1", "i2"])
    annotate(tx, entry)
    annotate(tx, other)
    resolve_entries(tx, [entry, other], policy)
    add_entries(tx, ["i1"], policy=policy, batch_id="b2", recipe=Recipe(name="another"))
    annotate(tx, entry, kind="deleted", version=1)
    annotate(tx, other, kind="deleted", version=1)

    counts = resolve_entries(tx, [entry, other], policy)

    assert (1, 1) == (counts.blocked, counts.moved)
    assert ["done", "dispatched", "waiting"] == states(tx)
    assert [] == current_labels(tx)
    before = everything(tx)
    resolve_entries(tx, [entry, other], policy)
    assert before == everything(tx)


def test_entries_of_another_policy_are_refused_by_number(tx: Connection) -> None:
    _, (entry,) = asked(tx, ["i1"])
    other = make_policy(version="2")

    with pytest.raises(UnknownEntries, match=f"entry {entry}: not an entry of policy community@2"):
        resolve_entries(tx, [entry], other)


def test_count_since_counts_entries_once_and_only_after_the_mark(tx: Connection) -> None:
    policy, entries = asked(tx, ["i1", "i2", "i3"])
    annotate(tx, entries[0])
    annotate(tx, entries[1])
    resolve_entries(tx, entries, policy)
    mark = tx.execute(text("SELECT max(label_id) FROM labels")).scalar_one()
    annotate(tx, entries[2])
    resolve_entries(tx, entries, policy)

    assert 3 == count_since(tx, policy.policy_id, 0)
    assert 1 == count_since(tx, policy.policy_id, mark)


def test_votes_read_here_are_those_of_the_view(tx: Connection) -> None:
    rng = random.Random(7)
    _, entries = asked(tx, [f"i{k}" for k in range(12)], votes_wanted=3)
    for entry in entries:
        for reviewer in ("ana", "ben", "cleo"):
            for version in range(rng.randint(0, 3)):
                annotate(
                    tx,
                    entry,
                    {"hate": rng.random() < 0.5},
                    reviewer=reviewer,
                    version=version,
                    kind=rng.choice(["submitted", "submitted", "skipped", "deleted"]),
                    stage=rng.choice(["review", "review", "adjudication"]),
                    counted=rng.random() < 0.8,
                )

    votes, _ = _read_votes(tx, entries)

    seen = {(v.unique_id, v.updated_at) for of_one in votes.values() for v in of_one}
    assert seen
    assert seen == {
        (row.unique_id, row.updated_at) for row in tx.execute(text("SELECT * FROM current_votes"))
    }


def test_two_workers_on_the_same_entries_write_each_label_once(engine: Engine) -> None:
    with begin(engine) as tx:
        policy, entries = asked(tx, [f"i{k}" for k in range(40)])
        for entry in entries:
            annotate(tx, entry)
    faults: list[Exception] = []

    def work(mine: list[EntryId]) -> None:
        try:
            for start in range(0, len(mine), 10):
                with begin(engine) as tx:
                    resolve_entries(tx, mine[start : start + 10], policy)
        except Exception as fault:  # noqa: BLE001 - shown by the assert below, whatever it is
            faults.append(fault)

    workers = [threading.Thread(target=work, args=(part,)) for part in (entries, entries[::-1])]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [] == faults
    with begin(engine) as tx:
        assert 80 == tx.execute(text("SELECT count(*) FROM labels")).scalar_one()
        assert {"done"} == set(states(tx))


def test_an_entry_that_is_being_withdrawn_is_waited_for_and_then_left_alone(
    engine: Engine,
) -> None:
    with begin(engine) as tx:
        policy, (entry,) = asked(tx, ["i1"])
        annotate(tx, entry)
    found: list[ResolveCounts] = []

    def work() -> None:
        with begin(engine) as tx:
            found.append(resolve_entries(tx, [entry], policy))

    worker = threading.Thread(target=work)
    with begin(engine) as tx:
        move(tx, [entry], EntryState.WITHDRAWN)
        worker.start()
        while not _somebody_waits_for_a_lock(engine):
            assert worker.is_alive()
    worker.join()

    assert [ResolveCounts(left_alone=1)] == found


def _somebody_waits_for_a_lock(engine: Engine) -> bool:
    with begin(engine) as tx:
        return bool(
            tx.execute(
                text(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
            ).scalar_one()
        )
