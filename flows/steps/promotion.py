"""From a challenger to a champion whose decisions come in again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.steps.progress import Progress, silent
from flows.wiring import World

if TYPE_CHECKING:
    from flows.promote_champion import PromoteReport
    from flows.rescore import RescoreReport
    from flows.shadow import ShadowReport


def shadow(world: World, *, progress: Progress = silent) -> ShadowReport:
    """Between steps 6 and 7: the challenger decides beside the champion, on record only."""
    from flows import shadow as step

    return step.shadow(world.engine, policy=world.policy, progress=progress)


def gate(world: World, *, progress: Progress = silent) -> PromoteReport:
    """The judgement of step 7 alone."""
    from flows import promote_champion as step

    return step.gate(
        world.engine, policy=world.policy, recipe=world.recipe, seed=world.recipe.training.seed
    )


def promote_champion(
    world: World,
    *,
    approved_by: str,
    force: bool = False,
    note: str = "",
    progress: Progress = silent,
) -> PromoteReport:
    """Step 7."""
    from flows import promote_champion as step

    return step.promote_champion(
        world.engine,
        policy=world.policy,
        recipe=world.recipe,
        cards=world.settings.state_folder / "cards",
        seed=world.recipe.training.seed,
        approved_by=approved_by,
        force=force,
        note=note,
    )


def rescore(world: World, *, progress: Progress = silent) -> RescoreReport:
    """Step 8."""
    from flows import rescore as step

    return step.rescore(
        world.engine,
        policy=world.policy,
        within=world.recipe.selection.within,
        by=world.recipe.certify.by,
        progress=progress,
    )
