"""Reading files of every kind: the rows that come out, and what is set aside."""

from __future__ import annotations

import gzip
import json
import uuid
from pathlib import Path

import pytest

from hitl.decisions import (
    Column,
    UnreadableSource,
)
from hitl.decisions.chunks import Row, in_chunks
from hitl.decisions.files import LONGEST_ROW
from tests.decisions.reading import WANTED, chunks_of, rejects_of, rows_of, write, write_parquet


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


def test_a_dotted_name_may_be_of_any_depth(tmp_path: Path) -> None:
    wanted = [Column("k", "id"), Column("k", "a.b.c.d.e")]
    nested = {"b": {"c": {"d": {"e": 0.5}}}}
    paths = [
        write(tmp_path / "a.jsonl", json.dumps({"id": "1", "a": nested})),
        write_parquet(tmp_path / "a.parquet", id=["1"], a=[nested]),
    ]

    assert [[(1, "1", 0.5)]] * 2 == [rows_of(path, wanted) for path in paths]


def test_a_spreadsheets_utf_16_is_read(tmp_path: Path) -> None:
    body = "id,body\n1,café\n"

    for codec in ("utf-16", "utf-16-be"):
        mark = "" if codec == "utf-16" else "\ufeff"
        path = write(tmp_path / f"{codec}.csv", (mark + body).encode(codec))
        assert [(2, "1", "café")] == rows_of(path)
    with pytest.raises(UnreadableSource, match="damaged or cut off"):
        chunks_of(write(tmp_path / "cut.csv", ("\ufeff" + body).encode("utf-16-le")[:-1]))


def test_many_lines_and_no_object_is_no_json_lines_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "[\n" + "  1,\n" * 2_000 + "]")

    with pytest.raises(UnreadableSource, match="none of its first 1,000 lines is a JSON object"):
        chunks_of(path)


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


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_an_empty_file_has_no_chunks(tmp_path: Path, name: str) -> None:
    assert [] == chunks_of(write(tmp_path / name, ""))
