"""The inner loops, compiled: one thread, without the GIL, kept on disk wherever one may write."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
UInt64 = NDArray[np.uint64]
Float32 = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` in machine code, made at its first call; additions in the order written."""
    return _compiled(function)


def summed(function: Callable[P, R]) -> Callable[P, R]:
    """As `compiled`, sums in whatever order is fastest.

    For sums in float64 of what ends as float32: the same on one machine every time, and on
    another but for a last bit of float64.
    """
    return _compiled(function, fastmath={"reassoc", "contract"})


def ordered(function: Callable[P, R]) -> Callable[P, R]:
    """As `compiled`, where no number is NaN: a minimum need not mind that, nor -0."""
    return _compiled(function, fastmath={"nnan", "nsz"})


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """As `compiled`, written out wherever it is called: in a loop it can then fill registers."""
    return _compiled(function, inline="always")


def _compiled(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    try:
        made: Any = numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        # Neither the package's folder nor a cache folder can be written: compile each time.
        made = numba.njit(nogil=True, **options)(function)
    return cast(Callable[P, R], made)


@compiled
def _rounds(  # type: ignore[no-untyped-def]
    v0, v1, v2, v3, times
):
    for _ in range(times):
        v0 = v0 + v1
        v1 = (v1 << np.uint64(13)) | (v1 >> np.uint64(51))
        v1 ^= v0
        v0 = (v0 << np.uint64(32)) | (v0 >> np.uint64(32))
        v2 = v2 + v3
        v3 = (v3 << np.uint64(16)) | (v3 >> np.uint64(48))
        v3 ^= v2
        v0 = v0 + v3
        v3 = (v3 << np.uint64(21)) | (v3 >> np.uint64(43))
        v3 ^= v0
        v2 = v2 + v1
        v1 = (v1 << np.uint64(17)) | (v1 >> np.uint64(47))
        v1 ^= v2
        v2 = (v2 << np.uint64(32)) | (v2 >> np.uint64(32))
    return v0, v1, v2, v3


@compiled
def hash_strings(
    letters: NDArray[np.uint8], ends: NDArray[np.int64], low: np.uint64, high: np.uint64
) -> UInt64:
    """SipHash-1-3 of each string of a column."""
    found = np.empty(len(ends) - 1, dtype=np.uint64)
    for row in range(len(found)):
        start, stop = ends[row], ends[row + 1]
        v0 = low ^ np.uint64(0x736F6D6570736575)
        v1 = high ^ np.uint64(0x646F72616E646F6D)
        v2 = low ^ np.uint64(0x6C7967656E657261)
        v3 = high ^ np.uint64(0x7465646279746573)
        at = start
        while at + 8 <= stop:
            word = np.uint64(0)
            for byte in range(8):
                word |= np.uint64(letters[at + byte]) << np.uint64(8 * byte)
            v3 ^= word
            v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, 1)
            v0 ^= word
            at += 8
        word = np.uint64((stop - start) & 0xFF) << np.uint64(56)
        for byte in range(stop - at):
            word |= np.uint64(letters[at + byte]) << np.uint64(8 * byte)
        v3 ^= word
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, 1)
        v0 ^= word
        v2 ^= np.uint64(0xFF)
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, 3)
        found[row] = v0 ^ v1 ^ v2 ^ v3
    return found


@inlined
def _drawn(word, low, high):  # type: ignore[no-untyped-def]
    """The upper 52 bits of SipHash-1-3 of eight bytes."""
    v0 = low ^ np.uint64(0x736F6D6570736575)
    v1 = high ^ np.uint64(0x646F72616E646F6D)
    v2 = low ^ np.uint64(0x6C7967656E657261)
    v3 = high ^ np.uint64(0x7465646279746573) ^ word
    v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, 1)
    v0 ^= word
    word = np.uint64(8) << np.uint64(56)
    v3 ^= word
    v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, 1)
    v0 ^= word
    v2 ^= np.uint64(0xFF)
    v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, 3)
    return np.int64((v0 ^ v1 ^ v2 ^ v3) >> np.uint64(12))


