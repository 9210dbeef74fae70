"""How a model is trained, when it may take over, and when it may decide alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hitl.recipe.values import Strict


class TrainingRecipe(Strict):
    """What goes into the text model's training; passed on as plain values.

    `prior_items`: of how many items the decisions of earlier models are learned from, as one more
    head that is weighed against the labels; 0 learns from labels alone.
    """

    seed: int = 20260101
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    embedding_dimensions: Annotated[int, Field(ge=2, le=1024)] = 256
    prior_items: Annotated[int, Field(ge=0, le=1_000_000)] = 20_000
    min_labels: Annotated[int, Field(ge=1)] = 100
    retrain_after_labels: Annotated[int, Field(ge=1)] = 200


class GateRecipe(Strict):
    """When a challenger may replace the champion (docs/gate.md)."""

    margin: Annotated[float, Field(ge=0.0, le=0.5)] = 0.02
    obligation_margin: Annotated[float, Field(ge=0.0, le=0.5)] = 0.05
    min_test_items: Annotated[int, Field(ge=1)] = 40
    min_category_positives: Annotated[int, Field(ge=5)] = 50
    max_nll_increase: Annotated[float, Field(ge=0.0)] = 0.02
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=20_000)] = 1000
    require_superiority: bool = False


class CertifyRecipe(Strict):
    """By which labels a threshold earns the right to decide alone (docs/certificates.md).

    `by`: thresholds of their own for each language or surface; else one for all. A certificate
    rests on the audit labels of decisions of the last `window_days`, and ends after `valid_days`.
    `starts`: 4 where the highest scores are not the purest (see `certify_precision`).
    """

    by: Literal["", "language", "surface"] = ""
    window_days: Annotated[int, Field(ge=1, le=3650)] = 90
    valid_days: Annotated[int, Field(ge=1, le=365)] = 30
    starts: Annotated[int, Field(ge=1, le=16)] = 1
