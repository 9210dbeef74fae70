"""Cells of Arrow columns: in one form whatever file they came from, and as Python's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from hitl.decisions.values import Unreadable

Values: TypeAlias = Sequence[Any] | pa.Array


def normal(values: pa.Array) -> pa.Array:
    """The same cells in the one form that both ways of mapping read.

    Floats of 32 and 16 bits go by way of their shortest decimal, so that 0.1 written as one is the
    0.1 of the same log in CSV and not 0.10000000149, which would be another payload. Nanoseconds
    are cut to microseconds, which is what Postgres keeps.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return normal(values.dictionary_decode())
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return pc.cast(pc.cast(pc.cast(values, pa.float32()), pa.string()), pa.float64())
    if pa.types.is_timestamp(kind):
        unit = "us" if kind.unit == "ns" else kind.unit
        return pc.cast(values, pa.timestamp(unit, tz=kind.tz and "UTC"), safe=False)
    return values


def to_values(values: Values) -> list[Any]:
    """Python's values; a cell that Python has none for becomes `Unreadable`."""
    if not isinstance(values, pa.Array):
        return list(values)
    try:
        return list(values.to_pylist())
    except (ValueError, OverflowError):
        return [_cell(value) for value in values]


def _cell(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return Unreadable("is not valid Unicode; write the source as UTF-8")
    except (ValueError, OverflowError):
        return Unreadable("lies outside the years 1 to 9999")


def at(values: Values, rows: Sequence[int]) -> list[Any]:
    """Python's values at some rows."""
    if isinstance(values, pa.Array):
        return to_values(values.take(pa.array(rows, pa.int64())))
    return [values[row] for row in rows]
