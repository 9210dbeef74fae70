"""Made-up traffic that never changes, watched daily for a year, for the drift benchmark."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.sampler_report import Bars
from hitl.evaluation import About, Scores, ShiftKind, mix_shift, score_shift, together
from hitl.recipe import DriftRecipe

RULE = DriftRecipe()


def null(console: Console, bars: Bars, *, worlds: int, items_a_day: int = 150) -> None:
    """Worlds of three kinds of item and two categories whose scores never change."""
    rng = np.random.default_rng(20260105)
    span = RULE.reference_days + RULE.window_days
    level = RULE.alpha / 2.0 / 365
    alarmed, naive, unlucky = (np.zeros(worlds, bool) for _ in range(3))
    begun = time.perf_counter()
    for world in range(worlds):
        days = _made_days(rng, span + 365, items_a_day)
        sums = np.concatenate([np.zeros((1, *days.shape[1:])), np.cumsum(days, axis=0)])
        for end in range(span, span + 365):
            middle = end - RULE.window_days
            then, now = sums[middle] - sums[end - span], sums[end] - sums[middle]
            asked = _asked(then, now)
            held = together(asked, alpha=level)
            alarmed[world] |= any(one.is_alarm for one in held)
            unlucky[world] |= any(one.p_value is not None and one.p_value <= level for one in held)
            naive[world] |= any(one.p_value is not None and one.p_value <= 0.05 for one in asked)
    console.print(
        f"a year of daily looks, {items_a_day} items a day, {worlds} worlds without drift: an "
        f"alarm in {alarmed.mean():.1%}, without a bar in {unlucky.mean():.1%}; each test at 5 % "
        f"every day in {naive.mean():.0%} ({time.perf_counter() - begun:.0f} s)"
    )
    # Two standard errors more: so many worlds say no better.
    limit = round(RULE.alpha + 2.0 * math.sqrt(RULE.alpha * (1.0 - RULE.alpha) / worlds), 3)
    bars.hold("an alarm in a year without drift", float(alarmed.mean()), "at most", limit, "")
    bars.hold("the same without a bar", float(unlucky.mean()), "at most", limit, "")


def _made_days(rng: np.random.Generator, days: int, items: int) -> NDArray[np.float64]:
    """Counts (days, kinds, categories, buckets): beta scores, of each kind its own."""
    kinds, shares = 3, np.array([0.6, 0.3, 0.1])
    edges = np.linspace(0.0, 1.0, 41)
    made = np.zeros((days, kinds, 2, 40))
    for day in range(days):
        drawn = rng.multinomial(rng.poisson(items), shares)
        for kind, n in enumerate(drawn):
            for category in range(2):
                scores = rng.beta(0.6 + 0.5 * kind, 3.0 - category, n)
                made[day, kind, category] = np.histogram(scores, edges)[0]
    return made


def _asked(then: NDArray[np.float64], now: NDArray[np.float64]) -> list[Any]:
    middles = (np.arange(40) + 0.5) / 40

    def scores(counts: NDArray[np.float64]) -> Scores:
        total, squares = float(counts @ middles), float(counts @ middles**2)
        return Scores(counts, total, squares, int(counts[20:].sum()))

    asked = []
    for category in range(2):
        for kind in (slice(None), 0, 1, 2):
            sides = (one[kind, category].reshape(-1, 40).sum(axis=0) for one in (then, now))
            about = About(ShiftKind.SCORES, str(category), "kind", str(kind))
            asked.append(
                score_shift(about, *(scores(one) for one in sides), least=RULE.least_items)
            )
    of_all = [int(one[:, 0].sum()) for one in (then, now)]
    for kind in range(3):
        some = [int(one[kind, 0].sum()) for one in (then, now)]
        about = About(ShiftKind.MIX, "", "kind", str(kind))
        pairs = zip(some, of_all, strict=True)
        asked.append(mix_shift(about, *pairs, least=RULE.least_items))
    return asked
