"""What each share asks of every part, by how its strategy chooses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from sampling.cold_start import CLUSTERS_AT_MOST, ROWS_PER_CLUSTER
from sampling.diversity import DEPTH_FACTOR, SHORTLIST_FACTOR
from sampling.ids import KEY_BYTES
from sampling.partitions.core_sets import (
    Arriving,
    Best,
    Criterion,
    Lowest,
    LowestOfSlices,
    Turns,
)
from sampling.partitions.facts import Facts
from sampling.plan import Share, stream_of
from sampling.pool import Pool
from sampling.strategies import DRAWS

DEEPEST = 1 << 20
"""So many rows of each category are looked through for some that differ, and no more."""

_WALK = 64  # what `random_distinct` looks at beyond twice its limit
_LEFT_OVER = 64


class Kind(Enum):
    """How a strategy chooses, and so what of a part can matter to it."""

    DRAW = "by chance"
    ORDER = "by an order of its own"
    DISTINCT = "by an order of its own, passing over near-duplicates"
    SHORTLIST = "among the first of its order that differ"
    SAMPLE = "among rows drawn by keyed numbers"
    OTHER = "in a way that parts can only approach"


ORDERS: dict[str, Literal["half", "threshold", "likely"]] = {
    "uncertain": "half",
    "uncertain_per_second": "half",
    "near_threshold": "threshold",
    "top_positive_by_turns": "likely",
}
"""Strategies in which categories take turns."""

WORTHS = frozenset(
    {
        "least_confidence",
        "margin",
        "entropy",
        "mean_margin",
        "mean_entropy",
        "top_positive",
        "bald",
        "vote_entropy",
        "modality_disagreement",
        "model_disagreement",
        "modal_uncertainty",
        "modal_margin",
        "modal_entropy",
        "modal_vote_entropy",
        "modal_consensus_entropy",
        "modal_max_disagreement",
        "modal_min_confidence",
        "modal_avg_confidence",
        "modal_max_score",
        "modal_avg_score",
    }
)
"""Strategies that order rows by a worth of each row alone, equals by id."""

SHORTLISTS = (
    "uncertain_diverse",
    "uncertain_diverse_per_second",
    "uncertain_k_means",
    "uncertain_k_center",
)
SAMPLED = ("typical", "k_means")
_WITHOUT_EMBEDDINGS = {
    "typical": "uncertain",
    "k_means": "uncertain",
    "k_center": "uncertain",
    "near_positives": "top_positive_by_turns",
}


@dataclass(frozen=True, slots=True)
class ShareAsk:
    """A share with its part of the batch.

    Args:
        limit: how many it chooses.
        spare: how many others may take away before it does.
        deeper: how many times as deep as at first it looks.
    """

    share: Share
    limit: int
    spare: int
    seed: int
    deeper: int
    has_embeddings: bool

    @property
    def strategy(self) -> str:
        """What it comes down to where the pool has no embeddings."""
        if self.has_embeddings:
            return self.share.strategy
        return _WITHOUT_EMBEDDINGS.get(self.share.strategy, self.share.strategy)

    @property
    def inside(self) -> str:
        """The strategy without its wrappers."""
        return self.strategy.rpartition(":")[2]

    @property
    def kind(self) -> Kind:
        has_order = self.inside in ORDERS or self.inside in WORTHS or self.inside == "random"
        if ":" in self.strategy:
            return Kind.DISTINCT if has_order else Kind.OTHER
        if self.strategy in DRAWS:
            return Kind.DRAW
        if has_order:
            return Kind.ORDER
        if self.strategy in SHORTLISTS:
            return Kind.SHORTLIST
        return Kind.SAMPLE if self.strategy in SAMPLED else Kind.OTHER

    @property
    def depth(self) -> int:
        """How many of the first rows of its order it is sure to know."""
        match self.kind:
            case Kind.DISTINCT:
                return 2 * self.limit * self.deeper
            case Kind.SHORTLIST:
                return DEPTH_FACTOR * SHORTLIST_FACTOR * self.limit * self.deeper
            case Kind.DRAW if self.strategy == "random_distinct":
                return (2 * self.limit + _WALK) * self.deeper
            case _:
                return self.limit

    def criteria(self, facts: Facts, *, labelled: int) -> tuple[Criterion, ...]:
        """What it asks of every part before anything is chosen.

        Args:
            labelled: how many items are labelled already.
        """
        if not self.limit:
            return ()
        asked = self._criteria(facts, labelled=labelled)
        return tuple(replace(one, column=self.share.column) for one in asked)

    def seen(self, pool: Pool) -> Pool:
        """The pool as the share sees it: all categories, or its own."""
        return pool if self.share.column is None else pool.only(self.share.column)

    def _criteria(self, facts: Facts, *, labelled: int) -> tuple[Criterion, ...]:
        rng = stream_of(self.seed, self.share.name)
        first, second = rng.bytes(KEY_BYTES), rng.bytes(KEY_BYTES)
        deep = self.depth + self.spare
        match self.kind:
            case Kind.DRAW:
                return self._draws(facts, first, second)
            case Kind.ORDER | Kind.DISTINCT if self.inside == "random":
                return (Lowest(first, deep),)
            case Kind.ORDER | Kind.DISTINCT if self.inside in WORTHS:
                return (Best(self.inside, deep),)
            case Kind.ORDER | Kind.DISTINCT:
                return (self._turns(facts, deep),)
            case Kind.SHORTLIST:
                return (self._turns(facts, deep, key=first),)
            case Kind.SAMPLE:
                rows = self._clusters(labelled) * ROWS_PER_CLUSTER
                # Where so many rows coincide that there are too few clusters, `uncertain` fills up.
                return (Lowest(first, rows + self.spare), self._turns(facts, self.limit + deep))
            case Kind.OTHER:
                return ()

    def _clusters(self, labelled: int) -> int:
        if self.strategy == "k_means":
            return self.limit
        return max(self.limit, min(labelled + self.spare + self.limit, CLUSTERS_AT_MOST))

    def _turns(self, facts: Facts, depth: int, key: bytes | None = None) -> Turns:
        return Turns(
            ORDERS.get(self.inside, "half"),
            depth,
            self.spare + self.limit,
            key,
            self.inside.endswith("_per_second"),
            facts.least_seconds or 1.0,
        )

    def _draws(self, facts: Facts, first: bytes, second: bytes) -> tuple[Criterion, ...]:
        # By the second key comes what fills up for items that another draw took as well.
        again = self.limit + self.spare + _LEFT_OVER
        match self.strategy:
            case "random_distinct":
                return (Lowest(first, self.depth),)
            case "weighted_random":
                mean = facts.mean_worth(self.share.column)
                return (Arriving(first, self.limit + 1, mean), Arriving(second, again, mean))
            case "random":
                return (Lowest(first, self.limit), Lowest(second, again))
            case _:
                return (LowestOfSlices(first, self.limit), LowestOfSlices(second, again))
