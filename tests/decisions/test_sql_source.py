"""A query as a source. SQLite stands in for a database of somebody else's; Postgres is real."""

from __future__ import annotations

import sqlite3
import traceback
from pathlib import Path
from typing import Any

import pytest

from hitl.decisions import (
    BadQuery,
    Column,
    MissingColumns,
    Reject,
    SourceUnavailable,
    UnreadableSource,
    find_sources,
    read_chunks,
)

WANTED = [Column("intake.content.item_id", "id"), Column("intake.content.text", "body")]


@pytest.fixture
def log(tmp_path: Path) -> str:
    """The URL of a database with three rows."""
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("CREATE TABLE log (id TEXT, body TEXT)")
        connection.executemany(
            "INSERT INTO log VALUES (?, ?)", [("a", "100% :sure"), ("b", None), ("c", "z")]
        )
    connection.close()
    return f"sqlite:///{tmp_path / 'log.db'}"


def rows_of(url: str, query: str, wanted: list[Column] = WANTED) -> list[tuple[Any, ...]]:
    (source,) = find_sources(url, query=query)
    found: list[tuple[Any, ...]] = []
    for chunk in read_chunks(source, wanted, rows_per_chunk=2):
        found += zip(chunk.lines, *(chunk.columns[c.name] for c in wanted), strict=True)
    return found


def test_a_query_gives_rows_in_its_order(log: str) -> None:
    query = "SELECT id, body FROM log WHERE body IS NULL OR body LIKE '%' ORDER BY id DESC"

    found = rows_of("sql+" + log, query)

    assert [(1, "c", "z"), (2, "b", None), (3, "a", "100% :sure")] == found


def test_the_name_tells_queries_apart_and_holds_no_password() -> None:
    url = "postgresql://me:secret@host/db?sslpassword=secret"
    one, other = (find_sources(url, query=q)[0] for q in ("SELECT 1", "SELECT 2"))

    assert one.name.startswith("postgresql+psycopg2://me:***@host/db query ")
    assert one.name != other.name
    assert "secret" not in repr(one)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (" ", "the query is empty; write --query 'SELECT …'"),
        ("SELECT * FROM lgo", "the database says: no such table: lgo"),
        ("SELECT id, body, body FROM log", "column 'body' comes more than once"),
        ("CREATE TABLE t (x INT)", "the query gives no rows back; write a SELECT"),
    ],
)
def test_a_query_that_cannot_be_used_says_why(log: str, query: str, message: str) -> None:
    with pytest.raises(BadQuery) as raised:
        rows_of(log, query)

    assert message in str(raised.value)


def test_missing_columns_are_named(log: str) -> None:
    with pytest.raises(MissingColumns, match=r"no column 'body'.*write text = "):
        rows_of(log, "SELECT id, body AS bodies FROM log")
    with pytest.raises(MissingColumns):
        rows_of(log, "SELECT id FROM log WHERE false")


@pytest.mark.parametrize("url", ["no url", "postgresql://me:secret@host:port/db"])
def test_what_is_no_database_url_is_not_repeated(url: str) -> None:
    with pytest.raises(BadQuery) as raised:
        find_sources(url, query="SELECT 1")

    assert "is not a database URL; write DIALECT+DRIVER://" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_driver_that_is_not_there_is_named() -> None:
    with pytest.raises(BadQuery, match="no driver for mysql; install it beside hitl"):
        rows_of("mysql://host/db", "SELECT 1 AS id, 2 AS body")


def test_a_database_that_is_away_can_be_tried_again() -> None:
    with pytest.raises(SourceUnavailable, match=r"(?s)does not answer.*run the same command again"):
        rows_of("postgresql://me:secret@127.0.0.1:1/db", "SELECT 1 AS id, 2 AS body")


def test_json_that_comes_as_text_is_reached_into(log: str) -> None:
    wanted = [Column("k", "id"), Column("k", "scores.hate"), Column("k", "scores.spam.now")]
    query = """
        SELECT 'a' AS id, '{"hate": 0.5, "spam": {"now": 0.25}}' AS scores
        UNION ALL SELECT 'b', NULL
        UNION ALL SELECT 'c', '{}'
        UNION ALL SELECT 'd', 'canary'
        UNION ALL SELECT 'e', '[0.5]'
        UNION ALL SELECT 'f', 0.5
    """
    (source,) = find_sources(log, query=query)

    (chunk,) = read_chunks(source, wanted, rows_per_chunk=10)

    assert [1, 2, 3] == chunk.lines
    assert [0.5, None, None] == chunk.columns["scores.hate"]
    assert [0.25, None, None] == chunk.columns["scores.spam.now"]
    assert [Reject(line, "scores", "is not a JSON object") for line in (4, 5, 6)] == chunk.rejects


def test_a_value_that_the_driver_cannot_make_is_not_quoted(log: str) -> None:
    query = "SELECT 'a' AS id, CAST(x'63616e617279ff' AS TEXT) AS body"

    with pytest.raises(UnreadableSource) as raised:
        rows_of(log, query)

    assert "canary" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.postgres
def test_postgres_is_streamed_read_only_and_json_is_reached_into(database_url: str) -> None:
    wanted = [Column("k", "id"), Column("k", "scores.hate")]
    query = (
        "SELECT n::text AS id, jsonb_build_object('hate', n / 10.0) AS scores "
        "FROM generate_series(1, 3) n ORDER BY n"
    )

    assert [(1, "1", 0.1), (2, "2", 0.2), (3, "3", 0.3)] == rows_of(database_url, query, wanted)
    with pytest.raises(BadQuery, match=r"relation .* does not exist"):
        rows_of(database_url, "SELECT * FROM nothing_here", wanted)
    with pytest.raises(UnreadableSource) as raised:
        rows_of(database_url, "SELECT CAST('canary' AS int) AS id, '{}'::json AS scores", wanted)
    assert "canary" not in str(raised.value)
    with pytest.raises(UnreadableSource, match="ReadOnlySqlTransaction"):
        rows_of(
            database_url,
            "SELECT nextval(pg_get_serial_sequence('entries', 'entry_id')) AS id, '{}' AS scores",
            wanted,
        )
