"""Shards of any make are read alike, and those that cannot be used are refused by name."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling import Plan, Pool, Selection, Share, choose
from sampling.partition import choose_partitioned
from sampling.partitions import facts, parts
from sampling.partitions.errors import BadShard
from sampling.partitions.parts import Part, PartRows, parts_of
from sampling.partitions.reading import shown
from sampling.partitions.shards import Shard
from sampling.partitions.tasks import Task
from sampling.partitions.work import Here
from tests.sampling.pools_in_parts import (
    Candidates,
    as_arrays,
    as_tables,
    make_candidates,
    table_shard,
)

PLAN = Plan((Share("diverse", "uncertain_diverse", 0.8), Share("random", "random", 0.2)))


def chosen(shards: Sequence[Shard], **given: Any) -> Selection:
    return choose_partitioned(PLAN, shards, **{"limit": 20, "seed": 1} | given)


def expected(one: Candidates) -> Selection:
    return choose(PLAN, Pool(one.ids, one.probabilities, one.embeddings), limit=20, seed=1)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_PART", 300)


def lists(values: Any, kind: pa.DataType) -> pa.Array:
    return pa.array([row for row in values], kind)


def write(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path, row_group_size=250)
    return str(path)


def test_lists_of_one_size_and_words_from_a_dictionary(tmp_path: Path) -> None:
    one = make_candidates(700)
    url = write(
        tmp_path / "a.parquet",
        key=pa.array(one.ids).dictionary_encode(),
        p=lists(one.probabilities, pa.list_(pa.float32(), 3)),
        e=lists(one.embeddings, pa.large_list(pa.float32())),
    )

    found = chosen([Shard(table=url, ids="key", probabilities="p", embeddings="e")])

    assert expected(one).item_ids == found.item_ids


def test_a_column_a_category(tmp_path: Path) -> None:
    one = make_candidates(700)
    url = write(
        tmp_path / "a.parquet",
        item_id=one.ids,
        hate=one.probabilities[:, 0],
        spam=one.probabilities[:, 1],
        nudity=one.probabilities[:, 2],
    )
    np.save(tmp_path / "e.npy", one.embeddings)

    found = chosen(
        [
            Shard(
                table=url,
                probabilities=("hate", "spam", "nudity"),
                embeddings=str(tmp_path / "e.npy"),
            )
        ]
    )

    assert expected(one).item_ids == found.item_ids


def test_a_store_that_is_no_file_system(tmp_path: Path) -> None:
    one = make_candidates(700)
    tables = as_tables("memory://pool/tables", one, (300,))
    store = fsspec.filesystem("memory")
    arrays = as_arrays(tmp_path, one, (300,))
    for shard in arrays:
        for path in shard.files:
            store.pipe_file(f"/pool{path}", Path(path).read_bytes())
    away = [
        Shard(
            ids=f"memory://pool{shard.ids}",
            probabilities=f"memory://pool{shard.probabilities}",
            embeddings=f"memory://pool{shard.embeddings}",
        )
        for shard in arrays
    ]

    assert expected(one).item_ids == chosen(away).item_ids
    bare = [replace(shard, groups=None, passes=(), modalities={}, models={}) for shard in tables]
    assert expected(one).item_ids == chosen(bare).item_ids


def test_half_precision_embeddings_are_read(tmp_path: Path) -> None:
    one = make_candidates(700)
    one.embeddings = one.embeddings.astype(np.float16).astype(np.float32)
    (shard,) = as_arrays(tmp_path, one)
    np.save(str(shard.embeddings), one.embeddings.astype(np.float16))

    assert expected(one).item_ids == chosen([shard]).item_ids


@pytest.mark.parametrize("make", [as_arrays, lambda place, one: as_tables(str(place), one)])
def test_any_rows_of_a_part_in_any_order(
    tmp_path: Path, make: Callable[[Path, Candidates], list[Shard]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_candidates(1000)
    monkeypatch.setattr("sampling.partitions.reading.ROWS_PER_BLOCK", 64)
    rng = np.random.default_rng(3)

    for part in parts_of(make(tmp_path, one)):
        rows = PartRows(part)
        for wanted in (rng.permutation(part.rows)[:50], np.arange(5, 40), np.array([7, 7, 3]), []):
            at = np.asarray(wanted, dtype=np.intp)

            assert np.array_equal(one.embeddings[part.first + at], rows[at])


# Prints how much Arrow held at most while it read two rows of an embedding column.
READER = """
import sys
import numpy as np
import pyarrow as pa
from sampling.partitions.parts import PartRows, parts_of
from sampling.partitions.shards import Shard
(part,) = parts_of([Shard(table=sys.argv[1], embeddings="vector")])
PartRows(part)[np.array([3, 9000])]
print(pa.default_memory_pool().max_memory())
"""


def test_a_row_group_is_never_held_whole(tmp_path: Path) -> None:
    points = np.random.default_rng(1).standard_normal((200_000, 64)).astype(np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1)), 64)
    table = pa.table(
        {
            "item_id": [f"i{row}" for row in range(200_000)],
            "probabilities": pa.array([[0.5]] * 200_000, pa.list_(pa.float32())),
            "vector": flat,
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=200_000)

    ended = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "a.parquet")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
    )

    assert int(ended.stdout) < points.nbytes / 4


def test_parts_are_whole_row_groups_and_cover_all(tmp_path: Path) -> None:
    one = make_candidates(1000)

    found = parts_of(as_tables(str(tmp_path), one, (450,), rows_per_group=100))

    assert [(0, 300), (300, 150), (450, 300), (750, 250)] == [
        (part.first, part.rows) for part in found
    ]
    assert [(0, 1, 2), (3, 4), (0, 1, 2), (3, 4, 5)] == [part.groups for part in found]


def test_a_shard_without_rows_is_passed_over(tmp_path: Path) -> None:
    one = make_candidates(700)
    shards = as_arrays(tmp_path, one, (700,))

    assert 0 == np.load(shards[1].ids).size
    assert expected(one).item_ids == chosen(shards).item_ids


Spoil = Callable[[Candidates], None]


def spoil(column: str, row: int, value: Any) -> Spoil:
    def spoiled(one: Candidates) -> None:
        getattr(one, column)[row] = value

    return spoiled


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (spoil("probabilities", (450, 1), np.nan), r"item i00\d+, category column 1: .* NaN"),
        (spoil("probabilities", (450, 2), 1.5), r"item i00\d+, category column 2: .* is 1.5"),
        (spoil("embeddings", (slice(None), 3), np.inf), r"item i00\d+, embedding column 3"),
        (spoil("ids", 450, "i99999"), None),
    ],
)
def test_a_wrong_number_is_refused_with_its_shard_and_item(
    tmp_path: Path, wrong: Spoil, told: str | None
) -> None:
    one = make_candidates(700)
    wrong(one)
    if told is None:
        one.ids[460] = "i99999"
        told = "item i99999 is in the pool twice"
    shards = as_arrays(tmp_path, one, (400,))

    with pytest.raises(BadShard, match=rf"shard .*/[01]/ids.npy: {told}"):
        chosen(shards)


def test_an_item_in_two_shards_is_refused_with_both(tmp_path: Path) -> None:
    one = make_candidates(900)
    one.ids[850] = one.ids[3]

    with pytest.raises(BadShard, match=rf"item {one.ids[3]} is in shard .* too; keep one row"):
        chosen(as_arrays(tmp_path, one, (400, 800)))


def test_a_shard_given_twice_is_refused(tmp_path: Path) -> None:
    shards = as_tables(str(tmp_path), make_candidates(100))

    with pytest.raises(BadShard, match="keep one row an item"):
        chosen([*shards, *shards])


def test_ids_that_only_share_a_digest_are_two_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_candidates(700)
    both = Pool(one.ids[[5, 600]], one.probabilities[:2]).ids.digests

    # As if they were equal: both parts are asked what is behind them.
    monkeypatch.setattr(facts, "repeated", lambda columns, items: iter(both))
    monkeypatch.setattr(facts, "holders", lambda columns, digest, parts: list(parts))

    assert expected(one).item_ids == chosen(as_arrays(tmp_path, one, (400,))).item_ids


@pytest.mark.parametrize("at_once", [1 << 24, 64, 7])
def test_repeated_digests_are_found_a_range_at_a_time(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(facts, "_DIGESTS_AT_ONCE", at_once)
    rng = np.random.default_rng(1)
    columns = [np.sort(rng.integers(0, 2**64, 200, dtype=np.uint64)) for _ in range(3)]
    top = np.uint64(2**64 - 1)
    columns[0][-1] = columns[2][-1] = top
    columns[1][0] = columns[2][0] = np.uint64(0)

    found = list(facts.repeated(columns, 600))

    assert [np.uint64(0), top] == found


def rewritten(shard: Shard, **columns: Any) -> Shard:
    """The same Parquet file with other columns."""
    assert shard.table is not None
    table = pq.read_table(shard.table)
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, shard.table, row_group_size=200)
    return shard


def second_with(column: str, values: Callable[[int], pa.Array]) -> Callable[[list[Shard]], None]:
    def change(shards: list[Shard]) -> None:
        rows = pq.read_metadata(str(shards[1].table)).num_rows
        rewritten(shards[1], **{column: values(rows)})

    return change


def gone(shards: list[Shard]) -> None:
    Path(str(shards[1].table)).unlink()


def torn(shards: list[Shard]) -> None:
    path = Path(str(shards[1].table))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scratched(shards: list[Shard]) -> None:
    path = Path(str(shards[1].table))
    path.write_bytes(b"PAR1" + b"\xff" * 20_000 + path.read_bytes()[20_004:])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (gone, "is not there; check the path"),
        (torn, "is not a whole Parquet file"),
        (scratched, "the file is damaged"),
        (second_with("item_id", lambda n: pa.array(range(n))), "is int64; write strings"),
        (second_with("item_id", lambda n: pa.array([None] * n, pa.string())), "row 0 is null"),
        (
            second_with("scores", lambda n: lists(np.zeros((n, 2)), pa.list_(pa.float32()))),
            "categories are 2, and 3 in shard .*part-0.parquet",
        ),
        (
            second_with("vector", lambda n: lists(np.zeros((n, 5)), pa.list_(pa.float32()))),
            "embedding dimensions are 5, and 8 in shard .*part-0.parquet",
        ),
        (
            second_with("scores", lambda n: lists(np.zeros((n, 3)), pa.list_(pa.float64()))),
            "type of probabilities are float64, and float32",
        ),
        (
            second_with("scores", lambda n: lists(np.zeros((n, 3), int), pa.list_(pa.int32()))),
            "are of type int32; write float32 or float64",
        ),
        (
            second_with(
                "scores",
                lambda n: pa.array([[0.1] * 3] * (n - 1) + [[0.1]], pa.list_(pa.float32())),
            ),
            "row 249 holds 1 numbers and the others 3",
        ),
        (
            second_with(
                "scores", lambda n: pa.array([[0.1] * 3] * (n - 1) + [None], pa.list_(pa.float32()))
            ),
            "row 249 is null; every item needs 3 numbers",
        ),
        (
            second_with(
                "vector",
                lambda n: pa.array([None] + [[0.5] * 8] * (n - 1), pa.list_(pa.float32(), 8)),
            ),
            "column 'vector', row 0 is null",
        ),
        (second_with("length", lambda n: pa.array(["long"] * n)), "write numbers"),
        (second_with("length", lambda n: pa.array([0.0] * n)), "give a number above 0"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, change: Callable[[list[Shard]], None], told: str
) -> None:
    shards = as_tables(str(tmp_path), make_candidates(600), (350,), rows_per_group=200)
    change(shards)

    with pytest.raises(BadShard, match=f"shard .*part-1.parquet: .*{told}"):
        chosen(shards)


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    (shard,) = as_tables(str(tmp_path), make_candidates(60))

    with pytest.raises(BadShard, match="has no column 'emb'; it has: item_id, scores"):
        chosen([replace(shard, embeddings="emb")])
    with pytest.raises(BadShard, match="a column is named but no table"):
        chosen([Shard(ids="item_id", probabilities=str(tmp_path / "p.npy"))])


def test_a_row_group_that_no_worker_could_hold_is_refused(tmp_path: Path) -> None:
    shards = as_tables(str(tmp_path), make_candidates(700), rows_per_group=700)

    with pytest.raises(
        BadShard, match=r"row group 0 holds 700 rows, and 600 .* smaller row groups"
    ):
        chosen(shards)


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("ids", np.array(["a", 1], dtype=object), "holds Python objects, which are not read"),
        ("ids", np.arange(300), "is int64; write strings"),
        ("embeddings", np.asfortranarray(np.zeros((300, 8), np.float32)), "C order"),
        ("embeddings", np.zeros((300, 8), int), "write floats"),
        ("embeddings", np.zeros(300, np.float32), "write floats"),
        ("probabilities", np.zeros((299, 3), np.float32), "differ in length"),
        ("probabilities", np.zeros((300, 3), np.float16), "float16; write float32 or float64"),
    ],
)
def test_an_array_that_cannot_be_used_is_refused(
    tmp_path: Path, name: str, values: Any, told: str
) -> None:
    (shard,) = as_arrays(tmp_path, make_candidates(300))
    np.save(getattr(shard, name), values, allow_pickle=True)

    with pytest.raises(BadShard, match=f"shard .*ids.npy: .*{told}"):
        chosen([shard])


def test_an_array_that_is_cut_off_or_none_is_refused(tmp_path: Path) -> None:
    (shard,) = as_arrays(tmp_path, make_candidates(300))
    path = Path(str(shard.probabilities))
    whole = path.read_bytes()

    path.write_bytes(whole[:2000])
    with pytest.raises(BadShard, match="is cut off; write it again"):
        chosen([shard])
    path.write_bytes(b"no array at all")
    with pytest.raises(BadShard, match=r"is no \.npy file"):
        chosen([shard])


class Meddler:
    """Rewrites a file once the first task is done."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def each(
        self, task: Task, calls: Sequence[tuple[Part, Any]], common: Any
    ) -> Iterator[tuple[int, pa.Table]]:
        yield from Here().each(task, calls, common)
        self.path.write_bytes(self.path.read_bytes() + b" ")


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    (shard,) = as_arrays(tmp_path, make_candidates(300))

    with pytest.raises(BadShard, match="was changed while it was read"):
        chosen([shard], client=Meddler(Path(str(shard.probabilities))))


def test_a_store_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadShard, match=r"nowhere://x: .*install what reads such a store"):
        chosen([table_shard("nowhere://x")])


def test_messages_name_no_secret() -> None:
    assert "s3://bucket/a.parquet" == shown("s3://key:secret@bucket/a.parquet?sig=abc")
    assert "/data/a@b.parquet" == shown("/data/a@b.parquet")


def test_a_refusal_comes_whole_from_another_process() -> None:
    sent = pickle.loads(pickle.dumps(BadShard("s3://a", "it is empty")))

    assert ("s3://a", "shard s3://a: it is empty") == (sent.shard, str(sent))
