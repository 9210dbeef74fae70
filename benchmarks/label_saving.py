"""`python -m benchmarks.label_saving`: how many labels an allocated audit saves, and what it costs.

In each world (benchmarks/audited_worlds.py: three rounds, the loop's own draws and estimates, one
model throughout) audits of a ladder of sizes are drawn evenly, and with a part of them spread
evenly: the *floor*. A curve through the half widths gives the labels at which the interval of
recall, or of precision, is +-.05. Where few draws were likely to show what is heavy a descriptive
interval is the certified one (`estimate`). For descriptive recall an audit of that size is then
drawn anew; its half width stands beside, and how often it is an interval of its own (`steady`). All
floors see the same worlds. `-`: beyond the ladder.

The last row is the limit: the labels that Neyman's chances would need for one who knows how likely
each item is to violate. Where violating items are frequent even draws find enough of them, and
where the model does not see them nobody knows whom to ask: there not even the limit is half of an
even audit, and ours are held to be near it.

A second table counts what certificates may use of the same number of labels: exact tests need even
draws, so labels of uneven chances are thinned to one (`hitl.evaluation.thin`); last, how many
flagged ones are left where these are thinned among themselves, as for certificates of precision.
Options: `--worlds 10`. Exit 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import brentq

from benchmarks.audited_worlds import (
    REFERENCE,
    Audited,
    Population,
    World,
    audit,
    knowable,
    make_pool,
    make_world,
)
from benchmarks.sampler_report import Bars, Spread
from hitl.evaluation import Estimate, Kind, estimate, thin

HALF_WIDTH = 0.05
FLOORS = (1.0, 0.8, 0.7, 0.5, 0.2)
QUESTIONS: tuple[tuple[str, Kind], ...] = (
    ("recall", "descriptive"),
    ("recall", "certified"),
    ("precision", "descriptive"),
    ("precision", "certified"),
)
RUNGS = 2.0 ** np.array([-5, -4, -3, -2, -1, 0, 1])
THINNED = 3000
BAR = 0.5
NEAR = 1.5
"""Times what the best chances need: so close ours must come where that is more than BAR."""
POPULATIONS = (
    replace(REFERENCE, items=100_000, improves=False),
    Population("p1 h5 x2", 0.01, 0.05, 100_000, improves=False),
    Population("p1 h5 flat", 0.01, 0.05, 100_000, scale=0.5, improves=False),
    Population("p1 h30 x2", 0.01, 0.30, 100_000, improves=False),
    Population("p5 h5 x2", 0.05, 0.05, 40_000, improves=False),
    Population("p5 h10 flat", 0.05, 0.10, 40_000, scale=0.5, improves=False),
    Population("p5 h30 x2", 0.05, 0.30, 40_000, improves=False),
    Population("p20 h15 x2", 0.20, 0.15, 20_000, improves=False),
)
BARRED = (0.7,)
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def ask(world: World, found: Audited, metric: str, kind: Kind) -> Estimate:
    return estimate(
        metric,
        truth=world.violating[found.rows],
        flagged=world.flagged[found.rows],
        inclusion_probability=found.inclusion_probability,
        variance_weight=found.counts.variance,
        kind=kind,
        largest_weight=found.largest_weight,
        largest_flagged=found.largest_flagged,
    )


def half_width(one: Estimate) -> float:
    """NaN where there is no number."""
    return math.nan if one.low is None or one.high is None else (one.high - one.low) / 2.0


def labels_for(sizes: FloatArray, widths: FloatArray) -> FloatArray:
    """Where the half widths (W, rungs) of audits of these sizes come down to what is wanted: (W,).

    A parabola through the logarithms of the five rungs around it, of all worlds together: near a
    line of slope -1/2, steeper where the pool runs out. A world is as far above or below it as its
    own half widths are at these rungs. NaN beyond the ladder.
    """
    nothing = np.full(len(widths), np.nan)
    told = np.flatnonzero((~np.isnan(widths)).all(axis=0))
    mean = widths[:, told].mean(axis=0)
    if len(told) < 3 or not mean.min() <= HALF_WIDTH <= mean.max():
        return nothing
    near = np.sort(np.argsort(np.abs(np.log(mean / HALF_WIDTH)))[:5])
    x = np.log(sizes[told[near]])
    curve = np.polynomial.Polynomial.fit(x, np.log(mean[near]), 2)
    wider = (widths[:, told[near]] / mean[near]).mean(axis=1)
    grid = np.linspace(x.min() - 0.3, x.max() + 0.3, 2000)
    under = curve(grid)[None, :] + np.log(wider)[:, None] <= math.log(HALF_WIDTH)
    return np.where(under.any(axis=1), np.exp(grid[under.argmax(axis=1)]), np.nan)


def fewest_labels(of: Population, world: World) -> tuple[float, float]:
    """Even draws for recall, and those of the best chances there are: Neyman's, for one who knows
    how likely each item violates (`knowable`). By variances, Poisson draws, no floor.

    Source: chances in proportion to the root of what an item adds to the variance, none above 1.
    """
    chance = knowable(of, world)
    recall = float(chance[world.flagged].sum() / chance.sum())
    added = chance * (world.flagged - recall) ** 2
    wanted = (HALF_WIDTH / 1.96 * chance.sum()) ** 2
    best = brentq(lambda log: _variance(added, np.sqrt(added) * math.exp(log)) - wanted, -20, 20)
    even = brentq(
        lambda log: _variance(added, np.full(len(added), math.exp(log))) - wanted, -20, 20
    )
    return (
        len(added) * math.exp(even),
        float(np.minimum(np.sqrt(added) * math.exp(best), 1.0).sum()),
    )


def _variance(added: FloatArray, drawn_with: FloatArray) -> float:
    drawn_with = np.minimum(drawn_with, 1.0)
    return float((added * (1.0 - drawn_with) / drawn_with).sum())


def half_widths(of: Population, made: list[World], sizes: IntArray, *, number: int) -> FloatArray:
    """Of one audit a floor, world and size: (floors, questions, W, rungs), NaN where no number."""
    pool = make_pool(of.items)
    widths = np.full((len(FLOORS), len(QUESTIONS), len(made), len(sizes)), np.nan)
    for place, floor in enumerate(FLOORS):
        for k, world in enumerate(made):
            for rung, labels in enumerate(sizes.tolist()):
                rng = np.random.default_rng([20261112, number, k, place, rung])
                found = audit(world, pool, labels=labels, floor=floor, rng=rng)
                widths[place, :, k, rung] = [half_width(ask(world, found, *q)) for q in QUESTIONS]
    return widths


def drawn_anew(
    of: Population, made: list[World], wanted: FloatArray, floor: float, seed: list[int]
) -> tuple[str, str]:
    """The mean half width of audits of the size that was found, and how many are steady."""
    pool = make_pool(of.items)
    found = [
        ask(world, audit(world, pool, labels=round(labels), floor=floor, rng=rng), *QUESTIONS[0])
        for world, labels, rng in zip(
            made, wanted.tolist(), np.random.default_rng(seed).spawn(len(made)), strict=True
        )
        if not math.isnan(labels)
    ]
    if not found:
        return "", ""
    width = np.mean([half_width(one) for one in found])
    return f"+-{width:.3f}", f"{np.mean([not one.unstable for one in found]):.0%}"


def saving(console: Console, bars: Bars, of: Population, *, worlds: int, number: int) -> None:
    """Labels by floor, over those of an even audit."""
    made = [make_world(of, np.random.default_rng([20261111, number, k])) for k in range(worlds)]
    fewest = np.array([fewest_labels(of, world) for world in made])
    guess = float(fewest[:, 0].mean())
    limit = Spread.of((fewest[:, 1] / fewest[:, 0]).tolist())
    sizes = np.unique(np.minimum(RUNGS * guess, 0.6 * of.items).astype(int))
    widths = half_widths(of, made, sizes, number=number)
    table = Table(
        title=f"{of.name}: {of.prevalence:.1%} of {of.items:,} violate, {of.hidden:.0%} of it "
        f"hidden; labels to +-{HALF_WIDTH:g}, medians of {worlds} worlds",
        title_justify="left",
    )
    for heading in ("interval", "floor", "labels", "over even (range)", "drawn anew", "steady"):
        table.add_column(heading, justify="left" if heading == "interval" else "right")
    for q, (metric, kind) in enumerate(QUESTIONS):
        wanted = np.array([labels_for(sizes.astype(float), one[q]) for one in widths])
        for place, floor in enumerate(FLOORS):
            over = wanted[place] / wanted[0]
            ratios = Spread.of(over[~np.isnan(over)].tolist())
            anew = ("", "")
            if q == 0:
                anew = drawn_anew(of, made, wanted[place], floor, [20261114, number, place])
            table.add_row(
                f"{metric} {kind}", f"{floor:g}",
                "-" if np.isnan(wanted[place]).all() else f"{np.nanmedian(wanted[place]):,.0f}",
                str(ratios) if ratios.values else "-", *anew,
            )  # fmt: skip
            if q == 0 and floor in BARRED:
                bar = max(BAR, NEAR * limit.median)
                claim = f"{of.name}, floor {floor:g}: labels for recall"
                if bar != BAR:
                    claim += f" (the best: {limit.median:.2f})"
                bars.hold(claim, ratios, "at most", bar)
    table.add_row("recall, the best chances", "", f"{np.median(fewest[:, 1]):,.0f}", str(limit))
    console.print(table)


def thinned(console: Console, of: Population, *, worlds: int, number: int) -> None:
    """What is left of the labels for exact tests."""
    pool = make_pool(of.items)
    table = Table(
        title=f"{of.name}: of {THINNED:,} labels, kept by thinning (mean of {worlds} worlds)",
        title_justify="left",
    )
    for heading in (
        "floor", "kept", "violating", "flagged: asked", "kept", "thinned among themselves",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for place, floor in enumerate(FLOORS):
        counts = []
        for k in range(worlds):
            world = make_world(of, np.random.default_rng([20261111, number, k]))
            rng = np.random.default_rng([20261113, number, k, place])
            found = audit(world, pool, labels=THINNED, floor=floor, rng=rng)
            flagged, violating = world.flagged[found.rows], world.violating[found.rows]
            chance, uniform = found.inclusion_probability, rng.random(len(found.rows))
            kept = thin(chance, uniform, least=found.counts.least_chance)
            alone = thin(chance[flagged], uniform[flagged], least=found.least_flagged[flagged])
            counts.append(
                [kept.sum(), (kept & violating).sum(), flagged.sum(), (kept & flagged).sum(),
                 alone.sum()]
            )  # fmt: skip
        table.add_row(f"{floor:g}", *(f"{one:,.0f}" for one in np.mean(counts, axis=0)))
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--only", help="the name of one population")
    given = parser.parse_args()
    console = Console(width=120)
    bars = Bars(console)
    for number, population in enumerate(POPULATIONS):
        if given.only not in (None, population.name):
            continue
        saving(console, bars, population, worlds=given.worlds, number=number)
        thinned(console, population, worlds=given.worlds, number=number)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
