"""`python -m benchmarks.worlds`: do intervals cover, in worlds we know, whatever the audit asks?

Seventeen populations: prevalence .2 to 20 %, 5 to 40 % of what violates hidden from the model, in
a few topics or anywhere, logits that are doubled, halved or shifted, one model or a better one each
round, unequal slices, questions left open. In each world three rounds of audits are drawn by the
loop's own code, later ones by what earlier answers said (benchmarks/audited_worlds.py);
`audit.levelled` weighs them, `estimate_tables` measures the decisions of the newest model as `hitl
measure` does, descriptive figures weighed up to how much it flags of everything. The same worlds
with an even audit, and with .7 (the default), half and a fifth of it spread evenly. Beside stands
the naive figure: the plain share among the same labels, with Wilson's interval.

A cell is a population, a floor, a metric and a slice. Where a world has too few events for a number
it says so with a code, and does not count; `told` is the share of worlds with a number, `own` that
of worlds where the descriptive figure is one of its own and not the certified one, which stands in
where few draws were likely to show what is heavy (`estimate`). Cells with fewer than 100 worlds are
shown and not judged. Descriptive intervals of their own are judged where 20 or more events are
sampled on average. The certified ones that stand in may cover too often, as they do everywhere;
together the two may not cover too seldom. All bars leave two standard errors for the simulation;
in tables one stands in brackets, in thousandths.
Options: `--worlds 480`, `--floors 1 .7 .5 .2`, `--seed`, `--only NAME`. Exit 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import norm

from benchmarks.audited_worlds import (
    REFERENCE,
    Audited,
    Population,
    World,
    audit,
    make_pool,
    make_world,
)
from benchmarks.sampler_report import Bars
from hitl.evaluation import METRICS, Kind, estimate_tables, usable_counts

POPULATIONS = (
    REFERENCE,
    replace(REFERENCE, name="reference, one model", improves=False),
    Population("p.2 h5 x2", 0.002, 0.05, 30_000, improves=False),
    Population("p.2 h30 up", 0.002, 0.30, 30_000, scale=1.0, shift=1.5),
    Population("p1 h5 down", 0.01, 0.05, 20_000, scale=1.0, shift=-1.5, improves=False),
    Population("p1 h15 flat", 0.01, 0.15, 20_000, scale=0.5),
    Population("p1 h30 x2", 0.01, 0.30, 20_000, improves=False),
    Population("p5 h5 flat", 0.05, 0.05, 12_000, scale=0.5, improves=False),
    Population("p5 h15 up", 0.05, 0.15, 12_000, scale=1.0, shift=1.5, improves=False),
    Population("p5 h15 weak", 0.05, 0.15, 12_000, separation=2.5),
    Population("p5 h30 x2", 0.05, 0.30, 12_000),
    Population("p20 h5 up", 0.20, 0.05, 12_000, scale=1.0, shift=1.5, improves=False),
    Population("p20 h30 down", 0.20, 0.30, 12_000, shift=-1.5),
    Population("p5 h15 slices", 0.05, 0.15, 12_000, slices=(0.7, 0.2, 0.07, 0.03), improves=False),
    Population("p5 h15 open", 0.05, 0.15, 12_000, answered=0.8),
    Population("p1 h40 anywhere", 0.01, 0.40, 20_000, in_few=0.0, improves=False),
    Population("p5 h5 anywhere", 0.05, 0.05, 12_000, in_few=0.0, improves=False),
)
FLOORS = (1.0, 0.7, 0.5, 0.2)
KINDS: tuple[Kind, ...] = ("certified", "descriptive")
LABELS, SEED = 1800, 20261101
CERTIFIED, DESCRIPTIVE = 0.94, (0.92, 0.98)
LEAST_EVENTS, LEAST_WORLDS, LEAST_SHOWN = 20, 100, 10
FloatArray = NDArray[np.float64]


class Told(NamedTuple):
    """Of one world: `low` and `high` (kinds + naive, metrics, slices), NaN where a code stands;
    `truth`, `events`, and whether descriptive figures are their `own` (metrics, slices)."""

    low: FloatArray
    high: FloatArray
    truth: FloatArray
    events: FloatArray
    own: NDArray[np.bool_]


class Cell(NamedTuple):
    """What a population, floor, metric and slice came to, over all worlds."""

    population: str
    floor: float
    metric: str
    slice_name: str
    truth: float
    told: float
    own: float
    events: float
    worlds: tuple[int, ...]  # behind each of the next: certified, descriptive, naive
    coverage: tuple[float, ...]
    width: tuple[float, ...]
    stand_ins: float  # coverage of the certified ones in their place

    @property
    def descriptive_at_all(self) -> float:
        """Coverage of the descriptive ones and those that stand in."""
        own, told = self.worlds[1], self.worlds[0]
        parts = ((self.coverage[1], own), (self.stand_ins, told - own))
        return sum(share * count for share, count in parts if count) / told

    def error(self, kind: int, share: float) -> float:
        """One standard error of a coverage that is `share`."""
        return math.sqrt(share * (1.0 - share) / max(self.worlds[kind], 1))


def measure(world: World, found: Audited, *, slices: int) -> Told:
    """Every metric over all and, where there are several, in each slice."""
    rows, of_slice = found.rows, world.slice_of[found.rows]
    parts = [np.zeros(len(rows), dtype=np.int64)] + ([of_slice + 1] if slices > 1 else [])
    size = 1 if slices == 1 else slices + 1
    at = np.tile(rows, len(parts))
    answered = _by_flag(world.flagged[at], np.concatenate(parts), size)
    everything = [world.flagged] + [world.flagged[world.slice_of == k] for k in range(size - 1)]
    counts = usable_counts(
        [[np.bincount(one, minlength=2)] for one in everything],
        answered[:, None],
        asked=answered.sum(axis=1) / world.answered,
    )
    tables = [
        list(
            estimate_tables(
                METRICS,
                truth=world.violating[at][:, None],
                flagged=world.flagged[at][:, None],
                inclusion_probability=np.tile(found.inclusion_probability, len(parts)),
                variance_weight=np.tile(found.counts.variance, len(parts)),
                groups=np.concatenate(parts),
                size=size,
                kind=kind,
                post_strata=counts if kind == "descriptive" else None,
                largest_weight=found.largest_weight,
                largest_flagged=[found.largest_flagged],
            )
        )
        for kind in KINDS
    ]
    limits = [
        np.array([[getattr(one, end)[:, 0] for one in kind] for kind in tables])
        for end in ("low", "high")
    ]
    events = np.array([one.n_events[:, 0] for one in tables[0]], dtype=float)
    members = [slice(None), *(world.slice_of == k for k in range(size - 1))]
    truth = np.array([[world.true(metric, part) for part in members] for metric in METRICS])
    naive_low, naive_high = _naive(world, rows, [np.ones(len(rows), bool)] + [
        of_slice == k for k in range(size - 1)
    ])  # fmt: skip
    has_number = ~np.isnan(limits[0][0])
    return Told(
        np.concatenate([limits[0], np.where(has_number, naive_low, np.nan)[None]]),
        np.concatenate([limits[1], np.where(has_number, naive_high, np.nan)[None]]),
        truth,
        events,
        np.array([~one.is_certified[:, 0] for one in tables[1]]),
    )


def _by_flag(flagged: NDArray[np.bool_], groups: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many of each group are not flagged and flagged, (size, 2)."""
    return np.bincount(2 * groups + flagged, minlength=2 * size).reshape(size, 2)


