"""An example together with the pick it came from, as a snapshot keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hitl.records import BatchId, Example, PolicyId, Split


@dataclass(frozen=True, slots=True)
class SourcedExample:
    """An example, and which pick of which batch brought it here."""

    example: Example
    batch_id: BatchId
    policy_id: PolicyId
    share: str
    strategy: str


@dataclass(frozen=True, slots=True)
class CategoryCounts:
    """How many examples of one side violate a category, do not, and are unknown."""

    positive: int
    negative: int
    unknown: int


@dataclass(frozen=True, slots=True)
class SideCounts:
    """One side: its examples, and the answers per category."""

    examples: int
    categories: Mapping[str, CategoryCounts]


def count_labels(
    rows: Iterable[SourcedExample], categories: Sequence[str]
) -> dict[Split, SideCounts]:
    """Counts of both sides; a side without examples counts zero."""
    examples: Counter[Split] = Counter()
    answers: Counter[tuple[Split, str, bool]] = Counter()
    for row in rows:
        examples[row.example.split] += 1
        for category, value in row.example.labels.items():
            answers[row.example.split, category, value > 0] += 1

    def of_category(split: Split, category: str) -> CategoryCounts:
        positive, negative = answers[split, category, True], answers[split, category, False]
        return CategoryCounts(positive, negative, examples[split] - positive - negative)

    return {
        split: SideCounts(examples[split], {one: of_category(split, one) for one in categories})
        for split in Split
    }


def canonical(row: SourcedExample) -> dict[str, Any]:
    """The row as plain values: equal rows, equal values, in every version of this program."""
    one = row.example
    return {
        "item_id": one.item_id,
        "text": one.text,
        "labels": {name: bool(value) for name, value in sorted(one.labels.items())},
        "group_id": one.group_id,
        "split": one.split.value,
        "weight": float(one.weight),
        "inclusion_probability": (
            None if one.inclusion_probability is None else float(one.inclusion_probability)
        ),
        "language": one.language,
        "surface": one.surface,
        "batch_id": row.batch_id,
        "policy_id": row.policy_id,
        "share": row.share,
        "strategy": row.strategy,
    }
