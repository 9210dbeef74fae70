"""What a reviewer said of one near copy is proposed for the others; and how often that is wrong."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import Connection, Engine

from flows.selecting.standing_for import Crowd
from hitl import datasets, logs, twins
from hitl.datasets import SourcedExample
from hitl.db import begin, keep_policy
from hitl.evaluation import Estimate, estimate
from hitl.policy import Policy
from hitl.recipe import PROPOSALS, Recipe
from hitl.records import Example, Pick, PolicyId, Split
from hitl.twins import Checked, OfferCounts, SchemeLine

log = logs.get(__name__)

ANY = "any"


@dataclass(frozen=True, slots=True)
class OfferReport:
    """How many offers were added, and how many of these are to be checked."""

    offered: int
    audited: int


def offer_labels(engine: Engine, *, policy: Policy, recipe: Recipe) -> OfferReport:
    """Propose the labels of every answered item for its near copies that have none.

    On the training side alone: what measures neither gives nor takes a proposal. Safe to repeat; an
    offer is drawn for a check once and for all.

    Raises:
        DatabaseUnavailable: Postgres is away; nothing of it was kept.
    """
    rule = recipe.twins
    scheme = twins.text_scheme(rule.least_similarity)
    with begin(engine) as tx:
        keep_policy(tx, policy)
        pairs = twins.read_pairs(tx, twins.keep_scheme(tx, scheme), policy.policy_id)
        sides = datasets.sides(
            [one.group_id for one in pairs],
            measuring_fraction=recipe.selection.measuring_fraction,
        )
        pairs = [one for one, side in zip(pairs, sides, strict=True) if side is Split.TRAIN]
        made = twins.offers(
            pairs,
            twins.read_signatures(tx, scheme, twins.forms_of(pairs)),
            scheme,
            audit_fraction=rule.audit_of_offers,
            audits_an_entry=rule.audits_an_answer,
        )
        added = twins.add_offers(tx, made)
    audited = sum(one.is_audited for one in made)
    if added:
        log.info("labels_offered", offers=added, audited=audited)
    return OfferReport(added, audited)


def picks_to_check(
    tx: Connection, crowd: Crowd, policy: Policy, recipe: Recipe, *, limit: int
) -> list[Pick]:
    """Offers that are to be checked and whose items are candidates, at most `limit`."""
    if not recipe.twins.offers_labels:
        return []
    there = set(crowd.candidates.item_ids.tolist())
    due = [one for one in twins.read_due(tx, policy.policy_id) if one.item_id in there]
    return [
        Pick(
            item_id=one.item_id,
            share=PROPOSALS,
            strategy="random_offer",
            rank=rank,
            inclusion_probability=one.audit_probability,
        )
        for rank, one in enumerate(due[:limit])
    ]


@dataclass(frozen=True, slots=True)
class TwinStats:
    """The clusters of every scheme, a policy's offers, and what part of them is wrong: in each
    category, and in any."""

    clusters: list[SchemeLine]
    offers: OfferCounts
    errors: dict[str, Estimate]


def twin_stats(engine: Engine, *, policy: Policy) -> TwinStats:
    """How near copies and proposals stand.

    Raises:
        DatabaseUnavailable: Postgres is away.
    """
    with begin(engine) as tx:
        keep_policy(tx, policy)
        lines = twins.scheme_lines(tx)
        counts = twins.count_offers(tx, policy.policy_id)
        checked = twins.read_checked(tx, policy.policy_id)
    return TwinStats(lines, counts, errors_of(checked, policy))


def errors_of(checked: list[Checked], policy: Policy) -> dict[str, Estimate]:
    """What part of all offers says something else than a reviewer of the item itself does.

    By the checked ones, each weighed by one over its chance to be checked. An offer is wrong in
    `any` where one of its categories is.
    """
    by_category: dict[str, list[Checked]] = defaultdict(list)
    of_any: dict[tuple[str, int], list[Checked]] = defaultdict(list)
    for one in checked:
        by_category[one.category].append(one)
        of_any[one.item_id, one.entry_id].append(one)
    found = {name: _error(by_category[name]) for name in policy.category_ids}
    worst = [max(each, key=lambda one: one.offered != one.found) for each in of_any.values()]
    return {ANY: _error(worst)} | found


def _error(checked: list[Checked]) -> Estimate:
    wrong = np.array([one.offered != one.found for one in checked], dtype=np.float64)
    made = estimate(
        "prevalence",
        truth=wrong,
        flagged=np.zeros(len(wrong)),
        inclusion_probability=np.array([one.audit_probability for one in checked]),
    )
    return replace(made, metric="proposal_error")


def proposed_examples(
    tx: Connection, policy_id: PolicyId, recipe: Recipe, *, upto: int
) -> list[SourcedExample]:
    """What is proposed and was never asked, as examples of the training side; none unless the
    recipe learns from proposals."""
    if not recipe.twins.trains_on_offers:
        return []
    proposed = twins.read_proposed(tx, policy_id, upto=upto)
    sides = datasets.sides(
        [one.group_id for one in proposed],
        measuring_fraction=recipe.selection.measuring_fraction,
    )
    return [
        SourcedExample(
            example=Example(
                item_id=one.item_id,
                text=one.text,
                labels={name: float(value) for name, value in sorted(one.labels.items())},
                group_id=one.group_id,
                split=side,
                weight=one.weight,
                language=one.language,
                surface=one.surface,
            ),
            batch_id=one.batch_id,
            policy_id=policy_id,
            share=PROPOSALS,
            strategy="near_copy",
        )
        for one, side in zip(proposed, sides, strict=True)
        if side is Split.TRAIN
    ]
