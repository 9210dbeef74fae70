"""What every model can do, and the text model that does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hitl.training import bundle as disk
from hitl.training.bundle import Bundle
from hitl.training.calibration import CalibratedBy, Calibration, Float64
from hitl.training.embedding import Embedding
from hitl.training.errors import BadBundle
from hitl.training.features import FEATURE_VERSION, Vocabulary
from hitl.training.recipe import FeatureRecipe

_TEXTS_AT_ONCE = 8192


class Model(Protocol):
    """A model of any kind, as selection, evaluation and scanning see it.

    `predict` and `embed` give an item the same row whatever it is batched with.
    """

    @property
    def categories(self) -> tuple[str, ...]:
        """The order of C."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What the manifest says: versions, seed, counts, metrics."""
        ...

    @property
    def digest(self) -> str:
        """The name of its bytes: what was judged is what decides."""
        ...

    def predict(self, items: Sequence[str]) -> Float64:
        """Probabilities (N, C), each category on its own."""
        ...

    def embed(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Rows (N, D) of length 1, near where items are alike."""
        ...

    def save(self, folder: Path) -> Path:
        """Write the model as a bundle."""
        ...


@dataclass(frozen=True)
class TextModel:
    """Hashed n-grams, one linear score a category, a sigmoid. Exact in any batch, one thread."""

    bundle: Bundle
    vocabulary: Vocabulary
    weights: NDArray[np.float32]  # (D, C), both heads folded into one
    intercepts: NDArray[np.float32]  # (C,)
    calibration: Calibration
    embedding: Embedding
    # What an earlier model adds to the scores, over n-grams of its own: weights (D', C).
    prior: tuple[Vocabulary, NDArray[np.float32]] | None = None

    KIND = "text-linear"

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """The model that a bundle of this kind holds."""
        t, about = bundle.tensors, bundle.about
        features = {**about["features"], "char_grams": tuple(about["features"]["char_grams"])}
        recipe = FeatureRecipe(**features)
        prior = None
        if "prior_weights" in t:
            buckets = t["prior_buckets"].astype(np.int64)
            prior = (Vocabulary(buckets, t["prior_idf"], recipe), t["prior_weights"])
        metrics = about["metrics"]
        by = tuple(CalibratedBy(metrics[c]["calibrated_by"]) for c in about["categories"])
        return cls(
            bundle,
            Vocabulary(t["buckets"].astype(np.int64), t["idf"], recipe),
            t["weights"],
            t["intercepts"],
            Calibration(t["slopes"], t["offsets"], by),
            Embedding(t["embedding_columns"], t["embedding_axes"]),
            prior,
        )

    @property
    def categories(self) -> tuple[str, ...]:
        """The order of C."""
        return self.bundle.categories

    @property
    def about(self) -> Mapping[str, Any]:
        """What the manifest says."""
        return self.bundle.about

    @property
    def digest(self) -> str:
        """The sha256 of the bundle's manifest."""
        return self.bundle.digest

    def logits(self, items: Sequence[str]) -> Float64:
        """Scores (N, C) before calibration."""
        parts = [self._scores(chunk) for chunk in _chunks(items)]
        return np.concatenate([np.zeros((0, len(self.categories))), *parts])

    def predict(self, items: Sequence[str]) -> Float64:
        """Probabilities (N, C), each category on its own."""
        return self.calibration.probabilities(self.logits(items))

    def embed(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Rows (N, D) of length 1; zeros for a text without any known n-gram."""
        empty = np.zeros((0, self.embedding.axes.shape[1]), dtype=np.float32)
        rows = (self.embedding.rows(self.vocabulary.rows(chunk)) for chunk in _chunks(items))
        return np.concatenate([empty, *rows])

    def save(self, folder: Path) -> Path:
        """Write the model as a bundle."""
        return self.bundle.save(folder)

    def _scores(self, items: Sequence[str]) -> Float64:
        scores = self.vocabulary.rows(items) @ self.weights + self.intercepts
        if self.prior is not None:
            vocabulary, weights = self.prior
            scores = scores + vocabulary.rows(items) @ weights
        found: Float64 = scores.astype(np.float64)
        return found


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _TEXTS_AT_ONCE):
        yield items[start : start + _TEXTS_AT_ONCE]


def probabilities_for(model: Model, items: Sequence[str], categories: Sequence[str]) -> Float64:
    """Probabilities (N, C) in the order of `categories`; NaN where the model does not know one.

    A model keeps the order of the policy that it was trained under; policies go on changing.
    """
    own = model.predict(items)
    found = np.full((len(items), len(categories)), np.nan)
    for column, category in enumerate(categories):
        if category in model.categories:
            found[:, column] = own[:, model.categories.index(category)]
    return found


def load(folder: Path) -> Model:
    """The model in a bundle folder.

    Raises:
        BadBundle: it is unfinished, was changed, or was made by a newer or other code.
    """
    bundle = disk.read(Path(folder))
    kind = bundle.about.get("kind")
    if kind != TextModel.KIND:
        raise BadBundle(Path(folder), f"holds a model of kind {kind!r}; update hitl to read it")
    version = bundle.about.get("feature_version")
    if version != FEATURE_VERSION:
        reason = f"needs feature version {version}, this is {FEATURE_VERSION}; train again"
        raise BadBundle(Path(folder), reason)
    try:
        return TextModel.of(bundle)
    except (KeyError, TypeError, ValueError) as lacking:
        # The bytes are as they were written: something else wrote them.
        reason = f"lacks what a {TextModel.KIND} model needs ({lacking}); train again"
        raise BadBundle(Path(folder), reason) from lacking
