"""Whole columns read at once, by the meaning that values.py gives to one value.

A column tells which of its rows are plainly well; a row that is not, of any column, is read by
`map_decisions` alone, which takes it or says what is wrong with it. So the two cannot differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hitl.decisions.cells import Values, at, to_values
from hitl.decisions.chunks import Chunk, Reject
from hitl.decisions.decided import FACTS, MOMENT, SCHEMA, Decided
from hitl.decisions.errors import BadValue
from hitl.decisions.mapping import is_shadow, map_decisions
from hitl.decisions.values import (
    LONGEST_ID,
    read_action,
    read_id,
    read_moment,
    read_probability,
    read_rate,
    read_word,
)
from hitl.recipe import ContentColumns, DecisionColumns

_Column = tuple[pa.Array, pa.Array]  # what it says, and which rows are plainly well

_SECONDS = {"s": 1, "ms": 1_000, "us": 1_000_000}
_YEAR_1, _YEAR_10000 = -62_135_596_800, 253_402_300_800  # seconds of the epoch


def map_decided(
    chunk: Chunk, columns: DecisionColumns, *, about: ContentColumns, shadows: Sequence[str] = ()
) -> tuple[Decided, list[Reject]]:
    """As `map_decisions`, for as many rows as a chunk has.

    `shadows` are globs; a model version that one matches only runs along.
    """
    rows = len(chunk.lines)
    given = partial(_column, chunk)
    item_ids, *rest = [
        _ids(given(columns.item_id)),
        _by_value(given(columns.model_version), partial(read_id, field="model_version")),
        _moments(given(columns.decided_at)),
        _by_value(given(columns.action), partial(read_action, field="", actions=columns.actions)),
        *(_by_value(given(getattr(about, one)), partial(read_word, field=one)) for one in FACTS),
        _rates(given(columns.views_per_hour)),
    ]
    versions, moments, actions, *facts, views = rest
    scores = {
        category: _probabilities(given(name)) for category, name in columns.probabilities.items()
    }
    well = item_ids[1]
    for _, fine in (*rest, *scores.values()):
        well = pc.and_(well, fine)
    said = _as_objects({category: values for category, (values, _) in scores.items()}, rows)
    found = pa.Table.from_arrays(
        [
            item_ids[0],
            versions[0],
            moments[0],
            actions[0],
            said,
            _by_value(versions[0], partial(is_shadow, shadows=shadows), pa.bool_())[0],
            *(one[0] for one in facts),
            views[0],
        ],
        schema=SCHEMA,
    )
    if pc.all(well).as_py() is not False:
        return Decided(found), []
    return _with_the_odd(found, well, chunk, columns, about=about, shadows=shadows)


def _with_the_odd(
    found: pa.Table,
    well: pa.Array,
    chunk: Chunk,
    columns: DecisionColumns,
    *,
    about: ContentColumns,
    shadows: Sequence[str],
) -> tuple[Decided, list[Reject]]:
    odd = pc.indices_nonzero(pc.invert(well)).to_pylist()
    lines = [chunk.lines[row] for row in odd]
    part = Chunk({name: at(values, odd) for name, values in chunk.columns.items()}, lines)
    decisions, stubs, views, rejects = map_decisions(part, columns, about=about, shadows=shadows)
    aside = {one.line for one in rejects}
    taken = [row for row, line in zip(odd, lines, strict=True) if line not in aside]
    rows = pa.concat_arrays(
        [pc.indices_nonzero(well).cast(pa.int64()), pa.array(taken, pa.int64())]
    )
    whole = pa.concat_tables([found.filter(well), Decided.of(decisions, stubs, views).table])
    return Decided(whole.take(pc.sort_indices(rows))), rejects


def _column(chunk: Chunk, name: str | None) -> Values:
    if name is None or name not in chunk.columns:
        return pa.nulls(len(chunk.lines), pa.string())
    values = chunk.columns[name]
    return values if isinstance(values, pa.Array) else _as_array(values)


def _as_array(values: Sequence[Any]) -> Values:
    """Text or numbers alone as an Arrow array; what else readers give stays a list."""
    kinds = set(map(type, values)) - {type(None)}
    try:
        if kinds <= {str}:
            return pa.array(values, pa.string())
        if kinds <= {float}:
            return pa.array(values, pa.float64())
    except (UnicodeEncodeError, pa.ArrowException):
        pass  # text that is not valid Unicode, which the rows' own reading sets aside
    return values


def _none_well(values: Values, kind: pa.DataType) -> _Column:
    return pa.nulls(len(values), kind), pa.repeat(False, len(values))


def _ids(values: Values) -> _Column:
    if not isinstance(values, pa.Array):
        return _by_value(values, partial(read_id, field="item_id"))
    kind = values.type
    if pa.types.is_integer(kind):
        return values.cast(pa.string()), values.is_valid()
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return _none_well(values, pa.string())
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:  # not UTF-8 somewhere
        return _none_well(values, pa.string())
    values = values.cast(pa.string())
    # One visible ASCII character is enough to be sure that it is not blank.
    well = pc.match_substring_regex(values, "[!-~]")
    well = pc.and_(well, pc.less_equal(pc.utf8_length(values), LONGEST_ID))
    well = pc.and_not(well, pc.match_substring(values, "\x00"))
    return values, pc.fill_null(well, False)


def _moments(values: Values) -> _Column:
    if not isinstance(values, pa.Array) or not pa.types.is_timestamp(values.type):
        return _by_value(values, partial(read_moment, field="decided_at"), MOMENT)
    scale = _SECONDS[values.type.unit]
    counted = values.cast(pa.int64())
    well = pc.and_(
        pc.greater_equal(counted, _YEAR_1 * scale), pc.less(counted, _YEAR_10000 * scale)
    )
    well = pc.fill_null(well, False)
    kept = pc.if_else(well, values, pa.scalar(None, values.type))
    return kept.cast(pa.timestamp("us", tz=values.type.tz)).cast(MOMENT), well


def _probabilities(values: Values) -> _Column:
    if not isinstance(values, pa.Array) or not pa.types.is_float64(values.type):
        return _by_value(values, partial(read_probability, field=""), pa.float64())
    known = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    well = pc.and_(pc.greater_equal(known, 0.0), pc.less_equal(known, 1.0))
    # -0.0 and 0.0 are one payload.
    return pc.add(known, 0.0), pc.fill_null(well, True)


def _rates(values: Values) -> _Column:
    if not isinstance(values, pa.Array) or not pa.types.is_float64(values.type):
        return _by_value(values, partial(read_rate, field="views_per_hour"), pa.float64())
    known = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    well = pc.and_(pc.greater_equal(known, 0.0), pc.is_finite(known))
    return pc.add(known, 0.0), pc.fill_null(well, True)


def _by_value(
    values: Values, read: Callable[[Any], Any], kind: pa.DataType | None = None
) -> _Column:
    """Each different value read once."""
    kind = kind or pa.string()
    places: pa.Array | None = None
    if isinstance(values, pa.Array):
        try:
            encoded = pc.dictionary_encode(values, null_encoding="encode")
        except pa.ArrowNotImplementedError:  # structs, lists
            return _none_well(values, kind)
        values, places = to_values(encoded.dictionary), encoded.indices
    said: list[Any] = []
    well: list[bool] = []
    for value in values:
        try:
            said.append(read(value))
            well.append(True)
        except BadValue:
            said.append(None)
            well.append(False)
    found, fine = pa.array(said, kind), pa.array(well, pa.bool_())
    return (found, fine) if places is None else (found.take(places), fine.take(places))


def _as_objects(scores: dict[str, pa.Array], rows: int) -> pa.Array:
    """One JSON object a row, without what is not known."""
    if not scores:
        return pa.repeat("{}", rows)
    # Not by null_handling="skip", which leaves out a row where all are NULL.
    fields = [
        pc.fill_null(
            pc.binary_join_element_wise(f", {json.dumps(name)}: ", values.cast(pa.string()), ""), ""
        )
        for name, values in scores.items()
    ]
    inside = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*fields, ""), start=2)
    return pc.binary_join_element_wise("{", inside, "}", "")
