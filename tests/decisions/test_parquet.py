"""Parquet: structs, odd types, cells and pages that cannot be read, rows of any width."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitl.decisions import Column, UnreadableSource, map_chunk
from hitl.recipe import Intake
from tests.decisions.reading import chunks_of, rows_of, write, write_parquet


def test_a_32_bit_float_is_the_decimal_that_was_written(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", id=["a", "b"], body=pa.array([0.1, None], pa.float32())
    )

    assert [(1, "a", 0.1), (2, "b", None)] == rows_of(path)


def test_nanoseconds_are_cut_to_what_the_database_keeps(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", id=["a"], body=pa.array([1_001], pa.timestamp("ns", tz="UTC"))
    )

    assert 1 == rows_of(path)[0][2].microsecond


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "a.parquet", id=["1"], body=["canary"]).read_bytes()
    path = write(tmp_path / "b.parquet", whole[:-20])

    with pytest.raises(UnreadableSource) as raised:
        chunks_of(path)

    assert str(raised.value).startswith(f"{path}: cannot be read: damaged or cut off (Arrow")
    assert "canary" not in str(raised.value)


def bad_utf8(*cells: bytes) -> pa.Array:
    """Text that no text can be, as a writer in another language may leave it."""
    offsets = pa.array([sum(map(len, cells[:k])) for k in range(len(cells) + 1)], pa.int32())
    return pa.Array.from_buffers(
        pa.string(), len(cells), [None, offsets.buffers()[1], pa.py_buffer(b"".join(cells))]
    )


def test_a_32_bit_float_in_a_struct_is_a_decimal_too(tmp_path: Path) -> None:
    kind = pa.struct([("hate", pa.float32())])
    path = write_parquet(
        tmp_path / "a.parquet", id=["a", "b"], scores=pa.array([{"hate": 0.1}, None], kind)
    )

    assert [(1, "a", 0.1), (2, "b", None)] == rows_of(
        path, [Column("k", "id"), Column("k", "scores.hate")]
    )


@pytest.mark.parametrize(
    ("field", "cells", "reason"),
    [
        ("text", bad_utf8(b"fine", b"canary\xff\xfe"), "is not valid Unicode; write the source as"),
        ("created_at", pa.array([0, 10**18], pa.timestamp("us", "UTC")), "lies outside the years"),
        ("created_at", pa.array([0, 10**15], pa.timestamp("ms")), "lies outside the years 1 to"),
        ("created_at", pa.array([0, 10**12], pa.timestamp("s")), "lies outside the years 1 to"),
        ("created_at", pa.array([0, 10**7], pa.int32()).cast(pa.date32()), "lies outside the year"),
    ],
)
def test_a_cell_that_python_has_no_value_for_costs_its_own_row_alone(
    tmp_path: Path, field: str, cells: pa.Array, reason: str
) -> None:
    columns: dict[str, Any] = {"content_id": ["a", "b"], "text": ["x", "y"]} | {field: cells}
    path = write_parquet(tmp_path / "a.parquet", **columns)
    wanted = [Column("k", name) for name in columns]

    (chunk,) = chunks_of(path, wanted)
    mapped = map_chunk(chunk, Intake(), "content")

    assert ["a"] == [item.item_id for item in mapped.items]
    [reject] = mapped.rejects
    assert (2, field) == (reject.line, reject.field)
    assert reject.reason.startswith(reason)


def test_a_bad_text_does_not_cost_the_decision_beside_it(tmp_path: Path) -> None:
    intake = Intake.model_validate({"decisions": {"probabilities": {"hate": "hate"}}})
    path = write_parquet(
        tmp_path / "a.parquet",
        content_id=["a"],
        text=bad_utf8(b"\xff"),
        model_version=["m"],
        created_at=["2026-06-01"],
        hate=[0.5],
    )
    wanted = [Column("k", name) for name in pq.read_schema(path).names]

    mapped = map_chunk(chunks_of(path, wanted)[0], intake, "both")

    assert (1, 0, 1) == (len(mapped.decisions), len(mapped.items), mapped.rejected_rows)


def test_a_damaged_page_is_a_refusal_and_no_outage(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet",
        id=[str(k) for k in range(20_000)],
        body=[os.urandom(20).hex() for _ in range(20_000)],
    )
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 200] = b"\xff" * 200
    path.write_bytes(whole)

    with pytest.raises(UnreadableSource, match=r"cannot be read.*damaged"):
        chunks_of(path)


_PEAK = """
import resource, sys
from hitl.decisions import Column, find_sources, read_chunks
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
for source in find_sources(sys.argv[1]):
    wanted = [Column("k", "id"), Column("k", "body")]
    rows = sum(chunk.rows for chunk in read_chunks(source, wanted, rows_per_chunk=1000))
print(rows, peak() - before)
"""


def test_memory_does_not_grow_with_the_width_of_rows(tmp_path: Path) -> None:
    bodies = ["x" * 5_000_000 for _ in range(60)]
    path = write_parquet(tmp_path / "a.parquet", id=[str(k) for k in range(60)], body=bodies)

    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)], capture_output=True, text=True, check=True
    )

    rows, grown = map(int, done.stdout.split())
    assert 60 == rows
    assert grown < 120, f"{grown} MiB for texts of 300 MB"