def _naive(
    world: World, rows: NDArray[np.intp], parts: list[NDArray[np.bool_]]
) -> tuple[FloatArray, FloatArray]:
    """Wilson's interval of the plain share among the labels: (metrics, slices) each."""
    cell = 2 * world.violating[rows] + world.flagged[rows]
    counts = np.array([np.bincount(cell[part], minlength=4) for part in parts]).reshape(-1, 2, 2)
    good, bad = (
        np.array([(counts * np.array(one[side])).sum(axis=(1, 2)) for one in METRICS.values()])
        for side in (0, 1)
    )
    z = float(norm.ppf(0.975))
    with np.errstate(divide="ignore", invalid="ignore"):
        n, share = good + bad, good / (good + bad)
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def cells_of(
    population: Population, floors: Sequence[float], *, worlds: int, number: int, seed: int
) -> Iterator[Cell]:
    """Every cell of a population; all floors see the same worlds."""
    pool = make_pool(population.items)
    slices = len(population.slices)
    told: dict[float, list[Told]] = {floor: [] for floor in floors}
    for k in range(worlds):
        world = make_world(population, np.random.default_rng([seed, number, k]))
        for floor in floors:
            rng = np.random.default_rng([seed + 1, number, k, round(100 * floor)])
            found = audit(world, pool, labels=LABELS, floor=floor, rng=rng)
            told[floor].append(measure(world, found, slices=slices))
    for floor, of_floor in told.items():
        low, high, truth, events, own = (np.stack(one) for one in zip(*of_floor, strict=True))
        has_number = ~np.isnan(low[:, 0])
        inside = (low <= truth[:, None]) & (truth[:, None] <= high)
        for m, metric in enumerate(METRICS):
            for s in range(truth.shape[2]):
                told_in = has_number[:, m, s]
                own_in = told_in & own[:, m, s]
                here, width = inside[:, :, m, s], (high - low)[:, :, m, s]
                behind = list(enumerate((told_in, own_in, told_in)))
                yield Cell(
                    population=population.name,
                    floor=floor,
                    metric=metric,
                    slice_name=f"slice {s}" if s else "all",
                    truth=_mean(truth[:, m, s], ~np.isnan(truth[:, m, s])),
                    told=float(told_in.mean()),
                    own=float(own_in.mean()),
                    events=_mean(events[:, m, s], told_in),
                    worlds=tuple(int(rows.sum()) for _, rows in behind),
                    coverage=tuple(_mean(here[:, k], rows) for k, rows in behind),
                    width=tuple(_mean(width[:, k], rows) for k, rows in behind),
                    stand_ins=_mean(here[:, 1], told_in & ~own_in),
                )


