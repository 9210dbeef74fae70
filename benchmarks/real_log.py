"""`python -m benchmarks.real_log`: on a decision log with gold, do audits tell what is true of it?

The log comes in by fortnights; each fortnight some items are drawn for an audit, half of them
(`--floor`) evenly, half where answers narrow precision and recall of each category on each surface
most, and the gold answers (benchmarks/logged_decisions.py and logged_loop.py). What the labels say
of each model's decisions stands beside what is true of all of them: prevalence, precision and
recall of every category on every surface.

Some runs go through the loop's own steps on a Postgres of their own; the same runs in memory must
give the same figures. Many more runs in memory then say how often the intervals cover. A figure
without enough events is a code, and counts as told by nobody. Cells with a number in half of the
runs are judged, less two standard errors.
Options: `--data FOLDER`, `--runs 300`, `--loops 1`, `--audits 200`, `--floor .5`. Exit 1 if a bar
is missed, 2 without the log.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import structlog
from rich.console import Console
from rich.table import Table

from benchmarks.logged_decisions import (
    KINDS,
    METRICS,
    Figures,
    Log,
    read_log,
    replayed,
    shares,
)
from benchmarks.logged_loop import as_grouped_in, looped
from benchmarks.queue_ground import make_database, server
from benchmarks.sampler_report import Bars
from hitl.db import connect, migrate
from hitl.evaluation import wilson
from hitl.evaluation.measurements import Measurement
from hitl.records import ModelVersion

SHARED = Path(os.environ.get("HITL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
NO_DATA = 2
CERTIFIED, DESCRIPTIVE = 0.94, (0.92, 0.98)
LEAST_EVENTS, LEAST_SHOWN = 20, 10


class Cell(NamedTuple):
    """A model, surface, category and metric over the runs. Coverage: certified, descriptive where
    it is not marked unstable, naive; `counted` runs are behind each."""

    model: str
    surface: str
    category: str
    metric: str
    truth: float
    runs: int
    told: float
    events: float
    counted: tuple[int, ...]
    coverage: tuple[float, ...]
    width: float

    def error(self, kind: int, share: float) -> float:
        return math.sqrt(share * (1.0 - share) / max(self.counted[kind], 1))


def cells_of(log: Log, model: ModelVersion, found: list[Figures]) -> list[Cell]:
    """Every cell of a model of which anything is true at all."""
    truth, _ = shares(log, model, np.flatnonzero(log.decided(model)))
    made = []
    for m, metric in enumerate(METRICS):
        for place, surface in enumerate(("all", *log.surfaces)):
            for c, category in enumerate(log.policy.category_ids):
                here = float(truth[m, place, c])
                if math.isnan(here):
                    continue
                low, high = (
                    np.array([getattr(one, end)[:, m, place, c] for one in found])
                    for end in ("low", "high")
                )
                inside = (low <= here) & (here <= high)
                told = ~np.isnan(low[:, 0])
                steady = told & np.array([one.steady[1, m, place, c] for one in found])
                naive = np.array([_naive(one, (m, place, c), here) for one in found])
                behind = (told, steady, told)
                hits = (inside[:, 0], inside[:, 1], naive)
                made.append(
                    Cell(
                        model=model,
                        surface=surface,
                        category=category,
                        metric=metric,
                        truth=here,
                        runs=len(found),
                        told=float(told.mean()),
                        events=float(np.mean([one.events[0, m, place, c] for one in found])),
                        counted=tuple(int(rows.sum()) for rows in behind),
                        coverage=tuple(
                            float(hit[rows].mean()) if rows.any() else math.nan
                            for hit, rows in zip(hits, behind, strict=True)
                        ),
                        width=float((high - low)[told, 0].mean()) if told.any() else math.nan,
                    )
                )
    return made


def _naive(one: Figures, at: tuple[int, int, int], truth: float) -> bool:
    """Whether Wilson's interval of the plain share among the labels covers."""
    if one.naive_n[at] == 0:
        return False
    low, high = wilson(float(one.naive[at]), float(one.naive_n[at]))
    return low <= truth <= high


def through_the_loop(
    log: Log, *, loops: int
) -> tuple[Log, list[dict[ModelVersion, tuple[Measurement, ...]]]]:
    """The log with its groups as the loop made them, and what the loop measured in each run."""
    measured = []
    with server() as running:
        for run in range(loops):
            engine = connect(make_database(running, name=f"log_{run}"))
            migrate(engine)
            measured.append(looped(log, engine, run=run))
            log = as_grouped_in(log, engine)
            engine.dispose()
    return log, measured


