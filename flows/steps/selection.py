"""Near copies, what is offered to them, and what reviewers are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.steps.progress import Progress, in_all, silent
from flows.wiring import World
from hitl.db import begin
from hitl.records import BatchId

if TYPE_CHECKING:
    from flows.link_twins import LinkReport
    from flows.offer_labels import OfferReport
    from flows.select_batch import BatchReport


def link_twins(world: World, *, progress: Progress = silent) -> LinkReport:
    """Near copies among what came in since. `select_batch` does so by itself where it needs it."""
    from flows import link_twins as step

    return step.link_twins(world.engine, recipe=world.recipe, progress=in_all(progress))


def offer_labels(world: World, *, progress: Progress = silent) -> OfferReport:
    """Propose what was said of one near copy for the others. `select_batch` does so by itself."""
    from flows import offer_labels as step

    return step.offer_labels(world.engine, policy=world.policy, recipe=world.recipe)


def select_batch(
    world: World,
    *,
    batch_id: str,
    seed: int | None = None,
    limit: int | None = None,
    progress: Progress = silent,
) -> BatchReport:
    """Step 2. The seed follows from the batch id unless given."""
    from flows import select_batch as step
    from flows.deciding.bundles import load_registered
    from hitl import registry

    with begin(world.engine) as tx:
        champion = registry.champion(tx, world.policy.name)
    model = (champion.model_version, load_registered(champion)) if champion else None
    return step.select_batch(
        world.engine,
        batch_id=BatchId(batch_id),
        policy=world.policy,
        recipe=world.recipe,
        seed=seed if seed is not None else step.seed_of(batch_id),
        model=model,
        limit=limit,
    )
