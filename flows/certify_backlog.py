"""What a look at a backlog shows, once every drawn item has its answer."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from flows.backlog_status import find_backlog, planned_draw
from hitl import evaluation, logs
from hitl.db import begin, single_flight
from hitl.errors import NotYet
from hitl.evaluation import BacklogCertificate, backlogs
from hitl.evaluation.backlogs import Backlog, DrawState, Look, Standing

log = logs.get(__name__)


class NothingDrawn(NotYet):
    """Nobody has looked at this backlog."""

    def __init__(self, name: str) -> None:
        super().__init__(f"backlog {name}: nothing was drawn yet; run `hitl backlog look {name}`")
        self.name = name


class NoLookOpen(NotYet):
    """No backlog waits for a certificate."""

    def __init__(self) -> None:
        super().__init__("no backlog has an open look; `hitl backlog look` draws one")


class LookUnfinished(NotYet):
    """Drawn items wait for their answers."""

    def __init__(self, name: str, look: int, waiting: int, unasked: int) -> None:
        ask = f", {unasked} could not be asked yet: run `hitl backlog look {name}`"
        super().__init__(
            f"backlog {name}, look {look}: {waiting} drawn items wait for an answer"
            f"{ask if unasked else ''}"
        )
        self.name = name


class AnswersLost(NotYet):
    """Drawn items came back without an answer, and with one the look might certify."""

    def __init__(self, name: str, look: int, lost: int) -> None:
        super().__init__(
            f"backlog {name}, look {look}: {lost} drawn items have no answer. Counted as violating "
            f"and missed they spoil it. `hitl backlog look {name}` asks again, `hitl queue "
            f"requeue` frees dead entries, and --close ends the look as it is"
        )
        self.name = name
        self.lost = lost


@dataclass(frozen=True, slots=True)
class CertifiedLook:
    """What a look showed. `is_new`: False where it had been written down before.

    Not certified, `next_draw` is how many a next look would have to draw if the rest is as this
    one saw it (None: nothing is left to draw), and `to_find` how many more violating items review
    would have to find before that, by the same estimate.
    """

    name: str
    category: str
    at_least: float
    confidence: float
    items: int
    result: Look
    is_new: bool
    next_draw: int | None
    to_find: int


@dataclass(frozen=True, slots=True)
class BacklogsReport:
    """Every look that was open: what was certified or not now, and why others wait."""

    ended: tuple[CertifiedLook, ...]
    waiting: dict[str, str]


def certify_backlog(engine: Engine, *, name: str, close: bool = False) -> CertifiedLook:
    """End the open look: the certificate, or how far the draw is from one. Written down once.

    Repeated, it gives what was written. A drawn item without an answer counts as violating and
    missed: the worst that it can be. Where that alone keeps the look from certifying it stays open.

    Args:
        close: end it all the same.

    Raises:
        UnknownBacklog: there is none of this name.
        NothingDrawn: there was no look.
        LookUnfinished: answers are still to come.
        AnswersLost: some will not come by themselves, and matter.
        AlreadyRunning: another certification of this backlog runs.
        DatabaseUnavailable: Postgres is away; nothing was written.
    """
    with single_flight(engine, f"backlog {name}"), begin(engine) as tx:
        backlogs.read_one_moment(tx)
        backlog = find_backlog(tx, name)
        looks = backlogs.read_looks(tx, backlog)
        if not looks:
            raise NothingDrawn(name)
        look, is_new = looks[-1], looks[-1].is_open
        if is_new:
            look = _end(tx, backlog, look, close=close)
        counts = backlogs.read_reviewed(tx, backlog)
    if is_new:
        log.info("backlog_certified", backlog=name, look=look.look, certified=look.is_certified)
    expected = look.violating_in_draw or 0
    unreviewed = backlog.items - counts.reviewed
    remaining = expected / look.drawn * unreviewed if look.drawn else 0.0
    needed = None
    if not look.is_certified:
        needed = planned_draw(
            backlog, found=counts.violating, unreviewed=unreviewed, expected=remaining,
            look=look.look + 1,
        )  # fmt: skip
    missing = backlog.at_least * (counts.violating + remaining) - counts.violating
    return CertifiedLook(
        name=name,
        category=backlog.category,
        at_least=backlog.at_least,
        confidence=backlog.confidence,
        items=backlog.items,
        result=look,
        is_new=is_new,
        next_draw=needed,
        to_find=0 if look.is_certified else max(math.ceil(missing), 0),
    )


def _end(tx: Connection, backlog: Backlog, look: Look, *, close: bool) -> Look:
    drawn = backlogs.read_drawn(tx, backlog, look)
    counts = Counter(one.state for one in drawn)
    unasked = counts[DrawState.UNASKED] + counts[DrawState.BLOCKED]
    if counts[DrawState.OPEN] or unasked:
        raise LookUnfinished(backlog.name, look.look, counts[DrawState.OPEN] + unasked, unasked)
    violating = sum(one.violates is True for one in drawn)
    standing = backlogs.read_standing(tx, backlog, look)
    lost = counts[DrawState.LOST]
    found = _certificate(backlog, look, standing, violating=violating, lost=lost)
    best = _certificate(backlog, look, standing, violating=violating, lost=0)
    if lost and best.is_certified and not found.is_certified and not close:
        raise AnswersLost(backlog.name, look.look, lost)
    return backlogs.close_look(
        tx,
        backlog,
        look,
        found,
        violating_in_draw=violating,
        lost=lost,
        found_since=standing.found_since,
    )


def _certificate(
    backlog: Backlog, look: Look, standing: Standing, *, violating: int, lost: int
) -> BacklogCertificate:
    return evaluation.certify_backlog(
        found_before=standing.found_before,
        unreviewed=look.unreviewed,
        drawn=look.drawn,
        violating_in_draw=violating,
        at_least=backlog.at_least,
        look=look.look,
        alpha=backlog.alpha,
        lost=lost,
        found_since=standing.found_since,
        taken_back=standing.taken_back,
        unanswered=standing.unanswered,
    )


def certify_backlogs(engine: Engine) -> BacklogsReport:
    """`certify_backlog` for every look that is open; one that must wait stops no other.

    Raises:
        NoLookOpen: there is none anywhere.
        DatabaseUnavailable: Postgres is away; what was written stays.
    """
    with begin(engine) as tx:
        names = [
            one.name
            for one in backlogs.list_all(tx)
            if any(look.is_open for look in backlogs.read_looks(tx, one))
        ]
    if not names:
        raise NoLookOpen
    ended, waiting = [], {}
    for name in names:
        try:
            ended.append(certify_backlog(engine, name=name))
        except NotYet as reason:
            waiting[name] = str(reason)
    return BacklogsReport(tuple(ended), waiting)
