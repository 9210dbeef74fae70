"""From look to look: an alarm begins once, lasts, passes, and never twice for one look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hitl.evaluation import About, Episode, Shift, ShiftKind, follow
from tests.builders import NOON

WEEK = timedelta(days=7)
DAY = timedelta(days=1)
ABOUT = About(ShiftKind.SCORES, "hate", "", "", "m1")
ABOVE = Shift(ABOUT, 100, 100, statistic=0.3, bar=0.1, p_value=1e-9, level=1e-4, effect=0.1)
BELOW = replace(ABOVE, statistic=0.05)
ALARM = Episode(1, ABOUT, NOON - WEEK, NOON, NOON, NOON, is_acknowledged=False, stands=True)


def test_what_is_above_for_the_first_time_begins() -> None:
    found = follow([], [ABOVE], end=NOON, window=WEEK)

    assert (ABOVE,) == found.begun
    assert () == found.above == found.below == found.passed


def test_the_same_look_again_changes_nothing() -> None:
    for known in (ALARM, replace(ALARM, watched_until=NOON + DAY), replace(ALARM, stands=False)):
        for shift in (ABOVE, BELOW):
            found = follow([known], [shift], end=NOON, window=WEEK)

            assert () == found.begun == found.above == found.below == found.passed


def test_an_alarm_goes_on_and_counts_windows_that_share_no_decision() -> None:
    found = follow([ALARM], [ABOVE], end=NOON + DAY, window=WEEK)
    lasted = [replace(ALARM, last_above=NOON + days * DAY).windows for days in (0, 6, 7, 13, 14)]

    assert (ALARM,) == found.above
    assert [1, 1, 2, 2, 3] == lasted


def test_an_alarm_passes_once_a_whole_window_was_not_above() -> None:
    below = follow([ALARM], [BELOW], end=NOON + 6 * DAY, window=WEEK)
    passed = follow([ALARM], [BELOW], end=NOON + 7 * DAY, window=WEEK)

    assert ((ALARM,), ()) == (below.below, below.passed)
    assert ((), (ALARM,)) == (passed.below, passed.passed)


def test_what_cannot_be_said_any_more_passes_too() -> None:
    unsaid = Shift(ABOUT, 100, 3, code="too_few_items")

    assert (ALARM,) == follow([ALARM], [unsaid], end=NOON + WEEK, window=WEEK).passed


def test_what_was_not_looked_at_stays() -> None:
    weekly = replace(ALARM, about=About(ShiftKind.EMBEDDINGS, model_version="m1"))

    found = follow([weekly], [BELOW], end=NOON + 3 * WEEK, window=WEEK)

    assert () == found.begun == found.above == found.below == found.passed


def test_an_alarm_after_one_that_ended_is_another() -> None:
    ended = replace(ALARM, stands=False, watched_until=NOON + WEEK)

    assert () == follow([ended], [ABOVE], end=NOON + WEEK, window=WEEK).begun
    assert (ABOVE,) == follow([ended], [ABOVE], end=NOON + WEEK + DAY, window=WEEK).begun
