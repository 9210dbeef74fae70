"""On a real Dask cluster, whose workers die: the same batch."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sampling import Plan, Pool, Selection, Share, choose
from sampling.partition import choose_partitioned
from sampling.partitions import parts
from sampling.partitions.errors import BadShard
from tests.sampling.pools_in_parts import Candidates, as_arrays, make_candidates

distributed = pytest.importorskip("distributed", reason="Dask is not installed: hitl[dask]")

pytestmark = pytest.mark.e2e

PLAN = Plan(
    (
        Share("uncertain", "uncertain_diverse", 0.7),
        Share("typical", "typical", 0.2),
        Share("random", "random_distinct", 0.1),
    )
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    """Two workers of 1 GiB, each a process of its own, watched over by a nanny."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        memory_limit="1GiB",
        dashboard_address=None,
        worker_dashboard_address=None,
    ) as made:
        yield made


@pytest.fixture
def client(cluster: distributed.LocalCluster) -> Iterator[distributed.Client]:
    with distributed.Client(cluster) as made:
        made.wait_for_workers(2)
        yield made


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_PART", 500)


def whole(one: Candidates) -> Selection:
    return choose(PLAN, Pool(one.ids, one.probabilities, one.embeddings), limit=30, seed=1)


def test_two_workers_choose_what_one_process_chooses(
    tmp_path: Path, client: distributed.Client
) -> None:
    one = make_candidates(8000)

    found = choose_partitioned(
        PLAN, as_arrays(tmp_path, one, (3000,)), limit=30, seed=1, client=client
    )

    assert whole(one).item_ids == found.item_ids
    np.testing.assert_array_equal(whole(one).inclusion_probability, found.inclusion_probability)


def test_a_worker_killed_on_the_way_changes_nothing(
    tmp_path: Path, client: distributed.Client
) -> None:
    one = make_candidates(8000)
    before = client.run(os.getpid)

    def kill_one(answers: int) -> None:
        if answers in (3, 21):  # within the survey, and within the scan
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            client.wait_for_workers(2)

    found = choose_partitioned(
        PLAN, as_arrays(tmp_path, one, (3000,)), limit=30, seed=1, client=client, on_step=kill_one
    )

    assert whole(one).item_ids == found.item_ids
    assert set(before.values()) != set(client.run(os.getpid).values())


def test_a_refusal_comes_back_from_the_worker_as_it_is(
    tmp_path: Path, client: distributed.Client
) -> None:
    one = make_candidates(2000)
    one.probabilities[1700, 1] = np.nan

    with pytest.raises(BadShard, match=r"shard .*/1/ids.npy: item .*, category column 1: .* NaN"):
        choose_partitioned(PLAN, as_arrays(tmp_path, one, (1500,)), limit=30, seed=1, client=client)
