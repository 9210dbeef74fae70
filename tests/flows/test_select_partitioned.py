"""A batch from shards, from the command line to the file of picks."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.select_partitioned import (
    AnotherBatch,
    CannotPick,
    NoDask,
    SchedulerAway,
    StoreAway,
    Wanted,
    client_of,
    select_partitioned,
)
from sampling import DEFAULT_PLAN, Labelled, Pool, Share, choose
from sampling.partitions import parts
from tests.sampling.pools_in_parts import Candidates, as_tables, make_candidates

COLUMNS = {"probabilities": "scores", "embeddings": "vector"}


def make_wanted(folder: Path, **changed: Any) -> Wanted:
    given: dict[str, Any] = {
        "place": str(folder / "pool"),
        "out": str(folder / "picks" / "b1.parquet"),
        "limit": 20,
        "seed": 3,
        "columns": COLUMNS,
    } | changed
    return Wanted(**given)


@pytest.fixture
def one(tmp_path: Path) -> Candidates:
    made = make_candidates(700)
    as_tables(str(tmp_path / "pool"), made, (300,))
    return made


def whole(one: Candidates, **given: Any) -> Pool:
    return Pool(one.ids, one.probabilities, one.embeddings, **given)


def picks(path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    return found


def test_the_picks_are_those_of_the_whole_pool_with_their_chances(
    tmp_path: Path, one: Candidates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_PART", 150)

    report = select_partitioned(make_wanted(tmp_path))

    expected = choose(DEFAULT_PLAN, whole(one), limit=20, seed=3)
    found = picks(tmp_path / "picks" / "b1.parquet")
    chances = [None if np.isnan(p) else float(p) for p in expected.inclusion_probability]
    assert list(expected.item_ids) == found["item_id"]
    assert list(expected.share) == found["share"]
    assert list(expected.strategy) == found["strategy"]
    assert list(range(20)) == found["rank"]
    assert chances == found["inclusion_probability"]
    assert (700, 2, {"uncertain": 19, "random": 1}, True) == (
        report.items,
        report.shards,
        report.picks_by_share,
        report.is_new,
    )


def test_a_pick_says_where_its_item_lies(tmp_path: Path, one: Candidates) -> None:
    select_partitioned(make_wanted(tmp_path))

    found = picks(tmp_path / "picks" / "b1.parquet")

    at_home = [
        pq.read_table(shard).column("item_id")[row].as_py()
        for shard, row in zip(found["shard"], found["row"], strict=True)
    ]
    assert found["item_id"] == at_home


def test_the_file_says_what_made_it(tmp_path: Path, one: Candidates) -> None:
    share = Share("audit", "random", 1.0)

    select_partitioned(make_wanted(tmp_path, shares=(share,)))

    note = json.loads(pq.read_schema(tmp_path / "picks" / "b1.parquet").metadata[b"hitl"])
    assert [asdict(share)] == note["shares"]
    assert (20, 3, str(tmp_path / "pool")) == (note["limit"], note["seed"], note["place"])


def test_repeating_gives_back_what_it_made(tmp_path: Path, one: Candidates) -> None:
    first = select_partitioned(make_wanted(tmp_path))
    written = (tmp_path / "picks" / "b1.parquet").stat().st_mtime_ns

    again = select_partitioned(make_wanted(tmp_path))

    assert (first.picks_by_share, False) == (again.picks_by_share, again.is_new)
    assert written == (tmp_path / "picks" / "b1.parquet").stat().st_mtime_ns


@pytest.mark.parametrize("changed", [{"seed": 4}, {"limit": 21}, {"exclusive": True}])
def test_a_file_of_another_batch_is_not_written_over(
    tmp_path: Path, one: Candidates, changed: dict[str, Any]
) -> None:
    select_partitioned(make_wanted(tmp_path))

    with pytest.raises(AnotherBatch, match=r"b1\.parquet holds another batch"):
        select_partitioned(make_wanted(tmp_path, **changed))


def test_a_file_of_something_else_is_not_written_over(tmp_path: Path, one: Candidates) -> None:
    mine = tmp_path / "mine.parquet"
    mine.write_bytes(b"a letter")

    with pytest.raises(AnotherBatch, match="is no Parquet file; name another file"):
        select_partitioned(make_wanted(tmp_path, out=str(mine)))
    pq.write_table(pa.table({"a": [1]}), mine)
    with pytest.raises(AnotherBatch, match="holds no picks"):
        select_partitioned(make_wanted(tmp_path, out=str(mine)))
    assert ["a"] == pq.read_table(mine).column_names


def test_picks_can_go_to_another_store(tmp_path: Path, one: Candidates) -> None:
    select_partitioned(make_wanted(tmp_path, out="memory://picks/b1.parquet"))

    with fsspec.open("memory://picks/b1.parquet", "rb") as handle:
        assert 20 == len(pq.read_table(handle))


@pytest.mark.parametrize("with_labels", [False, True])
def test_picks_keep_away_from_what_is_labelled(
    tmp_path: Path, one: Candidates, with_labels: bool
) -> None:
    known = one.embeddings[:300]
    labels = np.zeros((300, 3)) if with_labels else np.full((300, 3), np.nan)
    columns = {"vector": list(known)} | ({"labels": list(labels)} if with_labels else {})
    pq.write_table(pa.table(columns), tmp_path / "known.parquet")

    select_partitioned(make_wanted(tmp_path, labelled=str(tmp_path / "known.parquet")))

    pool = whole(one, labelled=Labelled(known, labels))
    expected = choose(DEFAULT_PLAN, pool, limit=20, seed=3)
    assert list(expected.item_ids) == picks(tmp_path / "picks" / "b1.parquet")["item_id"]
    assert expected.item_ids != choose(DEFAULT_PLAN, whole(one), limit=20, seed=3).item_ids


def test_what_is_labelled_must_lie_where_candidates_do(tmp_path: Path, one: Candidates) -> None:
    pq.write_table(pa.table({"e": [[1.0]]}), tmp_path / "known.parquet")

    with pytest.raises(CannotPick, match=r"known\.parquet has no column 'vector' of embeddings"):
        select_partitioned(make_wanted(tmp_path, labelled=str(tmp_path / "known.parquet")))


def test_a_shard_that_cannot_be_used_is_a_refusal(tmp_path: Path, one: Candidates) -> None:
    with pytest.raises(CannotPick, match=r"selection: shard .* has no column 'emb'"):
        select_partitioned(make_wanted(tmp_path, columns=COLUMNS | {"embeddings": "emb"}))


def test_a_store_that_does_not_answer_can_be_asked_again(
    tmp_path: Path, one: Candidates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise ConnectionResetError(104, "connection reset by peer")

    monkeypatch.setattr("flows.select_partitioned.choose_partitioned", away)

    with pytest.raises(StoreAway, match=r"pool cannot be reached \(ConnectionResetError\)"):
        select_partitioned(make_wanted(tmp_path))


def test_the_command_writes_picks_and_tells_how_many(tmp_path: Path, one: Candidates) -> None:
    out = tmp_path / "b1.parquet"
    arguments = [
        "select-shards", str(tmp_path / "pool"), "--out", str(out), "--limit", "20", "--seed", "3",
        "--probabilities", "scores", "--embeddings", "vector", "--share", "best=margin:0.5",
        "--share", "audit=random:0.5", "--work", str(tmp_path / "work"), "--json",
    ]  # fmt: skip

    found = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)

    assert {"best": 10, "audit": 10} == found["picks_by_share"]
    assert (700, True) == (found["items"], found["is_new"])
    assert 20 == len(picks(out)["item_id"])
    assert [] != list((tmp_path / "work").iterdir())


def test_a_share_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    arguments = ["select-shards", str(tmp_path), "--out", "b", "--limit", "1", "--share", "margin"]

    ended = CliRunner().invoke(app, arguments)

    assert 2 == ended.exit_code
    assert "NAME=STRATEGY:FRACTION" in ended.output


def test_no_scheduler_is_no_client() -> None:
    with client_of(None) as client:
        assert client is None


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: hitl[dask]")

    def nobody(address: str) -> None:
        raise OSError(f"Timed out trying to connect to {address}")

    monkeypatch.setattr(distributed, "Client", nobody)

    with pytest.raises(SchedulerAway, match="at tcp://h:1; start one"), client_of("tcp://h:1"):
        pass


def test_without_dask_a_scheduler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(NoDask, match=r"pip install 'hitl\[dask\]'"), client_of("tcp://h:1"):
        pass
