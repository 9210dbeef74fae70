"""Simulated reviewers at work: separate accounts, all at once, until nothing is left for anyone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Condition, Event, Lock

import numpy as np
from pydantic import SecretStr

from flows.demo.answers import SimulatedReviewer, answer_of
from flows.demo.scene import Judged
from flows.demo.seat import Seat, Stopped, invite_path
from hitl.policy import Policy


@dataclass(frozen=True)
class ReviewReport:
    """What the reviewers did in this call.

    `submitted` answers and `skipped` ones are each stored once, also where the first reply was
    lost. `refused` found the same answer there from earlier, or the task gone.
    """

    submitted: int
    skipped: int
    refused: int
    by_reviewer: dict[str, int]


@dataclass(frozen=True)
class Crew:
    """Reviewers who are logged in, each in a session of their own."""

    reviewers: tuple[SimulatedReviewer, ...]
    seats: tuple[Seat, ...]


@contextmanager
def seated(
    url: str,
    token: SecretStr,
    reviewers: Sequence[SimulatedReviewer],
    *,
    on_account: Callable[[int], None] | None = None,
    patience_seconds: float = 90.0,
) -> Iterator[Crew]:
    """Give every reviewer an account of their own through the invite link, and log them in.

    Safe to repeat: who has an account logs in. Sessions last for all rounds, because logging in
    costs Label Studio most of a second of hashing.

    Args:
        token: of the account that may invite; a legacy token.
        on_account: called with how many are in, from the reviewers' threads, one at a time.

    Raises:
        ReviewersUnavailable: Label Studio does not answer.
        ReviewerRefused: an account exists with another password.
    """
    base = url.rstrip("/")
    with ExitStack() as held:
        seats = tuple(
            held.enter_context(Seat(base, one, patience_seconds=patience_seconds))
            for one in reviewers
        )
        invite = invite_path(base, token)
        lock, inside = Lock(), 0

        def enter(seat: Seat) -> None:
            nonlocal inside
            seat.enter(invite)
            with lock:
                inside += 1
                if on_account is not None:
                    on_account(inside)

        with ThreadPoolExecutor(max(1, len(seats)), thread_name_prefix="reviewer") as pool:
            list(pool.map(enter, seats))
        yield Crew(tuple(reviewers), seats)


def review(
    crew: Crew,
    project_id: int,
    judged: Judged,
    *,
    policy: Policy,
    limit: int | None = None,
    stop: Event | None = None,
    on_label: Callable[[int], None] | None = None,
) -> ReviewReport:
    """Let the whole crew work through a project's label stream at once.

    Ends when Label Studio has nothing for any of them, after `limit` submitted answers (skips
    not counted), or soon after `stop` is set; Ctrl-C stops them likewise and is raised on.

    Args:
        judged: gold by item id plays the reviewers' judgement. Of an item that is not in it a
            reviewer cannot tell anything.
        on_label: called with the number of answers so far, from the reviewers' threads, one at
            a time.

    Raises:
        ReviewersUnavailable: it stayed away for longer than the reviewers are patient.
        ReviewerRefused: an answer was refused.
    """
    desk = _Desk(len(crew.seats), limit, on_label)

    def work(seat: Seat) -> None:
        try:
            _work(seat, desk, judged, project_id=project_id, policy=policy)
        except Stopped:
            pass
        finally:
            desk.leave()

    with ThreadPoolExecutor(max(1, len(crew.seats)), thread_name_prefix="reviewer") as pool:
        running = [pool.submit(work, one) for one in crew.seats]
        try:
            _watch(running, desk, stop or Event())
        finally:
            desk.halt()
    for one in running:
        one.result()
    return desk.report()


def _watch(running: Sequence[Future[None]], desk: _Desk, stop: Event) -> None:
    left = set(running)
    while left:
        if stop.is_set():
            desk.halt()
        # In short waits: a main thread that blocks for good does not hear Ctrl-C everywhere.
        ended, left = wait(left, timeout=0.2, return_when=FIRST_EXCEPTION)
        if any(one.exception() for one in ended):
            desk.halt()


def _work(seat: Seat, desk: _Desk, judged: Judged, *, project_id: int, policy: Policy) -> None:
    served: Counter[int] = Counter()
    while desk.take_ticket():
        mark = desk.events
        task = seat.next_task(project_id, stop=desk.stop)
        if task is None:
            if not desk.wait_for_others(mark):
                return
            continue
        served[task.task_id] += 1
        attempt = served[task.task_id]
        answer = answer_of(
            seat.reviewer,
            task.item_id,
            _gold_of(judged, task.item_id, policy),
            policy=policy,
            stage=task.stage,
            attempt=attempt,
        )
        is_new = seat.submit(task, answer, attempt=attempt, stop=desk.stop)
        desk.note(seat.reviewer.name, is_skip=answer.is_skip, is_new=is_new)


def _gold_of(judged: Judged, item_id: str, policy: Policy) -> dict[str, bool]:
    row = judged.row_of.get(item_id)
    if row is None:
        return {}
    known = judged.gold[row]
    return {
        category: bool(value)
        for category, value in zip(policy.category_ids, known, strict=True)
        if not np.isnan(value)
    }


class _Desk:
    """What the reviewers share: how much was done, and whether somebody may still find work.

    "Nothing for you now" is not "finished": a task that one reviewer skips goes to another. So a
    reviewer without work waits for an event, and all leave when nobody present can go on.
    """

    def __init__(
        self, reviewers: int, limit: int | None, on_label: Callable[[int], None] | None
    ) -> None:
        self.stop = Event()
        self.events = 0
        self._changed = Condition()
        self._present = reviewers
        self._tickets = limit
        self._without_ticket = 0
        self._without_task: Counter[int] = Counter()  # by the number of events when they looked
        self._on_label = on_label
        self._submitted: Counter[str] = Counter()
        self._skipped = 0
        self._refused = 0

    def take_ticket(self) -> bool:
        """May one more answer be given? What does not become an answer gives its ticket back."""
        with self._changed:
            self._without_ticket += 1
            self._changed.wait_for(lambda: self._tickets != 0 or self._nobody_can_go_on())
            self._without_ticket -= 1
            if self.stop.is_set() or self._tickets == 0:
                return False
            if self._tickets is not None:
                self._tickets -= 1
            return True

    def wait_for_others(self, mark: int) -> bool:
        """After an empty-handed look at `events == mark`. False: there will be nothing more."""
        with self._changed:
            self._give_ticket_back()
            self._without_task[mark] += 1
            self._changed.wait_for(lambda: self.events != mark or self._nobody_can_go_on())
            self._without_task[mark] -= 1
            return not self.stop.is_set()

    def note(self, name: str, *, is_skip: bool, is_new: bool) -> None:
        """An answer was given."""
        with self._changed:
            self.events += 1
            if is_skip or not is_new:
                self._give_ticket_back()
            if not is_new:
                self._refused += 1
            elif is_skip:
                self._skipped += 1
            else:
                self._submitted[name] += 1
                if self._on_label is not None:
                    self._on_label(self._submitted.total())
            self._changed.notify_all()

    def leave(self) -> None:
        """A reviewer has gone home."""
        with self._changed:
            self._present -= 1
            self._changed.notify_all()

    def halt(self) -> None:
        """Let everybody stop after what they are doing."""
        with self._changed:
            self.stop.set()
            self._changed.notify_all()

    def report(self) -> ReviewReport:
        """What was done so far."""
        return ReviewReport(
            submitted=self._submitted.total(),
            skipped=self._skipped,
            refused=self._refused,
            by_reviewer=dict(sorted(self._submitted.items())),
        )

    def _nobody_can_go_on(self) -> bool:
        stuck = self._without_task[self.events]
        if self._tickets == 0:
            stuck += self._without_ticket
        if stuck >= self._present and not self.stop.is_set():
            self.stop.set()
            self._changed.notify_all()
        return self.stop.is_set()

    def _give_ticket_back(self) -> None:
        if self._tickets is not None:
            self._tickets += 1
            self._changed.notify_all()
