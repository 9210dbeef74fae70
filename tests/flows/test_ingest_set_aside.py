"""What intake refuses or sets aside, and what a person is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from flows.ingest_decisions import SomeSourcesRefused
from hitl import logs
from hitl.db import begin
from hitl.decisions import (
    Counts,
    EmptySource,
    MissingColumns,
    NoRowsYet,
    UnknownCategory,
    count_rejects,
    list_rejects,
)
from hitl.errors import NotYet
from tests.flows.intake import (
    count,
    ingest,
    make_recipe,
    make_row,
    write_rows,
)

pytestmark = pytest.mark.postgres


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


def test_a_refused_file_does_not_keep_the_others_out(engine: Engine, tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", make_row("i1"))
    (tmp_path / "b.csv").write_text("id,text\n1,x\n", encoding="utf-8")
    (tmp_path / "c.parquet").write_bytes(b"no parquet")
    write_rows(tmp_path / "d.jsonl", make_row("i2"))

    with pytest.raises(SomeSourcesRefused) as raised:
        ingest(engine, tmp_path)

    report = raised.value.report
    assert Counts(read=2, new=2) == report.contents == report.decisions
    assert [tmp_path / "b.csv", tmp_path / "c.parquet"] == list(map(Path, report.refused_sources))
    assert "2 of 4 sources could not be taken in whole" in str(raised.value)
    assert "b.csv: 5 column(s) missing" in str(raised.value)
    assert "c.parquet: cannot be read: damaged or cut off" in str(raised.value)


def test_a_query_without_rows_is_nothing_to_do_yet(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(NoRowsYet, match="the query gives no rows now") as raised:
        ingest(
            engine,
            f"sqlite:///{tmp_path / 'log.db'}",
            "content",
            query="SELECT 'i1' AS content_id, 'x' AS text WHERE 1 = 0",
        )

    assert isinstance(raised.value, NotYet)


def test_a_category_column_that_a_file_lacks_is_reported_and_the_rest_is_taken_in(
    engine: Engine, tmp_path: Path
) -> None:
    row = make_row()
    del row["score_spam"]

    report = ingest(engine, write_rows(tmp_path / "log.jsonl", row))

    assert ("score_spam",) == report.absent_columns
    with begin(engine) as tx:
        assert {"hate": 0.5} == tx.execute(text("SELECT probabilities FROM decisions")).scalar_one()


def test_a_mended_file_read_again_to_its_end_has_no_rejects_left(
    engine: Engine, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "log.jsonl", make_row("i1", score_hate=7), make_row("i2", text=""))
    other = write_rows(tmp_path / "other.jsonl", make_row("i3", text=""))
    ingest(engine, path)
    ingest(engine, other)
    write_rows(path, make_row("i1"), make_row("i2", text=""))

    report = ingest(engine, path)

    assert 1 == report.rejected
    with begin(engine) as tx:
        assert {str(path): 1, str(other): 1} == count_rejects(tx)


def test_a_row_set_aside_for_both_counts_once(engine: Engine, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "log.jsonl", make_row("i1"), make_row(""))
    with path.open("a", encoding="utf-8") as handle:
        handle.write("{broken\n")

    report = ingest(engine, path)

    assert (2, 2, 2) == (report.contents.rejected, report.decisions.rejected, report.rejected)


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
