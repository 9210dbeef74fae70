"""Examples in, a calibrated text model out."""

from __future__ import annotations

import hashlib
import json
import platform
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from scipy import sparse

from hitl.records import Example
from hitl.training.bundle import Bundle
from hitl.training.calibration import Calibration, Float64, calibrate
from hitl.training.embedding import learn_embedding
from hitl.training.errors import BadExample, NothingToLearn
from hitl.training.features import FEATURE_VERSION, learn_vocabulary
from hitl.training.heads import Head, assign_folds, fit_heads
from hitl.training.measure import average_precision, log_loss
from hitl.training.model import TextModel
from hitl.training.recipe import TrainingRecipe


def fit(examples: Sequence[Example], recipe: TrainingRecipe, *, seed: int) -> Bundle:
    """Train on every example given; the same examples (in any order), recipe and seed, same bytes.

    Labels of categories that the recipe does not name are passed over; a category without a label
    on an example is unknown there and weighs nothing. An example without any label still teaches
    which n-grams there are, and the embedding. Nothing here looks at `split`.
    `bundle.metrics` says by category how it was calibrated and how it did on unseen folds.

    Raises:
        NothingToLearn: no example has a label for any category.
        BadExample: a label is not 0 or 1, or a weight is not a finite number of at least 0.
    """
    examples = sorted(examples, key=lambda example: example.item_id)
    targets, weights = _cells(examples, recipe.categories)
    asked = np.flatnonzero((weights > 0).any(axis=1))
    if not len(asked):
        raise NothingToLearn(examples=len(examples), categories=len(recipe.categories))
    with _torch_threads(recipe.threads):
        vocabulary, rows = learn_vocabulary([e.text for e in examples], recipe.features)
        targets, weights, asked_rows = targets[asked], weights[asked], rows[asked]
        groups = [examples[row].group_id for row in asked]
        folds = assign_folds(groups, folds=recipe.folds, seed=seed)
        heads = fit_heads(asked_rows, targets, weights, folds, recipe)
        embedding = learn_embedding(
            rows,
            dimensions=recipe.embedding_dimensions,
            buckets=recipe.embedding_buckets,
            rows=recipe.embedding_rows,
            rng=np.random.default_rng(seed),
        )
    mixed = _mix(heads, asked_rows, targets.astype(float), weights.astype(float), recipe)
    return Bundle(
        tensors={
            "buckets": vocabulary.buckets.astype(np.int32),
            "idf": vocabulary.idf,
            "weights": mixed.weights,
            "intercepts": mixed.intercepts,
            "slopes": mixed.calibration.slopes,
            "offsets": mixed.calibration.offsets,
            "embedding_columns": embedding.columns,
            "embedding_axes": embedding.axes,
        },
        about={
            "kind": TextModel.KIND,
            "feature_version": FEATURE_VERSION,
            "categories": list(recipe.categories),
            "features": asdict(recipe.features),
            "recipe": asdict(recipe),
            "seed": seed,
            "versions": _versions(),
            "examples": len(examples),
            "examples_sha256": _fingerprint(examples),
            "ratio_share": mixed.ratio_share,
            "metrics": _metrics(recipe.categories, mixed, targets, weights),
        },
    )


