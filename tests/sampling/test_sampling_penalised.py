from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import penalised as room
from sampling.penalised import penalised
from sampling.spread import STEPS, on_grid

Float32 = NDArray[np.float32]
NOTHING: Float32 = np.empty((0, 16), dtype=np.float32)


def scattered(rows: int, *, seed: int = 0, clusters: int = 6) -> Float32:
    rng = np.random.default_rng(seed)
    middle = rng.standard_normal((clusters, 16))
    points = middle[rng.integers(0, clusters, rows)] + 0.4 * rng.standard_normal((rows, 16))
    return on_grid(points.astype(np.float32))


def plainly(rows: Float32, *, labelled: Float32, limit: int) -> list[int]:
    """As the docstring says it, row by row."""
    points, known = rows.astype(np.float64), labelled.astype(np.float64)
    apart = ((points[:, None] - points) ** 2).sum(axis=2)
    some = np.arange(0, len(rows), max(1, len(rows) // 300))
    typical = max(float(np.median(apart[np.ix_(some, some)])), 1.0)
    density = np.exp(-apart / (0.25 * typical)).mean(axis=1)
    worth = density / density.mean() / (1.0 + np.arange(len(rows)) / limit)
    for row in range(len(rows) if len(known) else 0):
        nearest = ((points[row] - known) ** 2).sum(axis=1).min()
        worth[row] *= 1.0 - np.exp(-nearest / (0.7 * typical))
    picks: list[int] = []
    for _ in range(limit):
        picks.append(int(worth.argmax()))
        worth *= 1.0 - np.exp(-apart[picks[-1]] / (0.7 * typical))
        worth[picks] = -1.0
    owner = apart[:, picks].argmin(axis=1)
    found = []
    for number, pick in enumerate(picks):
        near = apart[:, pick] <= 0.5 * typical
        heard = np.union1d(np.flatnonzero((owner == number) & near), [pick])
        middle = np.rint(points[heard].mean(axis=0))
        found.append(int(heard[((points[heard] - middle) ** 2).sum(axis=1).argmin()]))
    return sorted(found)


@pytest.mark.parametrize("leading", [3, 40, 1024])
@pytest.mark.parametrize("block", [7, 4096])
@pytest.mark.parametrize("limit", [1, 5, 30, 119])
def test_it_chooses_as_it_says_whatever_is_looked_at_first(
    leading: int, block: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_LEADING", leading)
    monkeypatch.setattr(room, "_ROWS_AT_ONCE", block)
    rows, labelled = scattered(120), scattered(9, seed=1)

    for known in (NOTHING, labelled):
        expected = plainly(rows, labelled=known, limit=limit)
        assert expected == penalised(rows, labelled=known, limit=limit).tolist()


def test_where_all_are_equally_far_the_first_are_asked() -> None:
    rows = np.zeros((80, 80), dtype=np.float32)
    np.fill_diagonal(rows, STEPS)

    found = penalised(rows, labelled=np.empty((0, 80), dtype=np.float32), limit=12)

    assert list(range(12)) == found.tolist()


def test_of_each_cluster_its_middle_is_asked_and_none_twice() -> None:
    rng = np.random.default_rng(3)
    cluster = np.arange(200) % 10
    points = np.eye(16)[cluster] + 0.1 * rng.standard_normal((200, 16))
    rows = on_grid(points.astype(np.float32))

    found = penalised(rows, labelled=NOTHING, limit=10)

    assert list(range(10)) == sorted(cluster[found].tolist())
    for place in found:
        own = rows[cluster == cluster[place]]
        away = ((own - np.rint(own.mean(axis=0))) ** 2).sum(axis=1)
        assert away.min() == ((rows[place] - np.rint(own.mean(axis=0))) ** 2).sum()


def test_a_cluster_that_was_asked_about_waits_for_the_others() -> None:
    rng = np.random.default_rng(4)
    cluster = np.arange(120) % 6
    rows = on_grid((np.eye(16)[cluster] + 0.1 * rng.standard_normal((120, 16))).astype(np.float32))

    found = penalised(rows, labelled=rows[cluster < 2], limit=4)

    assert [2, 3, 4, 5] == sorted(cluster[found].tolist())


@pytest.mark.parametrize("limit", [0, 1, 3, 9])
def test_rows_that_coincide_come_in_their_order(limit: int) -> None:
    rows = np.tile(np.full((1, 16), 500.0, dtype=np.float32), (5, 1))

    found = penalised(rows, labelled=rows[:1], limit=limit)

    assert min(limit, 5) == len(set(found.tolist())) == len(found)
