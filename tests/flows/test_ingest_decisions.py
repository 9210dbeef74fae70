"""Intake on a real Postgres: what arrives, what is set aside, what a person is told."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Connection, Engine, text

from flows.ingest_decisions import IngestReport, ingest_decisions
from hitl import logs
from hitl.db import DatabaseUnavailable, begin, connect
from hitl.decisions import Counts, EmptySource, MissingColumns, UnknownCategory, list_rejects
from hitl.recipe import Recipe, recipe_from

pytestmark = pytest.mark.postgres

CATEGORIES = ("hate", "spam")
REAL_CATEGORIES = ("violation", "hate", "insult", "obscene")


def make_recipe(prefix: str = "score_", categories: Any = CATEGORIES, **intake: Any) -> Recipe:
    probabilities = {one: prefix + one for one in categories}
    body = {"intake": {"decisions": {"probabilities": probabilities}} | intake}
    return recipe_from(body, where="test recipe")


def ingest(engine: Engine, source: Path | str, kind: Any = "both", **changed: Any) -> IngestReport:
    given: dict[str, Any] = {"recipe": make_recipe(), "categories": CATEGORIES}
    return ingest_decisions(engine, source=str(source), kind=kind, **given | changed)


def make_row(item_id: str = "i1", **changed: Any) -> dict[str, Any]:
    return {
        "content_id": item_id,
        "text": f"text of {item_id}",
        "language": "en",
        "surface": "posts",
        "created_at": "2026-06-01T12:00:00Z",
        "model_version": "m1",
        "score_hate": 0.5,
        "score_spam": 0.25,
        "predicted_action": "remove",
    } | changed


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tables(engine: Engine) -> str:
    """A hash over everything that intake writes, without clocks and sequences."""
    queries = [
        "SELECT item_id, text, content_hash, language, surface, group_id, created_at FROM items",
        "SELECT item_id, model_version, decided_at, action, probabilities, payload_hash "
        "FROM decisions",
        "SELECT kind, item_id, key, payload_hash FROM conflicts",
        "SELECT source, line, field, reason FROM rejects",
    ]
    digest = hashlib.sha256()
    with begin(engine) as tx:
        for query in queries:
            for row in tx.execute(text(f"{query} ORDER BY 1, 2, 3, 4")):
                digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()


def empty(tx: Connection) -> None:
    """Begin anew. Only a superuser can switch off what keeps decisions from being emptied."""
    tx.execute(text("SET LOCAL session_replication_role = replica"))
    tx.execute(text("TRUNCATE items, decisions CASCADE"))


def count(engine: Engine, table: str) -> int:
    with begin(engine) as tx:
        return int(tx.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


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


def test_an_empty_file_is_refused_with_a_hint(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.touch()

    with pytest.raises(EmptySource) as raised:
        ingest(engine, path)

    assert (
        f"{path}: holds no rows, so nothing was taken in; check that whatever wrote it has "
        "finished, then run again"
    ) == str(raised.value)


def test_an_empty_file_among_others_is_reported_and_the_others_are_read(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").touch()
    write_rows(tmp_path / "b.jsonl", make_row())

    report = ingest(engine, tmp_path)

    assert (str(tmp_path / "a.csv"),) == report.empty_sources
    assert 1 == report.contents.new


def test_wrong_columns_are_refused_with_the_line_to_write(engine: Engine, tmp_path: Path) -> None:
    row = make_row()
    row["contentid"] = row.pop("content_id")
    path = write_rows(tmp_path / "log.jsonl", row)

    with pytest.raises(MissingColumns) as raised:
        ingest(engine, path)

    assert str(raised.value).startswith(f"{path}: 1 column(s) missing; there is: text, language")
    assert 'under [intake.content] write item_id = "contentid"' in str(raised.value)
    assert 0 == count(engine, "items")


def test_an_unknown_category_is_refused_before_anything_is_read(
    engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(UnknownCategory, match="unknown category 'spam'; the policy has hate"):
        ingest(engine, tmp_path / "absent.csv", categories=("hate",))


def test_bad_rows_are_set_aside_with_line_and_reason_and_the_rest_goes_on(
    engine: Engine, tmp_path: Path
) -> None:
    path = write_rows(
        tmp_path / "log.jsonl",
        make_row("i1"),
        make_row("i2", score_hate=float("nan")),
        make_row("i3", score_hate=float("inf")),
        make_row("i4", score_spam=-0.5),
        make_row("i5", text="x" * 5_000_000),
        make_row("i6", text="nul\x00"),
        make_row("i7", text="half \ud800"),
        make_row("", text="no id"),
        make_row("i9", created_at="soon"),
    )
    with path.open("a", encoding="utf-8") as handle:
        handle.write('{"content_id": "i10", "text": "cut o')

    report = ingest(engine, path)

    with begin(engine) as tx:
        found = [(one.line, one.field, one.reason) for one in list_rejects(tx, source=str(path))]
    a_date = "is not a date; write ISO 8601 such as 2026-06-01T12:00:00Z"
    assert [
        (3, "probabilities.hate", "is inf; a probability lies between 0 and 1"),
        (4, "probabilities.spam", "is -0.5; a probability lies between 0 and 1"),
        (5, "text", "is 5,000,000 characters long, 100,000 at most "
                    "(recipe.toml [intake] max_text_characters)"),
        (6, "text", "holds a NUL character at position 3"),
        (7, "text", "is not valid Unicode at position 5; write the source as UTF-8"),
        (8, "item_id", "is missing"),
        (9, "created_at", a_date),
        (9, "decided_at", a_date),
        (10, "line", "is not JSON"),
    ] == found  # fmt: skip
    assert Counts(read=10, new=4, rejected=6) == report.contents
    assert Counts(read=10, new=5, rejected=5) == report.decisions


@pytest.fixture
def all_logs(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Every log line, and whatever else goes to standard error."""
    logs.configure(level="DEBUG", as_json=True)
    return capsys


def test_content_is_never_in_logs_reasons_or_errors(
    engine: Engine, tmp_path: Path, all_logs: pytest.CaptureFixture[str]
) -> None:
    canary = "canary-7f3a"
    path = write_rows(
        tmp_path / "log.jsonl",
        make_row("i1", text=f"<script>{canary}</script>"),
        make_row("i1", text=f"{canary} conflict"),
        make_row("i2", text=canary + "\x00"),
        make_row("i3", text=canary * 20_000),
        make_row("i4", predicted_action=canary, language=canary * 99),
        make_row("i5", created_at=canary, score_hate=canary, text=[canary]),
    )

    ingest(engine, path)
    with pytest.raises(MissingColumns) as raised:
        ingest(engine, path, recipe=make_recipe("nowhere_"))

    logged = all_logs.readouterr().err
    assert "decisions_ingested" in logged
    with begin(engine) as tx:
        aside = "".join(str(tuple(row)) for row in tx.execute(text("SELECT * FROM rejects")))
        kept = "".join(str(tuple(row)) for row in tx.execute(text("SELECT * FROM conflicts")))
        stored = tx.execute(text("SELECT text FROM items WHERE item_id = 'i1'")).scalar_one()
    assert f"<script>{canary}</script>" == stored
    for where in (logged, aside, kept, str(raised.value)):
        assert canary not in where


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
