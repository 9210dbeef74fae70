"""Labelled files are read whole, and what is wrong with one is said without quoting it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.replaying import labelled
from flows.replaying.errors import BadColumn, NoSuchColumn, TooFewToReplay, TooMuchToReplay
from flows.replaying.labelled import Columns, LabelledSet, read_labelled
from hitl.decisions import SourceNotFound, UnknownFormat
from tests.flows.labelled_items import make_items, write_items

CANARY = "quokka-canary-7731"


def read(path: Path, *labels: str, hold_out: bool = False, **columns: Any) -> LabelledSet:
    return read_labelled(
        str(path), Columns(labels=labels or ("red", "blue"), **columns), hold_out=hold_out
    )


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_every_format_gives_the_same_items(tmp_path: Path, ending: str) -> None:
    frame = make_items(50)
    vectors = [[float(row), 0.5] for row in range(50)]
    column = [json.dumps(one) for one in vectors] if ending == ".csv" else vectors
    path = write_items(
        tmp_path / f"items{ending}", frame, vector=column, took=np.arange(50) + 1.5, copy_of="g1"
    )

    found = read(path, embedding="vector", seconds="took", group="copy_of")

    assert tuple(frame.text) == found.texts
    assert frame[["red", "blue"]].to_numpy().tolist() == found.labels.tolist()
    assert not found.is_exclusive
    assert ("red", "blue") == found.categories
    assert found.embeddings is not None
    assert vectors == found.embeddings.tolist()
    assert np.float32 == found.embeddings.dtype
    assert found.seconds is not None
    assert (np.arange(50) + 1.5).tolist() == found.seconds.tolist()
    assert ("g1",) * 50 == found.groups
    assert found.is_test is None


def test_one_column_that_is_not_zero_or_one_names_classes(tmp_path: Path) -> None:
    frame = make_items(50)

    found = read(write_items(tmp_path / "items.parquet", frame), "kind")

    assert found.is_exclusive
    assert ("blue", "plain", "red") == found.categories
    assert frame.kind.tolist() == [found.categories[int(one)] for one in found.labels]


@pytest.mark.parametrize("values", [[True, False], ["0", "1"], [0.0, 1.0], ["False", "true"]])
def test_answers_may_be_written_in_several_ways(tmp_path: Path, values: list[object]) -> None:
    column = [values[row % 2] for row in range(10)]
    path = write_items(tmp_path / "items.jsonl", make_items(10), red=column)

    found = read(path, "red")

    expected = [float(str(one).lower() in ("true", "1", "1.0")) for one in column]
    assert [[one] for one in expected] == found.labels.tolist()


def test_whole_numbers_that_came_as_floats_name_the_same_classes(tmp_path: Path) -> None:
    path = write_items(tmp_path / "items.parquet", make_items(9), kind=[0.0, 1.0, 2.0] * 3)

    assert ("0", "1", "2") == read(path, "kind").categories


def test_a_split_column_says_which_items_measure_unless_a_part_is_held_out(
    tmp_path: Path,
) -> None:
    sides = ["train", "Test", "valid", "training"]
    path = write_items(tmp_path / "items.csv", make_items(4), split=sides)

    found, held = read(path), read(path, hold_out=True)

    assert found.is_train is not None
    assert found.is_test is not None
    assert [True, False, False, True] == found.is_train.tolist()
    assert [False, True, False, False] == found.is_test.tolist()
    assert (None, None) == (held.is_train, held.is_test)


def test_rows_without_text_are_left_out_and_counted(tmp_path: Path) -> None:
    frame = make_items(6)
    frame.loc[1, "text"] = " "
    frame.loc[4, "text"] = None

    found = read(write_items(tmp_path / "items.jsonl", frame))

    assert 2 == found.set_aside
    assert [frame.text[row] for row in (0, 2, 3, 5)] == list(found.texts or ())


def test_lines_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write_items(tmp_path / "items.jsonl", make_items(5))
    with path.open("ab") as file:
        file.write(b"not json\n" + b'{"text": "\xff", "red": 1, "blue": 0}\n')

    found = read(path)

    assert (5, 2) == (len(found), found.set_aside)


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_items_with_embeddings_need_no_text_unless_it_is_asked_for(
    tmp_path: Path, ending: str
) -> None:
    frame = make_items(5).assign(vector=[[1.0, 2.0]] * 5)
    bare = write_items(tmp_path / f"bare{ending}", frame.drop(columns="text"))
    frame.loc[1, "text"] = None
    some = write_items(tmp_path / f"some{ending}", frame)

    found, partly = (read(path, embedding="vector") for path in (bare, some))

    assert (5, None) == (len(found), found.texts)
    assert partly.texts is not None
    assert (5, "") == (len(partly), partly.texts[1])
    with pytest.raises(NoSuchColumn, match="name another with --text"):
        read(bare, embedding="vector", text="text")


def test_missing_columns_are_named_with_their_options_and_what_there_is(tmp_path: Path) -> None:
    path = write_items(tmp_path / "items.csv", make_items(5))

    with pytest.raises(NoSuchColumn) as refused:
        read(path, "red", "hate", text="body", seconds="took", split="side")

    said = str(refused.value).replace(str(path), "FILE")
    assert ("body", "hate", "took", "side") == refused.value.columns
    assert said.startswith("FILE: 4 column(s) missing; there is: text, red, blue, kind")
    assert "no column 'body'; name another with --text" in said
    assert "no column 'hate'; name another with --label" in said
    assert "recipe" not in said


@pytest.mark.parametrize(
    ("column", "values", "labels", "said"),
    [
        ("red", [1, None, 0, None, 1], ("red", "blue"), r"2 rows, first in line 2.*has no label"),
        ("red", [1, 0, 0, 0, 2], ("red", "blue"), r"\(line 5\): is neither 0 nor 1"),
        ("kind", [0.5, 1.0, 0.0, 1.0, 1.0], ("kind",), r"\(line 1\): is a number between"),
        ("took", [1, 2, -1, 0, 1], ("red",), r"2 rows, first in line 3.*no number of seconds"),
        ("vector", [[1.0], [2.0], [1.0, 2.0], [3.0], [1.0]], ("red",), "no list of finite numbers"),
        ("vector", [[1.0]] * 4 + [[float("nan")]], ("red",), r"\(line 5\): is no list of finite"),
        ("vector", [CANARY] * 5, ("red",), "no list of finite numbers"),
        ("split", ["train"] * 5, ("red",), "has not both train and test.*--hold-out"),
    ],
)
def test_columns_with_values_that_cannot_be_used_are_refused(
    tmp_path: Path, column: str, values: list[object], labels: tuple[str, ...], said: str
) -> None:
    path = write_items(tmp_path / "items.parquet", make_items(5), **{column: values})
    asked = {"took": {"seconds": "took"}, "vector": {"embedding": "vector"}}.get(column, {})

    with pytest.raises(BadColumn, match=f"column '{column}' .*{said}") as refused:
        read(path, *labels, **asked)

    assert CANARY not in str(refused.value)


def test_a_column_of_content_is_not_taken_for_classes_and_not_quoted(tmp_path: Path) -> None:
    texts = [f"{CANARY} {row}" for row in range(60)]
    path = write_items(tmp_path / "items.csv", make_items(60), kind=texts)

    with pytest.raises(BadColumn, match="60 different values; at most 50") as refused:
        read(path, "kind")

    assert CANARY not in str(refused.value)


def test_what_is_not_there_or_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "items.docx").write_text("")
    (tmp_path / "empty.csv").write_text("text,red,blue\n")

    with pytest.raises(SourceNotFound):
        read(tmp_path / "nothing.csv")
    with pytest.raises(UnknownFormat):
        read(tmp_path / "items.docx")
    with pytest.raises(TooFewToReplay, match="no row with content"):
        read(tmp_path / "empty.csv")


@pytest.mark.parametrize("limit", ["ITEM_LIMIT", "CHARACTER_LIMIT"])
def test_a_file_that_is_too_large_is_refused_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    path = write_items(tmp_path / "items.csv", make_items(30))
    monkeypatch.setattr(labelled, limit, 20)

    with pytest.raises(TooMuchToReplay, match=r"holds more than .*drawn at random"):
        read(path)
