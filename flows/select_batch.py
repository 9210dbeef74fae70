"""Step 2: from what may be asked to a batch in the ledger, every pick with its chance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from hitl import datasets, logs, selection
from hitl.db import begin, keep_policy, single_flight
from hitl.errors import Refused
from hitl.policy import Policy
from hitl.recipe import Recipe, ShareOfPlan
from hitl.records import BatchId, ItemId, ModelVersion, Pick, Split
from hitl.selection import Candidates
from sampling import Plan, Pool, SamplingError, Selection, Share, choose

log = logs.get(__name__)

AUDIT = "audit"
_AUDIT_SHARES = (ShareOfPlan(name=AUDIT, strategy="random", fraction=1.0),)


class CannotSelect(Refused):
    """The recipe's plan, or the candidates' numbers, cannot be used as they are."""

    def __init__(self, cause: SamplingError) -> None:
        super().__init__(f"selection: {cause}")


class Embedder(Protocol):
    """What gives the diversity embedding; the champion model."""

    def embed(self, texts: list[str]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a selection left behind. `is_new` is False when the batch existed already."""

    batch_id: BatchId
    picks_by_share: dict[str, int]
    is_new: bool

    @property
    def picks(self) -> int:
        return sum(self.picks_by_share.values())


def select_batch(
    engine: Engine,
    *,
    batch_id: BatchId,
    policy: Policy,
    recipe: Recipe,
    seed: int,
    model: tuple[ModelVersion, Embedder] | None = None,
    limit: int | None = None,
) -> BatchReport:
    """Choose a batch and open its queue entries.

    The audit share is a simple random draw from the measuring side, whatever the model thinks;
    the other shares choose inside the review bands of the training side. Repeating a batch id
    gives back the batch that it made.

    Raises:
        BatchExists: the id was used with another policy, recipe or seed.
        AlreadyRunning: another selection for this policy runs now.
        DatabaseUnavailable: Postgres is away; nothing was kept.
    """
    with single_flight(engine, f"select {policy.name}"):
        with begin(engine) as tx:
            known = selection.batch_report(tx, batch_id, policy=policy, recipe=recipe, seed=seed)
            if known is not None:
                return BatchReport(batch_id, known, is_new=False)
            keep_policy(tx, policy)
            preferred = model[0] if model else None
            candidates = selection.read_candidates(tx, policy=policy, preferred=preferred)

        rule = recipe.selection
        sides = datasets.sides(
            candidates.group_ids.tolist(), measuring_fraction=rule.measuring_fraction
        )
        on_measuring = np.array([side is Split.TEST for side in sides], dtype=bool)
        measuring = candidates.where(on_measuring)
        training = candidates.where(~on_measuring & candidates.in_band)

        size = limit or rule.batch_size
        audits = round(size * rule.audit_fraction)
        chosen = _picks(
            measuring, _choose(_AUDIT_SHARES, measuring, limit=audits, seed=seed), policy=policy
        )
        shortlist = _shortlist(training, rule.candidates_limit)
        embeddings = None
        if model is not None and len(shortlist):
            with begin(engine) as tx:
                embeddings = model[1].embed(
                    selection.texts_of(tx, [ItemId(one) for one in shortlist.item_ids])
                )
        chosen += _picks(
            shortlist,
            _choose(rule.shares, shortlist, embeddings, limit=size - audits, seed=seed + 1),
            policy=policy,
        )
        with begin(engine) as tx:
            selection.record_batch(
                tx,
                batch_id=batch_id,
                policy=policy,
                recipe=recipe,
                model_version=preferred,
                seed=seed,
                plan=rule.model_dump(mode="json"),
                size_wanted=size,
                read_at=candidates.read_at,
                chosen=chosen,
                training_pool_size=len(training),
                measuring_pool_size=len(measuring),
            )
    by_share: dict[str, int] = {}
    for pick in chosen:
        by_share[pick.share] = by_share.get(pick.share, 0) + 1
    log.info("batch_selected", batch_id=batch_id, picks=len(chosen), seed=seed)
    return BatchReport(batch_id, by_share, is_new=True)


def _choose(
    shares: Sequence[ShareOfPlan],
    candidates: Candidates,
    embeddings: NDArray[np.float32] | None = None,
    *,
    limit: int,
    seed: int,
) -> Selection:
    try:
        pool = Pool(
            candidates.item_ids.tolist(),
            selection.fill_unknown(candidates.probabilities),
            embeddings=embeddings,
            groups=candidates.group_ids.tolist(),
        )
        plan = Plan(tuple(Share(one.name, one.strategy, one.fraction) for one in shares))
        return choose(plan, pool, limit=limit, seed=seed)
    except SamplingError as cause:
        raise CannotSelect(cause) from cause


def _shortlist(training: Candidates, limit: int) -> Candidates:
    """The `limit` rows nearest to a coin toss in some category; ties by row, so by item id.

    Strategies look at everything that is left; the embedding of millions of texts is what a
    single selection cannot afford.
    """
    if len(training) <= limit:
        return training
    distance = np.abs(selection.fill_unknown(training.probabilities) - 0.5).min(axis=1)
    return training.where(np.sort(np.argsort(distance, kind="stable")[:limit]))


def _picks(candidates: Candidates, made: Selection, *, policy: Policy) -> list[Pick]:
    severities = np.array([one.severity for one in policy.category])
    urgencies = selection.urgency(candidates.probabilities[made.rows], severities)
    return [
        Pick(
            item_id=ItemId(made.item_ids[k]),
            share=made.share[k],
            strategy=made.strategy[k],
            rank=int(made.rank[k]),
            inclusion_probability=(
                None
                if np.isnan(made.inclusion_probability[k])
                else float(made.inclusion_probability[k])
            ),
            priority=float(urgencies[k]),
        )
        for k in range(len(made))
    ]


def seed_of(batch_id: str) -> int:
    """A seed in [0, 2**62) that follows from the batch id, so that a retry draws the same."""
    return int.from_bytes(hashlib.sha256(batch_id.encode()).digest()[:8]) >> 2
