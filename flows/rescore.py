"""Step 8: the champion decides on what is open and on what is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from flows.deciding.actions import Thresholds, decide
from flows.deciding.bundles import load_registered
from hitl import decisions, logs, queue, registry, training
from hitl.db import begin, single_flight
from hitl.errors import NotYet
from hitl.policy import Policy
from hitl.records import Decision, ItemId, ModelVersion

log = logs.get(__name__)

ITEMS_PER_CHUNK = 5_000


class NoChampion(NotYet):
    """There is no champion to decide anything."""

    def __init__(self, policy_name: str) -> None:
        super().__init__(
            f"policy {policy_name} has no champion yet; label, then run `hitl freeze`, "
            "`hitl train` and `hitl promote`"
        )
        self.policy_name = policy_name


def champion_of(tx: Connection, policy: Policy) -> registry.ModelRecord:
    """The policy's champion.

    Raises:
        NoChampion: nothing was promoted yet.
    """
    champion = registry.champion(tx, policy.name)
    if champion is None:
        raise NoChampion(policy.name)
    return champion


@dataclass(frozen=True, slots=True)
class RescoreReport:
    """How many items the champion looked at, and how many decisions are new.

    `is_first`: it had decided on nothing before, but as a shadow.
    """

    model_version: ModelVersion
    items: int
    new: int
    is_first: bool = False


def rescore(
    engine: Engine,
    *,
    policy: Policy,
    within: timedelta | None = None,
    by: str = "",
    progress: Callable[[int, int | None], None] | None = None,
) -> RescoreReport:
    """Store the champion's decision on every item that is open or that measures.

    `within`: for how long an item is a candidate. What is none any more is left alone. `by`: the
    column that certified thresholds go by.

    The moment of a decision is the item's arrival, the champion's promotion or the last change of
    its certificates, whichever is latest, so that repeating this finds the same keys and changes
    nothing. Without a certificate the action is `review`: nothing is decided automatically.

    Raises:
        NoChampion: nothing was promoted yet.
        AlreadyRunning: another rescore of this policy runs.
        DatabaseUnavailable: Postgres is away; chunks that were done are kept.
    """
    with single_flight(engine, f"rescore {policy.name}"):
        with begin(engine) as tx:
            champion = champion_of(tx, policy)
            thresholds, since_when = _as_certified(tx, policy, champion.model_version, by)
            is_first = not decisions.has_decided(
                tx,
                champion.model_version,
                since=registry.first_promoted_at(tx, champion.model_version),
            )
            since = decisions.database_clock(tx) - within if within else None
            total = decisions.count_scorable(tx, policy_id=policy.policy_id, since=since)
        model = load_registered(champion)

        def decide_on(chunk: Sequence[decisions.ScorableItem]) -> list[Decision]:
            probabilities = probabilities_of(model, chunk)
            actions = decide(
                probabilities,
                model.categories,
                [(getattr(one, by) or "unknown") if by else "" for one in chunk],
                policy=policy,
                thresholds=thresholds,
            )
            return [
                Decision(
                    item_id=one.item_id,
                    model_version=champion.model_version,
                    decided_at=max(since_when, one.ingested_at),
                    action=action,
                    probabilities=dict(zip(model.categories, map(float, row), strict=True)),
                )
                for one, row, action in zip(chunk, probabilities, actions, strict=True)
            ]

        done, new = decide_by_chunks(
            engine,
            lambda tx, after: decisions.read_scorable(
                tx, policy_id=policy.policy_id, after=after, limit=ITEMS_PER_CHUNK, since=since
            ),
            decide_on,
            source=f"rescore {champion.model_version}",
            then=queue.rescore,
            progress=progress and (lambda so_far: progress(so_far, total)),
        )
    log.info("rescored", model_version=champion.model_version, items=done, new=new)
    return RescoreReport(champion.model_version, done, new, is_first=is_first and new > 0)


def probabilities_of(
    model: training.Model, chunk: Sequence[decisions.ScorableItem]
) -> NDArray[np.float64]:
    """As they are stored: (N, C), to nine digits, so that repeating a step finds the same."""
    found: NDArray[np.float64] = np.round(model.predict([one.text for one in chunk]), 9)
    return found


def decide_by_chunks(
    engine: Engine,
    read: Callable[[Connection, str], Sequence[decisions.ScorableItem]],
    decide_on: Callable[[Sequence[decisions.ScorableItem]], Sequence[Decision]],
    *,
    source: str,
    then: Callable[[Connection, Sequence[ItemId]], object] | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[int, int]:
    """Store a model's decisions, a transaction a chunk; how many items, and how many are new.

    `read` gives the items after an id; `then` is done with a chunk's items where any is new.
    """
    done = new = 0
    after = ""
    while True:
        with begin(engine) as tx:
            chunk = read(tx, after)
            if not chunk:
                return done, new
            merged = decisions.merge_decisions(tx, decide_on(chunk), source=source)
            if merged.new and then:
                then(tx, [one.item_id for one in chunk])
        done += len(chunk)
        new += merged.new
        after = chunk[-1].item_id
        if progress:
            progress(done)


def _as_certified(
    tx: Connection, policy: Policy, model_version: ModelVersion, by: str
) -> tuple[Thresholds, datetime]:
    """What the champion may decide alone, and since when it decides so."""
    standing = registry.standing_certificates(tx, policy=policy, model_version=model_version)
    promoted_at = registry.promoted_at(tx, model_version)
    changed_at = registry.changed_at(tx, policy=policy, model_version=model_version)
    return Thresholds.of(standing, by=by), max(promoted_at, changed_at or promoted_at)
