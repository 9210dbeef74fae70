"""Between steps 6 and 7: the challenger decides beside the champion, on record only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from flows.deciding.bundles import load_registered
from flows.promote_champion import challenger_of
from flows.rescore import ITEMS_PER_CHUNK, decide_by_chunks, probabilities_of
from hitl import decisions, logs
from hitl.db import begin, single_flight
from hitl.policy import Policy
from hitl.records import Decision, ModelVersion

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """How many items the challenger looked at, and how many decisions are new.

    `is_first`: it had decided on nothing before.
    """

    model_version: ModelVersion
    items: int
    new: int
    is_first: bool


def shadow(
    engine: Engine,
    *,
    policy: Policy,
    progress: Callable[[int, int | None], None] | None = None,
) -> ShadowReport:
    """Store what the challenger says of every item that is measured or open: that was picked.

    A shadow's decision has no action, for nobody acts on it, and nothing is learned, chosen or
    measured by it (docs/intake.md). Its moment is the item's arrival or the challenger's training,
    whichever is later, so that repeating this changes nothing.

    Raises:
        NoChallenger, ChallengerOfAnotherPolicy: there is nobody to run along.
        BundleLost: the challenger cannot be read.
        AlreadyRunning: another run of this is at it.
        DatabaseUnavailable: Postgres is away; chunks that were done are kept.
    """
    with single_flight(engine, f"shadow {policy.name}"):
        with begin(engine) as tx:
            challenger = challenger_of(tx, policy)
            # Items of later are left to the next run. Were it promoted meanwhile, its own decision
            # on one of them could have the same moment, and so the same key, as the shadow's.
            before = decisions.settled_moment(tx)
            is_first = not decisions.has_decided(tx, challenger.model_version)
            total = decisions.count_picked(tx, policy_id=policy.policy_id, before=before)
        model = load_registered(challenger)

        def decide_on(chunk: Sequence[decisions.ScorableItem]) -> list[Decision]:
            return [
                Decision(
                    item_id=one.item_id,
                    model_version=challenger.model_version,
                    decided_at=max(challenger.trained_at, one.ingested_at),
                    action=None,
                    probabilities=dict(zip(model.categories, map(float, row), strict=True)),
                    is_shadow=True,
                )
                for one, row in zip(chunk, probabilities_of(model, chunk), strict=True)
            ]

        done, new = decide_by_chunks(
            engine,
            lambda tx, after: decisions.read_picked(
                tx, policy_id=policy.policy_id, after=after, limit=ITEMS_PER_CHUNK, before=before
            ),
            decide_on,
            source=f"shadow {challenger.model_version}",
            progress=progress and (lambda so_far: progress(so_far, total)),
        )
    log.info("shadowed", model_version=challenger.model_version, items=done, new=new)
    return ShadowReport(challenger.model_version, done, new, is_first=is_first and new > 0)