def _mean(values: NDArray[np.generic], rows: NDArray[np.bool_]) -> float:
    return float(values[rows].mean()) if rows.any() else math.nan


def show(console: Console, population: Population, cells: list[Cell]) -> None:
    """The cells of one population."""
    table = Table(
        padding=(0, 0),
        title=f"{population.name}: {population.prevalence:.1%} violate, {population.hidden:.0%} of "
        f"it hidden, logits x{population.scale:g} {population.shift:+g}; {population.items:,} "
        f"items, {LABELS:,} asked, {population.answered:.0%} answered, "
        f"{'a model a round' if population.improves else 'one model'}",
        title_justify="left",
    )
    for heading in (
        "slice", "metric", "floor", "truth", "told", "events", "certified", "width", "own",
        "descriptive", "width", "stand-ins", "naive",
    ):  # fmt: skip
        table.add_column(
            heading, justify="left" if heading in ("slice", "metric") else "right", no_wrap=True
        )
    order = list(METRICS)
    for one in sorted(cells, key=lambda one: (one.slice_name, order.index(one.metric))):
        certified, descriptive = (
            f"{one.coverage[k]:.3f}({1000 * one.error(k, one.coverage[k]):.0f})"
            if one.worlds[k] >= LEAST_SHOWN
            else "-"
            for k in (0, 1)
        )
        table.add_row(
            one.slice_name, one.metric, f"{one.floor:g}", f"{one.truth:.4f}", f"{one.told:.0%}",
            f"{one.events:.0f}", certified, f"{one.width[0]:.3g}", f"{one.own:.0%}",
            descriptive, f"{one.width[1]:.3g}" if one.worlds[1] >= LEAST_SHOWN else "-",
            _plain(one.stand_ins), _plain(one.coverage[2]),
        )  # fmt: skip
    console.print(table)


