"""Worlds whose every answer is known, and their audits: drawn in rounds, weighed as the loop does.

Items come in three parts, one before each round. The score of a violating item is higher than that
of a harmless one, but for the *hidden* ones, which the model takes for harmless. It is wrong about
how sure it may be, and in some worlds gets better from round to round. What earlier answers said of
a topic raises the scores by which later rounds draw: so chances depend on answers. What is measured
are the decisions of its last version on everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import norm

from hitl.evaluation import METRICS
from hitl.evaluation.audit import AuditDraw, Levelled, levelled
from sampling import Aim, Pool, draw_allocated, draw_clusters, influence

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

ROUNDS = 3
TOPICS = 30
FLAGGED = "any"
FEW = 5
NOISE = (1.0, 0.5, 0.0)
"""What each round's model misses of the signal that the last one sees, as a deviation."""
AIMS = (Aim(0, "precision"), Aim(0, "recall"))


@dataclass(frozen=True, slots=True)
class Population:
    """How a world is made. `hidden` of what violates scores like the harmless; logits are those of
    a calibrated model of the others, times `scale`, plus `shift`; flagged is from one half on.
    `separation` is the distance of the two kinds, in deviations of the signal. `in_few` of what is
    hidden lies in FEW topics. `slices` are their shares; a later one violates more often.
    `answered` of what is asked. Where the model does not improve, all rounds are drawn by the
    scores of the one that is measured."""

    name: str
    prevalence: float
    hidden: float
    items: int
    scale: float = 2.0
    shift: float = 0.0
    separation: float = 3.55
    in_few: float = 0.6
    slices: tuple[float, ...] = (1.0,)
    answered: float = 1.0
    improves: bool = True


REFERENCE = Population("reference", 0.01, 0.10, 24_000, shift=1.5)
"""That of the published comparison, smaller: precision .77, recall .68, FPR .002."""


class World(NamedTuple):
    """N items: `logits` (rounds, N); `flagged` (N,) by the last; `joined` (N,), before which
    round."""

    violating: BoolArray
    flagged: BoolArray
    logits: FloatArray
    joined: IntArray
    topic: IntArray
    slice_of: IntArray
    answered: float
    improves: bool

    def true(self, metric: str, rows: BoolArray | slice = slice(None)) -> float:
        """The metric of all of these items."""
        cell = 2 * self.violating[rows] + self.flagged[rows]
        counts = np.bincount(cell, minlength=4).reshape(2, 2)
        good, bad = (float((counts * np.array(one)).sum()) for one in METRICS[metric])
        return good / (good + bad) if good + bad else float("nan")


def knowable(of: Population, world: World) -> FloatArray:
    """(N,): the chance that each item violates, to one who knows how the world was made and all
    that the newest model can see of an item. Nobody does: it bounds what allocation can win."""
    seen = of.prevalence * (1.0 - of.hidden)
    calibrated = (world.logits[-1] - of.shift) / of.scale
    signal = (calibrated - np.log(seen / (1.0 - seen))) / of.separation + of.separation / 2.0
    in_few = TOPICS * (of.in_few / FEW + (1.0 - of.in_few) / TOPICS)
    crowd = np.where(world.topic < FEW, in_few, 1.0 - of.in_few)
    found = seen * norm.pdf(signal - of.separation)
    hidden = of.prevalence * of.hidden * norm.pdf(signal) * crowd
    found += hidden
    chance: FloatArray = found / (found + (1.0 - of.prevalence) * norm.pdf(signal))
    return chance


class Audited(NamedTuple):
    """n answered items of a world, as rows of it, and what each counts for. `least_flagged` (n,) is
    the least chance of anything flagged that is as old as each; `largest_flagged` is one over the
    least of them all."""

    rows: IntArray
    counts: Levelled
    least_flagged: FloatArray
    largest_flagged: float

    @property
    def inclusion_probability(self) -> FloatArray:
        return 1.0 / self.counts.weight

    @property
    def largest_weight(self) -> float:
        return float(self.counts.most.max())


def make_pool(items: int) -> Pool:
    """The ids of a world's items; draws look at nothing else of it."""
    return Pool([f"item-{k:06d}" for k in range(items)], np.full((items, 1), 0.5))


