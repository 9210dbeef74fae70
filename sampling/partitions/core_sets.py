"""What a part must hand over so that nothing outside it can matter: the core-set of a share.

A choice that goes by an order of its own (a worth, a keyed number, equals by a number or an id)
needs from each part only its first rows in that order: the first of the whole pool are among them,
wherever it is cut. Where the last of those stands in the order, parts tell by sketches of their own
first rows; so all parts together hand over little more than is needed, however many they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeGuard

import numpy as np

from sampling.draws import race_weights
from sampling.ids import KEY_BYTES, ItemIds
from sampling.pool import BoolArray, FloatArray, IntArray, Pool, Tie, best_first
from sampling.scores import closeness, uncertainty
from sampling.strategies import strategy_named

Place: TypeAlias = tuple[float, float]
"""In an order: the score, higher first; and of equal scores the number, lower first."""

Sketch: TypeAlias = list[FloatArray]
"""Of each order of a criterion the places of a part's rows of some ranks, shape (R, 2), first ones
first."""

_RATIO = 1.1
_ANY_KEY = bytes(KEY_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Which category alone a criterion looks at; None: all of them."""

    column: int | None = None

    def of(self, pool: Pool) -> Pool:
        return pool if self.column is None else pool.only(self.column)


@dataclass(frozen=True, slots=True)
class Lowest(_Seen):
    """The lowest keyed numbers."""

    key: bytes
    depth: int
    bars: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class LowestOfSlices(_Seen):
    """The lowest keyed numbers of each slice."""

    key: bytes
    depth: int


@dataclass(frozen=True, slots=True)
class Arriving(_Seen):
    """The first to arrive in `weighted_random`'s race, whose weights need the whole pool's mean."""

    key: bytes
    depth: int
    mean: float


@dataclass(frozen=True, slots=True)
class Best(_Seen):
    """The first of a strategy that orders rows by a worth of their own, equals by id."""

    strategy: str
    depth: int


@dataclass(frozen=True, slots=True)
class Turns(_Seen):
    """The first of each category, of all together, and the last of each: what `by_turns` reads.

    A category speaks only for rows above its lowest worth, so some of the lowest go along.

    Args:
        spare: how many other shares may take away before this one chooses.
        key: of the numbers that put equals in order; None: ids do.
        per_second: by worth over seconds, of which `least_seconds` are the whole pool's least.
        bars: of each order, the place of a row behind which none is wanted.
    """

    worth: Literal["half", "threshold", "likely"]
    depth: int
    spare: int
    key: bytes | None = None
    per_second: bool = False
    least_seconds: float = 1.0
    bars: tuple[Place, ...] = ()


Criterion: TypeAlias = Lowest | LowestOfSlices | Arriving | Best | Turns
Barred: TypeAlias = Lowest | Turns


@dataclass(frozen=True, slots=True)
class _Order:
    """An order of a part's rows of which the first `depth` are wanted; equals by `numbers`, or by
    id."""

    scores: FloatArray
    numbers: FloatArray | None
    depth: int


def core_set(pool: Pool, criteria: Iterable[Criterion]) -> IntArray:
    """Rows that any of the criteria asks for, ascending."""
    kept: list[IntArray] = [np.empty(0, dtype=np.intp)]
    for one in criteria:
        kept += _rows(one.of(pool), one)
    return np.unique(np.concatenate(kept))


def has_bars(criterion: Criterion) -> TypeGuard[Barred]:
    """Sketches of it can be made before anything else is known of the pool."""
    return isinstance(criterion, Lowest | Turns)


def sketch(pool: Pool, criterion: Barred) -> Sketch:
    """Where the part's first rows stand, at some of their ranks."""
    found: Sketch = []
    for order in _orders(criterion.of(pool), criterion):
        rows = _first(pool, order)
        rows = rows[_ranks(len(rows)) - 1]
        # Of equals by id no place is known: any of them might be the first.
        numbers = np.zeros(len(rows)) if order.numbers is None else order.numbers[rows]
        found.append(np.column_stack([order.scores[rows].astype(np.float64), numbers]))
    return found


