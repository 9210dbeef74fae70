"""Which items are worth a reviewer's time: arrays in, rows out. Stands alone, without a database.

>>> pool = Pool(["a", "b", "c"], [[0.9], [0.5], [0.1]])
>>> plan = Plan((Share("uncertain", "uncertain_diverse", 0.8), Share("audit", "random", 0.2)))
>>> choose(plan, pool, limit=2, seed=1).item_ids  # doctest: +SKIP
"""

from sampling.clusters import AllocatedDraw, ClusterDraw, draw_allocated, draw_clusters
from sampling.errors import (
    BadBudget,
    BadEmbedding,
    BadPlan,
    BadPool,
    BadProbabilities,
    BadWorth,
    SamplingError,
    UnknownStrategy,
)
from sampling.influence import Aim, influence
from sampling.partition import choose_partitioned
from sampling.partitions.finding import find_shards
from sampling.partitions.shards import Shard
from sampling.plan import DEFAULT_PLAN, Plan, Selection, Share, allocate, choose
from sampling.poisson import PoissonRound, first_that_differs, poisson_round
from sampling.pool import Labelled, Pool
from sampling.probability import (
    gumbel_top_k,
    keyed_uniforms,
    lure_weights,
    neyman_allocation,
    poisson_probabilities,
)
from sampling.replay import Curve, Replay, replay
from sampling.scores import Strategy, uncertain_order
from sampling.strategies import DEFAULT_STRATEGY, DRAWS, STRATEGIES, in_a_sentence, strategy_named

__all__ = [
    "DEFAULT_PLAN",
    "DEFAULT_STRATEGY",
    "DRAWS",
    "STRATEGIES",
    "Aim",
    "AllocatedDraw",
    "BadBudget",
    "BadEmbedding",
    "BadPlan",
    "BadPool",
    "BadProbabilities",
    "BadWorth",
    "ClusterDraw",
    "Curve",
    "Labelled",
    "Plan",
    "PoissonRound",
    "Pool",
    "Replay",
    "SamplingError",
    "Selection",
    "Shard",
    "Share",
    "Strategy",
    "UnknownStrategy",
    "allocate",
    "choose",
    "choose_partitioned",
    "draw_allocated",
    "draw_clusters",
    "find_shards",
    "first_that_differs",
    "gumbel_top_k",
    "in_a_sentence",
    "influence",
    "keyed_uniforms",
    "lure_weights",
    "neyman_allocation",
    "poisson_probabilities",
    "poisson_round",
    "replay",
    "strategy_named",
    "uncertain_order",
]
