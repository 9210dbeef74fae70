"""How many items of a batch are near-duplicates of another: the default plan, and peers' top k.

    python -m benchmarks.near_duplicates [--seeds 3]

A batch of 1,000 of 200,000 items, 6 % of which are near copies of 240 posts. Two items are
near-duplicates above a cosine of 0.98. modAL's margin, entropy and least confidence choose from the
same exclusive probabilities as the default plan; it also chooses from independent ones.
Exit 1 if a bar is missed, 2 if modAL is not installed.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.sampler_cells import in_fork
from benchmarks.sampler_peers import NoPeer, modal
from benchmarks.sampler_pools import SEED, MadePool, made_pools
from benchmarks.sampler_quality import clusters_hit, near_duplicates, uncertainty_of
from benchmarks.sampler_report import NO_PEER, Bars
from sampling import DEFAULT_PLAN, STRATEGIES, choose

ITEMS, PICKS = 200_000, 1_000


def batches(made: MadePool, *, seed: int) -> dict[str, np.ndarray]:
    """Rows of each batch, by who chose."""
    found = {}
    for exclusive in (True, False):
        pool = made.pool(exclusive=exclusive)
        kind = "exclusive" if exclusive else "multi-label"
        found[f"ours: default plan, {kind}"] = choose(
            DEFAULT_PLAN, pool, limit=PICKS, seed=seed
        ).rows
        for name in ("margin", "random"):
            rng = np.random.default_rng(seed)
            found[f"ours: {name} alone, {kind}"] = STRATEGIES[name](pool, limit=PICKS, rng=rng)
    for measure in ("margin", "entropy", "uncertainty"):
        peer = modal(measure)
        found[peer.name] = np.asarray(peer.choose(peer.build(made), PICKS))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=3, help="pools, each of its own seed")
    given = parser.parse_args(arguments)
    console = Console(width=120)
    shares: dict[str, list[tuple[float, int, float]]] = {}
    try:
        for seed in range(given.seeds):
            with made_pools(ITEMS, seed=SEED + seed) as pools:
                made = pools[ITEMS]
                found, _memory = in_fork(
                    lambda start: (start(), batches(made, seed=seed))[1]  # noqa: B023
                )
                for name, rows in found.items():
                    shares.setdefault(name, []).append(
                        (
                            near_duplicates(made, rows),
                            clusters_hit(made, rows),
                            uncertainty_of(made, rows),
                        )
                    )
    except NoPeer as missing:
        console.print(str(missing))
        return NO_PEER
    table = Table(title=f"Batches of {PICKS:,} of {ITEMS:,}, mean of {given.seeds} pools")
    for heading in ("by", "near-duplicates", "clusters", "uncertainty"):
        table.add_column(heading, justify="left" if heading == "by" else "right")
    for name, figures in shares.items():
        near, clusters, uncertain = np.mean(figures, axis=0)
        table.add_row(name, f"{near:.1%}", f"{clusters:.0f}", f"{uncertain:.3f}")
    console.print(table)
    bars = Bars(console)
    for name, figures in shares.items():
        if "default plan" in name:
            most = 100.0 * max(near for near, _clusters, _uncertain in figures)
            bars.hold(f"{name}: near-duplicates in any batch", most, "at most", 0.0, "%")
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
