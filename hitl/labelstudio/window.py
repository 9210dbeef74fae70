"""How many open tasks Label Studio should hold: about as many as reviewers answer in a while."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# A longer silence is a break: nobody was at work in it.
_BREAK = timedelta(minutes=10)
# The pace of an hour's work; older answers may be of another team or another day.
_RECENT = timedelta(hours=1)
# Of fewer answers no pace is told.
_ENOUGH = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """Answers an hour of a team at work, skips included."""

    answers_per_hour: float


def pace_of(answered_at: Sequence[datetime]) -> Pace | None:
    """How fast people answered when they last worked. None: too few answers to tell.

    Only distances between the moments count, so whose clock gave them does not matter. Breaks of
    more than ten minutes count as ten: the pace of an evening is still known in the morning, and
    whoever comes first finds enough to do.
    """
    moments = sorted(answered_at)
    if len(moments) < _ENOUGH:
        return None
    begin = min(moments[-1] - _RECENT, moments[-_ENOUGH])
    recent = [one for one in moments if one >= begin]
    at_work = sum(
        (min(later - earlier, _BREAK) for earlier, later in itertools.pairwise(recent)),
        timedelta(),
    )
    if not at_work:
        return None
    return Pace(answers_per_hour=(len(recent) - 1) / (at_work / timedelta(hours=1)))


def window_for(
    pace: Pace | None, *, answers_a_task: int, minutes_ahead: float, least: int, most: int
) -> int:
    """How many open tasks cover `minutes_ahead` of work, but no fewer than `least`.

    Whatever becomes urgent waits behind the open tasks, so more of them are held only for people
    who would run dry. With a pace unknown: `most`, as many as there may ever be.
    """
    if pace is None:
        return most
    wanted = math.ceil(pace.answers_per_hour * minutes_ahead / 60 / answers_a_task)
    return min(max(wanted, least), most)
