"""The production model of the demo's story: trained on a few early posts, sure of itself, weak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

REMOVE_FROM, ALLOW_UP_TO = 0.8, 0.3
ROLLED_OUT_DAY = 40
"""When the second version took over; its training had seen some Portuguese and no German."""

# Lines that a real log has, too. Each is set aside with its own reason; the demo shows them.
BROKEN_ROWS = (
    '{"content_id": "syn-000005", "created_at": "2026-03-01T06:10:00.000Z", "model_version": '
    '"prod-1.0.0", "predicted_action": "review", "score_hate": 1.7, "score_harassment": 0.1, '
    '"score_spam": 0.1, "score_selfharm": 0.1, "surface": "comments", "language": "en"}',
    '{"content_id": "syn-000006", "created_at": "yesterday", "model_version": "prod-1.0.0", '
    '"predicted_action": "allow", "score_hate": 0.1, "score_harassment": 0.1, "score_spam": 0.1, '
    '"score_selfharm": 0.1, "surface": "comments", "language": "en"}',
    '{"content_id": "syn-000007", "created_at": "2026-03-01T06:12:00.000Z", "model_version": '
    '"prod-1.0.0", "predicted_action": "shadowban", "score_hate": 0.1, "score_harassment": 0.2, '
    '"score_spam": 0.1, "score_selfharm": 0.1, "surface": "comments", "language": "en"}',
    '{"content_id": null, "created_at": "2026-03-01T06:13:00.000Z", "model_version": '
    '"prod-1.0.0", "predicted_action": "allow", "score_hate": 0.1, "score_harassment": 0.1, '
    '"score_spam": 0.1, "score_selfharm": 0.1, "surface": "bios", "language": "en"}',
    '{"content_id": "syn-000009", "created_at": "2026-03-01T06:14:00.000Z", "model_ver',
)


@dataclass(frozen=True)
class Production:
    """One version: TF-IDF of words and one logistic regression a category."""

    version: str
    vectorizer: TfidfVectorizer
    models: dict[str, LogisticRegression]

    def scores(self, texts: Sequence[str], categories: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities (N, C). Nothing was done to calibrate them."""
        rows = self.vectorizer.transform(texts)
        return np.column_stack([self.models[one].predict_proba(rows)[:, 1] for one in categories])


def train_production(
    rng: Generator, content: pd.DataFrame, gold: pd.DataFrame, *, categories: Sequence[str]
) -> tuple[Production, ...]:
    """Two versions from small biased samples: early, mostly English comments, violations
    over-sampled, one label in twelve wrong."""
    day = (content["created_at"] - content["created_at"].min()).dt.total_seconds() / 86_400
    early = (content["language"] == "en") & (content["surface"] == "comments") & (day < 20)
    later = (content["language"] != "de") & (day < 30)
    first = _sample(rng, early, gold, categories, violating=24, other=150)
    second = np.union1d(first, _sample(rng, later, gold, categories, violating=14, other=120))
    return tuple(
        _fit(rng, version, content["text"].iloc[rows], gold.iloc[rows], categories)
        for version, rows in (("prod-1.0.0", first), ("prod-1.1.0", second))
    )


def _sample(
    rng: Generator,
    where: pd.Series,
    gold: pd.DataFrame,
    categories: Sequence[str],
    *,
    violating: int,
    other: int,
) -> NDArray[np.intp]:
    clean = gold[list(categories)].sum(axis=1) == 0
    parts = [_draw(rng, np.flatnonzero(where & clean), other)]
    parts += [_draw(rng, np.flatnonzero(where & (gold[one] == 1)), violating) for one in categories]
    return np.unique(np.concatenate(parts))


def _draw(rng: Generator, rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    return rng.choice(rows, size=min(count, len(rows)), replace=False)


def _fit(
    rng: Generator, version: str, texts: pd.Series, gold: pd.DataFrame, categories: Sequence[str]
) -> Production:
    vectorizer = TfidfVectorizer(max_features=1500)
    rows = vectorizer.fit_transform(texts)
    models = {}
    for category in categories:
        answers = gold[category].to_numpy(copy=True)
        wrong = rng.random(len(answers)) < 1 / 12
        models[category] = LogisticRegression(C=20.0, max_iter=500).fit(
            rows, np.where(wrong, 1 - answers, answers)
        )
    return Production(version, vectorizer, models)


def decide(
    rng: Generator,
    models: Sequence[Production],
    content: pd.DataFrame,
    *,
    categories: Sequence[str],
    rescored: float,
) -> pd.DataFrame:
    """The decision log: each post by the version of its day, and a part of the old ones again.

    Args:
        models: one version, or the old and the new one.
        rescored: which part of the old posts the new version looked at after it was rolled out.
    """
    switch = content["created_at"].min().normalize() + pd.Timedelta(days=ROLLED_OUT_DAY)
    by_new = (content["created_at"] >= switch).to_numpy() | (len(models) == 1)
    again = np.flatnonzero(~by_new)
    again = np.sort(rng.choice(again, size=round(rescored * len(again)), replace=False))
    lag = pd.to_timedelta(rng.integers(1, 30, len(content)), unit="s")
    parts = [
        _log(
            models[0], content[~by_new], content["created_at"][~by_new] + lag[~by_new], categories
        ),
        _log(models[-1], content[by_new], content["created_at"][by_new] + lag[by_new], categories),
        _log(
            models[-1],
            content.iloc[again],
            pd.Series(switch + pd.to_timedelta(rng.integers(0, 172_800, len(again)), unit="s")),
            categories,
        ),
    ]
    log = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return log.sort_values(["created_at", "content_id"], kind="stable").reset_index(drop=True)


def _log(
    model: Production, content: pd.DataFrame, decided_at: pd.Series, categories: Sequence[str]
) -> pd.DataFrame:
    if content.empty:
        return pd.DataFrame()
    scores = model.scores(content["text"].tolist(), categories).round(6)
    worst = scores.max(axis=1)
    action = np.where(
        worst >= REMOVE_FROM, "remove", np.where(worst <= ALLOW_UP_TO, "allow", "review")
    )
    return pd.DataFrame(
        {
            "content_id": content["content_id"].to_numpy(),
            "created_at": decided_at.to_numpy(),
            "model_version": model.version,
            "predicted_action": action,
            **{f"score_{one}": scores[:, k] for k, one in enumerate(categories)},
            "surface": content["surface"].to_numpy(),
            "language": content["language"].to_numpy(),
        }
    )
