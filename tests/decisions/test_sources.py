"""Finding what a source names: files, folders, globs, URLs; and what it is called."""

from __future__ import annotations

import gzip
import uuid
from pathlib import Path

import fsspec
import pytest

from hitl.decisions import (
    BadQuery,
    FileSource,
    SourceNotFound,
    UnknownFormat,
    find_sources,
    read_chunks,
    shown,
)
from tests.decisions.reading import WANTED, rows_of, write, write_parquet


def test_a_folder_is_read_to_the_bottom_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path / "b.csv", "id,body\n2,x\n")
    write(tmp_path / "a" / "deep" / "a.jsonl", '{"id": 1, "body": "x"}')
    write(tmp_path / "c.parquet.crc", "no rows")
    write(tmp_path / "_SUCCESS.csv", "")
    write(tmp_path / "readme.txt", "no rows")

    assert [1, "2"] == [row[1] for row in rows_of(tmp_path)]


def test_a_folder_that_a_glob_hits_is_read_too(tmp_path: Path) -> None:
    write_parquet(tmp_path / "dec.parquet" / "part-0.parquet", id=["1"], body=["x"])
    write(tmp_path / "dec.parquet" / "_SUCCESS", "")
    write_parquet(tmp_path / "one.parquet", id=["2"], body=["x"])

    assert ["1", "2"] == [row[1] for row in rows_of(tmp_path / "*.parquet")]
    assert ["1", "2"] == [row[1] for row in rows_of(tmp_path / "**")]


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


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("s3://key:secret@bucket/a.csv", "s3://key:***@bucket/a.csv"),
        ("https://h/a.csv?signature=secret", "https://h/a.csv"),
        ("https://h:8080/a.csv#secret", "https://h:8080/a.csv"),
        ("https://secret@h/a.csv", "https://***@h/a.csv"),
        ("simplecache::https://h/a.csv?sig=secret", "simplecache::https://h/a.csv"),
        ("filecache::s3://key:secret@b/a.csv", "filecache::s3://key:***@b/a.csv"),
        ("zip://a.csv::https://u:secret@h/a.zip?s=secret", "zip://a.csv::https://u:***@h/a.zip"),
        ("sql+postgresql://me:se/cret#secret@host/db", "sql+postgresql://me:***@host/db"),
        ("postgresql://me:1/secret@host/db?sslpassword=secret", "postgresql://me:***@host/db"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dsecret", "mssql+pyodbc:///"),
        ("az://box@account/a.csv", "az://box@account/a.csv"),
        ("https://h/by@name.csv", "https://h/by@name.csv"),
        ("plain/a?.csv", "plain/a?.csv"),
    ],
)
def test_names_hold_no_secret(source: str, expected: str) -> None:
    assert expected == shown(source)


def test_endings_in_capitals_and_signed_urls_are_read(tmp_path: Path) -> None:
    rows = b"id,body\n1,x\n"
    capitals = write(tmp_path / "A.CSV.GZ", gzip.compress(rows))
    odd = write(tmp_path / "x?.csv", rows)
    signed = f"memory://{uuid.uuid4().hex}/a.csv.gz?sig=secret"
    with fsspec.open(signed, "wb") as handle:
        handle.write(gzip.compress(rows))

    assert [(2, "1", "x")] == rows_of(capitals) == rows_of(odd)
    source = FileSource("a", signed, fsspec.filesystem("memory"))
    assert [1] == [chunk.rows for chunk in read_chunks(source, WANTED, rows_per_chunk=9)]
    assert "secret" not in repr(source)


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
