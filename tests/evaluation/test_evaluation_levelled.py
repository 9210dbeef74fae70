"""Rounds that learn: what their levelled labels say is true where plain averages are not."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import estimate, thin
from hitl.evaluation.audit import AuditDraw, levelled


def test_three_rounds_that_learn_have_a_true_total_and_an_honest_variance() -> None:
    rng = np.random.default_rng(4)
    truth = (rng.random(800) < 0.1).astype(float)
    score = np.clip(0.3 * truth + 0.5 * rng.random(800), 0, 1)
    totals, covered, plain = [], 0, []
    for _ in range(1500):
        labelled = np.zeros(800, dtype=bool)
        batch, chance = np.zeros(800, dtype=int), np.zeros(800)
        draws, naive = [], []
        guess = score.copy()
        for k in range(3):
            free = ~labelled
            pi = np.clip(60 * guess / guess[free].sum(), 0.02, 1)
            drawn = free & (rng.random(800) < pi)
            pool, count = int(free.sum()), int(drawn.sum())
            least = float(pi[free].min())
            draws.append(AuditDraw(pool, count, count, mean=60 / pool, least=least))
            naive.append(float((truth[drawn] / pi[drawn]).sum()))
            labelled[drawn], batch[drawn], chance[drawn] = True, k, pi[drawn]
            # What was found says where to look next.
            guess = np.where(score > np.median(score[drawn]), 1.5 * score, 0.7 * score) + 0.1
        found = levelled(
            draws, batch=batch[labelled], epoch=np.zeros_like(batch)[labelled],
            chance=chance[labelled],
        )  # fmt: skip
        total = found.weight @ truth[labelled]
        totals.append(total)
        plain.append(float(np.mean(naive)))
        covered += abs(total - truth.sum()) <= 1.96 * np.sqrt(found.variance @ truth[labelled])

    assert abs(np.mean(totals) - truth.sum()) <= 3 * np.std(totals) / np.sqrt(1500)
    assert abs(np.mean(plain) - truth.sum()) > 0.05 * truth.sum()  # rounds averaged as they come
    assert 0.91 <= covered / 1500 <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("answered", [1.0, 0.7])
def test_rounds_that_learn_from_answers_stay_true(answered: float) -> None:
    """The chances of later rounds follow what earlier answers said; new items keep coming."""
    rng = np.random.default_rng(20261127)
    rounds, new, asked, worlds = 4, 800, 80, 250
    values, naive, truths, covered, kept_share = [], [], [], 0, []
    for _ in range(worlds):
        kind = np.zeros(0, dtype=int)
        violates, joined = np.zeros(0, dtype=bool), np.zeros(0, dtype=int)
        free, known = np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
        batch, chance = np.zeros(0, dtype=int), np.zeros(0)
        draws = []
        for k in range(rounds):
            kinds = rng.integers(0, 4, new)
            kind = np.append(kind, kinds)
            share = np.array([0.01, 0.03, 0.1, 0.3])[kinds]
            violates = np.append(violates, rng.random(new) < share)
            joined, free = np.append(joined, np.full(new, k)), np.append(free, np.ones(new, bool))
            known = np.append(known, np.zeros(new, bool))
            batch, chance = np.append(batch, np.zeros(new, int)), np.append(chance, np.zeros(new))
            # More of the kinds that were found to violate: what makes plain averages wrong.
            rate = np.array(
                [(violates[known & (kind == j)].sum() + 1) / ((known & (kind == j)).sum() + 8)
                 for j in range(4)]
            )  # fmt: skip
            pi = 0.5 * asked / free.sum() + 0.5 * asked * rate[kind] / rate[kind][free].sum()
            drawn = free & (rng.random(len(pi)) < pi)
            seen = rng.permutation(np.flatnonzero(drawn))[: round(answered * drawn.sum())]
            free &= ~drawn
            known[seen], batch[drawn], chance[drawn] = True, k, pi[drawn]
            pool = int(free.sum() + drawn.sum())
            least = float(pi[free | drawn].min())
            draws.append(
                AuditDraw(pool, int(drawn.sum()), len(seen), mean=asked / pool, least=least)
            )
        found = levelled(draws, batch=batch[known], epoch=joined[known], chance=chance[known])
        assert (found.weight <= 1 / found.least_chance * (1 + 1e-9)).all()
        truth = float(violates.mean())
        one = estimate(
            "prevalence", truth=violates[known], flagged=np.zeros(known.sum()),
            inclusion_probability=1 / found.weight, variance_weight=found.variance,
            largest_weight=float(found.most.max()),
        )  # fmt: skip
        even = thin(1 / found.weight, rng.random(known.sum()), least=found.least_chance)
        kept_share.append(violates[known][even].sum() - truth * even.sum())
        assert one.value is not None
        assert one.low is not None
        assert one.high is not None
        values.append(one.value)
        truths.append(truth)
        covered += one.low <= truth <= one.high
        naive.append(float(violates[known].mean()))
    error = np.array(values) - truths

    assert abs(error.mean()) < 3 * error.std() / np.sqrt(worlds) + 0.0005
    assert covered >= 0.94 * worlds
    assert np.mean(naive) > 1.2 * np.mean(truths)
    assert abs(np.mean(kept_share)) < 3 * np.std(kept_share) / np.sqrt(worlds)
