"""From one look to the next: what begins, what goes on, and what has passed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hitl.evaluation.shifts import About, Shift


@dataclass(frozen=True, slots=True)
class Episode:
    """An alarm that is on record: from the window where it began to the newest that was above."""

    alarm_id: int
    about: About
    window_start: datetime
    window_end: datetime
    last_above: datetime
    watched_until: datetime
    is_acknowledged: bool
    stands: bool

    @property
    def windows(self) -> int:
        """How many windows that share no decision it has lasted."""
        return windows_between(self.window_start, self.window_end, self.last_above)


@dataclass(frozen=True, slots=True)
class Followed:
    """What a look does to what is on record. `above` and `below` go on, `passed` end."""

    begun: tuple[Shift, ...]
    above: tuple[Episode, ...]
    below: tuple[Episode, ...]
    passed: tuple[Episode, ...]


def follow(
    on_record: Sequence[Episode], shifts: Iterable[Shift], *, end: datetime, window: timedelta
) -> Followed:
    """Match a look at the window that ends at `end` with what is on record.

    An alarm goes on while windows are above; it has passed once a whole window was not, one that
    shares no decision with the last that was. So neither a single bad day nor a value that swings
    around its bar makes many alarms. A look at what was looked at before changes nothing.

    Args:
        on_record: those that stand, and those that ended by a look at `end` or later.
        shifts: every question that was asked, of each kind that was looked at.
    """
    asked = list(shifts)
    by_subject: dict[About, list[Episode]] = {}
    for one in on_record:
        by_subject.setdefault(one.about, []).append(one)
    begun, above = [], []
    for shift in asked:
        if not shift.is_alarm:
            continue
        known = by_subject.get(shift.about, [])
        if any(one.watched_until >= end for one in known):
            continue
        standing = [one for one in known if one.stands]
        if standing:
            above += standing
        else:
            begun.append(shift)
    kinds = {one.about.kind for one in asked}
    others = [
        one
        for one in on_record
        if one.stands and one.about.kind in kinds and one.watched_until < end and one not in above
    ]
    passed = tuple(one for one in others if end - one.last_above >= window)
    return Followed(
        tuple(begun),
        tuple(above),
        tuple(one for one in others if one not in passed),
        passed,
    )


def windows_between(window_start: datetime, window_end: datetime, last_above: datetime) -> int:
    """Of windows as long as the first, how many fit one after the other until the newest."""
    return 1 + (last_above - window_end) // (window_end - window_start)
