"""Short dense rows for diversity: latent semantic analysis of the same features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from hitl.training.solver import as_torch

_EXTRA = 10
_POWER_STEPS = 2


@dataclass(frozen=True, slots=True)
class Embedding:
    """Axes over some of the vocabulary's columns."""

    columns: NDArray[np.int32]  # (B,), sorted
    axes: NDArray[np.float16]  # (B, D)

    def rows(self, features: sparse.csr_matrix) -> NDArray[np.float32]:
        """Shape (N, D), rows of length 1; a text without any known n-gram is a row of zeros."""
        dense = np.asarray(features[:, self.columns] @ self.axes.astype(np.float32))
        length = np.sqrt((dense.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
        scaled: NDArray[np.float32] = (dense / np.where(length > 0, length, 1.0)).astype(np.float32)
        return scaled


def learn_embedding(
    features: sparse.csr_matrix,
    *,
    dimensions: int,
    buckets: int,
    rows: int,
    rng: np.random.Generator,
) -> Embedding:
    """The leading axes of at most `rows` rows, over the `buckets` columns of the most energy.

    Source: Halko, Martinsson and Tropp (2011), randomised range finder with power steps. Fewer
    axes come back than asked where there are fewer rows or columns.
    """
    if features.shape[0] > rows:
        features = features[np.sort(rng.choice(features.shape[0], rows, replace=False))]
    energy = np.asarray(features.multiply(features).sum(axis=0)).ravel()
    columns = np.sort(np.argsort(-energy, kind="stable")[:buckets]).astype(np.int32)
    narrow = features[:, columns].tocsr()
    wanted = min(dimensions, *narrow.shape)
    forward, backward = as_torch(narrow), as_torch(narrow.T.tocsr())
    start = rng.standard_normal((narrow.shape[0], min(wanted + _EXTRA, *narrow.shape)))
    basis = backward @ torch.from_numpy(start.astype(np.float32))
    for _ in range(_POWER_STEPS):
        basis, _ = torch.linalg.qr(basis)
        basis = backward @ (forward @ basis)
    basis, _ = torch.linalg.qr(basis)
    # The small side: eigenvectors of (X Q)'(X Q) turn the basis to the leading axes.
    shadow = forward @ basis
    _, turn = torch.linalg.eigh(shadow.T @ shadow)
    axes = (basis @ turn.flip(1)[:, :wanted]).numpy()
    peaks = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return Embedding(columns, (axes * np.where(peaks < 0, -1.0, 1.0)).astype(np.float16))
