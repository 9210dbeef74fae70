"""The one door to modAL: its measures as our strategies, ours as its queries, its learners mended.

What is broken in modAL-python 0.4.2.1 beside scikit-learn 1.9, and what is done about it here:

1. `teach` and `fit` of learners and committees pass `force_all_finite`, a keyword scikit-learn
   dropped in 1.8: renamed on the way through. Queries work without; only teaching fails.
2. skorch 0.9, which it pins, does not import: nothing of `modAL.dropout` is offered.
3. `modAL.expected_error` does not import (`np.float`): not offered.
4. `multilabel.max_loss` and `mean_max_loss` read `classes_`, which no learner has: not offered.
5. Rows cannot be added to a DataFrame (`append`, gone since pandas 2): refused before anything
   is learned from one, not at the second `teach`.
6. `n_instances` above the pool's size is an AssertionError, and its rows come unordered, ties by
   place in the array: we ask for the worth of every row, then order and cut ourselves.
7. `modAL.__version__` does not exist: `modal_version`.
8. `query` unpacks whatever a strategy returns into indices and metrics. Of two bare indices it
   makes one index and a metric; any other number is chosen twice. `as_modal_query` gives a pair.
9. Its ranked batch, with nothing labelled, leaves its first pick in the pool and may choose it
   again: `ranked_batch` takes it out.
10. A committee has no `X_training`, and asks a list of texts for its `shape`: its members' rows
    are what is labelled, and lists become arrays.

modAL is imported on first use: it takes seconds, and most plans never need it. That also mends
`modAL.models.learners` for everyone in the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import ArrayLike

from sampling.errors import BadBudget, BadPool
from sampling.pool import FloatArray, IntArray, Labelled, Pool, best_first
from sampling.scores import Strategy

_ROWS_PER_BLOCK = 1 << 16

MOST_MATRIX_ITEMS = 5_000
"""All distances of so many items, and modAL's copy of them, are 200 MiB of float32."""

MOST_RANKED_ITEMS = 50_000
"""modAL copies the pool for each pick: at 384 dimensions 77 MB."""

MOST_COMPARISONS = 1_000_000_000
"""Of a ranked batch: items x picks x (labelled + picks). Ten to twenty seconds of one core."""


class Predictor(Protocol):
    """Whatever modAL may ask: only this one method."""

    def predict_proba(self, X: Any) -> FloatArray: ...


class Precomputed:
    """A predictor whose samples are their own probabilities: modAL measures without a model."""

    def predict_proba(self, X: FloatArray) -> FloatArray:
        return X

    def predict(self, X: FloatArray) -> FloatArray:
        """1 where a category is more likely than not; multi-label scores ask for it."""
        return (X >= 0.5).astype(np.float64)


class PrecomputedCommittee:
    """The same for a committee: samples are what its members said of them, shape (N, T, C)."""

    def __init__(self, votes: FloatArray) -> None:
        self.members = votes.shape[1]
        self.classes_ = np.arange(votes.shape[2])

    def __len__(self) -> int:
        return self.members

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.members))

    def vote_proba(self, X: FloatArray) -> FloatArray:
        return X

    def predict_proba(self, X: FloatArray) -> FloatArray:
        consensus: FloatArray = X.mean(axis=1)
        return consensus

    def vote(self, X: FloatArray) -> IntArray:
        winners: IntArray = X.argmax(axis=2)
        return winners


Query = Callable[..., Any]


# modAL's measures as strategies of ours