def make_world(of: Population, rng: Generator) -> World:
    """A world of its own for each state of `rng`."""
    count = of.items
    slice_of = rng.choice(len(of.slices), size=count, p=of.slices)
    rate = 1.0 + 2.0 * np.arange(len(of.slices))
    rate *= of.prevalence / float(rate @ np.array(of.slices))
    violating = rng.random(count) < rate[slice_of]
    hidden = violating & (rng.random(count) < of.hidden)
    topic = rng.integers(0, TOPICS, count)
    topic = np.where(hidden & (rng.random(count) < of.in_few), topic % FEW, topic)
    signal = rng.normal(size=count) + of.separation * (violating & ~hidden)
    missed = rng.normal(size=count)
    seen = of.prevalence * (1.0 - of.hidden)
    prior = np.log(seen / (1.0 - seen))
    noise = np.array(NOISE)[:, None] * of.improves
    spread = 1.0 + np.square(noise)
    found = signal + noise * missed
    calibrated = (of.separation * found - of.separation**2 / 2.0) / spread + prior
    logits = of.scale * calibrated + of.shift
    joined = rng.integers(0, ROUNDS, count)
    return World(
        violating, logits[-1] >= 0.0, logits, joined, topic, slice_of, of.answered, of.improves
    )


def audit(world: World, pool: Pool, *, labels: int, floor: float, rng: Generator) -> Audited:
    """Ask about `labels` items, a third in each round, `floor` of them evenly; 1: all of them."""
    free = np.ones(len(pool), dtype=np.bool_)
    lift = np.zeros(TOPICS)
    draws: list[AuditDraw] = []
    drawn: list[tuple[IntArray, FloatArray]] = []
    for number in range(ROUNDS):
        there = np.flatnonzero(free & (world.joined <= number))
        part, limit = pool.take(there), labels // ROUNDS
        if floor >= 1.0:
            even = draw_clusters(part, limit=limit, rng=rng)
            asked, chance, spread = even.rows, even.inclusion_probability, (None, None)
            flagged = {}
        else:
            logits = world.logits[number, there] + lift[world.topic[there]]
            probabilities = (1.0 / (1.0 + np.exp(-logits)))[:, None]
            worth = influence(
                probabilities, probabilities >= 0.5, AIMS, slices=world.slice_of[there]
            )
            made = draw_allocated(part, worth, limit=limit, floor_share=floor, rng=rng)
            asked, chance = made.rows, made.inclusion_probability
            spread = made.expected / len(part), made.least()
            # By another model than the one that is measured nobody knows it.
            known = not world.improves
            flagged = {FLAGGED: (0.5, made.least(world.flagged[there]))} if known else {}
        answered = round(world.answered * len(asked))
        draws.append(
            AuditDraw(
                len(part), len(asked), answered, mean=spread[0], least=spread[1],
                least_flagged=flagged,
            )
        )  # fmt: skip
        free[there[asked]] = False
        drawn.append((there[asked[:answered]], chance[:answered]))
        lift = _lift(world, np.concatenate([one for one, _ in drawn]))
    rows = np.concatenate([one for one, _ in drawn])
    batch = np.repeat(np.arange(ROUNDS), [len(one) for one, _ in drawn])
    chances = np.concatenate([one for _, one in drawn])
    given = {"batch": batch, "epoch": world.joined[rows], "chance": chances}
    counts = levelled(draws, **given)
    among = levelled([one.among_flagged(FLAGGED, 0.5) for one in draws], **given)
    return Audited(rows, counts, among.least_chance, float(among.most.max()))


def _lift(world: World, rows: IntArray) -> FloatArray:
    """What answers on unflagged items say of each topic, on the scale of logits."""
    quiet = rows[~world.flagged[rows]]
    asked = np.bincount(world.topic[quiet], minlength=TOPICS)
    found = np.bincount(world.topic[quiet[world.violating[quiet]]], minlength=TOPICS)
    rate = (found + 0.5) / (asked + 1.0)
    found_at_all = (found.sum() + 0.5) / (asked.sum() + 1.0)
    lifted: FloatArray = np.clip(np.log(rate / found_at_all), 0.0, 3.0)
    return lifted
