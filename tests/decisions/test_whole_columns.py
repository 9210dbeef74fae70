"""Columns read whole mean what their rows mean one by one, whatever lies in them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.decisions.cells import normal
from hitl.decisions.chunks import Chunk
from hitl.decisions.columns import map_decided
from hitl.decisions.decided import Decided
from hitl.decisions.mapping import map_decisions
from hitl.records import Decision, Item, ItemId, ModelVersion
from tests.decisions.test_mapping import make_intake

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
COLUMNS = ("content_id", "model_version", "created_at", "predicted_action", "language", "surface",
           "market", "modality")  # fmt: skip
SCORES = ("score_hate", "score_spam", "views")

words = st.sampled_from(
    ["m1", "shadow-2", "", " ", "\u3000", "\x1c", "\xa0x", " x ", "a\x00b", "\ud800", "é", "👩‍👩‍👧",
     "x" * 100, "x" * 101, "é" * 200, "x" * 201, 'q"u,o\te\\s\r\n', "\\N", "\\.", "allow",
     " allow ", "block", "remove", "unknown word"]
)  # fmt: skip
odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.uuids(), st.decimals(),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=1), st.lists(st.none(), max_size=1),
)  # fmt: skip
moments = st.one_of(
    st.datetimes(timezones=st.none() | st.timezones()),
    st.sampled_from(
        ["2026-06-01T12:00:00Z", "2026-06-01", "2026-06-01 12:00:00.1234567+02:00", "20260601T12",
         "", " ", "some day", "2026-13-01", "9999-12-31T23:59:59-12:00", "1780315200", NOON,
         date(2026, 6, 1), datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))]
    ),
)  # fmt: skip
scores = st.one_of(
    st.floats(),
    st.floats(0, 1),
    st.integers(-2, 2),
    st.sampled_from(["0.5", "", " .25 ", "nan", "1e-320", "1_0", "-0.0", "inf", "x", -0.0, 5e-324]),
)


def column_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Eight cells: of one kind with gaps, or of anything."""
    gaps = st.one_of(st.none(), values)
    return st.lists(st.one_of(values, gaps, odd), min_size=8, max_size=8) | st.lists(
        gaps, min_size=8, max_size=8
    )


def array_of(values: list[Any], kind: pa.DataType) -> pa.Array | list[Any]:
    try:
        return normal(pa.array(values, kind))
    except (pa.ArrowException, ValueError, TypeError, OverflowError, AttributeError):
        return values


KINDS = st.sampled_from(
    [None, pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.int64(),
     pa.int32(), pa.uint64(), pa.float32(), pa.float16(), pa.float64(), pa.bool_(), pa.date32(),
     pa.decimal128(20, 5), pa.timestamp("s"), pa.timestamp("ms", tz="UTC"), pa.timestamp("us"),
     pa.timestamp("us", tz="Asia/Tokyo"), pa.timestamp("ns"), pa.binary(), pa.null(),
     pa.struct([("a", pa.string())]), pa.list_(pa.string())]
)  # fmt: skip


def both_ways(chunk: Chunk) -> tuple[Any, Any]:
    """What columns say, and what rows say: decisions, items, who sees them, what is set aside."""
    intake = make_intake(
        content={"market": "market", "modality": "modality"},
        decisions={
            "probabilities": {"hate": "score_hate", "spam": "score_spam"},
            "views_per_hour": "views",
        },
    )
    shadows = ("shadow-*",)
    decided, aside = map_decided(chunk, intake.decisions, about=intake.content, shadows=shadows)
    rows = map_decisions(chunk, intake.decisions, about=intake.content, shadows=shadows)
    views = decided.table["views_per_hour"].to_pylist()
    return (decided.decisions(), decided.stubs(), views, aside), rows


@settings(max_examples=400, deadline=None)
@given(
    st.fixed_dictionaries(
        {name: column_of(moments if name == "created_at" else words) for name in COLUMNS}
        | {name: column_of(scores) for name in SCORES}
    ),
    st.fixed_dictionaries({name: KINDS for name in COLUMNS + SCORES}),
)
def test_columns_say_what_their_rows_say(
    cells: dict[str, list[Any]], kinds: dict[str, pa.DataType | None]
) -> None:
    columns = {
        name: values if kinds[name] is None else array_of(values, kinds[name])
        for name, values in cells.items()
    }

    by_column, by_row = both_ways(Chunk(columns, range(11, 19)))

    assert by_row == by_column