_STEPS = 1 << 52


@compiled
def uniforms(digests: UInt64, low: np.uint64, high: np.uint64) -> NDArray[np.float64]:
    """SipHash-1-3 of each digest's eight bytes, as a number between 0 and 1."""
    found = np.empty(len(digests))
    for row in range(len(digests)):
        found[row] = (np.float64(_drawn(digests[row], low, high)) + 0.5) / _STEPS
    return found


@compiled
def uniforms_below(
    digests: UInt64, low: np.uint64, high: np.uint64, bar: float
) -> tuple[NDArray[np.intp], NDArray[np.float64], np.uint64]:
    """Of `uniforms` the rows and numbers of those below `bar`, without making the others.

    The third has no meaning: it keeps the compiler from leaving out what it is made of.
    """
    wanted = np.int64(_STEPS if bar >= 1.0 else np.ceil(bar * _STEPS - 0.5))
    room = 1024
    rows, numbers = np.empty(room, dtype=np.intp), np.empty(room)
    tile = np.empty(_TILE, dtype=np.int64)
    count = 0
    touched = np.uint64(0)
    for start in range(0, len(digests), _TILE):
        if start + _TILE <= len(digests):
            block = digests[start : start + _TILE]
            # A hash is long enough that the next line of memory is not asked for meanwhile: asked
            # for all at once, they come in half the time.
            for place in range(0, _TILE, 8):
                touched |= block[place]
            for place in range(_TILE):
                tile[place] = _drawn(block[place], low, high)
        else:
            tile[:] = _STEPS
            for place in range(len(digests) - start):
                tile[place] = _drawn(digests[start + place], low, high)
        lowest = _STEPS
        for place in range(_TILE):
            lowest = min(lowest, tile[place])
        if lowest >= wanted:
            continue
        if count + _TILE > room:
            room *= 2
            more_rows, more_numbers = np.empty(room, dtype=np.intp), np.empty(room)
            more_rows[:count], more_numbers[:count] = rows[:count], numbers[:count]
            rows, numbers = more_rows, more_numbers
        for place in range(_TILE):
            rows[count], numbers[count] = start + place, (tile[place] + 0.5) / _STEPS
            count += tile[place] < wanted
    return rows[:count].copy(), numbers[:count].copy(), touched


@compiled
def rows_of_leading_zeros(values: UInt64, bits: np.uint64) -> NDArray[np.intp]:
    """The rows of values whose first `bits` bits are 0, few among many."""
    shift = np.uint64(64) - bits
    room = 1024
    rows = np.empty(room, dtype=np.intp)
    count = 0
    for start in range(0, len(values), _TILE):
        block = values[start : start + _TILE]
        found = 0
        if len(block) == _TILE:
            for place in range(_TILE):
                found += block[place] >> shift == 0
            if not found:
                continue
        if count + _TILE > room:
            room *= 2
            more = np.empty(room, dtype=np.intp)
            more[:count] = rows[:count]
            rows = more
        for place in range(len(block)):
            rows[count] = start + place
            count += block[place] >> shift == 0
    return rows[:count].copy()


@compiled
def is_finite(block: Float32) -> bool:
    """No number of a contiguous block is NaN or infinite."""
    bits = block.view(np.uint32)
    exponent = np.uint32(0x7F800000)
    for row in range(bits.shape[0]):
        found = np.uint32(0)
        for column in range(bits.shape[1]):
            found += np.uint32((bits[row, column] & exponent) == exponent)
        if found:
            return False
    return True


@summed
def lengths(rows: Float32) -> NDArray[np.float64]:
    """Length of each row. Float64 holds the square of any float32 but the smallest, and of those
    only their being 0 counts."""
    found = np.empty(rows.shape[0])
    for row in range(rows.shape[0]):
        squared = 0.0
        for column in range(rows.shape[1]):
            squared += np.float64(rows[row, column]) * np.float64(rows[row, column])
        found[row] = np.sqrt(squared)
    return found