def uncertainty(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `classifier_uncertainty` (1 - max); independent categories by the hardest one."""
    return best_first(_worth("classifier_uncertainty", pool), limit=limit, tie=pool.ids)


def margin(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `classifier_margin`, smallest first; independent categories by the hardest one."""
    return best_first(_worth("classifier_margin", pool, sign=-1.0), limit=limit, tie=pool.ids)


def entropy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `classifier_entropy`; independent categories by the hardest one."""
    return best_first(_worth("classifier_entropy", pool), limit=limit, tie=pool.ids)


def vote_entropy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `vote_entropy` of the pool's passes; independent categories by the hardest one."""
    return best_first(_disagreement("vote_entropy", pool), limit=limit, tie=pool.ids)


def consensus_entropy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `consensus_entropy` of the pool's passes; independent ones by the hardest one."""
    return best_first(_disagreement("consensus_entropy", pool), limit=limit, tie=pool.ids)


def max_disagreement(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `KL_max_disagreement` of the pool's passes; independent ones by the hardest one."""
    return best_first(_disagreement("KL_max_disagreement", pool), limit=limit, tie=pool.ids)


def min_confidence(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's multi-label `min_confidence`: lowest probability of any category first."""
    return _by_multilabel("min_confidence", pool, limit=limit, sign=-1.0)


def avg_confidence(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's multi-label `avg_confidence`: highest mean probability first."""
    return _by_multilabel("avg_confidence", pool, limit=limit, sign=1.0)


def max_score(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's multi-label `max_score`: surest positive first."""
    return _by_multilabel("max_score", pool, limit=limit, sign=1.0)


def avg_score(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's multi-label `avg_score`: surest positives on average first."""
    return _by_multilabel("avg_score", pool, limit=limit, sign=1.0)


def information_density(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `information_density` of the unit embeddings, times its `classifier_uncertainty`.

    Without embeddings all lie alike, and uncertainty decides.

    Raises:
        BadBudget: more than MOST_MATRIX_ITEMS items.

    Source: Settles and Craven (2008), information density with beta = 1.
    """
    if not pool.has_embeddings or not len(pool) or limit <= 0:
        return uncertainty(pool, limit=limit, rng=rng)
    _refuse_above(MOST_MATRIX_ITEMS, pool, "information_density", "every distance between two")
    order = pool.ids.order
    density = np.empty(len(pool))
    density[order] = _module("density").information_density(pool.unit_embeddings(order))
    worth = density * _worth("classifier_uncertainty", pool)
    return best_first(worth, limit=limit, tie=pool.ids)


def ranked_batch(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's ranked batch: always the one uncertain and far from all labelled and chosen ones.

    Distances are of unit embeddings; without embeddings uncertainty decides. With nothing
    labelled the first is the item nearest to all others on average (9, above).

    Raises:
        BadBudget: more than MOST_RANKED_ITEMS items (MOST_MATRIX_ITEMS with nothing labelled), or
            more than MOST_COMPARISONS.

    Source: Cardoso et al. (2017), ranked batch-mode active learning.
    """
    limit = min(limit, len(pool))
    if not pool.has_embeddings or limit <= 0:
        return uncertainty(pool, limit=limit, rng=rng)
    labelled = None if pool.labelled is None else pool.labelled.unit_embeddings
    if labelled is None:
        _refuse_above(MOST_MATRIX_ITEMS, pool, "ranked_batch", "every distance between two")
    _refuse_above(MOST_RANKED_ITEMS, pool, "ranked_batch", "a copy of the pool for each pick")
    comparisons = len(pool) * limit * (limit + (0 if labelled is None else len(labelled)))
    if comparisons > MOST_COMPARISONS:
        raise BadBudget(
            f"ranked_batch would compare {comparisons:.1e} times, and stops at "
            f"{MOST_COMPARISONS:.0e}; ask for fewer picks, or take uncertain_k_center"
        )
    batch = _module("batch")
    rows = pool.unit_embeddings(pool.ids.order)
    worth = _worth("classifier_uncertainty", pool)[pool.ids.order]
    left: IntArray = np.arange(len(pool))
    chosen: IntArray = left[:0]
    if labelled is None:
        first, labelled = batch.select_cold_start_instance(rows, metric="euclidean", n_jobs=None)
        chosen, left = left[[first]], np.delete(left, first)
    if len(chosen) < limit:
        more, _ = batch.ranked_batch(
            SimpleNamespace(on_transformed=False, X_training=labelled),
            unlabeled=rows[left],
            uncertainty_scores=worth[left],
            n_instances=limit - len(chosen),
            metric="euclidean",
            n_jobs=None,
        )
        chosen = np.concatenate([chosen, left[more]])
    return pool.ids.order[chosen]


def from_modal_query(query: Query, predictor: Predictor | None = None) -> Strategy:
    """A strategy of ours from any query function of modAL's shape, for instance a combination.

    Args:
        query: (predictor, X, n_instances) -> indices, or (indices, ...).
        predictor: asked about the pool's probabilities as if they were samples; by default it
            gives them back.

    Rows come in the order `query` gives. The pool is shown in the order of ids, so ties, which
    modAL breaks by place, do not depend on the order of rows.
    """

    def strategy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
        limit = min(limit, len(pool))
        if limit <= 0:
            return np.empty(0, dtype=np.intp)
        order = pool.ids.order
        answer = query(predictor or Precomputed(), pool.probabilities[order], n_instances=limit)
        indices = answer[0] if isinstance(answer, tuple) else answer
        return order[np.atleast_1d(np.asarray(indices, dtype=np.intp))]

    return strategy


# Our strategies as modAL's queries


def as_modal_query(
    strategy: Strategy | str,
    *,
    seed: int,
    item_ids: Sequence[str] | None = None,
    embed: Callable[[Any], ArrayLike] | None = None,
    exclusive: bool = True,
) -> ModalQuery:
    """One of our strategies, for `ActiveLearner(query_strategy=...)` and `Committee(...)`.

    Args:
        strategy: or its name, as plans write it; a name is what a pickled learner can hold.
        seed: 0 or more. Each query draws from a stream of its own, so two differ and a whole run
            repeats.
        item_ids: of the rows of X, where they are always the same. Where rows leave X after each
            round, give the ids of the rest by `learner.query(X, n_instances=..., item_ids=...)`.
            Without any a row's number is its id, and ties go to the lower.
        embed: X -> shape (N, D), for strategies that look at embeddings. It is asked about the
            labelled rows too. By default a numeric array is its own embedding (what the pipeline
            makes of it, where the learner has `on_transformed=True`); texts and sparse matrices
            have none.
        exclusive: the learner's classes exclude each other. False for multi-label learners.

    X is an array, a scipy sparse matrix or a list. Say n_instances by name: the second place of
    `Committee.query` is `return_metrics`. There are no metrics: our order is what we say.

    Raises:
        BadBudget: the seed is negative.
        UnknownStrategy: there is none of that name.
    """
    if seed < 0:
        raise BadBudget(f"seed is {seed}; it may not be negative")
    _module("models")  # so that teaching works for whoever imports modAL's learners themselves
    query = ModalQuery(strategy, seed, item_ids, embed, exclusive)
    query.chosen_by()  # a name that does not exist is refused now
    return query


@dataclass
class ModalQuery:
    """What `as_modal_query` gives. Pickled with its learner, a run goes on where it was."""

    strategy: Strategy | str
    seed: int
    item_ids: Sequence[str] | None
    embed: Callable[[Any], ArrayLike] | None
    exclusive: bool
    answered: int = 0

    def __call__(
        self, learner: Any, X: Any, n_instances: int = 1, *, item_ids: Sequence[str] | None = None
    ) -> tuple[IntArray, None]:
        """Shape (min(n_instances, N),), best first, and no metrics (8, above)."""
        if n_instances < 0:
            raise BadBudget(f"n_instances is {n_instances}; it may not be negative")
        X = _as_array(X)
        if not X.shape[0]:
            return np.empty(0, dtype=np.intp), None
        _module("models")  # again, for a learner that was unpickled in another process
        pool = self.pool(learner, X, item_ids=self.item_ids if item_ids is None else item_ids)
        rng = np.random.default_rng(SeedSequence(self.seed, spawn_key=(self.answered,)))
        rows = self.chosen_by()(pool, limit=min(n_instances, len(pool)), rng=rng)
        # Only now: modAL asks again after an error, and that must not move the stream.
        self.answered += 1
        return rows, None

    def chosen_by(self) -> Strategy:
        from sampling.strategies import strategy_named  # which imports this file

        return strategy_named(self.strategy) if isinstance(self.strategy, str) else self.strategy

    def pool(self, learner: Any, X: Any, *, item_ids: Sequence[str] | None = None) -> Pool:
        """What the strategy sees of X."""
        if item_ids is not None and len(item_ids) != X.shape[0]:
            raise BadPool(
                f"item_ids has {len(item_ids)} ids, X {X.shape[0]} rows; where rows left X, give "
                "the ids of the rest by query(X, n_instances=..., item_ids=...)"
            )
        votes = _votes(learner, X, exclusive=self.exclusive)
        embeddings = self._embeddings(learner, X)
        return Pool(
            [f"{row:09d}" for row in range(X.shape[0])] if item_ids is None else item_ids,
            votes.mean(axis=0),
            embeddings,
            exclusive=self.exclusive,
            labelled=None if embeddings is None else self._labelled(learner, votes.shape[2]),
            passes=votes if len(votes) > 1 else None,
        )

    def _embeddings(self, learner: Any, X: Any) -> Any:
        if self.embed is not None:
            return self.embed(X)
        shown = learner.transform_without_estimating(X) if learner.on_transformed else X
        if not isinstance(shown, np.ndarray) or shown.dtype.kind not in "biuf":
            return None
        return shown.reshape(len(shown), -1)

    def _labelled(self, learner: Any, categories: int) -> Labelled | None:
        members = getattr(learner, "learner_list", [learner])
        taught = [member for member in members if member.X_training is not None]
        places = [self._embeddings(learner, _as_array(one.X_training)) for one in taught]
        if not taught or any(place is None for place in places):
            return None
        points = np.concatenate([np.asarray(place) for place in places])
        labels = np.concatenate(
            [_answers(one.y_training, _classes(learner), categories) for one in taught]
        )
        if len(taught) > 1:  # members mostly know the same rows; once is enough
            known = np.column_stack([points, np.nan_to_num(labels, nan=-1.0)])
            first = np.sort(np.unique(known, axis=0, return_index=True)[1])
            points, labels = points[first], labels[first]
        return Labelled(points, labels)


# modAL's learners, mended


def active_learner(estimator: Any, **arguments: Any) -> Any:
    """modAL's `ActiveLearner` with `teach` and `fit` working on today's scikit-learn.

    Takes numpy arrays, scipy sparse matrices and lists, not DataFrames (5, above).
    """
    known = {name: _as_array(arguments.pop(name, None)) for name in ("X_training", "y_training")}
    return _module("models").ActiveLearner(estimator=estimator, **known, **arguments)


def committee(learners: Sequence[Any], **arguments: Any) -> Any:
    """modAL's `Committee` of learners from `active_learner`, with `teach`, `fit`, `rebag` working.

    `rebag` and `bootstrap=True` draw from numpy's one global generator: seed that
    (`np.random.seed`), or the run does not repeat. `only_new=True` keeps the new rows among what
    is labelled, where `ActiveLearner` drops them.
    """
    for learner in learners:
        _refuse_frames(learner.X_training)
        _refuse_frames(learner.y_training)
    return _module("models").Committee(learner_list=list(learners), **arguments)


def modal_version() -> str:
    """The installed modAL, for the record beside a selection."""
    return version("modAL-python")


def _worth(name: str, pool: Pool, *, sign: float = 1.0) -> FloatArray:
    """Shape (N,): modAL's measure of that name, of the hardest category."""
    if not len(pool):
        return np.empty(0)
    measure = getattr(_module("uncertainty"), name)
    questions = _questions(pool.probabilities, exclusive=pool.exclusive)
    worth: FloatArray = np.max([sign * measure(Precomputed(), one) for one in questions], axis=0)
    return worth


def _disagreement(name: str, pool: Pool) -> FloatArray:
    """As `_worth`, from what the passes said."""
    votes = pool.opinions("passes").swapaxes(0, 1)  # modAL's order: (N, T, C)
    measure = getattr(_module("disagreement"), name)
    worth = np.empty(len(pool))
    for start in range(0, len(pool), _ROWS_PER_BLOCK):  # it keeps many copies of what it is shown
        part = slice(start, start + _ROWS_PER_BLOCK)
        questions = _questions(votes[part], exclusive=pool.exclusive)
        worth[part] = np.max([measure(PrecomputedCommittee(one), one) for one in questions], 0)
    return worth


def _questions(values: FloatArray, *, exclusive: bool) -> list[FloatArray]:
    """Shape (..., C): one question of C answers, or C yes/no questions of two answers each."""
    if exclusive:
        # Answers side by side in memory: a sum must not round by how a caller laid them out.
        return [np.ascontiguousarray(values)]
    return [np.stack([1.0 - column, column], axis=-1) for column in np.moveaxis(values, -1, 0)]


def _by_multilabel(name: str, pool: Pool, *, limit: int, sign: float) -> IntArray:
    if not len(pool) or limit <= 0:
        return np.empty(0, dtype=np.intp)
    query: Query = getattr(_module("multilabel"), name)
    rows, values = query(
        Precomputed(), pool.probabilities, n_instances=len(pool), random_tie_break=False
    )
    worth = np.empty(len(pool))
    worth[rows] = sign * values
    return best_first(worth, limit=limit, tie=pool.ids)


def _refuse_above(most: int, pool: Pool, name: str, keeps: str) -> None:
    if len(pool) > most:
        raise BadBudget(
            f"{name} keeps {keeps}, and stops at {most:,} items; the pool has {len(pool):,}: "
            "shortlist them first, or take uncertain_diverse"
        )


def _votes(learner: Any, X: Any, *, exclusive: bool) -> FloatArray:
    """Shape (T, N, C): what each member of a committee says, or the one learner, T = 1."""
    from sklearn.exceptions import NotFittedError  # with modAL, and not before it

    try:
        if hasattr(learner, "vote_proba"):
            votes = learner.vote_proba(X).swapaxes(0, 1)  # modAL's order is (N, T, C)
        else:
            said = learner.predict_proba(X)
            columns = _positives(said, _classes(learner)) if isinstance(said, list) else said
            votes = np.asarray(columns)[None]
    except NotFittedError:
        # As modAL's own measures do: who has learned nothing is equally unsure of everything.
        return np.full((1, X.shape[0], 2), 0.5)
    if exclusive and votes.shape[2] == 1:
        # Whoever met one class is sure of it; zeros stand for all others.
        votes = np.concatenate([votes, 1.0 - votes], axis=2)
    found: FloatArray = votes
    return found


def _positives(said: list[FloatArray], classes: Sequence[Any]) -> FloatArray:
    """Shape (N, C): the probability of 1, where an estimator answers per category."""
    columns = [
        answers[:, list(known).index(1)] if 1 in known else np.zeros(len(answers))
        for answers, known in zip(said, classes, strict=True)
    ]
    return np.column_stack(columns)


def _classes(learner: Any) -> Any:
    """In the order of the columns of `predict_proba`; None before anything is learned."""
    return getattr(
        learner if hasattr(learner, "vote_proba") else learner.estimator, "classes_", None
    )


def _answers(y: Any, classes: Any, categories: int) -> FloatArray:
    """Shape (M, C): labels as they were taught, in the columns of the probabilities."""
    y = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
    if y.ndim == 2 and y.shape[1] == categories:
        answers: FloatArray = y.astype(np.float64)
        return answers
    labels = np.full((len(y), categories), np.nan)
    if classes is not None:
        holds = y.reshape(len(y), 1) == np.asarray(classes)
        labels[holds.any(axis=1)] = 0.0  # a class that no member knows by now stays unsaid
        labels[:, : holds.shape[1]][holds] = 1.0
    return labels


def _as_array(values: Any) -> Any:
    """Lists as arrays, for modAL asks for a shape; what is an array or sparse stays."""
    _refuse_frames(values)
    if not isinstance(values, list):
        return values
    # As objects: one long text must not widen the room of all.
    return np.asarray(values, dtype=object if values and isinstance(values[0], str) else None)


def _refuse_frames(values: Any) -> None:
    if hasattr(values, "to_numpy"):
        raise BadPool(
            f"modAL cannot add rows to a {type(values).__name__} since pandas 2; "
            "give it .to_numpy()"
        )


@cache
def _module(name: str) -> Any:
    """`modAL.<name>`, with its learners mended (1 and 5, above)."""
    learners: Any = import_module("modAL.models.learners")
    if not hasattr(learners.check_X_y, "mends"):
        learners.check_X_y = _mended(learners.check_X_y)
    return import_module(f"modAL.{name}")


def _mended(check: Callable[..., Any]) -> Callable[..., Any]:
    def checked(X: Any, y: Any, **keywords: Any) -> Any:
        _refuse_frames(X)
        _refuse_frames(y)
        if "force_all_finite" in keywords:
            keywords["ensure_all_finite"] = keywords.pop("force_all_finite")
        return check(X, y, **keywords)

    checked.mends = check  # type: ignore[attr-defined]
    return checked
