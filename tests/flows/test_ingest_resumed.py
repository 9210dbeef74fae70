"""A reading goes on where it was cut off, and only where nothing of it has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from hitl.db import begin
from hitl.decisions import Counts, list_rejects
from hitl.errors import Unavailable
from tests.flows.intake import ingest, make_recipe, make_row, tables, write_rows

pytestmark = pytest.mark.postgres

ROWS = 10
RECIPE = make_recipe(rows_per_chunk=3)


def write_jsonl(folder: Path, **changed: Any) -> Path:
    rows = [make_row(f"i{k}", **changed) for k in range(ROWS)]
    rows[1] = make_row("i1", created_at="some day")
    return write_rows(folder / "log.jsonl", *rows)


def write_csv(folder: Path) -> Path:
    rows = [make_row(f"i{k}") for k in range(ROWS)]
    path = folder / "log.csv"
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_parquet(folder: Path) -> Path:
    rows = [make_row(f"i{k}", created_at=datetime(2026, 6, 1, tzinfo=UTC)) for k in range(ROWS)]
    path = folder / "log.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=4)
    return path


class Cut(Unavailable):
    """The place went away."""


def cut_after(chunks: int) -> Callable[[int], None]:
    left = chunks

    def tick(_: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Cut("cut")

    return tick


@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_parquet])
@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_a_reading_goes_on_after_the_last_chunk_that_was_stored(
    engine: Engine, tmp_path: Path, write: Callable[[Path], Path], chunks: int
) -> None:
    path = write(tmp_path)
    with pytest.raises(Cut):
        ingest(engine, path, recipe=RECIPE, progress=cut_after(chunks))
    told: list[int] = []

    report = ingest(engine, path, recipe=RECIPE, progress=told.append)

    assert [3 * chunks, *[3] * (3 - chunks), 1] == told
    aside = int(write is write_jsonl)
    assert (
        Counts(read=ROWS, new=ROWS - 3 * chunks, known=3 * chunks - aside, rejected=aside)
        == report.decisions
    )
    with begin(engine) as tx:
        assert ROWS - aside == tx.execute(text("SELECT count(*) FROM decisions")).scalar_one()
        assert 2 * aside == len(list_rejects(tx))


def test_a_file_read_to_its_end_is_not_opened_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_jsonl(tmp_path)
    first = ingest(engine, path, recipe=RECIPE)
    before = tables(engine)
    monkeypatch.setattr("hitl.decisions.sources.FileSource._rows", None)

    again = ingest(engine, path, recipe=RECIPE)

    assert Counts(read=ROWS, known=ROWS - 1, rejected=1) == again.decisions
    assert (first.rejected, first.absent_columns) == (again.rejected, again.absent_columns)
    assert before == tables(engine)


def test_a_changed_file_is_read_from_its_beginning(engine: Engine, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path)
    about = path.stat()
    ingest(engine, path, recipe=RECIPE)
    write_jsonl(tmp_path, predicted_action="review")  # as long as `remove`
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))

    again = ingest(engine, path, recipe=RECIPE)

    assert about.st_size == path.stat().st_size
    assert ROWS - 1 == again.decisions.conflicts
    with begin(engine) as tx:
        fingerprints = tx.execute(text("SELECT count(DISTINCT fingerprint) FROM intake_chunks"))
        assert 1 == fingerprints.scalar_one()


def test_another_recipe_reads_the_same_file_anew(engine: Engine, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path)
    ingest(engine, path, recipe=make_recipe(categories=["hate"]), categories=["hate"])

    again = ingest(engine, path, recipe=RECIPE)

    assert Counts(read=ROWS, conflicts=ROWS - 1, rejected=1) == again.decisions


def test_what_is_set_aside_is_not_forgotten_by_a_reading_that_goes_on(
    engine: Engine, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path)
    with pytest.raises(Cut):
        ingest(engine, path, recipe=RECIPE, progress=cut_after(2))

    for _ in range(2):
        ingest(engine, path, recipe=RECIPE)

        with begin(engine) as tx:
            assert [(2, "created_at"), (2, "decided_at")] == [
                (one.line, one.field) for one in list_rejects(tx)
            ]
