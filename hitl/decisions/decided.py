"""Decisions as columns: what the mapping gives and the store merges, with no object a row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from hitl.records import Action, Decision, Item, ItemId, ModelVersion

MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("model_version", pa.string()),
        ("decided_at", MOMENT),
        ("action", pa.string()),
        ("probabilities", pa.string()),  # a JSON object, without what the model does not know
        ("is_shadow", pa.bool_()),
        # What the log says of the item.
        ("language", pa.string()),
        ("surface", pa.string()),
        ("market", pa.string()),
        ("modality", pa.string()),
        ("views_per_hour", pa.float64()),
    ]
)
FACTS = ("language", "surface", "market", "modality")
"""What an item is described by, beside its content."""
_KEY = ("item_id", "decided_at", "model_version")

# NaN has no JSON and no meaning here: the mapping has dropped it, and other callers must too.
as_json = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Staged:
    """Decisions as the lines of a COPY in CSV, sorted by key.

    Fields: whether the row is the first of its key, and of its item; then `SCHEMA`'s, up to the
    `FACTS`. `items` are counted once each; `describes` says whether any row tells one of these.
    """

    lines: pa.Buffer
    rows: int
    items: int
    describes: bool
    months: frozenset[date]


@dataclass(frozen=True, slots=True)
class Decided:
    """Decisions in the order of their rows; `table` has the columns of `SCHEMA`."""

    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @classmethod
    def of(
        cls,
        decisions: Sequence[Decision],
        stubs: Sequence[Item] = (),
        views: Sequence[float | None] = (),
    ) -> Decided:
        """From records; `stubs` and `views`, one a decision, say what is known of the item."""
        columns = [
            [one.item_id for one in decisions],
            [one.model_version for one in decisions],
            [one.decided_at for one in decisions],
            [one.action and one.action.value for one in decisions],
            [as_json(dict(one.probabilities)) for one in decisions],
            [one.is_shadow for one in decisions],
            *([getattr(one, name) for one in stubs] or [None] * len(decisions) for name in FACTS),
            views or [None] * len(decisions),
        ]
        arrays = [pa.array(one, kind.type) for one, kind in zip(columns, SCHEMA, strict=True)]
        return cls(pa.Table.from_arrays(arrays, schema=SCHEMA))

    def decisions(self) -> list[Decision]:
        """As records."""
        return [
            Decision(
                item_id=ItemId(row["item_id"]),
                model_version=ModelVersion(row["model_version"]),
                decided_at=row["decided_at"],
                action=row["action"] and Action(row["action"]),
                probabilities=json.loads(row["probabilities"]),
                is_shadow=row["is_shadow"],
            )
            for row in self.table.to_pylist()
        ]

    def stubs(self) -> list[Item]:
        """The item of each row, as far as the log tells."""
        return [Item(**row) for row in self.table.select(["item_id", *FACTS]).to_pylist()]

    def reaches(self) -> list[dict[str, Any]]:
        """`item_id`, `views_per_hour` and `measured_at` of the rows that tell how many see it."""
        if self.table["views_per_hour"].null_count == len(self):
            return []
        told = self.table.select(["item_id", "views_per_hour", "decided_at"])
        told = told.filter(pc.is_valid(told["views_per_hour"]))
        return cast(
            list[dict[str, Any]],
            told.rename_columns(["item_id", "views_per_hour", "measured_at"]).to_pylist(),
        )

    def staged(self) -> Staged:
        """Ready for the store: sorted, so that all who write lock in one order."""
        table = self.table.drop_columns(["views_per_hour"]).combine_chunks()
        order = pc.sort_indices(table, [(name, "ascending") for name in _KEY])  # stable
        ordered = table.take(order)
        begins = _differs(ordered, ("item_id",))
        items = pc.sum(begins).as_py() or 0
        described = [name for name in FACTS if ordered[name].null_count < len(self)]
        for name in described:
            told = ordered[name]
            if items < len(self):
                told = _first_told(table, name, begins)
            at = ordered.schema.get_field_index(name)
            ordered = ordered.set_column(
                at, name, pc.if_else(begins, told, pa.scalar(None, pa.string()))
            )
        # Without its zone a moment is written twenty times sooner.
        moments = ordered["decided_at"].cast(pa.timestamp("us"))
        written = pc.binary_join_element_wise(moments.cast(pa.string()), "Z", "")
        at = ordered.schema.get_field_index("decided_at")
        lines = (
            ordered.set_column(at, "decided_at", written)
            .add_column(0, "begins", begins)
            .add_column(0, "leads", _differs(ordered, _KEY))
        )
        sink = pa.BufferOutputStream()
        pacsv.write_csv(lines, sink, pacsv.WriteOptions(include_header=False))
        months = pc.unique(pc.floor_temporal(moments, unit="month")).to_pylist()
        return Staged(
            sink.getvalue(), len(self), items, bool(described), frozenset(m.date() for m in months)
        )


def _differs(table: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Which rows differ from the row before, in any of these columns."""
    if not table.num_rows:
        return pa.chunked_array([], pa.bool_())
    found = None
    for name in names:
        column = table[name].combine_chunks()
        differs = pc.not_equal(column[1:], column[:-1])
        found = differs if found is None else pc.or_(found, differs)
    return pa.chunked_array([pa.concat_arrays([pa.array([True]), found])])


def _first_told(table: pa.Table, name: str, begins: pa.ChunkedArray) -> pa.Array:
    """What the rows of each item say first, at the places where its rows begin; else NULL."""
    told = table.group_by("item_id", use_threads=False).aggregate([(name, "first")])
    told = told.sort_by("item_id")[f"{name}_first"]
    places = pc.subtract(pc.cumulative_sum(begins.cast(pa.int64())), 1)
    return told.take(places)
