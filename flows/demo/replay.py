"""Was choosing worth it? The demo's rounds played again in memory, beside random selection.

The servers' loop runs once; a curve with an interval needs several runs of both plans. Here gold
answers without error, all labels train, and both plans start from the production model's scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flows.demo.scene import FloatArray, Judged, Scene
from hitl.evaluation import average_precision
from hitl.recipe import Recipe
from hitl.records import Example, ItemId, Split
from hitl.selection import fill_unknown
from hitl.training import Prior, TextModel, TrainingRecipe, learn_prior
from hitl.training import fit as fit_text_model
from sampling import Curve, Plan, Pool, Replay, Share, choose

ACTIVE, RANDOM = "active", "random"
POOL_LIMIT = 4_000
"""A replay chooses from so many items at most: quick, and enough to tell two plans apart."""


class Fitted(Protocol):
    """What a training gives: probabilities (N, C) and a diversity embedding (N, D)."""

    def predict(self, items: Sequence[str]) -> NDArray[np.float64]: ...

    def embed(self, items: Sequence[str]) -> NDArray[np.float32]: ...


Fit = Callable[[Sequence[str], FloatArray, int], Fitted]
"""(texts, labels (n, C) with NaN where unknown, seed) -> Fitted."""


@dataclass(frozen=True)
class CurvesBesideRandom:
    """Learning curves of both plans, and the paired difference active - random, by budget.

    Scores are macro average precision on the test items. `mean_gain` is the difference of the
    areas under both curves over the labels spent; its arrays have one entry. `production` is the
    score of the model before any label.
    """

    active: Curve
    random: Curve
    gain: Curve
    mean_gain: Curve
    replay: Replay
    production: float
    is_synthetic: bool = False

    @property
    def labels_saved(self) -> float:
        """What part of random's labels the active plan does not need to reach random's last
        score, in [0, 1]; NaN where it does not reach it."""
        needed = self.replay.labels_to_reach(ACTIVE, float(self.random.mean[-1]))
        return float(1.0 - needed / self.random.budgets[-1])

    def summary(self) -> str:
        """The finding in one line, with its width."""
        labels, seeds = int(self.random.budgets[-1]), len(self.replay.seeds)
        gain, low, high = (
            float(one[-1]) for one in (self.gain.mean, self.gain.low, self.gain.high)
        )
        width = "no interval from one seed"
        if seeds > 1:
            width = f"[{low:+.3f}, {high:+.3f}], 95 %, {seeds} paired seeds"
        chosen, drawn = float(self.active.mean[-1]), float(self.random.mean[-1])
        line = (
            f"with {labels:,} training labels, mean average precision: chosen {chosen:.3f}, "
            f"random {drawn:.3f}, difference {gain:+.3f} ({width})"
        )
        if self.labels_saved > 0:
            needed = round((1.0 - self.labels_saved) * labels)
            line += f"; chosen labels reach random's last score with about {needed:,}"
        return line


def budgets_for(scene: Scene, *, batch: int, rounds: int) -> list[int]:
    """The labels after each of `rounds` rounds of `batch`, as far as there are items to label."""
    size = min(len(scene.pool), POOL_LIMIT)
    return [batch * turn for turn in range(1, rounds + 1) if batch * turn <= size]


def replay_curves(
    scene: Scene,
    *,
    budgets: Sequence[int],
    seeds: Sequence[int],
    on_step: Callable[[int, int], None] | None = None,
) -> CurvesBesideRandom:
    """The curves for a demo's rounds; see below."""
    return curves_beside_random(
        scene.pool,
        scene.test,
        budgets=budgets,
        recipe=scene.recipe,
        categories=scene.policy.category_ids,
        seeds=tuple(seeds),
        fit=quick_fit(
            scene.policy.category_ids,
            threads=scene.recipe.training.threads,
            earlier=scene.pool if scene.recipe.training.prior_items else None,
        ),
        is_synthetic=scene.is_synthetic,
        on_fit=on_step,
    )


