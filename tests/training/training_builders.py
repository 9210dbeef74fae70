"""Examples of a small made-up world: words that tell, words that do not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hitl.records import Example, ItemId, Split
from hitl.training import FeatureRecipe, TrainingRecipe

TELLING = {"spam": ("coins", "prize", "click"), "hate": ("vermin", "filth", "scum")}
DULL = ("the", "a", "we", "saw", "river", "garden", "on", "sunday", "tea", "late", "bus", "home")


def make_example(
    number: int = 0,
    text: str = "a dull text",
    labels: Mapping[str, float] | None = None,
    weight: float = 1.0,
    group_id: str | None = None,
) -> Example:
    """One example; its group is its own unless given."""
    return Example(
        item_id=ItemId(f"i{number:05d}"),
        text=text,
        labels={"spam": 0.0, "hate": 0.0} if labels is None else labels,
        group_id=group_id or f"g{number:05d}",
        split=Split.TRAIN,
        weight=weight,
    )


def make_examples(n: int, *, seed: int = 1, rate: float = 0.3) -> list[Example]:
    """`n` examples in which a category's words show up mostly where it is violated."""
    rng = np.random.default_rng(seed)
    examples = []
    for number in range(n):
        words = rng.choice(DULL, 8).tolist()
        labels = {}
        for category, telling in TELLING.items():
            labels[category] = float(rng.random() < rate)
            if rng.random() < (0.9 if labels[category] else 0.05):
                words.insert(int(rng.integers(len(words))), str(rng.choice(telling)))
        examples.append(make_example(number, " ".join(words), labels))
    return examples


def make_recipe(**changed: object) -> TrainingRecipe:
    """Two categories, fewer buckets, a small embedding: fits in a blink."""
    dull: dict[str, object] = {
        "categories": ("spam", "hate"),
        "features": FeatureRecipe(bits=14),
        "embedding_dimensions": 16,
    }
    return TrainingRecipe(**(dull | changed))  # type: ignore[arg-type]
