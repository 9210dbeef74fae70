"""`python -m benchmarks.estimates`: all online metrics at once, beside scipy a row at a time.

50,000 labels of uneven chances, 20 slices, 8 categories, every metric with its certified interval:
1,120 figures. Beside `estimate_tables`, by turns:

- *scipy*: what one would write without this library: a figure at a time, its labels by numpy, their
  totals, and `scipy.stats.chi2` for the limits. It gives the same numbers, which is checked.
- *statsmodels*, where it is installed (`make bench` installs it): the same totals, and Clopper and
  Pearson's limits on the effective n by `proportion_confint`, the nearest that it has.
- *one by one*: our own `estimate`, which checks what it is given each time.

CPU seconds. Every turn is taken twice and both are printed. The bar is on the second: the first
pays for memory that nobody touched since the turn before, on a busy machine as much again.
Options: `--labels`, `--rounds`.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import chi2

from benchmarks.sampler_report import Bars, Spread
from hitl.evaluation import METRICS, estimate, estimate_tables

SLICES, CATEGORIES = 20, 8
FEWEST = 10

FloatArray = NDArray[np.float64]
Limits = Callable[[FloatArray, FloatArray, FloatArray, float, float], tuple[float, float]]


def make_labels(labels: int) -> dict[str, Any]:
    """Rare and frequent categories, chances that follow the scores."""
    rng = np.random.default_rng(20260101)
    scores = rng.beta(1, np.linspace(5, 40, CATEGORIES), (labels, CATEGORIES))
    return {
        "truth": (rng.random(scores.shape) < scores).astype(float),
        "flagged": scores > 0.3,
        "inclusion_probability": np.clip(0.02 + scores.max(axis=1), 0.0, 1.0),
        "groups": rng.integers(0, SLICES, labels),
        "size": SLICES,
        "largest_weight": 50.0,
    }


def at_once(given: dict[str, Any]) -> FloatArray:
    """Values and limits, shape (metrics, slices, categories, 3)."""
    return np.stack(
        [
            np.stack([table.value, table.low, table.high], axis=-1)
            for table in estimate_tables(METRICS, **given)
        ]
    )


def one_by_one(given: dict[str, Any]) -> FloatArray:
    """The same by `estimate`."""
    found = np.full((len(METRICS), SLICES, CATEGORIES, 3), np.nan)
    for group in range(SLICES):
        rows = given["groups"] == group
        for category in range(CATEGORIES):
            for k, metric in enumerate(METRICS):
                one = estimate(
                    metric,
                    truth=given["truth"][rows, category],
                    flagged=given["flagged"][rows, category],
                    inclusion_probability=given["inclusion_probability"][rows],
                    largest_weight=given["largest_weight"],
                )
                if one.value is not None:
                    found[k, group, category] = one.value, one.low, one.high
    return found


def a_row_at_a_time(given: dict[str, Any], limits: Limits) -> FloatArray:
    """The same, as a table is filled: of each figure its labels, their totals, and its limits."""
    found = np.full((len(METRICS), SLICES, CATEGORIES, 3), np.nan)
    for group, category in np.ndindex(SLICES, CATEGORIES):
        for k, cells in enumerate(METRICS.values()):
            rows = given["groups"] == group
            truth = given["truth"][rows, category].astype(int)
            flagged = given["flagged"][rows, category].astype(int)
            chance = given["inclusion_probability"][rows]
            good = np.array(cells.good, dtype=float)[truth, flagged]
            bad = np.array(cells.bad, dtype=float)[truth, flagged]
            if np.count_nonzero(good + bad) < FEWEST:
                continue
            value = (good / chance).sum() / ((good + bad) / chance).sum()
            most = [given["largest_weight"] * np.max(cell) for cell in cells]
            low, high = limits(good, bad, chance, *most)
            found[k, group, category] = value, min(low, value), max(high, value)
    return found


def by_scipy(
    good: FloatArray, bad: FloatArray, chance: FloatArray, most: float, most_bad: float
) -> tuple[float, float]:
    """Fay and Feuer's limits of both totals, joined as Zou and Donner do."""
    g, g_low, g_high = _gamma(good, chance, most)
    b, b_low, b_high = _gamma(bad, chance, most_bad)
    if g <= 0.0:
        return 0.0, g_high / (g_high + b_low)
    if b <= 0.0:
        return g_low / (g_low + b_high), 1.0
    more = math.hypot(math.log(b_high / b), math.log(g / g_low)) if g_low > 0.0 else math.inf
    less = math.hypot(math.log(b / b_low), math.log(g_high / g)) if b_low > 0.0 else math.inf
    return 1.0 / (1.0 + b / g * math.exp(more)), 1.0 / (1.0 + b / g * math.exp(-less))