def curves_beside_random(
    pool: Judged,
    test: Judged,
    *,
    budgets: Sequence[int],
    recipe: Recipe,
    categories: Sequence[str],
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    pool_limit: int | None = POOL_LIMIT,
    test_limit: int | None = 3_000,
    fit: Fit | None = None,
    is_synthetic: bool = False,
    on_fit: Callable[[int, int], None] | None = None,
) -> CurvesBesideRandom:
    """Play the rounds for every seed with the recipe's shares and with random selection.

    Args:
        budgets: labels after each round, ascending, such as 200, 400, …, 1000.
        pool_limit: each seed draws so many items of the pool to choose from, the same for both
            plans: quick, and the curves differ by more than the order of draws.
        test_limit: measure on so many test items, drawn once.
        fit: the training; by default the text model with the costly niceties left out, which
            change probabilities a little and ranks not at all.
        on_fit: called with (fits done, fits in all) for a progress bar.

    Raises:
        ValueError: the budgets do not ascend or exceed what there is to choose from.
    """
    steps = [int(step) for step in np.diff([0, *budgets])]
    size = min(len(pool), pool_limit or len(pool))
    if not steps or min(steps) < 1 or budgets[-1] > size:
        raise ValueError(f"budgets {list(budgets)} must ascend from 1 and end by {size} items")
    fit = fit or quick_fit(categories, threads=recipe.training.threads)
    plans = {
        ACTIVE: Plan(tuple(Share(s.name, s.strategy, s.fraction) for s in recipe.selection.shares)),
        RANDOM: Plan((Share(RANDOM, "random", 1.0),)),
    }
    if test_limit is not None and test_limit < len(test):
        draw = np.random.default_rng([seeds[0], len(test)])
        test = test.where(np.sort(draw.choice(len(test), size=test_limit, replace=False)))
    scores = np.empty((len(plans), len(seeds), len(steps)))
    done = 0
    for place, seed in enumerate(seeds):
        draw = np.random.default_rng([seed, len(pool)])
        offered = pool.where(np.sort(draw.choice(len(pool), size=size, replace=False)))
        for number, plan in enumerate(plans.values()):
            for turn, score in enumerate(_rounds(offered, test, plan, steps, seed=seed, fit=fit)):
                scores[number, place, turn] = score
                done += 1
                if on_fit is not None:
                    on_fit(done, scores.size)
    played = Replay(tuple(plans), tuple(seeds), np.asarray(budgets, dtype=np.intp), scores)
    return CurvesBesideRandom(
        active=played.curve(ACTIVE),
        random=played.curve(RANDOM),
        gain=played.difference(ACTIVE, against=RANDOM),
        mean_gain=played.area(ACTIVE, against=RANDOM),
        replay=played,
        production=macro_average_precision(test.production, test.gold),
        is_synthetic=is_synthetic,
    )


def _rounds(
    pool: Judged, test: Judged, plan: Plan, steps: Sequence[int], *, seed: int, fit: Fit
) -> list[float]:
    """The score after each round of one plan."""
    needs_embedding = any(share.strategy not in ("random",) for share in plan.shares)
    labelled = np.zeros(len(pool), dtype=np.bool_)
    model: Fitted | None = None
    scores = []
    for turn, step in enumerate(steps):
        left = np.flatnonzero(~labelled)
        texts = [pool.texts[row] for row in left]
        offered = Pool(
            [pool.item_ids[row] for row in left],
            # The first round has no model but production's, and so no embedding, as in the loop.
            fill_unknown(pool.production[left]) if model is None else model.predict(texts),
            model.embed(texts) if model is not None and needs_embedding else None,
        )
        chosen = choose(plan, offered, limit=int(step), seed=seed * 1_000_003 + turn)
        labelled[left[chosen.rows]] = True
        rows = np.flatnonzero(labelled)
        model = fit([pool.texts[row] for row in rows], pool.gold[rows], seed)
        scores.append(macro_average_precision(model.predict(test.texts), test.gold))
    return scores


def macro_average_precision(probabilities: FloatArray, gold: FloatArray) -> float:
    """Mean average precision over the categories that have both answers in `gold`.

    Args:
        probabilities, gold: shape (N, C); NaN in either is unknown and left out.

    Returns:
        In [0, 1]; NaN where no category can be measured.
    """
    found = []
    for column in range(gold.shape[1]):
        known = ~np.isnan(gold[:, column]) & ~np.isnan(probabilities[:, column])
        truth = gold[known, column]
        if truth.any() and not truth.all():
            found.append(average_precision(probabilities[known, column], truth))
    return float(np.mean(found)) if found else float("nan")


def quick_fit(categories: Sequence[str], *, threads: int = 1, earlier: Judged | None = None) -> Fit:
    """The text model, with fewer held-out folds and a smaller embedding than the real training.

    `earlier`: items whose production scores are learned from once, for all trainings, as the loop
    learns from decisions that were made before it.
    """
    recipe = TrainingRecipe(
        categories=tuple(categories),
        folds=2,
        embedding_dimensions=64,
        embedding_buckets=2_048,
        embedding_rows=1_000,
        threads=threads,
    )
    prior = None if earlier is None else _prior_of(earlier, recipe)

    def fit(texts: Sequence[str], labels: FloatArray, seed: int) -> Fitted:
        examples = [
            Example(
                item_id=ItemId(f"{row:07d}"),
                text=text,
                labels={
                    category: float(value)
                    for category, value in zip(categories, labels[row], strict=True)
                    if not np.isnan(value)
                },
                group_id=str(row),
                split=Split.TRAIN,
            )
            for row, text in enumerate(texts)
        ]
        return TextModel.of(fit_text_model(examples, recipe, seed=seed, prior=prior))

    return fit


def _prior_of(earlier: Judged, recipe: TrainingRecipe) -> Prior | None:
    """From at most POOL_LIMIT items, evenly over all."""
    scored = np.flatnonzero(~np.isnan(earlier.production).all(axis=1))
    if not len(scored):
        return None
    rows = scored[np.linspace(0, len(scored) - 1, min(len(scored), POOL_LIMIT)).astype(np.intp)]
    return learn_prior([earlier.texts[row] for row in rows], earlier.production[rows], recipe)
