"""Step 2: from what may be asked to a batch in the ledger, every pick with its chance."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine

from flows.link_twins import link_twins
from flows.offer_labels import offer_labels, picks_to_check
from flows.selecting.pools import (
    Embedder,
    Embeddings,
    asked_so_far,
    columns_of,
    pool_of,
    shortlist_of,
)
from flows.selecting.standing_for import crowd_of, draw_audits, one_each, with_counts
from hitl import datasets, logs, queue, selection
from hitl.db import begin, keep_policy, single_flight
from hitl.errors import NotYet, Refused
from hitl.policy import Policy
from hitl.recipe import Recipe, ShareOfPlan
from hitl.records import BatchId, EntryState, ItemId, ModelVersion, Pick, Split
from sampling import Plan, Pool, SamplingError, Selection, Share, choose

log = logs.get(__name__)


class CannotSelect(Refused):
    """The recipe's plan, or the candidates' numbers, cannot be used as they are."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"selection: {problem}")


class QueueFull(NotYet):
    """Reviewers have enough to do; what is chosen now would be stale by its turn."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(
            f"{waiting} entries wait for a reviewer and selection.waiting_limit is {limit}; "
            "review some, or raise it in the recipe"
        )
        self.waiting = waiting


class NothingToAsk(NotYet):
    """No item is left that could be asked about."""

    def __init__(self, policy_name: str) -> None:
        super().__init__(
            f"policy {policy_name}: no item with content is left to ask about; "
            "`hitl ingest` brings more"
        )
        self.policy_name = policy_name


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a selection left behind. `is_new` is False when the batch existed already.

    `picks` may be fewer than `size_wanted` where the pools, whose sizes stand beside, held no
    more. `withdrawn` entries waited under an earlier version of the policy; `kept_out` were chosen
    and found their lane's quota full. `stood_aside` were drawn with a near copy that is asked for
    both.
    """

    batch_id: BatchId
    picks_by_share: dict[str, int]
    size_wanted: int
    training_pool: int
    measuring_pool: int
    withdrawn: int
    is_new: bool
    kept_out: int = 0
    stood_aside: int = 0

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

    The audit share is drawn by chance from the measuring side, where the recipe says so more of
    what narrows the policy's promises; the other shares choose inside the review bands of the
    training side. Entries that wait under an earlier version of the policy are withdrawn first. Of
    near copies one is asked for all, where the recipe says so. Repeating a batch id gives back the
    batch that it made.

    Raises:
        BatchExists: the id was used with another policy, recipe, seed or size.
        CannotSelect: a share names a strategy or category that does not exist, or one that needs
            what these candidates do not have.
        QueueFull: enough entries wait already.
        NothingToAsk: nothing is left to choose from.
        AlreadyRunning: another selection runs now.
        DatabaseUnavailable: Postgres is away; nothing was kept.
    """
    rule = recipe.selection
    _check_categories(rule.shares, policy)
    size = rule.batch_size if limit is None else limit
    is_apart = recipe.twins.is_on
    if is_apart:
        link_twins(engine, recipe=recipe)
    if recipe.twins.offers_labels:
        offer_labels(engine, policy=policy, recipe=recipe)
    # One lock for all policies: an item may be open under one of them only.
    with single_flight(engine, "select"):
        with begin(engine) as tx:
            keep_policy(tx, policy)
            known = selection.find_batch(
                tx, batch_id, policy=policy, recipe=recipe, seed=seed, size_wanted=size
            )
            if known is not None:
                out = queue.count_overflow(tx, batch_id)
                return _report(known, withdrawn=0, kept_out=out, is_new=False)
            withdrawn = queue.withdraw_older(tx, policy)
            waiting = queue.count_by_state(tx, policy.policy_id)[EntryState.WAITING]
            if waiting >= rule.waiting_limit:
                raise QueueFull(waiting, rule.waiting_limit)
            preferred = model[0] if model else None
            candidates = selection.read_candidates(
                tx, policy=policy, preferred=preferred, within=rule.within, by=recipe.certify.by
            )
            crowd = crowd_of(tx, candidates, policy=policy, recipe=recipe)
        if not len(candidates):
            raise NothingToAsk(policy.name)

        sides = datasets.sides(
            candidates.group_ids.tolist(), measuring_fraction=rule.measuring_fraction
        )
        on_measuring = np.array([side is Split.TEST for side in sides], dtype=bool)
        measuring = crowd.where(on_measuring)
        on_training = crowd.where(~on_measuring)
        training = crowd.where(~on_measuring & candidates.in_band)
        wanted = max(1, round(size * rule.audit_fraction))
        audits = draw_audits(measuring, policy, limit=wanted, floor=rule.audit_floor, seed=seed)
        with begin(engine) as tx:
            checks = picks_to_check(tx, on_training, policy, recipe, limit=max(1, size // 10))
        checked = np.isin(training.candidates.item_ids, [one.item_id for one in checks])
        apart, stands_for = one_each(training, training.clusters[checked], seed=seed)
        shortlist = shortlist_of(apart, rule.candidates_limit, policy=policy, seed=seed)
        items = [ItemId(one) for one in shortlist.item_ids]
        embeddings = Embeddings(engine, items, model[1]) if model else None
        asked = None
        if model:
            asked = asked_so_far(engine, model[1], policy=policy, recipe=recipe, seed=seed)
        others = _choose(
            rule.shares,
            lambda: pool_of(shortlist, policy, embeddings, asked),
            columns=columns_of(shortlist, policy),
            limit=max(size - len(checks) - (len(audits.picks) if is_apart else wanted), 0),
            seed=seed + 1,
            threads=recipe.training.threads,
        )
        # No worth for audits: whatever the model thinks of them, their turn owes it nothing.
        worth = selection.worth_by_rank(others.rank.tolist(), others.share)
        chosen = [*audits.picks, *checks, *with_counts(_picks(others, worth), stands_for)]
        if not chosen:
            raise NothingToAsk(policy.name)
        with begin(engine) as tx:
            kept, kept_out = _let_in(tx, chosen, policy=policy, recipe=recipe)
            queue.make_way(tx, [pick.item_id for pick in kept])
            selection.record_batch(
                tx,
                batch_id=batch_id,
                policy=policy,
                recipe=recipe,
                model_version=preferred,
                seed=seed,
                plan=rule.model_dump(mode="json") | audits.plan,
                size_wanted=size,
                read_at=candidates.read_at,
                chosen=kept,
                aside=audits.aside,
                training_pool_size=len(training),
                measuring_pool_size=len(measuring),
            )
            queue.record_overflow(tx, batch_id, kept_out)
            queue.place(tx, batch_id)
            made = selection.find_batch(
                tx, batch_id, policy=policy, recipe=recipe, seed=seed, size_wanted=size
            )
        assert made is not None  # noqa: S101 - written in this transaction
    log.info(
        "batch_selected", batch_id=batch_id, picks=len(kept), kept_out=len(kept_out), seed=seed
    )
    return _report(made, withdrawn=withdrawn, kept_out=len(kept_out), is_new=True)


def _let_in(
    tx: Connection, chosen: Sequence[Pick], *, policy: Policy, recipe: Recipe
) -> tuple[list[Pick], list[queue.Overflow]]:
    """The picks in their lanes, and those that a lane's quota keeps out."""
    lanes = recipe.queue.lanes
    if not lanes:
        return list(chosen), []
    facts = queue.facts_of(tx, [pick.item_id for pick in chosen])
    in_lanes = queue.routed(chosen, facts, lanes, policy_name=policy.name)
    return queue.within_quotas(in_lanes, lanes, queue.opened_lately(tx))