@settings(max_examples=400, deadline=None)
@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=4, max_size=4), KINDS)
def test_any_number_as_a_moment_is_taken_or_set_aside_as_its_row_is(
    numbers: list[int], kind: pa.DataType | None
) -> None:
    if kind is None or not pa.types.is_timestamp(kind):
        kind = pa.timestamp("us", tz="UTC")
    columns = {
        "content_id": list("abcd"),
        "model_version": ["m"] * 4,
        "created_at": normal(pa.array(numbers, pa.int64()).cast(kind)),
        "score_hate": [0.5] * 4,
    }

    by_column, by_row = both_ways(Chunk(columns, range(1, 5)))

    assert by_row == by_column


def test_plain_columns_need_no_row_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hitl.decisions.columns.map_decisions", None)
    intake = make_intake()
    columns: dict[str, Any] = {
        "content_id": pa.array(["a", "b"]),
        "model_version": pa.array(["m", "m"]),
        "created_at": pa.array([NOON, NOON]),
        "score_hate": pa.array([0.5, math.nan]),
        "score_spam": ["0.25", None],
        "predicted_action": pa.array(["remove", None]),
    }

    decided, aside = map_decided(
        Chunk(columns, range(1, 3)), intake.decisions, about=intake.content
    )

    assert [] == aside
    assert [{"hate": 0.5, "spam": 0.25}, {}] == [one.probabilities for one in decided.decisions()]


def test_what_is_staged_is_sorted_and_told_once_an_item() -> None:
    def row(item: str, hour: int, language: str | None, score: float) -> tuple[Decision, Item]:
        moment = NOON + timedelta(hours=hour)
        version = ModelVersion("m")
        decision = Decision(ItemId(item), version, moment, None, {"hate": score})
        return decision, Item(ItemId(item), language=language)

    rows = [row("b", 1, None, 0.1), row("a", 2, None, 0.2), row("b", 0, "en", 0.3),
            row("a", 2, "pt", 0.4), row("b", 1, "fr", 0.5)]  # fmt: skip
    decisions, items = zip(*rows, strict=True)

    staged = Decided.of(decisions, items).staged()

    assert [
        'true,true,"a","m","2026-06-01 14:00:00.000000Z",,"{""hate"": 0.2}",false,"pt",,,',
        'false,false,"a","m","2026-06-01 14:00:00.000000Z",,"{""hate"": 0.4}",false,,,,',
        'true,true,"b","m","2026-06-01 12:00:00.000000Z",,"{""hate"": 0.3}",false,"en",,,',
        'true,false,"b","m","2026-06-01 13:00:00.000000Z",,"{""hate"": 0.1}",false,,,,',
        'false,false,"b","m","2026-06-01 13:00:00.000000Z",,"{""hate"": 0.5}",false,,,,',
    ] == staged.lines.to_pybytes().decode().splitlines()
    assert (5, 2, True, {date(2026, 6, 1)}) == (
        staged.rows,
        staged.items,
        staged.describes,
        staged.months,
    )


def test_what_tells_how_many_see_an_item_is_measured_at_the_decision() -> None:
    decisions = [
        Decision(ItemId(one), ModelVersion("m"), NOON, None, {"hate": 0.5}) for one in ("a", "b")
    ]

    found = Decided.of(decisions, views=[None, 1200.0])

    assert [{"item_id": "b", "views_per_hour": 1200.0, "measured_at": NOON}] == found.reaches()
    assert [] == Decided.of(decisions).reaches()


def test_an_id_of_any_kind_is_the_same_id_in_every_format() -> None:
    uuid = UUID(int=7)
    columns = {
        "content_id": [17, "17", uuid, str(uuid)],
        "model_version": ["m"] * 4,
        "created_at": [NOON] * 4,
        "score_hate": [Decimal("0.5")] * 4,
    }

    by_column, by_row = both_ways(Chunk(columns, range(1, 5)))

    assert by_row == by_column
    assert ["17", "17", str(uuid), str(uuid)] == [one.item_id for one in by_column[0]]
