"""Pools of any size that look like moderation: topics of uneven size, campaigns of near copies, and
several rare categories that can hold together. Seeded; written to a folder and memory-mapped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from numpy.typing import NDArray

from sampling import Labelled, Pool

SEED = 20261125
DIMENSIONS = 384
CATEGORIES = 8

_TOPICS = 4000
_CAMPAIGNS = 240
_IN_A_CAMPAIGN = 0.06
"""Part of the pool that is a near copy of one of the campaigns' posts (cosine about .995)."""
_PREVALENCE = np.array([0.06, 0.04, 0.03, 0.02, 0.015, 0.01, 0.008, 0.005])
_ROWS_AT_ONCE = 1 << 16

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MadePool:
    """Arrays of one pool, memory-mapped.

    Args:
        embeddings: shape (N, D), rows of length 1.
        independent: shape (N, C), each category by itself.
        exclusive: shape (N, C), the first C - 1 categories and "none of these"; rows add up to 1.
        clusters: shape (N,), the topic or the campaign that each row was drawn from.
    """

    item_ids: pa.Array
    embeddings: Float32
    independent: Float32
    exclusive: Float32
    clusters: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.embeddings)

    def pool(
        self, *, exclusive: bool = False, labelled: Labelled | None = None, **more: Any
    ) -> Pool:
        """What is timed as "build": checks, and a hash of every id."""
        probabilities = self.exclusive if exclusive else self.independent
        return Pool(
            self.item_ids,
            probabilities,
            self.embeddings,
            None,
            exclusive,
            labelled=labelled,
            **more,
        )

    def first(self, rows: int) -> MadePool:
        """The first rows alone: a pool to warm up on."""
        return MadePool(
            self.item_ids.slice(0, rows),
            self.embeddings[:rows],
            self.independent[:rows],
            self.exclusive[:rows],
            self.clusters[:rows],
        )

    def labelled(self, rows: int) -> Labelled:
        """The last rows of the pool as if they had been answered by chance."""
        drawn = np.random.default_rng(SEED).random((rows, self.independent.shape[1]))
        return Labelled(self.embeddings[-rows:], (drawn < self.independent[-rows:]).astype(float))


@contextmanager
def made_pools(*sizes: int, seed: int = SEED) -> Iterator[dict[int, MadePool]]:
    """Pools of these sizes, in a temporary folder that is deleted afterwards (1.6 GB a million)."""
    with tempfile.TemporaryDirectory(prefix="hitl-pools-") as folder:
        made = {}
        for size in sizes:
            write_pool(Path(folder) / str(size), size, seed=seed)
            made[size] = read_pool(Path(folder) / str(size))
        yield made


def read_pool(folder: Path) -> MadePool:
    embeddings, independent, exclusive, clusters = (
        # Plain arrays over the map, copied where written: peers take neither maps nor read-only.
        np.asarray(np.load(folder / f"{name}.npy", mmap_mode="c"))
        for name in ("embeddings", "independent", "exclusive", "clusters")
    )
    ids = pa.array([f"post-{row:08d}" for row in range(len(embeddings))], pa.large_string())
    return MadePool(ids, embeddings, independent, exclusive, clusters)


def write_pool(folder: Path, rows: int, *, seed: int) -> None:
    """Four .npy files, a block at a time."""
    folder.mkdir(parents=True)
    world = _World(np.random.default_rng([seed, 0]))
    shapes = {
        "embeddings": ((rows, DIMENSIONS), np.float32),
        "independent": ((rows, CATEGORIES), np.float32),
        "exclusive": ((rows, CATEGORIES), np.float32),
        "clusters": ((rows,), np.int32),
    }
    files = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
        for name, (shape, dtype) in shapes.items()
    }
    for block, start in enumerate(range(0, rows, _ROWS_AT_ONCE)):
        part = slice(start, min(start + _ROWS_AT_ONCE, rows))
        drawn = world.draw(part.stop - part.start, np.random.default_rng([seed, 1, block]))
        for name, values in drawn.items():
            files[name][part] = values
    for file in files.values():
        file.flush()


class _World:
    """Where topics and campaigns lie, and which directions are whose category's."""

    def __init__(self, rng: Generator) -> None:
        self._topics = _rows(rng, _TOPICS)
        # Topics have parents: some are close to others, as in any language.
        self._topics += 0.8 * _rows(rng, 120)[rng.integers(0, 120, _TOPICS)]
        self._spread = rng.uniform(0.7, 1.5, _TOPICS).astype(np.float32)
        size = rng.pareto(1.8, _TOPICS) + 0.4
        self._share = size / size.sum()
        self._campaigns = _rows(rng, _CAMPAIGNS)
        self._heads = 12.0 * _rows(rng, CATEGORIES)
        self._topic_risk = rng.gumbel(0.0, 0.5, (_TOPICS + _CAMPAIGNS, CATEGORIES))
        self._bias = np.log(_PREVALENCE / (1.0 - _PREVALENCE)) - 1.2

    def draw(self, rows: int, rng: Generator) -> dict[str, NDArray[Any]]:
        cluster = rng.choice(_TOPICS, rows, p=self._share)
        points = self._topics[cluster] + self._spread[cluster, None] * _rows(rng, rows)
        copies = np.flatnonzero(rng.random(rows) < _IN_A_CAMPAIGN)
        campaign = rng.integers(0, _CAMPAIGNS, len(copies))
        points[copies] = self._campaigns[campaign] + 0.07 * _rows(rng, len(copies))
        cluster[copies] = _TOPICS + campaign
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        logits = self._bias + self._topic_risk[cluster] + points @ self._heads.T
        logits += rng.normal(0.0, 1.0, logits.shape)
        return {
            "embeddings": points,
            "clusters": cluster,
            "independent": 1.0 / (1.0 + np.exp(-logits)),
            "exclusive": _softmax(np.column_stack([logits[:, :-1], np.zeros(rows)])),
        }


def _rows(rng: Generator, count: int) -> Float32:
    """Directions of length about 1."""
    drawn = rng.standard_normal((count, DIMENSIONS), dtype=np.float32)
    drawn /= np.float32(np.sqrt(DIMENSIONS))
    return drawn


def _softmax(logits: NDArray[np.float64]) -> Float32:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
