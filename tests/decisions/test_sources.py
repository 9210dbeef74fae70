"""Reading files of every kind: the rows that come out, and what a person is told otherwise."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitl.decisions import (
    BadQuery,
    Chunk,
    Column,
    MissingColumns,
    SourceNotFound,
    UnknownFormat,
    UnreadableSource,
    find_sources,
    read_chunks,
    shown,
)
from hitl.decisions.chunks import Row, in_chunks
from hitl.decisions.files import LONGEST_ROW

WANTED = [Column("intake.content.item_id", "id"), Column("intake.content.text", "body")]


def chunks_of(
    source: str | Path, wanted: Sequence[Column] = WANTED, *, rows_per_chunk: int = 1000
) -> list[Chunk]:
    return [
        chunk
        for one in find_sources(str(source))
        for chunk in read_chunks(one, wanted, rows_per_chunk=rows_per_chunk)
    ]


def rows_of(source: str | Path, wanted: Sequence[Column] = WANTED) -> list[tuple[Any, ...]]:
    """(line, value, value, …) of every row."""
    found: list[tuple[Any, ...]] = []
    for chunk in chunks_of(source, wanted):
        columns = [chunk.columns[column.name] for column in wanted]
        found += zip(chunk.lines, *columns, strict=True)
    return found


def rejects_of(source: str | Path) -> list[tuple[int, str]]:
    return [(one.line, one.reason) for chunk in chunks_of(source) for one in chunk.rejects]


def write(path: Path, body: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path


def write_parquet(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    bodies = ["<b>one</b>", 'two, "quoted"\nand a line']
    as_json = [json.dumps({"id": f"i{k}", "body": body}) for k, body in enumerate(bodies)]
    quoted = 'id,body\ni0,<b>one</b>\ni1,"two, ""quoted""\nand a line"\n'
    paths = [
        write_parquet(tmp_path / "a.parquet", id=["i0", "i1"], body=bodies),
        write(tmp_path / "a.csv", quoted),
        write(tmp_path / "a.tsv", quoted.replace(",<", "\t<").replace("d,b", "d\tb")
              .replace('1,"', '1\t"')),
        write(tmp_path / "a.jsonl", "\n".join(as_json)),
        write(tmp_path / "a.ndjson", "\ufeff" + "\r\n".join(as_json) + "\r\n"),
        write(tmp_path / "b.csv.gz", gzip.compress(quoted.encode())),
        write(tmp_path / "b.jsonl.gz", gzip.compress("\n".join(as_json).encode())),
    ]  # fmt: skip

    found = {path.name: [row[1:] for row in rows_of(path)] for path in paths}

    expected = [("i0", bodies[0]), ("i1", bodies[1])]
    assert {path.name: expected for path in paths} == found


def test_lines_are_where_a_row_starts(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", 'id,body\na,"x\ny"\n\nb,z\n')
    jsonl = write(tmp_path / "a.jsonl", '{"id":"a","body":"x"}\n\n{"id":"b","body":"z"}\n')

    assert [2, 5] == [row[0] for row in rows_of(csv)]
    assert [1, 3] == [row[0] for row in rows_of(jsonl)]


def test_a_dotted_name_reaches_into_objects(tmp_path: Path) -> None:
    wanted = [Column("k", "id"), Column("k", "scores.hate"), Column("k", "scores.spam")]
    nested = write(
        tmp_path / "a.jsonl",
        '{"id": "a", "scores": {"hate": 0.5}}\n{"id": "b", "scores": {"spam": NaN}}\n'
        '{"id": "c", "scores": null}\n{"id": "d", "scores": 3}\n',
    )
    flat = write(tmp_path / "a.csv", "id,scores.hate,scores.spam\na,0.5,\n")
    struct = write_parquet(
        tmp_path / "a.parquet", id=["a", "b"], scores=[{"hate": 0.5, "spam": None}, None]
    )

    assert ["(1, 'a', 0.5, None)", "(2, 'b', None, nan)", "(3, 'c', None, None)",
            "(4, 'd', None, None)"] == [str(row) for row in rows_of(nested, wanted)]  # fmt: skip
    assert [(2, "a", "0.5", None)] == rows_of(flat, wanted)
    assert [(1, "a", 0.5, None), (2, "b", None, None)] == rows_of(struct, wanted)


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


def test_broken_lines_are_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    jsonl = write(
        tmp_path / "a.jsonl",
        b'{"id": "a", "body": "x"}\n{"id": \n[1]\n"t"\n\xff\xfe{}\n{"id": "b", "body": "y"}\n'
        + b"[" * 100_000
        + b"\n"
        + b'{"id": '
        + b"1" * 5_000
        + b"}",
    )
    csv = write(tmp_path / "a.csv", 'id,body\na,x\nb\nc,x,y\nd,"q"q\ne,z\nf,"open\ng,h\n')

    assert [(1, "a", "x"), (6, "b", "y")] == rows_of(jsonl)
    assert [
        (2, "is not JSON"),
        (3, "is not a JSON object"),
        (4, "is not a JSON object"),
        (5, "is not UTF-8"),
        (7, "is not JSON"),
        (8, "is not JSON"),
    ] == rejects_of(jsonl)
    assert [(2, "a", "x"), (6, "e", "z")] == rows_of(csv)
    assert [
        (3, "has 1 fields; the header has 2"),
        (4, "has 3 fields; the header has 2"),
        (5, "is not a CSV row; look for a quote that is not closed"),
        (7, "is not a CSV row (up to line 8); look for a quote that is not closed"),
    ] == rejects_of(csv)


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        b'{"id": "a", "body": "x"}\n' + b" " * (LONGEST_ROW + 10) + b'\n{"id": "b", "body": "y"}',
    )

    assert [(1, "a", "x"), (3, "b", "y")] == rows_of(path)
    assert [(2, "is longer than 33,554,432 bytes")] == rejects_of(path)


def test_bytes_that_are_not_utf8_spoil_their_own_row_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"id,body\na,caf\xe9\nb,ok\n")

    assert [(2, "a", "caf\udce9"), (3, "b", "ok")] == rows_of(path)


def test_chunks_end_at_their_row_count(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,body\n" + "".join(f"i{k},x\n" for k in range(25)))

    assert [10, 10, 5] == [chunk.rows for chunk in chunks_of(path, rows_per_chunk=10)]


def test_chunks_end_at_their_size_too() -> None:
    rows = [Row(k, (f"i{k}", "x" * 50)) for k in range(1, 6)]

    found = in_chunks(rows, WANTED, rows_per_chunk=1000, characters_per_chunk=100)

    assert [2, 2, 1] == [chunk.rows for chunk in found]


def test_a_folder_is_read_to_the_bottom_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path / "b.csv", "id,body\n2,x\n")
    write(tmp_path / "a" / "deep" / "a.jsonl", '{"id": 1, "body": "x"}')
    write(tmp_path / "c.parquet.crc", "no rows")
    write(tmp_path / "_SUCCESS.csv", "")
    write(tmp_path / "readme.txt", "no rows")

    assert [1, "2"] == [row[1] for row in rows_of(tmp_path)]


def test_a_glob_takes_what_fits(tmp_path: Path) -> None:
    write(tmp_path / "log-1.csv", "id,body\n1,x\n")
    write(tmp_path / "log-2.csv", "id,body\n2,x\n")
    write(tmp_path / "other.csv", "id,body\n3,x\n")

    assert ["1", "2"] == [row[1] for row in rows_of(tmp_path / "log-*.csv")]


def test_urls_of_other_filesystems_are_read(tmp_path: Path) -> None:
    folder = f"memory://{uuid.uuid4().hex}"
    with fsspec.open(f"{folder}/a.csv", "wb") as handle:
        handle.write(b"id,body\n1,x\n")
    local = write(tmp_path / "a.csv", "id,body\n1,x\n")

    assert [(2, "1", "x")] == rows_of(f"{folder}/a.csv") == rows_of(folder)
    assert [(2, "1", "x")] == rows_of(f"file://{local}")
    assert f"{folder.replace('://', ':///')}/a.csv" in (
        find_sources(folder)[0].name.replace("memory://", "memory:///").replace("////", "///"),
    )


def test_a_local_file_has_one_name_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.csv", "id,body\n1,x\n")
    monkeypatch.chdir(tmp_path)

    names = {find_sources(one)[0].name for one in ("a.csv", "./a.csv", str(path), ".")}

    assert {str(path)} == names


def test_names_hold_no_secret() -> None:
    assert "s3://key:***@bucket/a.csv" == shown("s3://key:secret@bucket/a.csv")
    assert "https://h/a.csv" == shown("https://h/a.csv?signature=secret")
    assert "az://box@account/a.csv" == shown("az://box@account/a.csv")
    assert "plain/a?.csv" == shown("plain/a?.csv")


def test_missing_columns_are_named_with_the_mend(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "ident,body_text,lang\n1,x,en\n")

    with pytest.raises(MissingColumns) as raised:
        chunks_of(path)

    assert (
        f"{path}: 2 column(s) missing; there is: ident, body_text, lang\n"
        "  no column 'id'; in recipe.toml under [intake.content] write item_id = \"ident\"\n"
        "  no column 'body'; in recipe.toml under [intake.content] write text = \"body_text\""
    ) == str(raised.value)


def test_every_format_says_which_columns_are_missing(tmp_path: Path) -> None:
    paths = [
        write_parquet(tmp_path / "a.parquet", id=["1"]),
        write(tmp_path / "a.csv", "id\n1\n"),
        write(tmp_path / "a.jsonl", '{"id": 1}\n'),
    ]

    for path in paths:
        with pytest.raises(MissingColumns) as raised:
            chunks_of(path)
        assert ("body",) == raised.value.missing


def test_a_file_without_header_does_not_spill_its_content_into_the_message(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.csv", "17,canary content of a person,2026-06-01\n")

    with pytest.raises(MissingColumns) as raised:
        chunks_of(path)

    assert "there is: none that looks like a column name\n" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_an_optional_column_may_be_absent_and_is_reported(tmp_path: Path) -> None:
    wanted = [*WANTED, Column("intake.content.language", "language", is_required=False)]
    paths = [
        write_parquet(tmp_path / "a.parquet", id=["1"], body=["x"]),
        write(tmp_path / "a.csv", "id,body\n1,x\n"),
        write(tmp_path / "a.jsonl", '{"id": "1", "body": "x"}\n'),
    ]

    for path in paths:
        assert [("1", "x", None)] == [row[1:] for row in rows_of(path, wanted)]
        assert ("language",) == chunks_of(path, wanted)[0].absent


def test_a_json_key_may_be_missing_in_the_first_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"id": "a"}\n{"id": "b", "body": "x"}\n')

    assert [(1, "a", None), (2, "b", "x")] == rows_of(path)


def test_many_lines_and_no_object_is_no_json_lines_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "[\n" + "  1,\n" * 2_000 + "]")

    with pytest.raises(UnreadableSource, match="none of its first 1,000 lines is a JSON object"):
        chunks_of(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.csv", "no such file or folder; check the path"),
        ("absent-*.csv", "no file has a name like that"),
        ("empty", "is a folder with nothing in it"),
        ("nosuch://x/a.csv", "no filesystem of that kind; write a path, or a URL"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    source = name if "://" in name else str(tmp_path / name)

    with pytest.raises(SourceNotFound) as raised:
        find_sources(source)

    assert str(raised.value).startswith(f"{source}: {message}")


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.json", "a.parquet.gz"])
def test_an_unknown_ending_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "x")

    with pytest.raises(UnknownFormat) as raised:
        find_sources(str(path))

    assert ".parquet, .csv, .tsv, .jsonl, .ndjson" in str(raised.value)
    with pytest.raises(UnknownFormat):
        find_sources(str(tmp_path))


def test_a_database_needs_a_query() -> None:
    with pytest.raises(BadQuery) as raised:
        find_sources("sql+postgresql://me:secret@host/db")

    assert (
        "sql+postgresql://me:***@host/db: a database needs a query; add --query 'SELECT …'"
        == str(raised.value)
    )


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "a.parquet", id=["1"], body=["canary"]).read_bytes()
    path = write(tmp_path / "b.parquet", whole[:-20])

    with pytest.raises(UnreadableSource) as raised:
        chunks_of(path)

    assert str(raised.value).startswith(f"{path}: cannot be read: damaged or cut off (Arrow")
    assert "canary" not in str(raised.value)


def test_a_gzip_cut_off_says_after_which_line(tmp_path: Path) -> None:
    lines = "".join(f"{k},{uuid.UUID(int=k * 7919)}\n" for k in range(20_000))
    cut = write(tmp_path / "a.csv.gz", gzip.compress(("id,body\n" + lines).encode())[:-5_000])
    plain = write(tmp_path / "b.csv.gz", "id,body\n1,x\n")

    with pytest.raises(UnreadableSource) as raised:
        chunks_of(cut)
    assert raised.value.after_line > 1
    assert "damaged or cut off" in str(raised.value)
    with pytest.raises(UnreadableSource, match="its name says it is compressed and it is not"):
        chunks_of(plain)


def test_a_wanted_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,body,body\n1,x,y\n")

    with pytest.raises(UnreadableSource, match="column 'body' is there more than once"):
        chunks_of(path)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_an_empty_file_has_no_chunks(tmp_path: Path, name: str) -> None:
    assert [] == chunks_of(write(tmp_path / name, ""))


def test_headers_alone_have_no_chunks_and_are_still_checked(tmp_path: Path) -> None:
    assert [] == chunks_of(write(tmp_path / "a.csv", "id,body\n"))
    assert [] == chunks_of(
        write_parquet(tmp_path / "a.parquet", id=pa.array([], "str"), body=pa.array([], "str"))
    )
    with pytest.raises(MissingColumns):
        chunks_of(write(tmp_path / "b.csv", "id\n"))
