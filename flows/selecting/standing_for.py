"""In a selection one of each cluster of near copies is asked, and stands for the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection

from flows.selecting.pools import columns_of, pool_of
from hitl import twins
from hitl.datasets import SourcedExample
from hitl.policy import Policy
from hitl.recipe import AUDIT, Recipe
from hitl.records import ItemId, Pick
from hitl.selection import Candidates
from sampling import Aim, AllocatedDraw, ClusterDraw, Pool, draw_allocated, draw_clusters, influence
from sampling.plan import stream_of

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Candidates with their clusters. Of N candidates, `clusters` (N,) has equal numbers for near
    copies, and `is_asked` (N,) says of which something is asked about already, but by an audit."""

    candidates: Candidates
    clusters: Codes
    is_asked: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.candidates)

    def where(self, rows: NDArray[np.bool_]) -> Crowd:
        return Crowd(self.candidates.where(rows), self.clusters[rows], self.is_asked[rows])


def crowd_of(tx: Connection, candidates: Candidates, *, policy: Policy, recipe: Recipe) -> Crowd:
    """Their clusters as they are now; each item on its own where the recipe wants none, or where
    it came in too late to be linked."""
    count = len(candidates)
    if not recipe.twins.is_on:
        return Crowd(candidates, np.arange(count), np.zeros(count, dtype=np.bool_))
    scheme = twins.text_scheme(recipe.twins.least_similarity)
    known = twins.read_clusters(tx, scheme, policy.policy_id)
    numbers: dict[int | str, int] = {}
    clusters = np.empty(count, dtype=np.int64)
    is_asked = np.zeros(count, dtype=np.bool_)
    for row, item_id in enumerate(candidates.item_ids.tolist()):
        cluster = known.of_item.get(item_id)
        clusters[row] = numbers.setdefault(item_id if cluster is None else cluster, len(numbers))
        is_asked[row] = cluster in known.asked
    return Crowd(candidates, clusters, is_asked)


def clusters_to_part(
    tx: Connection, rows: Sequence[SourcedExample], recipe: Recipe
) -> dict[str, int]:
    """The clusters of examples: none may both train and measure. None where the recipe has none.

    A text of one side that came in since the last selection is linked by the next.
    """
    if not recipe.twins.is_on:
        return {}
    scheme = twins.text_scheme(recipe.twins.least_similarity)
    return twins.clusters_of(tx, scheme, [row.example.item_id for row in rows])


@dataclass(frozen=True, slots=True)
class Audits:
    """The audit's picks, and the items that stand aside, each for one of them.

    Of chances that differ, `draw` has the `mean` over the pool and the `least`; and `flagged`, of
    each category, the `least` of what the preferred model flags, or might, `from` its threshold on.
    """

    picks: tuple[Pick, ...]
    aside: dict[ItemId, ItemId]
    draw: dict[str, float] = field(default_factory=dict)
    flagged: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def plan(self) -> dict[str, Any]:
        """What the batch's plan keeps of it; nothing where all chances are alike."""
        return {"audit_draw": self.draw | {"flagged": self.flagged}} if self.draw else {}


def draw_audits(measuring: Crowd, policy: Policy, *, limit: int, floor: float, seed: int) -> Audits:
    """A draw by chance that asks one of each cluster it meets.

    With a `floor` of 1, or while no model knows anything, a simple random draw, whatever any model
    thinks. Else that part of it is; the other part goes by how much each answer would narrow what
    the policy promises, or every category's precision and recall where it promises nothing, in
    each slice alike. About `limit` are asked, exactly so where nothing is a near copy. That some of
    a cluster are asked about already does not keep the others out: they came later, and are
    measured too.
    """
    pool = pool_of(
        replace(measuring.candidates, group_ids=measuring.clusters.astype(str).astype(object)),
        policy,
    )
    rng = stream_of(seed, AUDIT)
    columns = columns_of(measuring.candidates, policy)
    drawn: AllocatedDraw | ClusterDraw
    draw: dict[str, float] = {}
    flagged: dict[str, dict[str, float]] = {}
    if floor >= 1.0 or not columns:
        drawn = draw_clusters(pool, limit=limit, rng=rng)
    else:
        worth = _worth_of_audits(measuring.candidates, policy, pool, columns)
        drawn = draw_allocated(pool, worth, limit=limit, floor_share=floor, rng=rng)
        draw = {"mean": drawn.expected / max(len(pool), 1), "least": drawn.least()}
        flagged = {
            category: {"from": threshold, "least": drawn.least(rows)}
            for category, threshold, rows in _possibly_flagged(measuring.candidates, policy)
            if rows.any()
        }
    names = measuring.candidates.item_ids
    picks = [
        Pick(
            item_id=ItemId(names[row]),
            share=AUDIT,
            strategy="allocated" if draw else "random",
            rank=rank,
            inclusion_probability=float(drawn.inclusion_probability[rank]),
            stands_for=int(drawn.stands_for[rank]),
        )
        for rank, row in enumerate(drawn.rows.tolist())
    ]
    aside = zip(names[drawn.aside].tolist(), names[drawn.aside_for].tolist(), strict=True)
    stand_aside = {ItemId(one): ItemId(asked) for one, asked in aside}
    return Audits(tuple(picks), stand_aside, draw, flagged)


def _possibly_flagged(
    candidates: Candidates, policy: Policy
) -> Iterator[tuple[str, float, NDArray[np.bool_]]]:
    """Of each category, its threshold and all but those that the preferred model does not flag."""
    for column, category in enumerate(policy.category):
        below = candidates.by_preferred & (candidates.probabilities[:, column] < category.threshold)
        yield category.id, category.threshold, ~below


def _worth_of_audits(
    candidates: Candidates, policy: Policy, pool: Pool, columns: dict[str, int]
) -> NDArray[np.float64]:
    aims = [
        Aim(columns[category], metric) for category, metric in policy.aims if category in columns
    ]
    thresholds = {one.id: one.threshold for one in policy.category}
    probabilities = np.asarray(pool.probabilities, dtype=np.float64)
    flagged = np.zeros(probabilities.shape, dtype=np.bool_)
    for category, column in columns.items():
        flagged[:, column] = probabilities[:, column] >= thresholds[category]
    slices, _ = pd.factorize(candidates.slices)  # by hash: there may be millions
    return influence(probabilities, flagged, aims, slices=slices)


def one_each(training: Crowd, taken: Codes, *, seed: int) -> tuple[Candidates, dict[str, int]]:
    """One candidate of each cluster of which nothing is asked, nor taken just now; and of each how
    many it stands for. Of these, each was as likely to be the one.

    That a copy is audited does not matter: were it to, whatever comes in waves would be measured
    and never learned.
    """
    free = training.where(~training.is_asked & ~np.isin(training.clusters, taken))
    order = np.random.default_rng([seed, len(free)]).permutation(len(free))
    _, first, size = np.unique(free.clusters[order], return_index=True, return_counts=True)
    rows = order[first]
    by_id = np.argsort(rows)  # candidates stand in the order of their ids
    kept = free.candidates.where(rows[by_id])
    return kept, dict(zip(kept.item_ids.tolist(), size[by_id].tolist(), strict=True))


def with_counts(picks: Sequence[Pick], stands_for: dict[str, int]) -> list[Pick]:
    """The picks with how many each stands for, and the chance that it was this one of them."""
    return [
        replace(
            pick,
            stands_for=stands_for[pick.item_id],
            inclusion_probability=(
                None
                if pick.inclusion_probability is None
                else pick.inclusion_probability / stands_for[pick.item_id]
            ),
        )
        for pick in picks
    ]
