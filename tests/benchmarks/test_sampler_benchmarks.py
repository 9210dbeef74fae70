"""What the sampler benchmarks measure with: pools, memory, quality and the brute-force twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.k_center import OURS, brute_force
from benchmarks.sampler_cells import Contender, in_fork, measure
from benchmarks.sampler_limits import Limits
from benchmarks.sampler_pools import MadePool, made_pools, read_pool, write_pool
from benchmarks.sampler_quality import clusters_hit, near_duplicates
from benchmarks.sampler_report import Spread

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadePool:
    folder = tmp_path_factory.mktemp("pools") / "3000"
    write_pool(folder, 3000, seed=1)
    return read_pool(folder)


def test_the_same_seed_makes_the_same_pool_and_another_another(made: MadePool) -> None:
    with made_pools(3000, seed=1) as again, made_pools(3000, seed=2) as other:
        assert np.array_equal(made.embeddings, again[3000].embeddings)
        assert np.array_equal(made.independent, again[3000].independent)
        assert not np.array_equal(made.embeddings, other[3000].embeddings)


def test_a_made_pool_has_rare_positives_near_copies_and_rows_of_length_one(
    made: MadePool,
) -> None:
    positive = made.independent.mean(axis=0)

    assert np.allclose(1.0, np.linalg.norm(made.embeddings, axis=1), atol=1e-5)
    assert np.allclose(1.0, made.exclusive.sum(axis=1), atol=1e-5)
    assert 0.0 < positive.min() < positive.max() < 0.15
    assert 0.03 < near_duplicates(made, np.arange(len(made))) < 0.09


def test_pools_are_gone_afterwards() -> None:
    with made_pools(700) as pools:
        file = Path(pools[700].embeddings.base.filename)  # type: ignore[union-attr]
        assert file.exists()

    assert not file.exists()


def test_near_duplicates_count_both_of_a_pair(made: MadePool) -> None:
    twice = made.first(4)
    twice.embeddings[1] = twice.embeddings[0]
    twice.embeddings[2] = -twice.embeddings[0]
    twice.embeddings[3] = np.roll(twice.embeddings[0], 1)

    assert 0.5 == near_duplicates(twice, np.arange(4))
    assert len(set(made.clusters[:50])) == clusters_hit(made, np.arange(50))


def test_the_peak_counts_what_was_freed_again_and_not_what_was_there_before() -> None:
    def work(is_measured: Callable[[], None]) -> float:
        kept = np.ones(40 * MEBIBYTE // 8)
        freed_before = np.ones(40 * MEBIBYTE // 8)
        del freed_before
        is_measured()
        total = float(np.ones(60 * MEBIBYTE // 8).sum())
        return total + float(np.ones(30 * MEBIBYTE // 8).sum()) + kept[0]

    _total, memory = in_fork(work)

    assert 60.0 == pytest.approx(memory, abs=2.0)


def test_reading_a_mapped_file_is_no_memory(made: MadePool) -> None:
    def work(is_measured: Callable[[], None]) -> float:
        is_measured()
        return float(made.embeddings.sum())

    _total, memory = in_fork(work)

    assert memory < 2.0  # the file has 4.6 MB


def test_a_measured_process_that_fails_is_no_result(capfd: pytest.CaptureFixture[str]) -> None:
    def work(is_measured: Callable[[], None]) -> None:
        raise ValueError("no such strategy")

    with pytest.raises(RuntimeError, match="died"):
        in_fork(work)

    assert "no such strategy" in capfd.readouterr().err


def test_a_cell_has_the_rows_and_the_time_of_both_steps(made: MadePool) -> None:
    def build(small: MadePool) -> int:
        np.sort(np.random.default_rng(0).random(2_000_000))
        return len(small)

    cell = measure(Contender("last rows", build, lambda n, k: np.arange(n - k, n)), made, picks=3)

    assert [2997, 2998, 2999] == cell.rows.tolist()
    assert cell.build > cell.choose


def test_brute_force_agrees_with_ours_on_a_small_pool(made: MadePool) -> None:
    ours = OURS.choose(OURS.build(made), 200)

    assert brute_force(made, 200).tolist() == ours.tolist()


def test_limits_by_hand() -> None:
    limits = Limits(read=32e6, product=768e6)  # a million rows of 8 float32 a second

    assert 1.0 == limits.stream(1_000_000)
    assert 1000.0 == pytest.approx(limits.all_distances(1_000_000, 1_000))
    assert 48.0 == pytest.approx(limits.all_distances(1_000_000, 1))  # reading takes longer
    assert 1.0 + 0.48 + 10.0 == pytest.approx(limits.two_stage(1_000_000, 1_000))


def test_a_spread_shows_its_range() -> None:
    assert "2 (1-4)" == str(Spread.of([4.0, 1.0, 2.0]))
    assert "2" == str(Spread.of([2.0]))
