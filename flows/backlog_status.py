"""How far a backlog is, and what a look at it would cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from hitl import evaluation, labelstudio
from hitl.db import begin
from hitl.errors import Refused
from hitl.evaluation import backlogs
from hitl.evaluation.backlogs import Backlog, DrawState, Forecast, Look
from hitl.labelstudio.answers import store as answers
from hitl.policy import Policy
from hitl.records import Stage


class UnknownBacklog(Refused):
    """Nobody has opened one of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no backlog is named {name!r}; `hitl backlog list` shows those there are")
        self.name = name


@dataclass(frozen=True, slots=True)
class BacklogStatus:
    """How far a backlog is. `forecast` is what models expect, and no evidence.

    `seen_left`: how many of the unreviewed would violate if they were as the last look saw its
    draw. `draw_needed`: how large the next draw would have to be for the larger of the two, and
    `hours` what it would take at the reviewers' latest pace. `draw` counts the drawn items of the
    open look by how far they have come; None where none is open.
    """

    name: str
    policy_id: str
    category: str
    at_least: float
    confidence: float
    rule: Mapping[str, Any]
    opened_at: datetime
    items: int
    reviewed: int
    found: int
    unreviewed: int
    forecast: Forecast | None
    seen_left: float | None
    draw_needed: int | None
    hours: float | None
    looks: tuple[Look, ...]
    draw: dict[str, int] | None


def find_backlog(tx: Connection, name: str) -> Backlog:
    """A backlog by its name.

    Raises:
        UnknownBacklog: there is none.
    """
    found = backlogs.find(tx, name)
    if found is None:
        raise UnknownBacklog(name)
    return found


def backlog_status(engine: Engine, *, name: str, policy: Policy) -> BacklogStatus:
    """How far a backlog is, and what a look would cost.

    Raises:
        UnknownBacklog: there is none of this name.
        DatabaseUnavailable: Postgres is away.
    """
    with begin(engine) as tx:
        backlog = find_backlog(tx, name)
        counts = backlogs.read_reviewed(tx, backlog)
        looks = backlogs.read_looks(tx, backlog)
        left = backlog.items - counts.reviewed
        expected = backlogs.forecast(tx, backlog, policy, unreviewed=left)
        is_open = bool(looks) and looks[-1].is_open
        draw = backlogs.read_drawn(tx, backlog, looks[-1]) if is_open else None
        pace = labelstudio.pace_of(
            answers.latest_answer_times(tx, policy_name=policy.name, stage=Stage.REVIEW)
        )
    needed = None
    worst = expected_left(expected, looks, unreviewed=left)
    if worst is not None:
        needed = planned_draw(
            backlog, found=counts.violating, unreviewed=left, expected=worst, look=len(looks) + 1
        )
    hours = None
    if needed is not None and pace is not None:
        hours = needed * policy.votes_wanted / pace.answers_per_hour
    by_state = None
    if draw is not None:
        counted = Counter(one.state for one in draw)
        by_state = {state.value: counted[state] for state in DrawState}
    return BacklogStatus(
        name=backlog.name,
        policy_id=backlog.policy_id,
        category=backlog.category,
        at_least=backlog.at_least,
        confidence=backlog.confidence,
        rule=backlog.rule,
        opened_at=backlog.opened_at,
        items=backlog.items,
        reviewed=counts.reviewed,
        found=counts.violating,
        unreviewed=left,
        forecast=expected,
        seen_left=expected_left(None, looks, unreviewed=left),
        draw_needed=needed,
        hours=hours,
        looks=tuple(looks),
        draw=by_state,
    )


def expected_left(
    forecast: Forecast | None, looks: Sequence[Look], *, unreviewed: int
) -> float | None:
    """How many of the unreviewed may violate: by the models or by the last look, whichever says
    more. A look has seen what models do not know. None: nobody can say."""
    said = [] if forecast is None else [forecast.violating]
    said += [
        one.violating_in_draw / one.drawn * unreviewed
        for one in looks
        if one.drawn and one.violating_in_draw is not None
    ][-1:]
    return max(said, default=None)


def planned_draw(
    backlog: Backlog, *, found: int, unreviewed: int, expected: float, look: int
) -> int | None:
    """The draw that the next look would need if so many of the unreviewed violate."""
    return evaluation.draw_needed(
        found_before=found,
        unreviewed=unreviewed,
        expected_violating=min(math.ceil(expected), unreviewed),
        at_least=backlog.at_least,
        look=look,
        alpha=backlog.alpha,
    )


def list_backlogs(engine: Engine) -> list[tuple[Backlog, tuple[Look, ...]]]:
    """Every backlog with its looks, in the order opened.

    Raises:
        DatabaseUnavailable: Postgres is away.
    """
    with begin(engine) as tx:
        return [(one, tuple(backlogs.read_looks(tx, one))) for one in backlogs.list_all(tx)]
