"""How many open tasks there should be."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from hitl.labelstudio import Pace, answers, pace_of, window_for
from hitl.records import Stage
from tests.builders import NOON, make_policy
from tests.flows.loops import Loop
from tests.labelstudio.fake import chose


def every(seconds: float, count: int, *, begin: datetime = NOON) -> list[datetime]:
    return [begin + timedelta(seconds=seconds * k) for k in range(count)]


def per_hour(moments: list[datetime]) -> float:
    pace = pace_of(moments)
    assert pace is not None
    return pace.answers_per_hour


def test_the_pace_is_answers_over_the_time_they_took() -> None:
    assert 120.0 == pytest.approx(per_hour(every(30, 50)))


def test_whoever_answers_in_bursts_has_the_pace_of_the_whole() -> None:
    bursts = [one for k in range(6) for one in [NOON + timedelta(minutes=5 * k)] * 20]

    assert 119 / (25 / 60) == pytest.approx(per_hour(bursts))


def test_only_the_last_hour_of_work_tells_the_pace() -> None:
    slow_then_quick = every(300, 40) + every(10, 360, begin=NOON + timedelta(hours=4))

    assert 360.0 == pytest.approx(per_hour(slow_then_quick))


def test_a_night_between_two_shifts_does_not_make_people_slow() -> None:
    yesterday, today = every(20, 180), every(20, 12, begin=NOON + timedelta(hours=15))

    # The hour before the newest answer holds twelve: the night is not in it.
    assert 180.0 == pytest.approx(per_hour(yesterday + today))


def test_a_break_within_the_hour_counts_as_ten_minutes() -> None:
    before, after = every(30, 20), every(30, 20, begin=NOON + timedelta(minutes=45))

    worked = timedelta(seconds=38 * 30) + timedelta(minutes=10)

    assert 39 / (worked / timedelta(hours=1)) == pytest.approx(per_hour(before + after))


def test_of_nine_answers_no_pace_is_told() -> None:
    assert pace_of(every(30, 9)) is None
    assert pace_of(every(30, 10)) is not None


def test_answers_all_at_one_moment_tell_no_pace() -> None:
    assert pace_of([NOON] * 50) is None


def test_ten_answers_over_days_are_a_slow_team_and_not_none() -> None:
    assert 6.0 == pytest.approx(per_hour(every(86_400, 12)))


def window(pace: float | None, **more: float) -> int:
    given_pace = None if pace is None else Pace(pace)
    rules = {"answers_a_task": 1, "minutes_ahead": 60.0, "least": 40, "most": 400} | more
    return window_for(given_pace, **rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pace", "more", "expected"),
    [
        (100.0, {}, 100),
        (100.0, {"minutes_ahead": 30.0}, 50),
        (100.0, {"answers_a_task": 2}, 50),
        (100.2, {}, 101),
        (5.0, {}, 40),
        (9000.0, {}, 400),
        (None, {}, 400),
    ],
)
def test_the_window_covers_the_minutes_ahead_between_its_bounds(
    pace: float | None, more: dict[str, float], expected: int
) -> None:
    assert expected == window(pace, **more)


@given(st.floats(0.1, 1e5), st.floats(0.1, 1e5), st.integers(1, 9), st.floats(1.0, 1440.0))
def test_a_quicker_team_never_gets_a_smaller_window(
    one: float, other: float, answers_a_task: int, minutes: float
) -> None:
    slow, quick = sorted((one, other))

    more = {"answers_a_task": answers_a_task, "minutes_ahead": minutes}

    assert 40 <= window(slow, **more) <= window(quick, **more) <= 400


@pytest.mark.postgres
def test_the_latest_answers_are_read_over_all_versions_and_only_of_their_stage(
    engine: Engine,
) -> None:
    loop = Loop(engine)
    loop.wait("a", "b", "c")
    loop.dispatch()
    first = loop.server.answer(loop.task_of("a"), chose("hate"))
    loop.server.answer(loop.task_of("b"), [], skip=True)
    loop.collect()
    loop.server.edit(first, chose("spam"))
    loop.collect()
    newer = make_policy(version="2")
    loop.wait("d", policy=newer)
    loop.dispatch(newer)
    loop.server.answer(loop.task_of("d"), chose("hate"))
    loop.collect(newer)

    with engine.begin() as tx:
        reviews = answers.latest_answer_times(tx, policy_name="community", stage=Stage.REVIEW)
        two = answers.latest_answer_times(tx, policy_name="community", stage=Stage.REVIEW, limit=1)
        rulings = answers.latest_answer_times(tx, policy_name="community", stage=Stage.ADJUDICATION)
        given_at = tx.execute(
            text("SELECT DISTINCT created_at FROM annotations ORDER BY 1 DESC")
        ).scalars()

    assert 3 == len(reviews)
    assert list(given_at) == reviews
    assert reviews[:1] == two
    assert [] == rulings