@summed
def unit(rows: Float32) -> Float32:
    """Each row over its length; zeros stay zeros."""
    found = np.empty_like(rows)
    for row in range(rows.shape[0]):
        squared = 0.0
        for column in range(rows.shape[1]):
            squared += np.float64(rows[row, column]) * np.float64(rows[row, column])
        scale = 1.0 / np.sqrt(squared) if squared > 0.0 else 0.0
        for column in range(rows.shape[1]):
            found[row, column] = np.float32(np.float64(rows[row, column]) * scale)
    return found


_TILE = 256
"""Rows taken together, so that they stay in the cache."""


def hardest_margin(probabilities: Floats) -> Floats:
    """Shape (N,): 1 - |2p - 1| of the category nearest one half."""
    return _row_by_row(_hardest_margin(probabilities.shape[1]), probabilities)


def margin(probabilities: Floats) -> Floats:
    """Shape (N,): 1 - (highest - second)."""
    return _row_by_row(_margin(probabilities.shape[1]), probabilities)


def highest(probabilities: Floats) -> Floats:
    """Shape (N,): the largest of each row."""
    return _row_by_row(_highest(probabilities.shape[1]), probabilities)


def entropy_bounds(probabilities: Floats) -> Floats:
    """Shape (N,): no less than the entropy in nats of each row, which adds up to about 1.

    -p log p lies below its tangent at 1 / C by a bend times the square of the way from there. The
    bend is convex in p: integral over t from 0 to 1 of (1 - t) / (1 / C + t (p - 1 / C)). So
    nowhere is it less than the highest of its own tangents: at 1 / C, half way, and at 1.
    """
    return _row_by_row(_entropy_bounds(probabilities.shape[1]), probabilities)


def _row_by_row(kernel: Callable[[Floats], Floats], rows: Floats) -> Floats:
    """`kernel` over the numbers of all rows, one row after the other, whatever lies how."""
    if rows.flags.c_contiguous:
        return kernel(rows.reshape(-1))
    blocks = range(0, len(rows), _ROWS_AT_ONCE) or [0]
    return np.concatenate(
        [kernel(np.ascontiguousarray(rows[k : k + _ROWS_AT_ONCE]).reshape(-1)) for k in blocks]
    )


_ROWS_AT_ONCE = 16_384

# A kernel a number of categories: where that is known beforehand, the plain loop over a row is
# made into one over many rows at once, which takes half the time or less.


