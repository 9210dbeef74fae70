"""Shards are found where they are said to be, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest

from sampling import Plan, Pool, Share, choose
from sampling.partition import choose_partitioned
from sampling.partitions.errors import BadShard
from sampling.partitions.finding import find_shards
from tests.sampling.pools_in_parts import as_arrays, as_tables, make_candidates

PLAN = Plan((Share("diverse", "uncertain_diverse", 1.0),))


def test_every_table_below_a_folder_in_the_order_of_names(tmp_path: Path) -> None:
    one = make_candidates(300)
    as_tables(str(tmp_path / "a"), one, (100, 200))
    (tmp_path / "a" / "_SUCCESS").touch()
    (tmp_path / "a" / "_hidden.parquet").touch()

    names = [
        [Path(str(shard.table)).name for shard in find_shards(str(place), probabilities="scores")]
        for place in (tmp_path, tmp_path / "a", tmp_path / "a" / "part-[02].parquet")
    ]

    every = ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
    assert [every, every, ["part-0.parquet", "part-2.parquet"]] == names


def test_one_file_is_one_shard(tmp_path: Path) -> None:
    (made,) = as_tables(str(tmp_path), make_candidates(50))

    (found,) = find_shards(str(made.table), probabilities="scores", passes=("said0", "said1"))

    assert (made.table, "scores", ("said0", "said1")) == (
        found.table,
        found.probabilities,
        found.passes,
    )


def test_arrays_are_looked_for_folder_by_folder(tmp_path: Path) -> None:
    one = make_candidates(300)
    as_arrays(tmp_path, one, (120,))

    found = find_shards(
        str(tmp_path),
        ids="ids.npy",
        probabilities="probabilities.npy",
        embeddings="embeddings.npy",
    )

    chosen = choose_partitioned(PLAN, found, limit=9, seed=1)
    whole = Pool(one.ids, one.probabilities, one.embeddings)
    assert choose(PLAN, whole, limit=9, seed=1).item_ids == chosen.item_ids


def test_an_array_beside_each_table(tmp_path: Path) -> None:
    one = make_candidates(300)
    as_tables(str(tmp_path), one, (120,))
    for number, rows in enumerate((slice(0, 120), slice(120, 300))):
        np.save(tmp_path / f"part-{number}.vectors.npy", one.embeddings[rows])

    found = find_shards(str(tmp_path), probabilities="scores", embeddings="{name}.vectors.npy")

    chosen = choose_partitioned(PLAN, found, limit=9, seed=1)
    whole = Pool(one.ids, one.probabilities, one.embeddings)
    assert choose(PLAN, whole, limit=9, seed=1).item_ids == chosen.item_ids


def test_a_store_that_is_no_file_system_is_searched_alike() -> None:
    as_tables("memory://found/here", make_candidates(60), (20,))

    found = find_shards("memory://found", probabilities="scores")

    assert [f"memory:///found/here/part-{number}.parquet" for number in (0, 1)] == [
        shard.table for shard in found
    ]
    assert fsspec.filesystem("memory").isfile("/found/here/part-1.parquet")


@pytest.mark.parametrize("name", ["../e.npy", "/tmp/e.npy", "sub/e.npy"])
def test_an_array_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    as_tables(str(tmp_path), make_candidates(50))

    with pytest.raises(BadShard, match=r"e\.npy is no plain file name; keep arrays beside it"):
        find_shards(str(tmp_path), probabilities="scores", embeddings=name)


def test_a_link_out_of_the_place_is_refused(tmp_path: Path) -> None:
    as_tables(str(tmp_path / "secret"), make_candidates(50))
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "a.parquet").symlink_to(tmp_path / "secret" / "part-0.parquet")

    with pytest.raises(BadShard, match=r"a\.parquet: is a link out of .*/pool; copy the file"):
        find_shards(str(tmp_path / "pool"), probabilities="scores")


def test_an_empty_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadShard, match=r"holds no file that ends in \.parquet"):
        find_shards(str(tmp_path), probabilities="scores")
    with pytest.raises(BadShard, match=r"holds no file that ends in ids\.npy"):
        find_shards(str(tmp_path), ids="ids.npy")
    with pytest.raises(BadShard, match="install what reads such a store"):
        find_shards("nowhere://a", ids="ids.npy")


def test_a_column_that_no_shard_has_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="a shard has no vectors"):
        find_shards("/tmp", vectors="e")
