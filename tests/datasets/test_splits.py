"""A group stays on its side, whatever comes after."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.datasets import side, sides
from hitl.records import Split

fractions = st.floats(0.0, 1.0)


def test_known_groups_are_where_they_were_when_this_was_written() -> None:
    found = sides((f"g{k}" for k in range(40)), measuring_fraction=0.25)

    assert [0, 27, 30, 33, 34, 35, 37] == [k for k, one in enumerate(found) if one is Split.TEST]


@pytest.mark.parametrize("fraction", [0.05, 0.25, 0.5, 0.95])
def test_the_measuring_side_holds_about_the_wanted_fraction(fraction: float) -> None:
    count = 20_000

    found = sides((f"group {k}" for k in range(count)), measuring_fraction=fraction)

    # five standard errors: about one salt in two million would fail
    slack = 5 * (fraction * (1 - fraction) / count) ** 0.5
    assert abs(found.count(Split.TEST) / count - fraction) < slack


@settings(max_examples=200, deadline=None)
@given(group=st.text(), low=fractions, high=fractions)
def test_raising_the_fraction_moves_groups_to_the_measuring_side_only(
    group: str, low: float, high: float
) -> None:
    low, high = sorted((low, high))

    before = side(group, measuring_fraction=low)
    after = side(group, measuring_fraction=high)

    assert not (before is Split.TEST and after is Split.TRAIN)


@settings(max_examples=100, deadline=None)
@given(groups=st.lists(st.text(max_size=8), max_size=20), fraction=fractions)
def test_a_group_is_on_one_side_wherever_it_stands(groups: list[str], fraction: float) -> None:
    found = sides([*groups, *reversed(groups)], measuring_fraction=fraction)

    assert found == found[::-1]
    assert [side(one, measuring_fraction=fraction) for one in groups] == found[: len(groups)]


def test_nothing_and_everything_are_fractions_too() -> None:
    groups = [f"g{k}" for k in range(500)]

    assert {Split.TRAIN} == set(sides(groups, measuring_fraction=0.0))
    assert {Split.TEST} == set(sides(groups, measuring_fraction=1.0))


def test_another_salt_is_another_draw() -> None:
    groups = [f"g{k}" for k in range(2_000)]

    one = sides(groups, measuring_fraction=0.5, salt="one")
    other = sides(groups, measuring_fraction=0.5, salt="other")

    # independent halves agree on about half
    assert 0.4 < sum(a is b for a, b in zip(one, other, strict=True)) / len(groups) < 0.6


@pytest.mark.parametrize("fraction", [-0.01, 1.01, float("nan")])
def test_a_fraction_outside_its_range_is_a_mistake(fraction: float) -> None:
    with pytest.raises(ValueError, match="measuring_fraction"):
        side("g", measuring_fraction=fraction)
