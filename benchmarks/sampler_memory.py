"""What each strategy holds beside a memory-mapped pool of a million items.

    python -m benchmarks.sampler_memory [--only k_center,badge] [--items 1000000]

Every entry of `sampling.STRATEGIES`, and the default plan, choose 1,000 of 1,000,000 x 384. The
embeddings, the probabilities and what a few strategies read beside them (three passes, three
modalities, three models) are files, mapped; the ids, the seconds, the languages and a thousand
labelled rows are the caller's. What counts is all that the pool (its checks, a hash of every id)
and the choice make in memory together, at its highest. A strategy that refuses a pool so large
says so, and holds nothing.
Exit 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.sampler_cells import Contender, measure
from benchmarks.sampler_pools import SEED, MadePool, made_pools
from benchmarks.sampler_report import Bars, Times, size_of
from sampling import DEFAULT_PLAN, STRATEGIES, BadBudget, Pool, Strategy, choose

ITEMS, PICKS, LABELLED = 1_000_000, 1_000, 1_000
MOST_MEMORY = 256.0
SHOWN = 8
"""Of the bars, those of the strategies that take most; where these are met, all others are."""
DEFAULT = "the default plan"
OPINIONS = ("text", "image", "audio")
READS = {
    "bald": "passes",
    "vote_entropy": "passes",
    "modal_vote_entropy": "passes",
    "modal_consensus_entropy": "passes",
    "modal_max_disagreement": "passes",
    "modality_disagreement": "modalities",
    "model_disagreement": "models",
}
REFUSES = ("modal_information_density", "modal_ranked_batch")
"""modAL's own code for these is quadratic in the pool; the bridge says no before it starts."""
LANGUAGES = np.array(["en", "de", "tr", "id"])


class Candidates:
    """The made pool with all that any strategy asks for."""

    def __init__(self, made: MadePool, folder: Path) -> None:
        rng = np.random.default_rng(SEED)
        self.opinions = _opinions(made, folder / "opinions.npy")
        self._seconds = rng.lognormal(3.0, 0.5, len(made))
        self._languages = pa.array(LANGUAGES[rng.integers(0, len(LANGUAGES), len(made))])
        self._labelled = made.labelled(LABELLED)

    def pool(self, made: MadePool, *, reads: str | None) -> Pool:
        rows = len(made)
        said = self.opinions[:, :rows]
        more: dict[str, Any] = {}
        if reads == "passes":
            more["passes"] = said
        elif reads is not None:
            more[reads] = dict(zip(OPINIONS, said, strict=True))
        return made.pool(
            labelled=self._labelled,
            seconds=self._seconds[:rows],
            slices=self._languages.slice(0, rows),
            **more,
        )


def _opinions(made: MadePool, file: Path) -> NDArray[np.float32]:
    """Shape (3, N, C), mapped: the model's own, shaken."""
    shape = (len(OPINIONS), *made.independent.shape)
    said = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    rng = np.random.default_rng(SEED)
    for one in said:
        shaken = made.independent + rng.normal(0.0, 0.05, made.independent.shape)
        one[:] = np.clip(shaken, 0.0, 1.0)
    said.flush()
    return np.asarray(np.load(file, mmap_mode="r"))


def contender(name: str, candidates: Candidates) -> Contender:
    def build(made: MadePool) -> Pool:
        return candidates.pool(made, reads=READS.get(name))

    def by_plan(pool: Pool, picks: int) -> NDArray[np.intp]:
        return choose(DEFAULT_PLAN, pool, limit=picks, seed=0).rows

    def by_strategy(pool: Pool, picks: int) -> NDArray[np.intp]:
        return STRATEGIES[name](pool, limit=picks, rng=np.random.default_rng(0))

    return Contender(name, build, by_plan if name == DEFAULT else by_strategy)


def is_refused(strategy: Strategy, pool: Pool) -> bool:
    try:
        strategy(pool, limit=PICKS, rng=np.random.default_rng(0))
    except BadBudget:
        return True
    return False


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", default=",".join((DEFAULT, *STRATEGIES)), help="comma-separated")
    parser.add_argument("--items", type=int, default=ITEMS)
    given = parser.parse_args(arguments)
    console = Console(width=120)
    times = Times(f"Memory beside the pool, {PICKS:,} picks")
    bars = Bars(console)
    with made_pools(given.items) as pools, tempfile.TemporaryDirectory() as folder:
        made = pools[given.items]
        candidates = Candidates(made, Path(folder))
        for name in given.only.split(","):
            one = contender(name, candidates)
            if name in REFUSES and is_refused(STRATEGIES[name], one.build(made)):
                console.print(f"{name} refuses {len(made):,} items")
                continue
            cell = measure(one, made, picks=PICKS, mapped=[candidates.opinions])
            times.add(size_of(made, PICKS), one, cell)
    times.print(console)
    memory = {name: cells[0].memory for (_size, name), cells in times.cells.items()}
    for name in sorted(memory, key=memory.__getitem__, reverse=True)[:SHOWN]:
        bars.hold(name, memory[name], "at most", MOST_MEMORY, "MiB")
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
