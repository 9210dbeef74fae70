"""Step 4 beside the receiver of webhooks: looks where it was told to, and everywhere in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hitl import logs
from hitl.errors import HitlError, NotYet, Refused, Unavailable
from hitl.faults import place_of
from hitl.web import Figure
from hitl.web.store import Wakeup

log = logs.get(__name__)

AT_ONCE = 1000
_LONGEST_BACKOFF_SECONDS = 60.0


class CollectorStopped(Unavailable):
    """The thread that collects has ended although nobody told it to."""

    def __init__(self) -> None:
        super().__init__("the collector has stopped; start `hitl serve` again")


@dataclass(frozen=True)
class Looks:
    """What a collector does, each safe to repeat and to kill.

    `some(task_ids)` looks at these tasks, `all()` polls every project, `pending()` gives what it
    was told, longest waiting first, and `forget(wakeups)` lets go of what was followed.
    """

    some: Callable[[Sequence[int]], object]
    all: Callable[[], object]
    pending: Callable[[], Sequence[Wakeup]]
    forget: Callable[[Sequence[Wakeup]], None]


@dataclass
class Collector:
    """Follows wake-ups within a second, and polls every `poll_seconds` whatever it was told.

    `pause_seconds` lie between two looks: what comes meanwhile is looked at together. Wake-ups
    of other processes are seen within `glance_seconds`.
    """

    looks: Looks
    clock: Callable[[], float]
    poll_seconds: float = 60.0
    pause_seconds: float = 0.5
    glance_seconds: float = 1.0
    _told: threading.Event = field(default_factory=threading.Event)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _polled_at: float | None = None
    _failures: int = 0
    _thread: threading.Thread | None = None

    def nudge(self) -> None:
        """Somebody was told something: look now."""
        self._told.set()

    def turn(self) -> bool:
        """Poll if it is due, else follow what there is to follow; whether all went well.

        The poll is no less due for being kept busy: it is what finds what nobody told.
        """
        begun = self.clock()
        what = "look"
        try:
            told = list(self.looks.pending())
            is_due = self._polled_at is None or begun - self._polled_at >= self.poll_seconds
            # A project as a whole, or a task that is not known yet: only a poll finds it.
            if is_due or any(one.task_id == 0 for one in told):
                what = "poll"
            elif not told:
                return True
            is_done = self._follow(what, told)
            if what == "poll":
                self._polled_at = begun
            if told:
                self.looks.forget(told)
        except HitlError as reason:
            self._failed(what, _outcome(reason), error=type(reason).__name__)
            return False
        except Exception as fault:  # noqa: BLE001 - a thread that dies of one fault collects nothing
            self._failed(what, "broke", error=place_of(fault))
            return False
        self._failures = 0
        return is_done

    def _follow(self, what: str, told: Sequence[Wakeup]) -> bool:
        try:
            if what == "poll":
                self.looks.all()
            else:
                self.looks.some([one.task_id for one in told])
        except NotYet:
            raise
        except Refused as reason:
            # Looking again at once would not help, such as where one project of several is gone:
            # what could be collected was, and the next poll is soon enough for the rest.
            self._count(what, "refused")
            log.warning("collection_refused", what=what, error=type(reason).__name__)
            return False
        self._count(what, "done")
        return True

    def _failed(self, what: str, outcome: str, *, error: str) -> None:
        self._count(what, outcome)
        self._failures += 1
        # Another collection that runs is no failure: it may just be finding what we were told.
        level = log.info if outcome == "not_yet" else log.warning
        level("collection_failed", what=what, outcome=outcome, error=error, times=self._failures)

    def _count(self, what: str, outcome: str) -> None:
        self._counts[what, outcome] = self._counts.get((what, outcome), 0) + 1

    def _rest(self) -> None:
        """Until something is told or due; after failures longer each time, whatever is told."""
        if self._failures:
            longest = _LONGEST_BACKOFF_SECONDS
            self._stopping.wait(min(longest, self.pause_seconds * 2 ** min(self._failures, 10)))
            return
        self._stopping.wait(self.pause_seconds)
        self._told.wait(self.glance_seconds)
        self._told.clear()

    def run(self) -> None:
        """Turn after turn until it is stopped."""
        while not self._stopping.is_set():
            self.turn()
            self._rest()

    def start(self) -> None:
        """Run in a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="collector", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it after the turn that it is in, however long that takes: it is safe to be killed."""
        self._stopping.set()
        self._told.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def check(self) -> None:
        """Return if it runs.

        Raises:
            CollectorStopped: it does not, and should.
        """
        started = self._thread is not None
        if started and not self._thread.is_alive() and not self._stopping.is_set():  # type: ignore[union-attr]
            raise CollectorStopped

    def figures(self) -> list[Figure]:
        """What it did, for a scrape."""
        says = "Collections that `hitl serve` ran: polls of everything, looks at what it was told."
        made = [
            Figure(
                "hitl_collections", says, count, {"what": what, "outcome": outcome}, kind="counter"
            )
            for (what, outcome), count in sorted(self._counts.items())
        ]
        if self._polled_at is not None:
            age = self.clock() - self._polled_at
            made.append(Figure("hitl_poll_age_seconds", "Since the last whole poll.", age))
        return made


def _outcome(reason: HitlError) -> str:
    match reason:
        case NotYet():
            return "not_yet"
        case Unavailable():
            return "unavailable"
        case _:
            return "refused"
