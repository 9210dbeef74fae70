"""Exact logistic regression for many columns at once: masked, weighted, on sparse rows.

A column is one question with its own targets, weights (0 = unknown) and penalty: a category, or a
category as one fold of the examples sees it. All columns share each pass over the features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

FloatArray = NDArray[np.float32]
# Sparse products are fastest while the columns' weights stay in the processor's second cache:
# callers do well to bring this many columns at a time.
COLUMNS_AT_ONCE = 16
_MAX_CONJUGATE_STEPS = 30
_HALVINGS = 12
_ARMIJO = 1e-4


@dataclass(frozen=True, slots=True)
class Design:
    """Feature rows (N, D) and their transpose, as torch wants them for products both ways.

    Inside, features stand from the most to the least frequent: the weights that nearly every row
    reads then share the processor's cache, which halves the time of a product.
    """

    order: NDArray[np.int64]  # (D,), the feature at each place
    forward: Tensor
    backward: Tensor
    squares: Tensor  # the transpose with its values squared, for the curvature's diagonal
    means: Tensor  # (D, 1), of each feature

    @classmethod
    def of(cls, rows: sparse.csr_matrix) -> Design:
        items = np.bincount(rows.indices, minlength=rows.shape[1])
        order = np.argsort(-items, kind="stable")
        columns = rows.T.tocsr()[order]
        means = np.asarray(columns.mean(axis=1), dtype=np.float32).reshape(-1, 1)
        return cls(
            order,
            as_torch(columns.T.tocsr()),
            as_torch(columns),
            as_torch(columns.power(2)),
            torch.from_numpy(means),
        )


@dataclass(frozen=True, slots=True)
class Solution:
    """Effective weights (D, M) and intercepts (M,): logits are `rows @ weights + intercepts`."""

    weights: FloatArray
    intercepts: FloatArray
    steps: NDArray[np.int64]  # Newton steps each column took


def solve(
    design: Design,
    *,
    targets: FloatArray,
    weights: FloatArray,
    c: float,
    scale: FloatArray | None = None,
    tolerance: FloatArray,
    max_steps: int = 40,
) -> Solution:
    """Minimise `c * sum(weights * logloss) + |w|^2 / 2` for each column, intercept unpenalised.

    Args:
        targets: (N, M), 0 or 1; any finite value where the weight is 0.
        weights: (N, M), at least 0. 0 hides the cell. Each column needs a positive and a negative
            cell: without both there is no finite minimum.
        scale: (D, M) or None. Each feature is multiplied by it, column by column, before fitting.
        tolerance: (M,). A column stops at this gradient norm, relative to the one at zero weights.

    Source: truncated Newton with a diagonal preconditioner as in Hsia, Chiang and Lin (2018),
    "Preconditioned conjugate gradient methods in truncated Newton frameworks", with backtracking.
    """
    y, s = torch.from_numpy(targets), torch.from_numpy(weights) * c
    wide = None if scale is None else torch.from_numpy(scale[design.order])
    limits = torch.from_numpy(tolerance)
    total = s.sum(0)
    base = (s * y).sum(0) / total
    b = torch.log(base / (1 - base))
    w = torch.zeros(design.backward.shape[0], y.shape[1])
    z = b.expand(len(y), -1).clone()
    steps = torch.zeros(y.shape[1], dtype=torch.int64)
    active = torch.arange(y.shape[1])
    first: Tensor | None = None
    for _ in range(max_steps):
        block = _Block(
            design, y[:, active], s[:, active], None if wide is None else wide[:, active]
        )
        p = torch.sigmoid(z[:, active])
        g_w, g_b = block.gradient(block.s * (p - block.y), w[:, active])
        size = torch.sqrt((g_w**2).sum(0) + g_b**2)
        if first is None:
            first = size.clone()
        open_ = size > limits[active] * first[active]
        if not bool(open_.any()):
            break
        if not bool(open_.all()):
            keep = torch.nonzero(open_).flatten()
            active, size, g_b = active[keep], size[keep], g_b[keep]
            g_w, p = g_w[:, keep], p[:, keep]
            block = block.columns(keep)
        curvature = block.s * p * (1 - p)
        # The nearer the end, the more exact the step (Eisenstat and Walker's forcing).
        forcing = torch.clamp(torch.sqrt(size / first[active]), max=0.5)
        d_w, d_b = block.newton_direction(curvature, g_w, g_b, forcing)
        d_z = block.logits(d_w) + d_b
        slope = (g_w * d_w).sum(0) + g_b * d_b
        reach = _backtrack(block, z[:, active], d_z, w[:, active], d_w, slope)
        w[:, active] += reach * d_w
        b[active] += reach * d_b
        z[:, active] += reach * d_z
        steps[active] += 1
        if not bool((reach > 0).any()):
            break  # float32 has no better point along any direction
    effective = w if wide is None else w * wide
    b -= (design.means * effective).sum(0)
    solved = np.empty(effective.shape, dtype=np.float32)
    solved[design.order] = effective.numpy()
    return Solution(solved, b.numpy(), steps.numpy())


@dataclass(frozen=True, slots=True)
class _Block:
    """The columns still being solved."""

    design: Design
    y: Tensor
    s: Tensor
    scale: Tensor | None

    def columns(self, keep: Tensor) -> _Block:
        scale = None if self.scale is None else self.scale[:, keep]
        return _Block(self.design, self.y[:, keep], self.s[:, keep], scale)

    def logits(self, w: Tensor) -> Tensor:
        effective = w if self.scale is None else w * self.scale
        return (self.design.forward @ effective).sub_((self.design.means * effective).sum(0))

    def gradient(self, residual: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        total = residual.sum(0)
        g = (self.design.backward @ residual).addcmul_(self.design.means, total, value=-1)
        if self.scale is not None:
            g *= self.scale
        return g.add_(w), total

    def newton_direction(
        self, curvature: Tensor, g_w: Tensor, g_b: Tensor, forcing: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Solve (H + I) d = -g by conjugate gradients, each column until its own accuracy."""
        diagonal = self.design.squares @ curvature
        diagonal.addcmul_(self.design.means**2, curvature.sum(0), value=-1).clamp_min_(0)
        if self.scale is not None:
            diagonal *= self.scale**2
        m_w = 1.0 / (diagonal + 1.0)
        m_b = 1.0 / curvature.sum(0).clamp_min(1e-12)
        d_w, d_b = torch.zeros_like(g_w), torch.zeros_like(g_b)
        r_w, r_b = -g_w, -g_b
        q_w, q_b = m_w * r_w, m_b * r_b
        rho = (r_w * q_w).sum(0) + r_b * q_b
        enough = forcing**2 * rho
        for _ in range(_MAX_CONJUGATE_STEPS):
            h = curvature * (self.logits(q_w) + q_b)
            h_w, h_b = self.gradient(h, q_w)
            bend = (q_w * h_w).sum(0) + q_b * h_b
            alpha = torch.where((rho > enough) & (bend > 0), rho / bend, 0.0)
            d_w.addcmul_(alpha, q_w)
            d_b += alpha * q_b
            r_w.addcmul_(alpha, h_w, value=-1)
            r_b -= alpha * h_b
            p_w, p_b = m_w * r_w, m_b * r_b
            rho_next = (r_w * p_w).sum(0) + r_b * p_b
            beta = torch.where(rho > 0, rho_next / rho, 0.0)
            q_w = p_w.addcmul_(beta, q_w)
            q_b = p_b + beta * q_b
            rho = torch.where(alpha > 0, rho_next, torch.zeros_like(rho))
            if not bool((rho > enough).any()):
                break
        return d_w, d_b

    def loss(self, z: Tensor) -> Tensor:
        # Summed in double: the line search compares differences far below float32's grain.
        cells = torch.nn.functional.softplus(z) - self.y * z
        return (self.s * cells).sum(0, dtype=torch.float64)


