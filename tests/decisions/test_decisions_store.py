"""Items and decisions in a real Postgres: any order, any number of times, the same tables."""

from __future__ import annotations

import itertools
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, text

from hitl.db import DatabaseRefused, DatabaseUnavailable, begin, connect
from hitl.decisions import (
    Counts,
    Reject,
    content_hash,
    count_conflicts,
    count_rejects,
    database_clock,
    forget_mended,
    list_conflicts,
    list_rejects,
    merge_decisions,
    merge_items,
    record_rejects,
)
from hitl.decisions.decided import Decided
from hitl.decisions.merging.store import merge_decided
from hitl.records import Action, Decision, Item, ItemId, ModelVersion

pytestmark = pytest.mark.postgres

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def make_item(item_id: str = "i1", body: str | None = "hello", **changed: Any) -> Item:
    return Item(ItemId(item_id), body, content_hash(body) if body else None, **changed)


def make_decision(item_id: str = "i1", **changed: Any) -> Decision:
    fields: dict[str, Any] = {
        "model_version": "m1",
        "decided_at": NOON,
        "action": Action.ALLOW,
        "probabilities": {"hate": 0.5},
    }
    return Decision(ItemId(item_id), **fields | changed)


def rows(tx: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in tx.execute(text(query))]


def test_new_items_are_stored_byte_for_byte(tx: Connection) -> None:
    bodies = [
        "<script>alert('x')</script> & <img src=x onerror=1>",
        "tab\tnewline\nreturn\rback\\slash \\N \\. \\t",
        "\\.\n\\N",
        "\ufeff👩‍👩‍👧\u202e e\u0301",
        "'; DROP TABLE items; --",
        '{"a": "%s"}',
    ]

    counts = merge_items(tx, [make_item(f"i{k}", b) for k, b in enumerate(bodies)], source="s")

    assert Counts(read=6, new=6) == counts
    assert [(body, content_hash(body)) for body in bodies] == rows(
        tx, "SELECT text, content_hash FROM items ORDER BY item_id"
    )


def test_ids_with_odd_characters_are_kept(tx: Connection) -> None:
    ids = ["a\tb", "\\N", "a\nb", "é", "a'b", "%s"]

    merge_items(tx, [make_item(one) for one in ids], source="s")

    assert sorted(ids) == sorted(row[0] for row in rows(tx, "SELECT item_id FROM items"))


def test_decisions_are_stored_with_what_is_unknown_left_out(tx: Connection) -> None:
    counts = merge_decisions(
        tx,
        [
            make_decision(probabilities={"spam": 0.1, "hate": 1e-9}),
            make_decision(decided_at=NOON + timedelta(microseconds=1), action=None),
            make_decision(model_version="m2", probabilities={}),
        ],
        source="s",
    )

    assert Counts(read=3, new=3) == counts
    assert [
        ("m1", NOON, "allow", {"hate": 1e-9, "spam": 0.1}),
        ("m1", NOON + timedelta(microseconds=1), None, {"hate": 0.5}),
        ("m2", NOON, "allow", {}),
    ] == rows(
        tx,
        "SELECT model_version, decided_at, action, probabilities FROM decisions "
        "ORDER BY model_version, decided_at",
    )


def test_the_same_again_changes_nothing(tx: Connection) -> None:
    items = [make_item("i1", language="en"), make_item("i2", None, surface="posts")]
    merge_items(tx, items, source="s")
    merge_decisions(tx, [make_decision()], source="s")
    query = "SELECT i.xmin, i.*, d.* FROM items i LEFT JOIN decisions d USING (item_id) ORDER BY 2"
    before = rows(tx, query)

    counts = merge_items(tx, items, source="s"), merge_decisions(tx, [make_decision()], source="s")

    assert (Counts(read=1, known=1), Counts(read=1, known=1)) == counts
    assert before == rows(tx, query)
    assert [] == rows(tx, "SELECT * FROM conflicts")


def test_decisions_make_room_for_content_that_comes_later(tx: Connection) -> None:
    merge_decisions(tx, [make_decision()], source="decisions")
    before = rows(tx, "SELECT item_id, text, content_hash FROM items")

    counts = merge_items(tx, [make_item(language="en")], source="content")

    assert [("i1", None, None)] == before
    assert Counts(read=1, new=1) == counts
    assert [("hello", "en")] == rows(tx, "SELECT text, language FROM items")