def _cells(
    examples: Sequence[Example], categories: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Targets and weights, each (N, C); an unknown cell is 0 and 0."""
    targets = np.zeros((len(examples), len(categories)), dtype=np.float32)
    weights = np.zeros_like(targets)
    for row, example in enumerate(examples):
        if not (np.isfinite(example.weight) and example.weight >= 0):
            raise BadExample(example.item_id, f"weight {example.weight} is not at least 0")
        for column, category in enumerate(categories):
            label = example.labels.get(category)
            if label is None:
                continue
            if label not in (0.0, 1.0):
                raise BadExample(example.item_id, f"label {category} is {label}, not 0 or 1")
            targets[row, column] = label
            weights[row, column] = example.weight
    return targets, weights


@dataclass(frozen=True, slots=True)
class _Mixed:
    """Both heads as one, and how it scores the rows its fold twins never saw."""

    weights: NDArray[np.float32]
    intercepts: NDArray[np.float32]
    unseen_logits: Float64
    calibration: Calibration
    ratio_share: float


def _mix(
    heads: tuple[Head, Head],
    rows: sparse.csr_matrix,
    targets: Float64,
    weights: Float64,
    recipe: TrainingRecipe,
) -> _Mixed:
    """The share of the ratio head with the least log loss on unseen rows, calibrated."""
    unseen = [head.unseen_logits for head in heads]
    spreads = np.stack([_spread(head, z, rows) for head, z in zip(heads, unseen, strict=True)])

    def weigh(share: float) -> tuple[float, float, Float64, Float64, Calibration]:
        # Standardised logits are averaged; scaled back, the mean is again a log-odds.
        k = np.array([[1.0 - share], [share]]) / spreads
        k /= k.sum(axis=0)
        logits = k[0] * unseen[0] + k[1] * unseen[1]
        calibration = calibrate(logits, targets, weights, pooled_below=recipe.pooled_below)
        known = np.isfinite(logits) & (weights > 0)
        p = calibration.probabilities(logits)[known]
        return log_loss(p, targets[known], weights[known]), share, k, logits, calibration

    _, share, k, logits, calibration = min(map(weigh, recipe.ratio_shares), key=itemgetter(0))
    k = k.astype(np.float32)
    return _Mixed(
        k[0] * heads[0].weights + k[1] * heads[1].weights,
        k[0] * heads[0].intercepts + k[1] * heads[1].intercepts,
        logits,
        calibration,
        share,
    )


def _spread(head: Head, unseen: Float64, rows: sparse.csr_matrix) -> Float64:
    """The standard deviation of each category's logits; 1 for a constant one."""
    held = np.isfinite(unseen).any(axis=0)
    own = np.std(rows @ head.weights, axis=0)
    spread = np.where(held, np.nanstd(np.where(held, unseen, 0.0), axis=0), own)
    return np.where(spread > 1e-6, spread, 1.0)


def _metrics(
    categories: Sequence[str],
    mixed: _Mixed,
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> dict[str, Any]:
    probabilities = mixed.calibration.probabilities(mixed.unseen_logits)
    metrics = {}
    for j, category in enumerate(categories):
        known = weights[:, j] > 0
        unseen = known & np.isfinite(probabilities[:, j])
        p, y, s = probabilities[unseen, j], targets[unseen, j], weights[unseen, j]
        both = 0 < y.sum() < len(y)
        positives = int(targets[known, j].sum())
        metrics[category] = {
            "known": int(known.sum()),
            "positives": positives,
            "constant": not 0 < positives < int(known.sum()),
            "calibrated_by": mixed.calibration.by[j].value,
            "unseen": len(y),
            "unseen_positives": int(y.sum()),
            "unseen_average_precision": round(average_precision(p, y, s), 6) if both else None,
            "unseen_log_loss": round(log_loss(p, y, s), 6) if len(y) else None,
        }
    return metrics


def _versions() -> dict[str, str]:
    """Of what can change a result. Unicode's tables decide what a word and a lower case are."""
    return {
        "python": platform.python_version(),
        "unicode": unicodedata.unidata_version,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "torch": torch.__version__,
    }


def _fingerprint(examples: Sequence[Example]) -> str:
    """Of what was learned from: ids, texts, labels, weights, groups."""
    sha256 = hashlib.sha256()
    for e in examples:
        text = hashlib.sha256(e.text.encode("utf-8", "surrogatepass")).hexdigest()
        line = [e.item_id, text, sorted(e.labels.items()), e.weight, e.group_id]
        sha256.update(json.dumps(line).encode())
    return sha256.hexdigest()


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
