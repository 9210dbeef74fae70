"""A snapshot on disk is whole or not there, and not one byte of it can change unseen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.datasets import SnapshotDamaged, SnapshotMissing, read_snapshot
from hitl.datasets.manifest import CategoryCounts, SideCounts
from hitl.records import Split
from tests.datasets.builders import freeze, make_row

ROWS = [
    make_row("i1", {"hate": 1.0}, text="ünï\u0000code\n🔥 \ud7ff"),
    make_row("i2", {"hate": 0.0, "spam": 1.0}, split=Split.TEST, inclusion_probability=0.1 + 0.2),
    make_row("i3", {"spam": 0.0}),
]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_was_frozen_is_what_is_read(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, ROWS, rows_per_part=2)

    found = read_snapshot(frozen.folder)

    assert tuple(ROWS) == found.rows
    assert tuple(row.example for row in ROWS) == found.examples
    assert frozen.manifest == found.manifest
    assert frozen.folder.name == found.snapshot_id
    assert ["manifest.json", "part-00000.parquet", "part-00001.parquet"] == sorted(
        path.name for path in frozen.folder.iterdir()
    )


def test_unknown_is_null_in_the_file_and_no_is_false(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, ROWS)

    table = pq.read_table(frozen.folder / "part-00000.parquet")

    assert [True, False, None] == table["label_hate"].to_pylist()
    assert [None, True, False] == table["label_spam"].to_pylist()
    assert [None, 0.1 + 0.2, None] == table["inclusion_probability"].to_pylist()
    assert [2 / 3] * 3 == table["example_weight"].to_pylist()


def test_the_manifest_counts_answers_per_side_and_category(tmp_path: Path) -> None:
    manifest = freeze(tmp_path, ROWS).manifest

    assert {
        Split.TRAIN: SideCounts(
            2, {"hate": CategoryCounts(1, 0, 1), "spam": CategoryCounts(0, 1, 1)}
        ),
        Split.TEST: SideCounts(
            1, {"hate": CategoryCounts(0, 1, 0), "spam": CategoryCounts(1, 0, 0)}
        ),
    } == manifest.counts
    assert (3, 4) == (manifest.examples, manifest.labels)


def test_the_same_rows_give_the_same_name_and_the_same_bytes(tmp_path: Path) -> None:
    one = freeze(tmp_path / "one", ROWS)
    other = freeze(tmp_path / "other", ROWS)

    assert one.folder.name == other.folder.name
    assert bytes_of(one.folder) == bytes_of(other.folder)


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    here = freeze(tmp_path / "here", ROWS)
    code = (
        "import sys; from pathlib import Path; from tests.datasets.builders import freeze;"
        "from tests.datasets.test_snapshot_files import ROWS; freeze(Path(sys.argv[1]), ROWS)"
    )

    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there")],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        cwd=Path(__file__).parents[2],
    )

    there = tmp_path / "there" / here.folder.name
    assert bytes_of(here.folder) == bytes_of(there)


def test_freezing_again_keeps_the_folder_that_is_there(tmp_path: Path) -> None:
    first = freeze(tmp_path, ROWS)
    before = (first.folder / "manifest.json").stat().st_mtime_ns

    again = freeze(tmp_path, ROWS)

    assert (True, False) == (first.is_new, again.is_new)
    assert first.manifest == again.manifest
    assert before == (again.folder / "manifest.json").stat().st_mtime_ns


@pytest.mark.parametrize(
    "changed",
    [
        {"policy_id": "community@2-y"},
        {"categories": ("spam", "hate")},
        {"measuring_fraction": 0.5},
        {"salt": "other"},
    ],
)
def test_what_the_content_means_is_part_of_its_name(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    assert freeze(tmp_path, ROWS).folder != freeze(tmp_path, ROWS, **changed).folder


def test_the_size_of_parts_is_not_part_of_its_name(tmp_path: Path) -> None:
    one = freeze(tmp_path / "one", ROWS)
    other = freeze(tmp_path / "other", ROWS, rows_per_part=1)

    assert one.folder.name == other.folder.name


def test_a_crashed_write_is_not_a_dataset_and_the_next_freeze_replaces_it(tmp_path: Path) -> None:
    folder = freeze(tmp_path, ROWS).folder
    (folder / "manifest.json").unlink()
    (folder / "part-00009.parquet").write_bytes(b"half")
    left = tmp_path / f".{folder.name}.writing-killed"
    left.mkdir()

    with pytest.raises(SnapshotMissing, match="crashed write"):
        read_snapshot(folder)
    again = freeze(tmp_path, ROWS)

    assert again.is_new
    assert tuple(ROWS) == read_snapshot(folder).rows
    assert [folder.name] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(SnapshotMissing, match="no such folder; run `hitl freeze`"):
        read_snapshot(tmp_path / "nowhere")


@settings(max_examples=30, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_changed_byte_of_a_part_is_refused(
    tmp_path_factory: pytest.TempPathFactory, at: float, flip: int
) -> None:
    folder = freeze(tmp_path_factory.mktemp("s"), ROWS).folder
    part = folder / "part-00000.parquet"
    content = bytearray(part.read_bytes())
    content[int(at * len(content))] ^= flip
    part.write_bytes(content)

    with pytest.raises(SnapshotDamaged, match=r"part-00000\.parquet was changed"):
        read_snapshot(folder)


@settings(max_examples=80, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 127))
def test_one_changed_byte_of_the_manifest_is_refused_or_means_the_same(
    tmp_path_factory: pytest.TempPathFactory, at: float, flip: int
) -> None:
    frozen = freeze(tmp_path_factory.mktemp("s"), ROWS)
    path = frozen.folder / "manifest.json"
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= flip
    path.write_bytes(content)

    try:
        found = read_snapshot(frozen.folder)
    except SnapshotDamaged:
        return

    assert frozen.manifest == found.manifest


def _swap_a_label(body: dict[str, object]) -> None:
    body["categories"] = ["spam", "hate"]


def _drop_the_part(body: dict[str, object]) -> None:
    body["parts"] = {}


def _lie_about_counts(body: dict[str, object]) -> None:
    body["counts"]["train"]["examples"] = 7  # type: ignore[index]


def _lie_about_the_side(body: dict[str, object]) -> None:
    body["measuring_fraction"] = 0.9


@pytest.mark.parametrize(
    "lie", [_swap_a_label, _drop_the_part, _lie_about_counts, _lie_about_the_side]
)
def test_a_manifest_that_tells_another_story_is_refused(tmp_path: Path, lie) -> None:  # type: ignore[no-untyped-def]
    folder = freeze(tmp_path, ROWS).folder
    body = json.loads((folder / "manifest.json").read_text())
    lie(body)
    (folder / "manifest.json").write_text(json.dumps(body))

    with pytest.raises(SnapshotDamaged):
        read_snapshot(folder)


@pytest.mark.parametrize(
    "name", ["../part-00000.parquet", "/etc/passwd", "part-00000.parquet/..", "other.parquet"]
)
def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    folder = freeze(tmp_path, ROWS).folder
    shutil.copy(folder / "part-00000.parquet", tmp_path / "part-00000.parquet")
    body = json.loads((folder / "manifest.json").read_text())
    body["parts"] = {name: body["parts"]["part-00000.parquet"]}
    (folder / "manifest.json").write_text(json.dumps(body))

    with pytest.raises(SnapshotDamaged, match="not a part of it"):
        read_snapshot(folder)


def test_a_part_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = freeze(tmp_path, ROWS).folder
    (folder / "part-00000.parquet").rename(tmp_path / "elsewhere")
    (folder / "part-00000.parquet").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SnapshotDamaged, match="not a part of it"):
        read_snapshot(folder)


def test_a_part_that_is_gone_is_named(tmp_path: Path) -> None:
    folder = freeze(tmp_path, ROWS).folder
    (folder / "part-00000.parquet").unlink()

    with pytest.raises(SnapshotDamaged, match=r"part-00000\.parquet is gone"):
        read_snapshot(folder)


def test_another_snapshot_under_this_name_is_refused(tmp_path: Path) -> None:
    folder = freeze(tmp_path, ROWS).folder
    other = freeze(tmp_path, ROWS[:1]).folder
    shutil.rmtree(folder)
    other.rename(folder)

    with pytest.raises(SnapshotDamaged, match="was renamed"):
        read_snapshot(folder)


def test_a_damaged_snapshot_is_not_frozen_over(tmp_path: Path) -> None:
    folder = freeze(tmp_path, ROWS).folder
    (folder / "part-00000.parquet").write_bytes(b"")

    with pytest.raises(SnapshotDamaged, match="move the folder away"):
        freeze(tmp_path, ROWS)


def test_a_snapshot_of_a_later_schema_is_refused(tmp_path: Path) -> None:
    folder = freeze(tmp_path, ROWS).folder
    body = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(body | {"schema_version": 2}))

    with pytest.raises(SnapshotDamaged, match="schema version 2, this program reads 1"):
        read_snapshot(folder)


def test_a_reader_through_a_link_to_the_folder_is_served(tmp_path: Path) -> None:
    folder = freeze(tmp_path, ROWS).folder
    (tmp_path / "newest").symlink_to(folder)

    assert tuple(ROWS) == read_snapshot(tmp_path / "newest").rows
