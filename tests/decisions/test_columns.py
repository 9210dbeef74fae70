"""The columns of a source: which must be there, and what a person is told otherwise."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from hitl.decisions import (
    Column,
    MissingColumns,
    UnreadableSource,
)
from tests.decisions.reading import WANTED, chunks_of, rows_of, write, write_parquet


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


def test_of_the_probabilities_one_must_be_there_and_the_absent_ones_are_reported(
    tmp_path: Path,
) -> None:
    scores = [
        Column(f"intake.decisions.probabilities.{one}", one, is_required=False, one_of_many=True)
        for one in ("hate", "spam")
    ]
    wanted = [Column("intake.decisions.item_id", "id"), *scores]
    paths = [
        write_parquet(tmp_path / "a.parquet", id=["1"], spam=[0.5]),
        write(tmp_path / "a.csv", "id,spam\n1,0.5\n"),
        write(tmp_path / "a.jsonl", '{"id": "1", "spam": 0.5}\n'),
    ]
    bare = write(tmp_path / "b.csv", "id,other\n1,0.5\n")

    for path in paths:
        assert ["1", None, 0.5] == [
            *rows_of(path, wanted)[0][1:3],
            float(rows_of(path, wanted)[0][3]),
        ]
        assert ("hate",) == chunks_of(path, wanted)[0].absent
    with pytest.raises(MissingColumns) as raised:
        chunks_of(bare, wanted)
    assert ("hate", "spam") == raised.value.missing


@pytest.mark.parametrize(
    ("header", "hint"),
    [("id,model,score", "--kind decisions"), ("id,body", "--kind content"), ("id", None)],
)
def test_a_source_of_one_kind_is_told_from_one_with_a_wrong_column(
    tmp_path: Path, header: str, hint: str | None
) -> None:
    wanted = [
        *WANTED,
        Column("intake.decisions.model_version", "model"),
        Column("intake.decisions.probabilities.hate", "score", False, one_of_many=True),
    ]

    with pytest.raises(MissingColumns) as raised:
        chunks_of(write(tmp_path / "a.csv", header + "\n"), wanted)

    if hint:
        assert str(raised.value).endswith(f"alone, add {hint}")
    else:
        assert "--kind" not in str(raised.value)


def test_a_json_key_may_come_after_many_lines(tmp_path: Path) -> None:
    early = "".join(f'{{"id": "{k}"}}\n' for k in range(1_500))
    late = write(tmp_path / "a.jsonl", early + '{"id": "z", "body": "x"}\n')
    zipped = write(tmp_path / "a.jsonl.gz", gzip.compress(late.read_bytes()))
    never = write(tmp_path / "b.jsonl", early)

    for path in (late, zipped):
        rows = rows_of(path)
        assert (1_501, (1, "0", None), (1_501, "z", "x")) == (len(rows), rows[0], rows[-1])
    with pytest.raises(MissingColumns):
        chunks_of(never)


def test_what_is_absent_in_json_lines_is_what_no_line_has(tmp_path: Path) -> None:
    wanted = [*WANTED, *(Column("k", one, is_required=False) for one in ("early", "late", "never"))]
    lines = ['{"id": 1, "body": "x", "early": null}'] * 1_200 + ['{"id": 2, "late": 1}']
    path = write(tmp_path / "a.jsonl", "\n".join(lines))

    chunks = chunks_of(path, wanted, rows_per_chunk=1_201)

    assert ("never",) == chunks[-1].absent
    assert 1_201 == sum(chunk.rows for chunk in chunks)


def test_a_json_key_may_be_missing_in_the_first_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"id": "a"}\n{"id": "b", "body": "x"}\n')

    assert [(1, "a", None), (2, "b", "x")] == rows_of(path)


def test_a_wanted_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,body,body\n1,x,y\n")

    with pytest.raises(UnreadableSource, match="column 'body' is there more than once"):
        chunks_of(path)


def test_headers_alone_have_no_chunks_and_are_still_checked(tmp_path: Path) -> None:
    assert [] == chunks_of(write(tmp_path / "a.csv", "id,body\n"))
    assert [] == chunks_of(
        write_parquet(tmp_path / "a.parquet", id=pa.array([], "str"), body=pa.array([], "str"))
    )
    with pytest.raises(MissingColumns):
        chunks_of(write(tmp_path / "b.csv", "id\n"))
