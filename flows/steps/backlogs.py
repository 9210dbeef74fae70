"""Fixed populations of which enough shall be found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.steps.progress import Progress, silent
from flows.wiring import World

if TYPE_CHECKING:
    from flows.backlog_status import BacklogStatus
    from flows.certify_backlog import BacklogsReport, CertifiedLook
    from flows.look_at_backlog import LookReport
    from flows.open_backlog import OpenReport
    from hitl.evaluation.backlogs import Backlog, Look, Rule


def open_backlog(
    world: World,
    *,
    backlog: str,
    category: str,
    at_least: float,
    confidence: float,
    rule: Rule,
    progress: Progress = silent,
) -> OpenReport:
    """Beside the loop: a fixed population of which enough shall be found."""
    from flows import open_backlog as step

    return step.open_backlog(
        world.engine,
        name=backlog,
        policy=world.policy,
        recipe=world.recipe,
        category=category,
        at_least=at_least,
        confidence=confidence,
        rule=rule,
    )


def list_backlogs(world: World) -> list[tuple[Backlog, tuple[Look, ...]]]:
    """Every backlog with its looks."""
    from flows import backlog_status as step

    return step.list_backlogs(world.engine)


def backlog_status(world: World, *, backlog: str, progress: Progress = silent) -> BacklogStatus:
    """How far it is, and what a look would cost."""
    from flows import backlog_status as step

    return step.backlog_status(world.engine, name=backlog, policy=world.policy)


def look_at_backlog(
    world: World,
    *,
    backlog: str,
    draw: int | None = None,
    seed: int | None = None,
    progress: Progress = silent,
) -> LookReport:
    """Draw from what nobody reviewed, and ask about it. The seed follows from the name."""
    from flows import look_at_backlog as step

    return step.look_at_backlog(
        world.engine,
        name=backlog,
        policy=world.policy,
        recipe=world.recipe,
        draw=draw,
        seed=seed,
    )


def certify_backlog(
    world: World, *, backlog: str, close: bool = False, progress: Progress = silent
) -> CertifiedLook:
    """What the open look of a backlog shows."""
    from flows import certify_backlog as step

    return step.certify_backlog(world.engine, name=backlog, close=close)


def certify_backlogs(world: World, *, progress: Progress = silent) -> BacklogsReport:
    """The same for every backlog with an open look."""
    from flows import certify_backlog as step

    return step.certify_backlogs(world.engine)
