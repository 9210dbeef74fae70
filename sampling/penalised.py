"""A batch in which every pick speaks for those like it, and makes them less wanted.

How alike two rows are is measured against how far apart the candidates lie on the whole. Where
they form clusters, a pick all but silences its own; where they do not, all are about equally far
from it, and what is wanted most stays wanted most. Squared distances are whole numbers of the grid
of `spread`, so the same picks come out whatever the blocks and threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sampling import products
from sampling.k_means import assign
from sampling.pool import FloatArray, IntArray

Float32 = NDArray[np.float32]

_REACH = 0.7
"""Of the typical squared distance: there a pick leaves 1 - 1/e of what a row is worth."""
_CROWD = 0.25  # of it, too: how near a row's company is
_HEARD = 0.5  # of it: those that a pick speaks for lie no farther

_COMPARED = 300
"""So many rows, evenly out of all, say how far apart rows typically are."""
_CROWD_AT_MOST = 2048  # rows, evenly out of all, that density is measured against

_ROWS_AT_ONCE = 512  # compared with 2,048 others: four of these arrays are 16 MB

_LEADING = 1024
"""The rows looked at for every pick: at D = 384 they stay in the cache of one core."""


def penalised(rows: Float32, *, labelled: Float32, limit: int) -> IntArray:
    """Choose `limit` places of rows that come best first.

    A row at place r is worth 1 / (1 + r / limit), times its density among all of them. Always the
    one worth most goes next; what is left loses by how alike it is to it: worth times
    1 - exp(-squared distance / (.7 typical)), for the nearest labelled row and for each pick. At
    the end each pick gives way to the most central of those that it speaks for, which are nearest
    to it and no farther than half the typical squared distance.

    Args:
        rows: shape (M, D), on the grid.
        labelled: shape (L, D), on the grid.

    Returns:
        Shape (min(limit, M),), ascending.

    Source: local penalisation of Gonzalez et al. (2016), "Batch Bayesian Optimization via Local
    Penalization", with information density of Settles and Craven (2008).
    """
    limit = min(limit, len(rows))
    if limit <= 0:
        return np.empty(0, dtype=np.intp)
    size: Float32 = np.einsum("ij,ij->i", rows, rows)
    typical = _typical(rows, size)
    worth = _density(rows, size, typical=typical) / (1.0 + np.arange(len(rows)) / limit)
    if len(labelled):
        worth *= 1.0 - _alike(assign(rows, labelled)[1], typical=typical)
    picks = _greedy(rows, size, worth, typical=typical, limit=limit)
    return np.sort(_central(rows, picks, typical=typical))


def _typical(rows: Float32, size: Float32) -> float:
    """The median squared distance between two rows; at least a step of the grid."""
    some = np.arange(0, len(rows), max(1, len(rows) // _COMPARED))
    some_size = size[some]
    return max(float(np.median(_apart(rows[some], some_size, rows[some], some_size))), 1.0)


def _apart(points: Float32, size: Float32, others: Float32, others_size: Float32) -> Float32:
    """Squared distances, shape (points, others)."""
    inner = products.inner(products.as_tensor(points), others)
    apart: Float32 = size[:, None] + others_size - 2.0 * inner
    return apart


def _density(rows: Float32, size: Float32, *, typical: float) -> FloatArray:
    """Shape (M,): how alike a row is to the others on average, over what rows are on average."""
    company = np.arange(0, len(rows), -(-len(rows) // _CROWD_AT_MOST))
    points, points_size = rows[company], size[company]
    found = np.empty(len(rows))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        apart = _apart(points, points_size, rows[part], size[part])
        found[part] = np.exp(apart * np.float32(-1.0 / (_CROWD * typical))).mean(
            axis=0, dtype=np.float64
        )
    density: FloatArray = found / found.mean()
    return density


def _alike(apart: Float32, *, typical: float) -> FloatArray:
    alike: FloatArray = np.exp(apart.astype(np.float64) / (-_REACH * typical))
    return alike


def _greedy(
    rows: Float32, size: Float32, worth: FloatArray, *, typical: float, limit: int
) -> IntArray:
    """Places in the order picked; of equals the first.

    Worth only shrinks, so what was worth less than the best of the leading ones still is: picks are
    made among those, and only when their best falls behind the rest are all brought up to date.
    """
    worth = worth.copy()
    picks: list[int] = []
    applied = 0  # picks that the worth of all knows of
    while len(picks) < limit:
        _penalise(worth, rows, size, picks[applied:], typical=typical)
        worth[picks] = -1.0
        applied = len(picks)
        order = np.argsort(-worth, kind="stable")
        leading = np.sort(order[:_LEADING])
        behind = float(worth[order[_LEADING]]) if len(order) > _LEADING else -1.0
        near, near_size, near_worth = rows[leading], size[leading], worth[leading]
        taken = near_worth < 0.0
        while len(picks) < limit:
            best = int(near_worth.argmax())
            if near_worth[best] <= behind and len(picks) > applied:
                break
            picks.append(int(leading[best]))
            taken[best] = True
            apart = near_size + near_size[best] - 2.0 * (near @ near[best])
            near_worth *= 1.0 - _alike(apart, typical=typical)
            near_worth[taken] = -1.0
    return np.asarray(picks, dtype=np.intp)


def _penalise(
    worth: FloatArray, rows: Float32, size: Float32, picks: list[int], *, typical: float
) -> None:
    """Lower the worth of each row by these picks, one after the other."""
    if not picks:
        return
    points, points_size = rows[picks], size[picks]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        for one in _apart(points, points_size, rows[part], size[part]):
            worth[part] *= 1.0 - _alike(one, typical=typical)


def _central(rows: Float32, picks: IntArray, *, typical: float) -> IntArray:
    """For each pick the most central place of those that it speaks for, the first of equals."""
    from sampling import kernels

    owner, near = assign(rows, rows[picks])
    owner[picks] = np.arange(len(picks))  # also one that coincides with another
    heard = (near <= _HEARD * typical).astype(np.float64)
    heard[picks] = 1.0
    sums, total = kernels.sums_by_owner(rows, heard, owner, len(picks))
    places = np.flatnonzero(heard)
    away = rows[places] - np.rint(sums / total[:, None])[owner[places]]
    apart = np.einsum("ij,ij->i", away, away)
    by_owner = places[np.lexsort((places, apart, owner[places]))]
    first = np.flatnonzero(np.diff(owner[by_owner], prepend=-1))
    central: IntArray = by_owner[first]
    return central
