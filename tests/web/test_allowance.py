"""The bucket of rows that each producer has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hitl.web import Allowance


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_a_burst_one_waits_until_a_row_has_come_back() -> None:
    clock = Clock()
    allowance = Allowance(rows_per_second=10, burst=100, clock=clock)

    allowance.spend("a", 150)

    assert (6, 0) == (allowance.wait_seconds("a"), allowance.wait_seconds("b"))
    clock.now += allowance.wait_seconds("a")
    assert 0 == allowance.wait_seconds("a")


def test_what_is_not_used_does_not_pile_up_past_the_burst() -> None:
    clock = Clock()
    allowance = Allowance(rows_per_second=10, burst=100, clock=clock)
    allowance.spend("a", 1)
    clock.now += 1_000_000

    allowance.spend("a", 100)

    assert 1 == allowance.wait_seconds("a")


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(1, 200)), max_size=60))
def test_over_any_time_no_more_passes_than_the_rate_allows(
    pushes: list[tuple[float, int]],
) -> None:
    clock = Clock()
    allowance = Allowance(rows_per_second=10, burst=300, clock=clock)
    passed = 0

    for pause, rows in pushes:
        clock.now += pause
        if allowance.wait_seconds("a") == 0:
            allowance.spend("a", rows)
            passed += rows

    assert passed <= 300 + 10 * clock.now + 200