def with_bars(criterion: Barred, sketches: Sequence[tuple[int, Sketch]]) -> Barred:
    """The criterion with bars before which all parts together have as many rows as it wants.

    Args:
        sketches: of each part how many rows it has, and its sketch.

    That a part's row of rank r stands before a bar says that r of its rows do. So ranks never
    count a row that is not there, and of those that are, nearly all.
    """
    bars: list[Place] = []
    for number, depth in enumerate(_depths(criterion, len(sketches[0][1]))):
        ranks = [np.diff(_ranks(min(depth, rows)), prepend=0) for rows, _sketch in sketches]
        counts = np.concatenate(ranks)
        scores, numbers = np.concatenate([found[number] for _rows, found in sketches]).T
        order = np.lexsort((numbers, -scores))
        enough = np.flatnonzero(np.cumsum(counts[order]) >= depth)
        last = order[enough[0]] if len(enough) else None
        bars.append(
            (-np.inf, np.inf) if last is None else (float(scores[last]), float(numbers[last]))
        )
    if isinstance(criterion, Turns) and criterion.per_second:
        # Worths were sketched with least seconds of 1; with the true ones a part rounds otherwise.
        worths = len(bars) // 2 * 2
        scaled = [score * criterion.least_seconds for score, _number in bars[:worths]]
        bars[:worths] = [(score - 1e-6 * abs(score), np.inf) for score in scaled]
    return replace(criterion, bars=tuple(bars))


def _rows(pool: Pool, criterion: Criterion) -> Iterator[IntArray]:
    match criterion:
        case LowestOfSlices(key=key, depth=depth):
            numbers = pool.ids.uniforms(key)
            for one in np.unique(pool.slices):
                rows = np.flatnonzero(pool.slices == one)
                yield rows[best_first(-numbers[rows], limit=depth, tie=pool.ids.take(rows))]
        case Arriving(key=key, depth=depth, mean=mean):
            weights = race_weights(uncertainty(pool), mean)
            arrival = -np.log1p(-pool.ids.uniforms(key)) / weights
            yield best_first(-arrival, limit=depth, tie=pool.ids)
        case Best(strategy=name, depth=depth):
            # Such a strategy draws nothing.
            yield strategy_named(name)(pool, limit=depth, rng=np.random.default_rng(0))
        case Lowest(bars=bars) | Turns(bars=bars):
            for number, order in enumerate(_orders(pool, criterion)):
                within = _reaches(order, *bars[number]) if bars else None
                yield _first(pool, order, within)


def _reaches(order: _Order, score: float, number: float) -> BoolArray:
    reaches: BoolArray = order.scores >= score
    if order.numbers is not None:
        reaches &= (order.scores > score) | (order.numbers <= number)
    return reaches


def _first(pool: Pool, order: _Order, within: BoolArray | None = None) -> IntArray:
    """The first rows of all, or of those within, in order."""
    tie: Tie = pool.ids if order.numbers is None else order.numbers
    if within is None or within.all():
        return best_first(order.scores, limit=order.depth, tie=tie)
    rows = np.flatnonzero(within)
    among = tie.take(rows) if isinstance(tie, ItemIds) else tie[rows]
    return rows[best_first(order.scores[rows], limit=order.depth, tie=among)]


def _orders(pool: Pool, criterion: Barred) -> Iterator[_Order]:
    if isinstance(criterion, Lowest):
        yield _Order(-pool.ids.uniforms(criterion.key), None, criterion.depth)
        return
    equals = None if criterion.key is None else pool.ids.uniforms(criterion.key)
    some = pool.ids.uniforms(_ANY_KEY)  # any of equally low ones will do
    for worth in _worths(pool, criterion):
        yield _Order(worth, equals, criterion.depth)
        yield _Order(-worth, some, criterion.spare + 1)
    if criterion.per_second and pool.seconds is not None:
        yield _Order(-pool.seconds, some, criterion.spare + 1)


def _depths(criterion: Barred, orders: int) -> list[int]:
    """Of each order how many rows it wants, without a pool."""
    if isinstance(criterion, Lowest):
        return [criterion.depth]
    pairs = orders // 2 * [criterion.depth, criterion.spare + 1]
    return pairs + (orders % 2) * [criterion.spare + 1]


def _worths(pool: Pool, criterion: Turns) -> Iterator[FloatArray]:
    """Of each category, and then the highest of all."""
    share: FloatArray | float = 1.0
    if criterion.per_second and pool.seconds is not None:
        share = criterion.least_seconds / pool.seconds
    if pool.exclusive and criterion.worth == "half":
        yield uncertainty(pool) * share
        return
    plain: Iterable[FloatArray] = iter(pool.probabilities.T)
    if criterion.worth != "likely":
        bar = 0.5 if criterion.worth == "half" else pool.thresholds
        plain = closeness(pool.probabilities, at=bar)
    highest = np.zeros(len(pool), dtype=pool.probabilities.dtype)
    for one in plain:
        worth = one * share
        np.maximum(highest, worth, out=highest)
        yield worth
    yield highest


def _ranks(depth: int) -> IntArray:
    """1, 2, 3, ... and then ever farther apart, to `depth`."""
    found = list(range(1, min(depth, round(1 / (_RATIO - 1))) + 1))
    while found and found[-1] < depth:
        found.append(min(depth, int(found[-1] * _RATIO)))
    return np.asarray(found, dtype=np.intp)