def compare(log: Log, measured: tuple[Measurement, ...], figures: Figures) -> tuple[int, float]:
    """How many figures the loop and the replay both tell, and the largest difference of any."""
    both, most = 0, 0.0
    for one in measured:
        if (
            one.category not in log.policy.category_ids
            or one.metric not in METRICS
            or one.slice_name not in ("", "surface")
        ):
            continue
        at = (
            KINDS.index(one.kind),  # type: ignore[arg-type]
            METRICS.index(one.metric),
            log.surfaces.index(one.slice_value) + 1 if one.slice_name else 0,
            log.policy.category_ids.index(one.category),
        )
        here = [getattr(figures, name)[at] for name in ("value", "low", "high")]
        there = [math.nan if x is None else x for x in (one.value, one.low, one.high)]
        if np.isnan(here).any() != np.isnan(there).any():
            most = math.inf
        elif not np.isnan(here).any():
            both += 1
            most = max(most, float(np.abs(np.subtract(here, there)).max()))
    return both, most


def show(console: Console, cells: list[Cell]) -> None:
    table = Table(title="What audits said, over all runs", title_justify="left")
    for name in ("model", "surface", "category", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("truth", "told", "events", "certified", "width", "descriptive", "naive"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in cells:
        covered = [
            f"{share:.2f}" if counted >= LEAST_SHOWN else "-"
            for share, counted in zip(one.coverage, one.counted, strict=True)
        ]
        table.add_row(
            one.model.removeprefix("mod-lr-"), one.surface, one.category, one.metric,
            f"{one.truth:.3f}", f"{one.told:.0%}", f"{one.events:.0f}", covered[0],
            "-" if math.isnan(one.width) else f"{one.width:.3f}", covered[1], covered[2],
        )  # fmt: skip
    console.print(table)


def judge(console: Console, bars: Bars, cells: list[Cell], *, is_allocated: bool) -> None:
    told = [one for one in cells if one.told >= 0.5]
    steady = [
        one for one in cells if one.counted[1] >= 0.5 * one.runs and one.events >= LEAST_EVENTS
    ]
    low, high = DESCRIPTIVE
    under = [one for one in told if one.coverage[0] < CERTIFIED - 2 * one.error(0, CERTIFIED)]
    thin = [one for one in steady if one.coverage[1] < low - 2 * one.error(1, low)]
    fat = [one for one in steady if one.coverage[1] > high + 2 * one.error(1, high)]
    for words, kind, some in (("certified", 0, under), ("descriptive", 1, thin + fat)):
        for one in some:
            console.print(
                f"{words} {one.coverage[kind]:.3f} of {one.counted[kind]} runs: {one.metric} of "
                f"{one.category}, {one.surface}, {one.model}"
            )
    never = [one for one in cells if one.told == 0.0]
    console.print(
        f"{len(cells)} cells: {len(told)} have a number in half of the runs or more, {len(never)} "
        f"never have; certified covers {_mean(told, 0):.3f} on average, descriptive "
        f"{_mean(steady, 1):.3f} in {len(steady)} cells, naive {_mean(told, 2):.3f}"
    )
    bars.hold("cells that are judged", len(told), "at least", 30, "cells")
    bars.hold("certified: cells under .94", len(under), "at most", 0, "cells")
    bars.hold("descriptive: cells under .92", len(thin), "at most", 0, "cells")
    bars.hold("descriptive: cells over .98", len(fat), "at most", 0, "cells")
    for metric in METRICS:
        of_metric = [one for one in told if one.metric == metric]
        console.print(
            f"{metric}: certified intervals are "
            f"{np.mean([one.width for one in of_metric]):.3f} wide on average of {len(of_metric)} "
            f"cells; naive ones cover {_mean(of_metric, 2):.3f}"
        )
    uneven = [one for one in told if one.metric == "recall" and one.truth > 0.0]
    if is_allocated:
        bars.hold("naive recall: mean coverage", _mean(uneven, 2), "at most", 0.8, "")


def _mean(cells: list[Cell], kind: int) -> float:
    return float(np.mean([one.coverage[kind] for one in cells])) if cells else math.nan


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=SHARED / "decisions")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--loops", type=int, default=1)
    parser.add_argument("--audits", type=int, default=200)
    parser.add_argument("--floor", type=float, default=0.5)
    given = parser.parse_args()
    console = Console(width=120)
    if not given.data.is_dir():
        console.print(f"there is no decision log in {given.data}; name one with --data")
        return NO_DATA
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    bars = Bars(console)
    log, measured = through_the_loop(
        read_log(given.data, batch=given.audits, floor=given.floor), loops=given.loops
    )
    runs = [replayed(log, run=run) for run in range(given.runs)]
    for run, by_model in enumerate(measured):
        for model, rows in by_model.items():
            both, most = compare(log, rows, runs[run][model])
            console.print(f"run {run}, {model}: {both} figures of the loop beside the replay's")
            bars.hold(f"loop and replay, {model}: largest difference", most, "at most", 1e-6, "")
    cells: list[Cell] = []
    for model in log.said:
        found = [one[model] for one in runs]
        cells += cells_of(log, model, found)
        codes = Counter(code for one in found for code in one.code.ravel().tolist() if code)
        console.print(f"{model}: in place of numbers {dict(codes)} over all runs")
    show(console, cells)
    judge(console, bars, cells, is_allocated=given.floor < 1.0)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
