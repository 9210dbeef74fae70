"""Examples in, a calibrated text model out."""

from __future__ import annotations

import hashlib
import json
import platform
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray

from hitl.records import Example
from hitl.training.bundle import Bundle
from hitl.training.embedding import learn_embedding
from hitl.training.errors import BadExample, NothingToLearn
from hitl.training.features import FEATURE_VERSION, learn_vocabulary
from hitl.training.heads import assign_folds, fit_heads
from hitl.training.measure import average_precision, log_loss
from hitl.training.mixing import Mixed, mix
from hitl.training.model import TextModel
from hitl.training.prior import Prior
from hitl.training.recipe import TrainingRecipe


def fit(
    examples: Sequence[Example], recipe: TrainingRecipe, *, seed: int, prior: Prior | None = None
) -> Bundle:
    """Train on every example given; the same examples (in any order), recipe and seed, same bytes.

    With a `prior` its head is weighed in where unseen labels say so. It keeps its own vocabulary:
    what many items teach of n-grams makes a worse one for a few labels.
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
    said = None if prior is None else prior.logits([examples[row].text for row in asked])
    mixed = mix(heads, asked_rows, targets.astype(float), weights.astype(float), recipe, said)
    return Bundle(
        tensors={
            "buckets": vocabulary.buckets.astype(np.int32),
            "idf": vocabulary.idf,
            "weights": mixed.weights,
            "intercepts": mixed.intercepts
            if prior is None
            else mixed.intercepts + mixed.prior_scale * prior.intercepts,
            "slopes": mixed.calibration.slopes,
            "offsets": mixed.calibration.offsets,
            "embedding_columns": embedding.columns,
            "embedding_axes": embedding.axes,
        }
        | _tensors_of(prior, mixed),
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
            "prior": None if prior is None else {"items": prior.items, "sha256": prior.sha256},
            "metrics": _metrics(recipe.categories, mixed, targets, weights),
        },
    )


def _tensors_of(prior: Prior | None, mixed: Mixed) -> dict[str, NDArray[Any]]:
    """The earlier model's part of the bundle; nothing where it has no say in any category."""
    if prior is None or not mixed.prior_scale.any():
        return {}
    return {
        "prior_buckets": prior.vocabulary.buckets.astype(np.int32),
        "prior_idf": prior.vocabulary.idf,
        "prior_weights": mixed.prior_scale * prior.weights,
    }


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


def _metrics(
    categories: Sequence[str],
    mixed: Mixed,
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
            "prior_share": mixed.prior_shares[j],
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
