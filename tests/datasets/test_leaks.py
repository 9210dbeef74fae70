"""Near copies that differ in some words: one side of a snapshot at most, and never both."""

from __future__ import annotations

import pytest

from hitl.datasets import SourcedExample, on_one_side
from hitl.recipe import AUDIT
from hitl.records import BatchId, Example, ItemId, PolicyId, Split


def row(item_id: str, share: str) -> SourcedExample:
    side = Split.TEST if share == AUDIT else Split.TRAIN
    return SourcedExample(
        Example(ItemId(item_id), f"text of {'abcdef'[int(item_id[1:])]}", {}, item_id, side),
        BatchId("b1"),
        PolicyId("p"),
        share,
        "any",
    )


ROWS = [row("i0", AUDIT), row("i1", AUDIT), row("i2", "uncertain"), row("i3", "uncertain")]


@pytest.mark.parametrize(
    ("clusters", "left"),
    [
        (None, ["i0", "i1", "i2", "i3"]),
        ({}, ["i0", "i1", "i2", "i3"]),
        ({"i0": 1, "i2": 1}, ["i1", "i2", "i3"]),
        ({"i0": 1, "i1": 1}, ["i0", "i1", "i2", "i3"]),
        ({"i2": 1, "i3": 1}, ["i0", "i1", "i2", "i3"]),
        ({"i0": 1, "i1": 1, "i2": 1, "i3": 2}, ["i2", "i3"]),
    ],
)
def test_of_copies_on_both_sides_the_one_that_trains_stays(
    clusters: dict[str, int] | None, left: list[str]
) -> None:
    assert left == [one.example.item_id for one in on_one_side(ROWS, clusters)]


def test_what_is_left_out_of_training_does_not_keep_its_copies_from_measuring() -> None:
    exact = SourcedExample(
        Example(ItemId("i9"), "TEXT of a!", {}, "i9", Split.TRAIN),
        BatchId("b1"),
        PolicyId("p"),
        "uncertain",
        "any",
    )

    found = on_one_side([*ROWS, exact], {"i9": 1, "i0": 1})

    assert ["i0", "i1", "i2", "i3"] == [one.example.item_id for one in found]