def test_order_of_arrival_does_not_matter(engine: Engine) -> None:
    arrivals = [
        [make_item("i1", "hello", language="pt", group_id="g"), make_item("i2", "bye")],
        [make_item("i1", None, language="en", surface="posts")],
        [make_item("i2", None, language="id", surface="chat"), make_item("i3", None)],
    ]
    found = []
    for order in itertools.permutations(arrivals):
        for together in (False, True):
            with engine.connect() as tx:
                for chunk in [[one for some in order for one in some]] if together else order:
                    merge_items(tx, chunk, source="s")
                found.append(
                    rows(
                        tx,
                        "SELECT item_id, text, language, surface, group_id FROM items ORDER BY 1",
                    )
                )
                tx.rollback()

    expected = [
        ("i1", "hello", "pt", "posts", "g"),
        ("i2", "bye", "id", "chat", None),
        ("i3", None, None, None, None),
    ]
    assert [expected] * 12 == found


def test_another_text_under_a_known_id_is_a_conflict_and_the_first_stands(tx: Connection) -> None:
    merge_items(tx, [make_item("i1", "first")], source="a.csv")

    counts = [
        merge_items(tx, [make_item("i1", "second", language="xx")], source="b.csv")
        for _ in range(2)
    ]

    assert [Counts(read=1, conflicts=1)] * 2 == counts
    assert [("first", None)] == rows(tx, "SELECT text, language FROM items")
    assert [("content", "i1", "text", content_hash("second"), "b.csv")] == rows(
        tx, "SELECT kind, item_id, key, payload_hash, source FROM conflicts"
    )


def test_the_same_text_in_another_normal_form_is_no_conflict(tx: Connection) -> None:
    merge_items(tx, [make_item("i1", "caf\u00e9")], source="s")

    counts = merge_items(tx, [make_item("i1", "cafe\u0301")], source="s")

    assert Counts(read=1, known=1) == counts


def test_another_payload_under_a_known_decision_is_a_conflict(tx: Connection) -> None:
    merge_decisions(tx, [make_decision()], source="a.csv")

    counts = merge_decisions(
        tx,
        [make_decision(probabilities={"hate": 0.6}), make_decision(action=Action.BLOCK)],
        source="b.csv",
    )

    assert Counts(read=2, conflicts=2) == counts
    assert [("allow", {"hate": 0.5})] == rows(tx, "SELECT action, probabilities FROM decisions")
    assert [("decision", "i1", "m1 @ 2026-06-01T12:00:00.000000Z", "b.csv")] * 2 == rows(
        tx, "SELECT kind, item_id, key, source FROM conflicts"
    )


