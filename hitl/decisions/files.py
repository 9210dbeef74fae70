"""How files of text become rows: CSV and TSV, JSON Lines. Little memory, whatever their length."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import IO, Any, cast

from hitl.decisions.chunks import (
    Column,
    Header,
    Read,
    Reject,
    Row,
    header,
    is_there,
    missing_columns,
    names_within,
    reach,
)
from hitl.decisions.errors import UnreadableSource

# A row of 1,000,000 characters, the most a recipe allows, fits several times over. What is longer
# is an open quote or a file without line ends, and must not fill the memory.
LONGEST_ROW = 32 * 1024 * 1024
_PEEK_ROWS = 1_000
_PEEK_BYTES = 8 * 1024 * 1024
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

LINE = "line"

_Parsed = tuple[int, dict[str, Any]] | Reject


def read_delimited(
    handle: IO[bytes], source: str, wanted: Sequence[Column], *, delimiter: str
) -> Iterator[Read]:
    """Rows of a CSV or TSV file with a header; `line` is where the row starts.

    A row that is broken is set aside and reading goes on with the next line.
    """
    csv.field_size_limit(LONGEST_ROW)
    # Bytes that are not UTF-8 become lone surrogates, which the mapping sets aside row by row.
    buffered: Any = io.BufferedReader(cast(Any, handle))
    if buffered.peek(2)[:2] in _UTF16:  # what some spreadsheets write
        lines = io.TextIOWrapper(buffered, encoding="utf-16", newline="")
    else:
        lines = io.TextIOWrapper(
            buffered, encoding="utf-8-sig", errors="surrogateescape", newline=""
        )
    reader = csv.reader(_bounded(lines), delimiter=delimiter, strict=True)
    try:
        names = next(reader, None)
    except csv.Error as cause:
        raise UnreadableSource(source, "its first line is no header of column names") from cause
    if names is None:
        return
    if twice := {name for name in names if names.count(name) > 1}:
        wanted_twice = sorted(twice & {column.name for column in wanted})
        if wanted_twice:
            raise UnreadableSource(source, f"column {wanted_twice[0]!r} is there more than once")
    yield header(source, names, wanted)
    place = {name: i for i, name in enumerate(names)}
    where = [place.get(column.name) for column in wanted]
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error:
            # An open quote swallows what follows it, so say how far.
            until = f" (up to line {reader.line_num})" if reader.line_num > line else ""
            why = f"is not a CSV row{until}; look for a quote that is not closed"
            yield Reject(line, LINE, why)
            continue
        if fields is None:
            return
        if not fields:
            continue
        if len(fields) != len(names):
            yield Reject(line, LINE, f"has {len(fields)} fields; the header has {len(names)}")
            continue
        # CSV has no NULL: an empty field says nothing.
        yield Row(line, tuple(None if i is None else fields[i] or None for i in where))


def _bounded(lines: io.TextIOWrapper) -> Iterator[str]:
    while line := lines.readline(LONGEST_ROW + 1):
        yield line
        while len(line) > LONGEST_ROW and not line.endswith("\n"):
            line = lines.readline(LONGEST_ROW)  # the rest of a row that is refused anyway
            if not line:
                return


def read_json_lines(handle: IO[bytes], source: str, wanted: Sequence[Column]) -> Iterator[Read]:
    """Rows of a JSON Lines file: one object a line; blank lines are passed over.

    Lines differ in their keys: a column is missing when no line has it. What is absent is
    therefore said after the last row, and a file whose first lines lack what we need is looked
    through to its end before any row of it is taken in.
    """
    objects = _objects(handle)
    peeked: list[_Parsed] = []
    names: dict[str, None] = {}
    depth = 1 + max(column.name.count(".") for column in wanted)
    for one in objects:
        peeked.append(one)
        if not isinstance(one, Reject):
            names.update(dict.fromkeys(names_within(one[1], depth=depth)))
        if len(peeked) >= _PEEK_ROWS or handle.tell() > _PEEK_BYTES:
            break
    else:
        if not names:  # nothing but broken lines, or nothing at all
            yield from (one for one in peeked if isinstance(one, Reject))
            return
    if not names:
        raise UnreadableSource(
            source, f"none of its first {len(peeked):,} lines is a JSON object; write one a line"
        )
    if missing_columns(names, wanted):
        _look_further(objects, names, wanted)
        header(source, names, wanted)
        handle.seek(0)
        objects, peeked = _objects(handle), []
    absent = [column.name for column in wanted]
    for one in itertools.chain(peeked, objects):
        if isinstance(one, Reject):
            yield one
            continue
        line, found = one
        absent = [name for name in absent if not is_there(found, name)]
        yield Row(line, tuple([reach(found, column.name) for column in wanted]))
    yield Header(tuple(absent))


def _look_further(
    objects: Iterator[_Parsed], names: dict[str, None], wanted: Sequence[Column]
) -> None:
    """Add to `names` what later lines have of the wanted columns, until nothing is missing."""
    unseen = [column.name for column in wanted if column.name not in names]
    for one in objects:
        if isinstance(one, Reject):
            continue
        found = [name for name in unseen if is_there(one[1], name)]
        if found:
            names.update(dict.fromkeys(found))
            unseen = [name for name in unseen if name not in names]
            if not missing_columns(names, wanted):
                return


def _objects(handle: IO[bytes]) -> Iterator[_Parsed]:
    number = 0
    while line := handle.readline(LONGEST_ROW):
        number += 1
        if len(line) == LONGEST_ROW and not line.endswith(b"\n"):
            while rest := handle.readline(LONGEST_ROW):
                if rest.endswith(b"\n"):
                    break
            yield Reject(number, LINE, f"is longer than {LONGEST_ROW:,} bytes")
            continue
        if not line.strip():
            continue
        try:
            found = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            yield Reject(number, LINE, "is not UTF-8")
        except (ValueError, RecursionError):
            yield Reject(number, LINE, "is not JSON")
        else:
            if isinstance(found, dict):
                yield number, found
            else:
                yield Reject(number, LINE, "is not a JSON object")