@functools.cache
def _hardest_margin(categories: int) -> Callable[[Floats], Floats]:
    @ordered
    def hardest_margin(numbers: Floats) -> Floats:
        one, half = numbers.dtype.type(1.0), numbers.dtype.type(0.5)
        found = np.empty(len(numbers) // categories, dtype=numbers.dtype)
        for row in range(len(found)):
            nearest = half
            for category in range(categories):
                nearest = min(nearest, abs(numbers[row * categories + category] - half))
            found[row] = one - nearest - nearest
        return found

    return hardest_margin


@functools.cache
def _margin(categories: int) -> Callable[[Floats], Floats]:
    @ordered
    def margin(numbers: Floats) -> Floats:
        one = numbers.dtype.type(1.0)
        found = np.empty(len(numbers) // categories, dtype=numbers.dtype)
        for row in range(len(found)):
            first = second = -one
            for category in range(categories):
                p = numbers[row * categories + category]
                second = max(second, min(first, p))
                first = max(first, p)
            found[row] = one - (first - second)
        return found

    return margin


@functools.cache
def _highest(categories: int) -> Callable[[Floats], Floats]:
    @ordered
    def highest(numbers: Floats) -> Floats:
        found = np.empty(len(numbers) // categories, dtype=numbers.dtype)
        for row in range(len(found)):
            best = numbers[row * categories]
            for category in range(1, categories):
                best = max(best, numbers[row * categories + category])
            found[row] = best
        return found

    return highest


@functools.cache
def _entropy_bounds(categories: int) -> Callable[[Floats], Floats]:
    even = 1.0 / categories
    slope = float(np.log(categories)) - 1.0
    most = float(np.log(categories))
    b0, t0 = categories / 2.0, -categories * categories / 6.0
    b1, t1 = _tangent(categories, 0.5 * (1.0 + even))
    b2, t2 = _tangent(categories, 1.0)

    @ordered
    def entropy_bounds(numbers: Floats) -> Floats:
        kind = numbers.dtype.type
        found = np.empty(len(numbers) // categories, dtype=numbers.dtype)
        for row in range(len(found)):
            total = kind(most)
            for category in range(categories):
                way = numbers[row * categories + category] - kind(even)
                bend = max(
                    kind(b0) + kind(t0) * way,
                    max(kind(b1) + kind(t1) * way, kind(b2) + kind(t2) * way),
                )
                total += way * (kind(slope) - way * bend)
            found[row] = total
        return found

    return entropy_bounds


def _tangent(categories: int, p: float) -> tuple[float, float]:
    """The tangent of the bend at p, as its value at 1 / C and its rise."""
    way = p - 1.0 / categories
    slope = float(np.log(categories)) - 1.0
    below = float(np.log(categories)) / categories + slope * way + p * float(np.log(p))
    bend = below / (way * way)
    rise = (slope + float(np.log(p)) + 1.0) / (way * way) - 2.0 * bend / way
    return bend - rise * way, rise


@summed
def grid(rows: Float32, step: float, found: Float32) -> None:
    """Each row over its length, times `step`, rounded to whole numbers, into `found`."""
    for row in range(rows.shape[0]):
        squared = 0.0
        for column in range(rows.shape[1]):
            squared += np.float64(rows[row, column]) * np.float64(rows[row, column])
        scale = step / np.sqrt(squared) if squared > 0.0 else 0.0
        for column in range(rows.shape[1]):
            found[row, column] = np.float32(np.rint(np.float64(rows[row, column]) * scale))


@compiled
def first_equal(values: Float32, wanted: Float32) -> NDArray[np.intp]:
    """Shape (n,): of values (m, n) the first row that equals `wanted` (n,) in each column."""
    places = np.full(values.shape[1], values.shape[0], dtype=np.int32)
    for row in range(values.shape[0]):
        here = np.int32(row)
        for column in range(values.shape[1]):
            if values[row, column] == wanted[column]:
                places[column] = min(places[column], here)
    return places.astype(np.intp)


@ordered
def lowest_sum(left: Float32, right: Float32, offset: Float32) -> Float32:
    """Shape (n,): the lowest over rows j of left[j] * right[j] + offset[j], each rounded."""
    found = np.full(left.shape[1], np.float32(np.inf), dtype=np.float32)
    for row in range(left.shape[0]):
        base = offset[row]
        for column in range(left.shape[1]):
            product = left[row, column] * right[row, column]
            found[column] = min(found[column], product + base)
    return found


@compiled
def lower_exactly(
    nearest: NDArray[np.float64], rows: Float32, centres: Float32, close: Float32, margin: float
) -> None:
    """Lower each of `nearest` to the squared distance of its row to any centre, in float64.

    Args:
        close: shape (rows, centres), squared distances that are off by less than half `margin`:
            pairs that cannot be the nearest are passed over.
    """
    for row in range(rows.shape[0]):
        bar = nearest[row]
        for place in range(centres.shape[0]):
            bar = min(bar, np.float64(close[row, place]))
        for place in range(centres.shape[0]):
            if close[row, place] <= bar + margin:
                apart = 0.0
                for column in range(rows.shape[1]):
                    gap = np.float64(rows[row, column]) - np.float64(centres[place, column])
                    apart += gap * gap
                nearest[row] = min(nearest[row], apart)


@compiled
def sums_by_owner(
    rows: Float32, mass: NDArray[np.float64], owner: NDArray[np.intp], owners: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted sum of the rows of each owner, shape (owners, D), and their mass, (owners,)."""
    sums = np.zeros((owners, rows.shape[1]))
    total = np.zeros(owners)
    for row in range(rows.shape[0]):
        total[owner[row]] += mass[row]
        for column in range(rows.shape[1]):
            sums[owner[row], column] += mass[row] * rows[row, column]
    return sums, total
