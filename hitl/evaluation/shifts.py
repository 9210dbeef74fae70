"""Has something moved, and by enough to matter? An answer a question, and all of a run together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, fisher_exact, norm

from hitl.evaluation.arrays import FloatArray, floats, level
from hitl.evaluation.comparisons import holm
from hitl.evaluation.drift import PSI_WORTH_A_LOOK, shifted_shares, stability, two_sets
from hitl.evaluation.errors import BadArrays
from hitl.evaluation.intervals import newcombe

MOST_BINS = 10
ITEMS_A_BIN = 20
"""With fewer, the chance of a difference is not what its formula says."""

PREVALENCE_WORTH_A_LOOK = 1.5
"""So many times more violations, or fewer, than before."""

MMD_WORTH_A_LOOK = 0.001
"""Of a squared distance, which grows with the square of the share that is new: about what one item
in ten makes, where those are of a language that was not there before."""

EVENTS_NEEDED = 10
_DRAWS = 4000
_WIDEST = 10.0  # an interval of times as many, high by low, that says more than nothing


class ShiftKind(StrEnum):
    """What may move."""

    SCORES = "scores"
    MIX = "mix"
    LABELS = "labels"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class About:
    """What a question is about. Empty: all categories, or all items."""

    kind: ShiftKind
    category: str = ""
    slice_name: str = ""
    slice_value: str = ""
    model_version: str = ""


@dataclass(frozen=True, slots=True)
class Shift:
    """The answer to one question.

    `statistic` must reach `bar` for a shift to matter, and `p_value`, after `together` corrected
    for all questions of the run, must be at most `level` for it to be no luck. `effect` is the same
    in plain units with its 95 % interval: difference of mean scores, difference of shares, or how
    many times as many violations; for embeddings the distance itself, without one. Where there is
    a `code`, there is no number: too few to say.
    """

    about: About
    n_reference: int
    n_window: int
    code: str | None = None
    statistic: float | None = None
    bar: float | None = None
    p_value: float | None = None
    level: float | None = None
    effect: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def is_alarm(self) -> bool:
        """Surely, and by enough to matter."""
        said = (self.statistic, self.bar, self.p_value, self.level)
        statistic, bar, p_value, most = (math.nan if one is None else one for one in said)
        return statistic >= bar and p_value <= most


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of some items: `counts` (B,) over fine buckets in their order, the sum of the scores
    and of their squares, and how many reach the category's threshold."""

    counts: FloatArray
    total: float
    squares: float
    flagged: int

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        return self.total / self.n

    @property
    def variance_of_mean(self) -> float:
        return max(self.squares / self.n - self.mean**2, 0.0) / self.n


def score_shift(
    about: About, then: Scores, now: Scores, *, least: int, psi_bar: float = PSI_WORTH_A_LOOK
) -> Shift:
    """Do scores lie where they lay? The stability index must reach `psi_bar`.

    Its chance is that of Pearson's test of homogeneity on the same bins: the index's own limit is
    passed six times too often where bins hold ten items and luck is to be one in ten thousand.

    Args:
        least: with fewer items on a side there is a code and no number.
    """
    empty = _too_few(about, then.n, now.n, least)
    if empty:
        return empty
    bins = _equal_bins(then.counts + now.counts, min(then.n, now.n))
    p, q = (np.add.reduceat(one.counts, bins) for one in (then, now))
    if len(p) < 2:
        return Shift(about, then.n, now.n, code="one_score")
    moved = now.mean - then.mean
    spread = float(norm.ppf(0.975)) * math.sqrt(then.variance_of_mean + now.variance_of_mean)
    return Shift(
        about,
        then.n,
        now.n,
        statistic=stability(p, q).psi,
        bar=psi_bar,
        p_value=_homogeneity(p, q),
        effect=moved,
        low=moved - spread,
        high=moved + spread,
    )


def mix_shift(
    about: About,
    then: tuple[int, int],
    now: tuple[int, int],
    *,
    least: int,
    psi_bar: float = PSI_WORTH_A_LOOK,
) -> Shift:
    """Is the share of a kind of item what it was? `then` and `now` are (of that kind, of all).

    The stability index of two bins must reach `psi_bar`; its chance is Fisher's exact one. A
    language that was never seen reaches .1 at three items in a hundred.
    """
    (some, all_then), (late, all_now) = then, now
    empty = _too_few(about, all_then, all_now, least)
    if empty:
        return empty
    table = [[some, all_then - some], [late, all_now - late]]
    moved = newcombe(late / all_now, all_now, some / all_then, all_then)
    return Shift(
        about,
        all_then,
        all_now,
        statistic=stability(*table).psi,
        bar=psi_bar,
        p_value=_by_luck(table),
        effect=late / all_now - some / all_then,
        low=moved.low,
        high=moved.high,
    )


@dataclass(frozen=True, slots=True)
class Confusion:
    """Even draws of audited items: violating and flagged, violating and not, and so on."""

    hits: int
    misses: int
    false_alarms: int
    passes: int

    @property
    def n(self) -> int:
        return self.hits + self.misses + self.false_alarms + self.passes


