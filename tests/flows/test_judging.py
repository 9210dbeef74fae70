"""What flows ask of labelled examples."""

from __future__ import annotations

from flows.judging.examples import OTHER, largest


def test_free_text_becomes_a_bounded_number_of_slices() -> None:
    values = ["b"] * 3 + ["a"] * 2 + ["z", "y", "x"]

    assert ["b"] * 3 + ["a"] * 2 + [OTHER, OTHER, "x"] == largest(values, limit=3)
    assert values == largest(values, limit=5)