def _average(shares: list[float], counted: list[int] | None = None) -> str:
    return f"{np.average(shares, weights=counted):.3f}" if shares else "-"


def _plain(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.3f}"


def judge(console: Console, bars: Bars, cells: list[Cell]) -> None:
    """The bars; and by name what misses one."""
    told = [one for one in cells if one.worlds[0] >= LEAST_WORLDS]
    own = [one for one in cells if one.worlds[1] >= LEAST_WORLDS and one.events >= LEAST_EVENTS]
    low, high = DESCRIPTIVE
    under = [one for one in told if one.coverage[0] < CERTIFIED - 2 * one.error(0, CERTIFIED)]
    thin = [one for one in own if one.coverage[1] < low - 2 * one.error(1, low)]
    fat = [one for one in own if one.coverage[1] > high + 2 * one.error(1, high)]
    for words, kind, some in (("certified", 0, under), ("descriptive", 1, thin + fat)):
        for one in some:
            console.print(
                f"{words} {one.coverage[kind]:.3f} of {one.worlds[kind]} worlds: "
                f"{one.population}, floor {one.floor:g}, {one.metric}, {one.slice_name}, "
                f"{one.events:.0f} events"
            )
    many = [one for one in told if one.events >= LEAST_EVENTS]
    worse = [one for one in many if one.descriptive_at_all < low - 2 * one.error(0, low)]
    replaced = [one for one in cells if one.worlds[0] > one.worlds[1]]
    times = [one.worlds[0] - one.worlds[1] for one in replaced]
    console.print(
        f"{len(cells)} cells; certified is judged in {len(told)} and covers "
        f"{_average([one.coverage[0] for one in told])} on average; descriptive is judged in "
        f"{len(own)} of {len(many)} with {LEAST_EVENTS} events and covers "
        f"{_average([one.coverage[1] for one in own])}; certified ones in their place "
        f"({sum(times):,} times) {_average([one.stand_ins for one in replaced], times)}"
    )
    lowest = min(one.coverage[0] + 2 * one.error(0, CERTIFIED) for one in told)
    bars.hold("certified: cells under .94", len(under), "at most", 0, "cells")
    bars.hold("certified: lowest of all cells, + 2 standard errors", lowest, "at least", 0.94, "")
    bars.hold("descriptive: cells under .92", len(thin), "at most", 0, "cells")
    bars.hold("descriptive: cells over .98", len(fat), "at most", 0, "cells")
    bars.hold(
        "the same and those that stand in: cells under .92", len(worse), "at most", 0, "cells"
    )
    for metric in ("prevalence", "recall"):
        uneven = [one.coverage[2] for one in told if one.floor < 1.0 and one.metric == metric]
        claim = f"naive {metric}: mean coverage where chances differ"
        if uneven:
            bars.hold(claim, float(np.mean(uneven)), "at most", 0.5, "")
    error = max(one.error(0, 0.95) for one in told if one.told > 0.99)
    bars.hold("standard error of a coverage of .95, all worlds told", error, "at most", 0.01, "")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--worlds", type=int, default=480)
    parser.add_argument("--floors", type=float, nargs="+", default=FLOORS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", choices=[one.name for one in POPULATIONS])
    given = parser.parse_args()
    if given.worlds < LEAST_WORLDS:
        parser.error(f"--worlds: {LEAST_WORLDS} or more, or nothing can be judged")
    console = Console(width=120)
    bars = Bars(console)
    cells: list[Cell] = []
    for number, population in enumerate(POPULATIONS):
        if given.only not in (None, population.name):
            continue
        found = list(
            cells_of(population, given.floors, worlds=given.worlds, number=number, seed=given.seed)
        )
        show(console, population, found)
        cells += found
    judge(console, bars, cells)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
