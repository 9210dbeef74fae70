"""Intake on a real Postgres: what arrives, in any order, any number of times, by anybody."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from flows.ingest_decisions import IngestReport
from hitl.db import DatabaseUnavailable, begin, connect
from hitl.decisions import (
    Counts,
    list_rejects,
)
from tests.flows.intake import (
    REAL_CATEGORIES,
    count,
    empty,
    ingest,
    make_recipe,
    make_row,
    tables,
    write_rows,
)

pytestmark = pytest.mark.postgres


def test_one_source_of_both_fills_both_tables(engine: Engine, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "log.jsonl", *(make_row(f"i{k}") for k in range(25)))
    steps: list[int] = []

    report = ingest(engine, path, recipe=make_recipe(rows_per_chunk=10), progress=steps.append)

    both = Counts(read=25, new=25)
    assert IngestReport((str(path),), both, both) == report
    assert [10, 10, 5] == steps
    assert (25, 25) == (count(engine, "items"), count(engine, "decisions"))


def test_content_and_decisions_from_two_sources_meet_in_either_order(
    engine: Engine, tmp_path: Path
) -> None:
    rows = [make_row(f"i{k}") for k in range(20)]
    path = write_rows(tmp_path / "log.jsonl", *rows)
    found = []

    for kinds in (("content", "decisions"), ("decisions", "content"), ("both",)):
        for kind in kinds:
            ingest(engine, path, kind, recipe=make_recipe(rows_per_chunk=7))
        found.append(tables(engine))
        with begin(engine) as tx:
            empty(tx)

    assert 1 == len(set(found))


def test_running_again_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    rows = [make_row("i1"), make_row("i1", text="another"), make_row("i2", score_hate=3)]
    path = write_rows(tmp_path / "log.jsonl", *rows)
    first = ingest(engine, path)
    before = tables(engine)

    again = ingest(engine, path)

    assert Counts(read=3, new=2, conflicts=1) == first.contents
    assert Counts(read=3, new=1, known=1, rejected=1) == first.decisions
    assert Counts(read=3, known=2, conflicts=1) == again.contents
    assert Counts(read=3, known=2, rejected=1) == again.decisions
    assert before == tables(engine)


def test_killed_after_any_chunk_and_run_again_comes_out_the_same(
    engine: Engine, tmp_path: Path
) -> None:
    rows = [make_row(f"i{k % 17}", model_version=f"m{k}") for k in range(40)]
    path = write_rows(tmp_path / "log.jsonl", *rows)
    recipe = make_recipe(rows_per_chunk=6)
    found = []

    class Killed(BaseException):
        pass

    for chunks in (1, 3, 5, None):
        done: list[int] = []

        def stop(rows: int, done: list[int] = done, chunks: int | None = chunks) -> None:
            done.append(rows)
            if len(done) == chunks:
                raise Killed

        if chunks:
            with pytest.raises(Killed):
                ingest(engine, path, recipe=recipe, progress=stop)
        ingest(engine, path, recipe=recipe)
        found.append(tables(engine))
        with begin(engine) as tx:
            empty(tx)

    assert 1 == len(set(found))


def test_four_at_once_on_one_file_end_with_the_same_rows(
    engine: Engine, tmp_path: Path, database_url: str
) -> None:
    rows = [make_row(f"i{(k * 7919) % 600}", model_version=f"m{k // 600}") for k in range(1500)]
    rows[5] = make_row("i1", text="another text")
    rows[9] = make_row("i2", score_hate=9)
    path = write_rows(tmp_path / "log.jsonl", *rows)
    backwards = write_rows(tmp_path / "back.jsonl", *reversed(rows[10:]))
    start = threading.Barrier(4)

    def one(kind_and_path: tuple[str, Path]) -> IngestReport:
        own = connect(database_url)
        start.wait()
        try:
            return ingest(own, kind_and_path[1], kind_and_path[0],
                          recipe=make_recipe(rows_per_chunk=70))  # fmt: skip
        finally:
            own.dispose()

    jobs = [("both", path), ("both", path), ("content", backwards), ("decisions", backwards)]
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(one, jobs))

    assert 600 == count(engine, "items") == sum(report.contents.new for report in reports)
    new = sum(report.decisions.new for report in reports)
    keys = {(row["content_id"], row["model_version"]) for row in rows[:9] + rows[10:]}
    assert len(keys) == count(engine, "decisions") == new
    assert 1 == count(engine, "conflicts")
    assert 1 == count(engine, "rejects")


def test_several_decisions_an_item_over_time_are_all_kept(engine: Engine, tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "log.jsonl",
        make_row(),
        make_row(created_at="2026-06-02T12:00:00Z"),
        make_row(model_version="m2"),
    )

    report = ingest(engine, path)

    assert 3 == report.decisions.new == count(engine, "decisions")
    assert 1 == report.contents.new == count(engine, "items")


def test_a_query_is_a_source_like_any_other(engine: Engine, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "log.db") as log:
        log.execute("CREATE TABLE log (id TEXT, said TEXT)")
        log.executemany("INSERT INTO log VALUES (?, ?)", [("i1", "one"), ("i2", None)])
    log.close()

    report = ingest(
        engine,
        f"sql+sqlite:///{tmp_path / 'log.db'}",
        "content",
        query="SELECT id AS content_id, said AS text FROM log ORDER BY id",
    )

    assert Counts(read=2, new=1, rejected=1) == report.contents
    assert ("created_at", "language", "surface") == tuple(sorted(report.absent_columns))
    with begin(engine) as tx:
        (reject,) = list_rejects(tx)
    assert (2, "text", "is missing") == (reject.line, reject.field, reject.reason)
    assert report.sources == (reject.source,)


def test_postgres_stopped_in_mid_flow_can_be_tried_again(
    engine: Engine, tmp_path: Path, postgres_url: str
) -> None:
    path = write_rows(tmp_path / "log.jsonl", *(make_row(f"i{k}") for k in range(30)))
    name = engine.url.database
    other = connect(postgres_url)

    def stop(_: int) -> None:
        # What a stopped server looks like from here: the connection is cut and no new one opens.
        with begin(other) as tx:
            tx.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        with begin(other) as tx:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            tx.execute(text(query), {"name": name})

    with pytest.raises(DatabaseUnavailable) as raised:
        ingest(engine, path, recipe=make_recipe(rows_per_chunk=10), progress=stop)
    with begin(other) as tx:
        tx.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    other.dispose()

    assert "does not answer; what was committed stays. Run `hitl status`" in str(raised.value)
    assert 10 == count(engine, "items")
    assert Counts(read=30, new=20, known=10) == ingest(engine, path).contents


@pytest.fixture(scope="module")
def real_log() -> Path:
    """The folder of the shared decision log."""
    root = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("HITL_SHARED_DATA", root)) / "decisions"
    if not (folder / "decisions.parquet").exists():
        pytest.skip(f"no shared data at {folder}; set HITL_SHARED_DATA")
    return folder


@pytest.mark.parametrize("kinds", [("content", "decisions"), ("decisions", "content")])
def test_the_real_log_is_taken_in_whole_in_either_order(
    engine: Engine, real_log: Path, kinds: tuple[str, str]
) -> None:
    files = {"content": "content_pool.parquet", "decisions": "decisions.parquet"}
    recipe = make_recipe(categories=REAL_CATEGORIES)

    reports = {
        kind: ingest(engine, real_log / files[kind], kind, recipe=recipe,
                     categories=REAL_CATEGORIES)
        for kind in kinds
    }  # fmt: skip

    assert Counts(read=64_355, new=64_355) == reports["content"].contents
    assert Counts(read=67_174, new=67_174) == reports["decisions"].decisions
    names = ["content_id", "text", "language", "surface", "created_at"]
    table = pq.read_table(real_log / files["content"], columns=names)
    expected = [[*row[:4], row[4].to_pydatetime()] for row in table.to_pandas().values.tolist()]
    with begin(engine) as tx:
        found = tx.execute(
            text("SELECT item_id, text, language, surface, created_at FROM items")
        ).all()
        unknown, older = tx.execute(
            text(
                "SELECT count(*) FILTER (WHERE NOT probabilities ? 'obscene'), "
                "count(*) FILTER (WHERE model_version = 'mod-lr-1.0.0') FROM decisions"
            )
        ).one()
    # By hash, so that a failure does not print what people wrote.
    assert digest_of(expected) == digest_of([list(row) for row in found])
    assert older == unknown > 0


def digest_of(rows: list[list[Any]]) -> str:
    return hashlib.sha256(
        repr(sorted([str(one) for one in row] for row in rows)).encode()
    ).hexdigest()


def test_the_same_log_in_json_lines_is_known_already(
    engine: Engine, real_log: Path, tmp_path: Path
) -> None:
    # 32-bit floats there, decimals here: one payload all the same.
    begun = pq.read_table(real_log / "decisions.parquet").slice(0, 1000)
    pq.write_table(begun, tmp_path / "log.parquet")
    report = {}

    for path, prefix in (
        (tmp_path / "log.parquet", "score_"),
        (real_log / "decisions.sample.jsonl", "scores."),
    ):
        recipe = make_recipe(prefix, categories=REAL_CATEGORIES)
        report[prefix] = ingest(
            engine, path, "decisions", recipe=recipe, categories=REAL_CATEGORIES
        ).decisions

    assert Counts(read=1000, new=1000) == report["score_"]
    assert Counts(read=1000, known=1000) == report["scores."]


@pytest.mark.parametrize("kinds", [("both",), ("decisions", "content"), ("content", "decisions")])
def test_what_an_item_is_and_who_sees_it_comes_with_either_source(
    engine: Engine, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    recipe = make_recipe(
        content={"item_id": "content_id", "market": "country", "modality": "kind"},
        decisions={
            "probabilities": {"hate": "score_hate"},
            "views_per_hour": "views",
        },
    )
    rows = [
        make_row("i1", country="br", kind="audio", views=900.0),
        make_row("i2", country=None, kind=None, views=None),
        make_row("i3", country="de", kind=None, views=-1.0),
    ]
    path = write_rows(tmp_path / "log.jsonl", *rows)

    for kind in kinds:
        ingest(engine, path, kind, recipe=recipe)

    with begin(engine) as tx:
        said = tx.execute(text("SELECT item_id, market, modality FROM items ORDER BY 1")).all()
        seen = tx.execute(text("SELECT item_id, views_per_hour FROM reaches")).all()
        bad = [(one.field, one.reason) for one in list_rejects(tx, limit=9)]
    assert [("i1", "br", "audio"), ("i2", None, None), ("i3", "de", None)] == [*map(tuple, said)]
    assert [("i1", 900.0)] == [tuple(one) for one in seen]
    assert [("views_per_hour", "is not a finite number from 0 on")] == bad