def _gamma(worth: FloatArray, chance: FloatArray, most: float) -> tuple[float, float, float]:
    random = chance < 1.0
    amount = worth / chance
    total, certain = float(amount[random].sum()), float(amount[~random].sum())
    variance = float(((1.0 - chance) * amount**2).sum())
    low = variance / (2.0 * total) * chi2.ppf(0.025, 2.0 * total**2 / variance) if total else 0.0
    above, spread = total + most, variance + most**2
    high = spread / (2.0 * above) * chi2.ppf(0.975, 2.0 * above**2 / spread)
    return total + certain, certain + float(low), certain + float(high)


def _by_statsmodels() -> Limits | None:
    try:
        from statsmodels.stats.proportion import proportion_confint
    except ModuleNotFoundError:
        return None

    def limits(
        good: FloatArray, bad: FloatArray, chance: FloatArray, most: float, most_bad: float
    ) -> tuple[float, float]:
        base = (good + bad) / chance
        value = (good / chance).sum() / base.sum()
        residual = (good - value * (good + bad)) / chance / base.sum()
        variance = ((1.0 - chance) * residual**2).sum()
        n = (
            value * (1.0 - value) / variance
            if variance > 0.0
            else base.sum() ** 2 / (base**2).sum()
        )
        low, high = proportion_confint(value * n, n, alpha=0.05, method="beta")
        return float(low), float(high)

    return limits


def _seconds(way: Callable[[], FloatArray]) -> float:
    begun = time.process_time()
    way()
    return time.process_time() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--labels", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    console = Console(width=120)
    bars = Bars(console)
    given = make_labels(asked.labels)
    ways: dict[str, Callable[[], FloatArray]] = {
        "at once": lambda: at_once(given),
        "scipy, a row at a time": lambda: a_row_at_a_time(given, by_scipy),
        "one by one": lambda: one_by_one(given),
    }
    statsmodels = _by_statsmodels()
    if statsmodels is None:
        console.print("statsmodels is not installed (`make bench` installs it): scipy is the peer")
    else:
        ways["statsmodels, a row at a time"] = lambda: a_row_at_a_time(given, statsmodels)
    for name in ("scipy, a row at a time", "one by one"):
        np.testing.assert_allclose(ways["at once"](), ways[name](), rtol=1e-9, err_msg=name)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(asked.rounds):
        for name, way in ways.items():
            taken[name].append((_seconds(way), _seconds(way)))
    table = Table(title=f"{asked.labels:,} labels, all figures, CPU ms")
    for heading in ("way", "first", "again"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, turns in taken.items():
        table.add_row(name, *(str(Spread.of([one[k] * 1e3 for one in turns])) for k in (0, 1)))
    console.print(table)
    ours = taken.pop("at once")
    for name, turns in taken.items():
        pairs = list(zip(turns, ours, strict=True))
        first, again = (Spread.of([them[k] / us[k] for them, us in pairs]) for k in (0, 1))
        console.print(f"{name}, over all at once, first calls: {first} x")
        bars.hold(f"{name}, over all at once", again, "at least", 20)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
