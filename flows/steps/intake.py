"""What comes in, and what of it goes again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flows.steps import clock
from flows.steps.progress import Progress, in_all, silent
from flows.wiring import World

if TYPE_CHECKING:
    from flows.ingest_decisions import IngestReport
    from flows.retain import RetainReport


def ingest_decisions(
    world: World,
    *,
    source: str,
    kind: Literal["decisions", "content", "both"] = "both",
    query: str | None = None,
    progress: Progress = silent,
) -> IngestReport:
    """Step 1. Safe to repeat: what is known is counted and left alone."""
    from flows import ingest_decisions as step

    return step.ingest_decisions(
        world.engine,
        source=source,
        kind=kind,
        recipe=world.recipe,
        categories=world.policy.category_ids,
        query=query,
        progress=in_all(progress),
    )


def retain(world: World, *, dry_run: bool = False, progress: Progress = silent) -> RetainReport:
    """Beside the loop: what is older than the recipe keeps goes."""
    from flows import retain as step

    return step.retain(
        world.engine,
        recipe=world.recipe,
        now=clock.now(),
        dry_run=dry_run,
        progress=in_all(progress),
    )