def test_a_chunk_taken_for_new_that_was_not_is_merged_all_the_same(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No row of so few is looked at, so what is known shows when it is inserted.
    monkeypatch.setattr("hitl.decisions.merging.store._WORTH_A_TRY", 1)
    merge_items(tx, [make_item("i3")], source="s")
    before = merge_decisions(tx, [make_decision("i1"), make_decision("i2")], source="s")

    after = merge_decisions(
        tx,
        [make_decision(f"i{k}", probabilities={"hate": 0.5 if k < 2 else 0.6}) for k in range(5)],
        source="s",
    )

    assert Counts(read=2, new=2) == before
    assert Counts(read=5, new=3, known=1, conflicts=1) == after
    assert [(f"i{k}", f"i{k}") for k in range(5)] == rows(
        tx,
        "SELECT i.item_id, d.item_id FROM items i FULL JOIN decisions d USING (item_id) ORDER BY 1",
    )


def test_a_chunk_that_is_all_known_is_compared_and_nothing_of_it_inserted(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hitl.decisions.merging.store._WORTH_A_TRY", 1)
    chunk = [make_decision(f"i{k}") for k in range(3000)]  # about three of these are sampled
    merge_decisions(tx, chunk, source="s")
    statements: list[str] = []
    event.listen(tx, "before_cursor_execute", lambda *of: statements.append(of[2]))

    again = merge_decisions(tx, chunk, source="s")
    inserted = [one for one in statements if "INSERT INTO" in one]
    differing = [make_decision("i7", probabilities={"hate": 0.6}), *chunk[8:]]
    other = merge_decisions(tx, chunk[:7] + differing, source="s")
    with_new = merge_decisions(tx, [*differing, make_decision("new")], source="s")

    assert Counts(read=3000, known=3000) == again
    assert [] == inserted
    assert Counts(read=3000, known=2999, conflicts=1) == other
    assert Counts(read=2994, new=1, known=2992, conflicts=1) == with_new
    assert [("i7",)] == rows(tx, "SELECT item_id FROM conflicts")
    assert [(3001,)] == rows(tx, "SELECT count(*) FROM decisions")


def test_a_chunk_that_is_all_known_still_describes_its_items(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hitl.decisions.merging.store._WORTH_A_TRY", 1)
    chunk = [make_decision(f"i{k}") for k in range(3000)]
    merge_decisions(tx, chunk, source="s")
    stubs = [Item(one.item_id, None, language="en") for one in chunk]

    merge_decided(tx, Decided.of(chunk, stubs).staged(), source="s")

    assert [("en", 3000)] == rows(tx, "SELECT language, count(*) FROM items GROUP BY 1")


def test_a_known_chunk_that_waits_for_an_item_holds_up_no_month(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items before decisions, also where these are only looked at: or the two wait in a ring."""
    monkeypatch.setattr("hitl.decisions.merging.store._WORTH_A_TRY", 1)
    chunk = [make_decision(f"i{k}") for k in range(3000)]
    stubs = [Item(one.item_id, None, language="en") for one in chunk]
    with begin(engine) as tx:
        merge_decisions(tx, chunk, source="s")

    def again() -> Counts:
        with begin(engine) as tx:
            return merge_decided(tx, Decided.of(chunk, stubs).staged(), source="other")

    with ThreadPoolExecutor(1) as beside:
        with begin(engine) as tx:
            merge_items(tx, [make_item("i5")], source="s")
            waiting = beside.submit(again)
            while not is_waited_for(engine):
                assert not waiting.done(), waiting.result()
                time.sleep(0.01)
            early = make_decision("i5", decided_at=NOON - timedelta(days=90))
            assert Counts(read=1, new=1) == merge_decisions(tx, [early], source="s")
        assert Counts(read=3000, known=3000) == waiting.result()


def is_waited_for(engine: Engine) -> bool:
    """Does one connection hold up another? A transaction each: in one, who is there stays."""
    who_waits = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
    """
    with begin(engine) as tx:
        return bool(rows(tx, who_waits))


def test_within_one_chunk_the_first_row_wins(tx: Connection) -> None:
    bodies = [None, "first", "second", "first", "second"]
    items = [make_item("i1", body, language=None if body else "en") for body in bodies]
    decisions = [make_decision(), make_decision(), make_decision(action=Action.BLOCK)]

    item_counts = merge_items(tx, items, source="s")
    decision_counts = merge_decisions(tx, decisions, source="s")

    assert Counts(read=4, new=1, known=1, conflicts=2) == item_counts
    assert Counts(read=3, new=1, known=1, conflicts=1) == decision_counts
    assert [("first", "en")] == rows(tx, "SELECT text, language FROM items")
    assert [("allow",)] == rows(tx, "SELECT action FROM decisions")
    assert [("content", 1), ("decision", 1)] == rows(
        tx, "SELECT kind, count(*) FROM conflicts GROUP BY kind ORDER BY kind"
    )


def test_nothing_is_a_chunk_too(tx: Connection) -> None:
    assert Counts() == merge_items(tx, [], source="s")
    assert Counts() == merge_decisions(tx, [], source="s")
    record_rejects(tx, [], source="s", kind="both")
    assert [] == list_rejects(tx)


def test_rejects_are_listed_by_source_and_line_once_each(tx: Connection) -> None:
    rejects = [Reject(12, "text", "is blank"), Reject(3, "line", "is not JSON")]
    for kind in ("content", "content", "decisions"):
        record_rejects(tx, rejects, source="/in/a.csv", kind=kind)  # type: ignore[arg-type]
    b = "/in/bb.csv"
    record_rejects(tx, [Reject(1, "action", "is a\tword")], source=b, kind="both")
    record_rejects(tx, [Reject(1, "action", "is mended half")], source=b, kind="both")

    def listed(**which: Any) -> list[tuple[str, int, str]]:
        return [(one.source, one.line, one.reason) for one in list_rejects(tx, **which)]

    of_a = [("/in/a.csv", 3, "is not JSON"), ("/in/a.csv", 12, "is blank")]
    of_b = [("/in/bb.csv", 1, "is mended half")]
    assert of_a + of_b == listed()
    assert of_a == listed(source="a.csv") == listed(source="/in/a.csv")
    assert [] == listed(source="b.csv")
    assert of_a[:1] == listed(limit=1)
    assert {"/in/a.csv": 2, "/in/bb.csv": 1} == count_rejects(tx)
    assert {"/in/a.csv": 2} == count_rejects(tx, source="a.csv")


def test_what_a_complete_reading_no_longer_finds_is_forgotten(tx: Connection) -> None:
    rejects = [Reject(1, "text", "is blank"), Reject(2, "text", "is blank")]
    record_rejects(tx, rejects, source="a.csv", kind="content")
    record_rejects(tx, [Reject(7, "action", "is")], source="a.csv", kind="decisions")
    record_rejects(tx, rejects, source="b.csv", kind="content")

    begun = database_clock(tx)
    record_rejects(tx, rejects[1:], source="a.csv", kind="content")

    assert 1 == forget_mended(tx, source="a.csv", kind="content", before=begun)
    assert [("a.csv", 2), ("a.csv", 7), ("b.csv", 1), ("b.csv", 2)] == [
        (one.source, one.line) for one in list_rejects(tx)
    ]
    assert 2 == forget_mended(tx, source="a.csv", kind="both", before=database_clock(tx))


def test_conflicts_are_listed_newest_first_without_content(tx: Connection) -> None:
    merge_items(tx, [make_item("i1", "first"), make_item("i2", "first")], source="a.csv")
    merge_items(tx, [make_item("i1", "canary")], source="/in/b.csv")
    merge_items(tx, [make_item("i2", "canary")], source="/in/c.csv")

    found = list_conflicts(tx)

    assert [("content", "i2", "text", "/in/c.csv"), ("content", "i1", "text", "/in/b.csv")] == [
        (one.kind, one.item_id, one.key, one.source) for one in found
    ]
    assert "canary" not in repr(found)
    assert found[1:] == list_conflicts(tx, source="b.csv")
    assert found[:1] == list_conflicts(tx, limit=1)
    assert {"/in/b.csv": 1, "/in/c.csv": 1} == count_conflicts(tx)


def test_what_postgres_refuses_is_told_without_the_content(engine: Engine) -> None:
    canary = "canary content"

    with pytest.raises(DatabaseRefused) as copied, begin(engine) as tx:
        merge_items(tx, [make_item("i1", canary + "\x00")], source="a.csv")
    with pytest.raises(DatabaseRefused) as inserted, begin(engine) as tx:
        merge_items(tx, [make_item("x" * 201, canary)], source="a.csv")

    assert "22021" == copied.value.sqlstate
    assert "SQLSTATE 23514, table items, constraint ck_items_item_id" in str(inserted.value)
    for raised in (copied, inserted):
        assert canary not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("after", ["CREATE TEMP", "TRUNCATE", "WITH made", "UPDATE"])
def test_a_connection_lost_inside_a_merge_is_unavailable(engine: Engine, after: str) -> None:
    def hang_up(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if statement.strip().startswith(after):
            pid = connection.connection.driver_connection.get_backend_pid()  # type: ignore[union-attr]
            with begin(other) as tx:
                tx.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    other = connect(engine.url.render_as_string(hide_password=False))
    event.listen(engine, "after_cursor_execute", hang_up)

    with pytest.raises(DatabaseUnavailable), begin(engine) as tx:
        merge_items(tx, [make_item("i1")], source="s")

    with begin(other) as tx:
        assert [] == rows(tx, "SELECT * FROM items")
    other.dispose()


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["m", "n"]), st.integers(0, 9)), max_size=4), max_size=4
    )
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_newest_decision_of_each_model_is_at_hand(
    tx: Connection, chunks: list[list[tuple[str, int]]]
) -> None:
    tx.execute(text("SAVEPOINT empty"))

    for said in chunks:
        merge_decisions(
            tx,
            [
                Decision(
                    ItemId("i1"),
                    ModelVersion(model),
                    NOON + timedelta(hours=h),
                    None,
                    {"hate": 0.5},
                )
                for model, h in said
            ],
            source="s",
        )

    kept = tx.execute(text("SELECT * FROM newest_decisions ORDER BY 1")).all()
    counted = text("SELECT model_version, max(decided_at) FROM decisions GROUP BY 1 ORDER BY 1")
    assert tx.execute(counted).all() == kept
    tx.execute(text("ROLLBACK TO empty"))