def _report(batch: selection.Batch, *, withdrawn: int, kept_out: int, is_new: bool) -> BatchReport:
    return BatchReport(
        batch_id=batch.batch_id,
        picks_by_share=batch.picks_by_share,
        size_wanted=batch.size_wanted,
        training_pool=batch.training_pool,
        measuring_pool=batch.measuring_pool,
        withdrawn=withdrawn,
        is_new=is_new,
        kept_out=kept_out,
        stood_aside=batch.stood_aside,
    )


def _choose(
    shares: Sequence[ShareOfPlan],
    make_pool: Callable[[], Pool],
    *,
    columns: Mapping[str, int],
    limit: int,
    seed: int,
    threads: int = 1,
) -> Selection:
    try:
        plan = Plan(
            tuple(
                Share(one.name, one.strategy, one.fraction, columns.get(one.category or ""))
                for one in shares
            )
        )
        return choose(plan, make_pool(), limit=limit, seed=seed, threads=threads)
    except SamplingError as cause:
        raise CannotSelect(str(cause)) from cause


def _check_categories(shares: Sequence[ShareOfPlan], policy: Policy) -> None:
    known = [one.id for one in policy.category]
    for share in shares:
        if share.category is not None and share.category not in known:
            raise CannotSelect(
                f"share {share.name!r} asks for category {share.category!r}, which policy "
                f"{policy.name} does not have; write one of: {', '.join(known)}"
            )


def _picks(made: Selection, worth: Sequence[float | None]) -> list[Pick]:
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
            worth=worth[k],
        )
        for k in range(len(made))
    ]


def seed_of(batch_id: str) -> int:
    """A seed in [0, 2**62) that follows from the batch id, so that a retry draws the same."""
    return int.from_bytes(hashlib.sha256(batch_id.encode()).digest()[:8]) >> 2