def label_shift(
    about: About,
    confusion: Confusion,
    then: Scores,
    now: Scores,
    *,
    least: int,
    seed: int,
) -> Shift:
    """How many times as many violations are there, by what the model flags and how it errs?

    The share of flagged items moves for two reasons, more violations or another kind of content;
    this reads it as the first (`shifted_shares`), and is wrong where it is the second. Its chance
    is that of flagged items then and now, which needs no labels; only the size does. The interval
    carries how little is known of the errors: draws from their posteriors.
    """
    empty = _too_few(about, then.n, now.n, least)
    if empty:
        return empty
    violating = confusion.hits + confusion.misses
    if min(violating, confusion.n - violating) < EVENTS_NEEDED:
        return Shift(about, then.n, now.n, code="too_few_labels")
    rng = np.random.default_rng(seed)

    def drawn(yes: int, no: int) -> FloatArray:
        return rng.beta(yes + 0.5, no + 0.5, _DRAWS)

    hit = drawn(confusion.hits, confusion.misses)
    alarmed = drawn(confusion.false_alarms, confusion.passes)
    if np.quantile(hit - alarmed, 0.025) <= 0.0:
        return Shift(about, then.n, now.n, code="flags_say_nothing")
    before = drawn(then.flagged, then.n - then.flagged)
    after = drawn(now.flagged, now.n - now.flagged)
    times = np.maximum(after - alarmed, 0.0) / np.maximum(before - alarmed, 1e-9)
    low, high = (float(one) for one in np.quantile(times, (0.025, 0.975)))
    shares = confusion.hits / violating, confusion.false_alarms / (confusion.n - violating)
    prevalence = (then.flagged / then.n - shares[1]) / (shares[0] - shares[1])
    if not 0.0 < prevalence < 1.0 or low <= 0.0 or high > _WIDEST * low:
        return Shift(about, then.n, now.n, code="errors_unknown")
    share = now.flagged / now.n
    joint = np.array(
        [
            [(1 - shares[0]) * prevalence, (1 - shares[1]) * (1 - prevalence)],
            [shares[0] * prevalence, shares[1] * (1 - prevalence)],
        ]
    )
    ratio = float(shifted_shares(joint, [1 - share, share])[0])
    if ratio <= 0.0:  # fewer flags than the false alarms alone should make
        return Shift(about, then.n, now.n, code="errors_unknown")
    table = [[then.flagged, then.n - then.flagged], [now.flagged, now.n - now.flagged]]
    return Shift(
        about,
        then.n,
        now.n,
        statistic=max(ratio, 1.0 / ratio),
        bar=PREVALENCE_WORTH_A_LOOK,
        p_value=_by_luck(table),
        effect=ratio,
        low=low,
        high=high,
    )


def embedding_shift(
    about: About, then: ArrayLike, now: ArrayLike, *, least: int, seed: int, permutations: int
) -> Shift:
    """Do two sets of embeddings, (N, D) and (M, D), come from one place (`two_sets`)?"""
    first, second = (floats(name, one, dimensions=2) for name, one in
                     (("then", then), ("now", now)))  # fmt: skip
    empty = _too_few(about, len(first), len(second), least)
    if empty:
        return empty
    found = two_sets(first, second, seed=seed, permutations=permutations)
    return Shift(
        about,
        len(first),
        len(second),
        statistic=found.distance,
        bar=MMD_WORTH_A_LOOK,
        p_value=found.p_value,
        effect=found.distance,
    )


def together(shifts: Sequence[Shift], *, alpha: float) -> list[Shift]:
    """The same answers, each chance corrected for having asked all of them (Holm).

    Holm and not Benjamini-Hochberg: an alarm may train a model, and slices overlap with the whole.
    While nothing has moved, one alarm or more comes from these questions with chance `alpha`.
    """
    level("alpha", alpha)
    asked = [k for k, one in enumerate(shifts) if one.p_value is not None]
    adjusted = holm([one.p_value for one in shifts if one.p_value is not None])
    found = list(shifts)
    for k, p_value in zip(asked, adjusted.tolist(), strict=True):
        found[k] = replace(shifts[k], p_value=p_value, level=alpha)
    return found


def _too_few(about: About, then: int, now: int, least: int) -> Shift | None:
    if now < least:
        return Shift(about, then, now, code="too_few_items")
    if then < least:
        return Shift(about, then, now, code="no_reference")
    return None


def _equal_bins(counts: FloatArray, smaller: int) -> NDArray[np.intp]:
    """Where each of some bins of about the same mass begins; a bucket is never parted."""
    if not counts.sum():
        raise BadArrays("counts", "are all 0")
    wanted = int(np.clip(smaller // ITEMS_A_BIN, 2, MOST_BINS))
    reached = np.cumsum(counts) / counts.sum()
    ends = np.searchsorted(reached, np.arange(1, wanted) / wanted - 1e-12) + 1
    starts = np.unique(np.concatenate([[0], ends]))
    held = np.add.reduceat(counts, starts[starts < len(counts)])
    # What holds nothing joins the bin before it.
    kept: NDArray[np.intp] = starts[starts < len(counts)][held > 0.0]
    return kept


def _by_luck(table: list[list[int]]) -> float:
    """Fisher's exact chance, two-sided, of two shares so far apart."""
    return float(fisher_exact(np.array(table)).pvalue)


def _homogeneity(then: FloatArray, now: FloatArray) -> float:
    shares = (then + now) / (then.sum() + now.sum())
    apart = then / then.sum() - now / now.sum()
    scale = 1.0 / then.sum() + 1.0 / now.sum()
    return float(chi2.sf((apart**2 / shares).sum() / scale, len(then) - 1))
