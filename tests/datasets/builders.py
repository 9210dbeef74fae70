"""Examples with dull fields."""

from __future__ import annotations

from hitl.datasets import Frozen, SourcedExample, write_snapshot
from hitl.records import BatchId, Example, ItemId, PolicyId, Split


def make_row(
    item_id: str,
    labels: dict[str, float] | None = None,
    *,
    text: str = "some words",
    split: Split = Split.TRAIN,
    inclusion_probability: float | None = None,
) -> SourcedExample:
    return SourcedExample(
        example=Example(
            item_id=ItemId(item_id),
            text=text,
            labels={"hate": 1.0, "spam": 0.0} if labels is None else labels,
            group_id=f"group of {item_id}",
            split=split,
            weight=2 / 3,
            inclusion_probability=inclusion_probability,
            language="en",
            surface=None,
        ),
        batch_id=BatchId("b1"),
        policy_id=PolicyId("community@1-x"),
        share="audit",
        strategy="random",
    )


def freeze(root, rows, **changed) -> Frozen:  # type: ignore[no-untyped-def]
    """Write rows with dull settings."""
    given = {
        "policy_id": PolicyId("community@1-x"),
        "categories": ("hate", "spam"),
        "measuring_fraction": 0.25,
        "salt": "salt",
    }
    return write_snapshot(root, rows, **(given | changed))
