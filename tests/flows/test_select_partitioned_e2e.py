"""The flow on a real Prefect server: its parts on Prefect's own runner for Dask, and past it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from prefect import get_client
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)

from flows.select_partitioned_flow import select_partitioned
from hitl.services import Stack
from sampling import DEFAULT_PLAN, Pool, choose
from sampling.partitions import parts
from tests.sampling.pools_in_parts import Candidates, as_tables, make_candidates

distributed = pytest.importorskip("distributed", reason="Dask is not installed: hitl[dask]")
prefect_dask = pytest.importorskip("prefect_dask", reason="prefect-dask is not: hitl[dask]")

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """This process as a client of a Prefect server of our own."""
    stack = Stack(tmp_path_factory.mktemp("prefect") / "state", label_studio=False)
    try:
        changed = {
            PREFECT_API_URL: stack.up().prefect_api_url,
            PREFECT_HOME: stack.state.path / "prefect-client",
            PREFECT_SERVER_ANALYTICS_ENABLED: False,
        }
        with temporary_settings(changed):
            yield
            APILogHandler().flush()  # before the server goes
            EventsWorker.drain_all(timeout=30)
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a cluster of two processes."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        memory_limit="1GiB",
        dashboard_address=None,
        worker_dashboard_address=None,
    ) as made:
        yield made.scheduler_address


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Candidates:
    monkeypatch.setattr(parts, "ROWS_PER_PART", 400)
    made = make_candidates(1200)
    as_tables(str(tmp_path / "pool"), made, (700,))
    return made


def asked(folder: Path, **changed: Any) -> dict[str, Any]:
    return {
        "place": str(folder / "pool"),
        "out": str(folder / "b1.parquet"),
        "limit": 20,
        "seed": 3,
        "columns": {"probabilities": "scores", "embeddings": "vector"},
    } | changed


def expected(one: Candidates) -> list[str]:
    whole = Pool(one.ids, one.probabilities, one.embeddings)
    return list(choose(DEFAULT_PLAN, whole, limit=20, seed=3).item_ids)


def picked(folder: Path) -> list[str]:
    found: list[str] = pq.read_table(folder / "b1.parquet").column("item_id").to_pylist()
    return found


def tasks_of(state: State[Any]) -> list[dict[str, Any]]:
    """What the server keeps of the task runs, once all have arrived there."""
    mine = {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}, "limit": 100}

    async def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with get_client() as client:
            for _ in range(100):  # they travel as events
                found = (await client._client.post("/task_runs/filter", json=mine)).json()
                if found and all(one["state_type"] in ("COMPLETED", "FAILED") for one in found):
                    break
                await asyncio.sleep(0.1)
        return found

    return asyncio.run(read())


@pytest.mark.usefixtures("prefect")
def test_parts_are_tasks_on_prefect_s_dask_runner(
    tmp_path: Path, one: Candidates, scheduler: str
) -> None:
    on_dask = select_partitioned.with_options(
        task_runner=prefect_dask.DaskTaskRunner(address=scheduler)
    )

    state: State[Any] = on_dask(**asked(tmp_path), return_state=True)

    names = [one["name"] for one in tasks_of(state)]
    assert state.is_completed(), state.message
    assert {"uncertain": 19, "random": 1} == asyncio.run(state.aresult())["picks_by_share"]
    assert expected(one) == picked(tmp_path)
    assert {"survey 0", "survey 400", "survey 700", "survey 1100"} <= set(names)
    assert {"scan 0", "scan 400", "scan 700", "scan 1100"} <= set(names)


@pytest.mark.usefixtures("prefect")
def test_a_scheduler_s_address_goes_past_prefect(
    tmp_path: Path, one: Candidates, scheduler: str
) -> None:
    state: State[Any] = select_partitioned(
        **asked(tmp_path, scheduler=scheduler), return_state=True
    )

    assert state.is_completed(), state.message
    assert expected(one) == picked(tmp_path)


@pytest.mark.usefixtures("prefect")
def test_without_a_cluster_parts_are_tasks_in_threads(tmp_path: Path, one: Candidates) -> None:
    found = select_partitioned(**asked(tmp_path, at_once=2))

    assert found["is_new"]
    assert expected(one) == picked(tmp_path)


@pytest.mark.usefixtures("prefect")
def test_a_bad_shard_fails_the_run_with_its_name_and_is_not_tried_again(
    tmp_path: Path, one: Candidates
) -> None:
    one.probabilities[900, 1] = np.nan
    as_tables(str(tmp_path / "pool"), one, (700,))

    state: State[Any] = select_partitioned(**asked(tmp_path), return_state=True)

    assert state.is_failed()
    assert {1} == {one["run_count"] for one in tasks_of(state) if one["state_type"] == "FAILED"}
    assert "part-1.parquet: item" in str(state.message)
    assert not (tmp_path / "b1.parquet").exists()
