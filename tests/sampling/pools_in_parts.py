"""One set of candidates, as a pool and as shards of any cut."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sampling import Labelled, Pool
from sampling.partitions.parts import Part
from sampling.partitions.shards import Shard
from sampling.partitions.tasks import Task
from sampling.partitions.work import Here

CATEGORIES, DIMENSIONS = 3, 8
MODALITIES = ("text", "image")
THRESHOLDS = (0.2, 0.5, 0.8)


@dataclass
class Candidates:
    """Every column that a pool may have."""

    ids: NDArray[np.str_]
    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    groups: list[str | None]
    slices: list[str | None]
    seconds: NDArray[np.float64]
    opinions: NDArray[np.float32]
    exclusive: bool

    def __len__(self) -> int:
        return len(self.ids)

    def labelled(self) -> Labelled:
        """A few labels, the same for any candidates."""
        rng = np.random.default_rng(5)
        answers = (rng.random((6, CATEGORIES)) < 0.4).astype(float)
        return Labelled(rng.standard_normal((6, DIMENSIONS)), answers)

    def pool(self, **changed: Any) -> Pool:
        given: dict[str, Any] = {
            "embeddings": self.embeddings,
            "groups": self.groups,
            "exclusive": self.exclusive,
            "passes": self.opinions,
            "modalities": dict(zip(MODALITIES, self.opinions, strict=True)),
            "models": {"old": self.opinions[0], "new": self.opinions[1]},
            "thresholds": THRESHOLDS,
            "seconds": self.seconds,
            "slices": self.slices,
        } | changed
        return Pool(self.ids, self.probabilities, **given)


def make_candidates(
    items: int = 1200, *, seed: int = 0, exclusive: bool = False, copies: float = 0.05
) -> Candidates:
    """Probabilities with many ties, ids not in the order of rows, some near-copies."""
    rng = np.random.default_rng(seed)

    def likely(*shape: int) -> NDArray[np.float32]:
        found = np.round(rng.beta(0.4, 2.0, (*shape, CATEGORIES)), 2)
        if exclusive:
            found = (found + 0.01) / (found + 0.01).sum(axis=-1, keepdims=True)
        return found.astype(np.float32)

    embeddings = rng.standard_normal((items, DIMENSIONS)).astype(np.float32)
    embeddings[rng.random(items) < copies] = embeddings[0]
    return Candidates(
        ids=np.array([f"i{number:05d}" for number in rng.permutation(items)]),
        probabilities=likely(items),
        embeddings=embeddings,
        groups=[None if row % 3 else f"g{row % 50}" for row in range(items)],
        slices=[None if one == 2 else f"s{one}" for one in rng.integers(0, 3, items)],
        seconds=np.round(rng.uniform(2, 20, items)),
        opinions=likely(2, items),
        exclusive=exclusive,
    )


def cut(items: int, at: Sequence[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise([0, *at, items]))


def as_tables(
    place: str, one: Candidates, at: Sequence[int] = (), *, rows_per_group: int = 200
) -> list[Shard]:
    """A Parquet file each, every column in it, below `place` (a folder or an fsspec URL)."""
    shards = []
    for number, (start, stop) in enumerate(cut(len(one), at)):
        rows = slice(start, stop)
        columns: dict[str, Any] = {
            "item_id": one.ids[rows],
            "scores": one.probabilities[rows].tolist(),
            "vector": [row for row in one.embeddings[rows]],
            "cluster": one.groups[rows],
            "language": one.slices[rows],
            "length": one.seconds[rows],
        } | {f"said{which}": said[rows].tolist() for which, said in enumerate(one.opinions)}
        table = pa.table({name: _column(values) for name, values in columns.items()})
        url = f"{place}/part-{number}.parquet"
        store, path = fsspec.core.url_to_fs(url)
        store.makedirs(store._parent(path), exist_ok=True)
        with store.open(path, "wb") as handle:
            pq.write_table(table, handle, row_group_size=rows_per_group)
        shards.append(table_shard(url))
    return shards


def table_shard(url: str, **changed: Any) -> Shard:
    given: dict[str, Any] = {
        "table": url,
        "probabilities": "scores",
        "embeddings": "vector",
        "groups": "cluster",
        "slices": "language",
        "seconds": "length",
        "passes": ("said0", "said1"),
        "modalities": dict(zip(MODALITIES, ("said0", "said1"), strict=True)),
        "models": {"old": "said0", "new": "said1"},
    } | changed
    return Shard(**given)


def as_arrays(folder: Path, one: Candidates, at: Sequence[int] = ()) -> list[Shard]:
    """Three .npy files each: ids, probabilities, embeddings."""
    shards = []
    for number, (start, stop) in enumerate(cut(len(one), at)):
        place = folder / f"{number}"
        place.mkdir(parents=True)
        columns = {"ids": one.ids, "probabilities": one.probabilities, "embeddings": one.embeddings}
        for name, values in columns.items():
            np.save(place / f"{name}.npy", values[start:stop])
        shards.append(Shard(**{name: str(place / f"{name}.npy") for name in columns}))
    return shards


class Watched:
    """Carries tasks out here, in another order than asked for, and notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.handed_over: dict[str, int] = {}

    def each(
        self, task: Task, calls: Sequence[tuple[Part, Any]], common: Any
    ) -> Iterator[tuple[int, pa.Table]]:
        for place, table in Here().each(task, calls[::-1], common):
            self.asked.append((task.__name__, calls[::-1][place][0].first))
            rows = self.handed_over.get(task.__name__, 0)
            self.handed_over[task.__name__] = rows + len(table)
            yield len(calls) - 1 - place, table


def _column(values: Any) -> pa.Array:
    if isinstance(values, list) and values and isinstance(values[0], list | np.ndarray):
        return pa.array(values, pa.list_(pa.float32()))
    return pa.array(values)
