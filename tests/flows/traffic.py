"""Made-up traffic: so many items a day, with scores, languages and surfaces as the test says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Engine, insert

from hitl.db import begin, schema
from tests.builders import NOON

MIDNIGHT = NOON.replace(hour=0)
"""Where the first window of these tests ends."""

Item = dict[str, Any]


def steady(rng: np.random.Generator, day: int) -> Item:
    """What comes in while nothing changes: two languages, no telling day from day."""
    return {
        "language": "en" if rng.random() < 0.7 else "de",
        "hate": float(rng.beta(1, 6)),
        "spam": float(rng.beta(2, 5)),
    }


def flow_in(
    engine: Engine,
    *,
    days: range,
    a_day: int = 60,
    make: Callable[[np.random.Generator, int], Item] = steady,
    model: str = "production",
    seed: int = 1,
    text: Callable[[Item], str] | None = None,
) -> None:
    """Items of these days before (negative) and after MIDNIGHT, each decided on as it comes."""
    items, decisions = [], []
    for day in days:
        rng = np.random.default_rng([seed, day + 1000])
        for k in range(a_day):
            made = make(rng, day)
            item_id, moment = f"{model}-{day}-{k}", _moment(day, k, a_day)
            words = text(made) if text else f"text of {item_id}"
            items.append(
                {"item_id": item_id, "language": made["language"], "surface": "posts",
                 "text": words, "content_hash": item_id, "content_at": moment}
            )  # fmt: skip
            decisions.append(
                {"item_id": item_id, "model_version": model, "decided_at": moment,
                 "probabilities": {c: round(made[c], 6) for c in ("hate", "spam") if c in made}}
            )  # fmt: skip
    with begin(engine) as tx:
        tx.execute(insert(schema.items), items)
        tx.execute(insert(schema.decisions), decisions)


def _moment(day: int, k: int, a_day: int) -> datetime:
    return MIDNIGHT + timedelta(days=day, seconds=86_400 * k / a_day)