def _backtrack(
    block: _Block, z: Tensor, d_z: Tensor, w: Tensor, d_w: Tensor, slope: Tensor
) -> Tensor:
    """The longest of 1, 1/2, 1/4, … that lowers each column's objective enough, else 0."""
    start = block.loss(z)
    ww, wd, dd = ((a * b).sum(0, dtype=torch.float64) for a, b in ((w, w), (w, d_w), (d_w, d_w)))
    grain = 1e-7 * (start + ww)
    reach = torch.ones_like(slope)
    found = torch.zeros_like(slope, dtype=torch.bool)
    for _ in range(_HALVINGS):
        t = reach.double()
        gain = block.loss(z + reach * d_z) - start + t * wd + 0.5 * t**2 * dd
        found = gain <= _ARMIJO * t * slope + grain
        if bool(found.all()):
            break
        reach = torch.where(found, reach, reach / 2)
    return torch.where(found, reach, torch.zeros_like(reach))


def as_torch(matrix: sparse.csr_matrix) -> Tensor:
    """The matrix in torch's CSR layout, float32."""
    with warnings.catch_warnings():
        # Torch calls its CSR layout a beta feature once per process; the products we use are MKL's.
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int32)),
            torch.from_numpy(matrix.indices.astype(np.int32)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
            check_invariants=False,
        )
