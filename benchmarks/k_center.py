"""Exact k-center: the same picks as brute force, against the exact peers and the machine.

    python -m benchmarks.k_center [--rounds 3] [--million | --no-million] [--peers-at-200k]

Peers are scikit-activeml's CoreSet, ALiPy's CoresetGreedy and cardinal's KCenterGreedy, over the
same float32 rows and the same labelled row. All of them run once a size; the fastest alternates
with ours. The limit is that of comparing every row with every pick, each round measured anew.
Exit 1 if a bar is missed, 2 if a peer is not installed.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.sampler_cells import Contender, in_fork, measure
from benchmarks.sampler_limits import measure_limits
from benchmarks.sampler_peers import (
    ANCHORS,
    NoPeer,
    activeml_core_set,
    alipy_coreset,
    cardinal_k_center,
)
from benchmarks.sampler_pools import MadePool, made_pools
from benchmarks.sampler_report import NO_PEER, Bars, Spread, Times, size_of
from sampling import STRATEGIES

AGAINST_PEERS = ((10_000, 1_000), (50_000, 100))
LARGE, LARGEST, PICKS = 200_000, 1_000_000, 1_000
LEAST_FASTER, MOST_OF_LIMIT = 20.0, 2.5

OURS = Contender(
    "ours: k_center",
    lambda made: made.pool(labelled=made.labelled(ANCHORS)),
    lambda pool, picks: STRATEGIES["k_center"](pool, limit=picks, rng=np.random.default_rng(0)),
)


def brute_force(made: MadePool, picks: int) -> NDArray[np.intp]:
    """Plain greedy: every distance to every pick, one pick after the other, in float64 over the
    rows that every strategy sees (of length 1 in float32)."""
    rows = made.pool().unit_embeddings(np.arange(len(made))).astype(np.float64)
    size = np.einsum("ij,ij->i", rows, rows)

    def apart(row: int) -> NDArray[np.float64]:
        found: NDArray[np.float64] = size + size[row] - 2.0 * (rows @ rows[row])
        return found

    nearest = np.full(len(rows), np.inf)
    for anchor in range(len(rows) - ANCHORS, len(rows)):
        nearest = np.minimum(nearest, apart(anchor))
    chosen = []
    for _ in range(picks):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, apart(chosen[-1]))
    return np.asarray(chosen)


def against_peers(made: MadePool, picks: int, *, rounds: int, times: Times, bars: Bars) -> None:
    size = size_of(made, picks)
    truth, _memory = in_fork(lambda is_measured: (is_measured(), brute_force(made, picks))[1])
    peers = [activeml_core_set(), alipy_coreset(), cardinal_k_center()]
    ours, theirs = [], []
    for turn in range(rounds):
        cell = times.add(size, OURS, measure(OURS, made, picks=picks))
        ours.append(cell)
        times.notes[size, OURS.name] = _agreement(cell.rows, truth)
        found = [times.add(size, peer, measure(peer, made, picks=picks)) for peer in peers]
        for peer, one in zip(peers, found, strict=True):
            times.notes[size, peer.name] = _agreement(one.rows, truth)
        if not turn:
            fastest = min(range(len(peers)), key=lambda i: found[i].choose)
            peers, found = [peers[fastest]], [found[fastest]]
        theirs.append(found[0])
    same = min(float(np.mean(cell.rows == truth)) for cell in ours)
    bars.hold(f"{size}: picks in brute force's order", 100.0 * same, "at least", 100.0, "%")
    faster = Spread.of([b.choose / a.choose for a, b in zip(ours, theirs, strict=True)])
    bars.hold(f"{size}: faster than {peers[0].name}", faster, "at least", LEAST_FASTER)


def against_limit(made: MadePool, picks: int, *, rounds: int, times: Times, bars: Bars) -> None:
    size = size_of(made, picks)
    ratios = []
    for _ in range(rounds):
        limits = measure_limits()
        cell = times.add(size, OURS, measure(OURS, made, picks=picks))
        bound = limits.all_distances(len(made), picks)
        ratios.append(cell.choose / bound)
        times.notes[size, OURS.name] = f"limit {bound:.2f} s: {limits}"
    bars.hold(f"{size}: over the limit", Spread.of(ratios), "at most", MOST_OF_LIMIT)


def _agreement(rows: NDArray[np.intp], truth: NDArray[np.intp]) -> str:
    same = int((rows == truth).sum())
    if same == len(truth):
        return "brute force's picks"
    return f"brute force's first {int((rows != truth).argmax())}, {same} in all"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--million", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--peers-at-200k", action="store_true", help="each some four minutes")
    given = parser.parse_args(arguments)
    console = Console(width=120)
    times = Times("Exact k-center, CPU seconds of one thread")
    bars = Bars(console)
    sizes = [size for size, _ in AGAINST_PEERS] + [LARGE] + [LARGEST] * given.million
    try:
        with made_pools(*sizes) as pools:
            for size, picks in AGAINST_PEERS:
                against_peers(pools[size], picks, rounds=given.rounds, times=times, bars=bars)
            if given.peers_at_200k:
                against_peers(pools[LARGE], PICKS, rounds=1, times=times, bars=bars)
            for size in sizes[len(AGAINST_PEERS) :]:
                against_limit(pools[size], PICKS, rounds=given.rounds, times=times, bars=bars)
    except NoPeer as missing:
        console.print(str(missing))
        return NO_PEER
    times.print(console)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
