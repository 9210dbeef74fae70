"""What is flagged, thinned among itself: an even draw of it, and of more labels."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import certify_band, thin
from hitl.evaluation.audit import AuditDraw, levelled
from sampling import Aim, Pool, draw_allocated, influence

THRESHOLD = 0.5


def test_the_least_chance_of_what_is_flagged_stands_in_for_that_of_everything() -> None:
    draw = AuditDraw(1000, 100, 100, mean=0.1, least=0.02, least_flagged={"hate": (0.5, 0.3)})

    assert 0.3 == draw.among_flagged("hate", 0.5).least
    assert 0.3 == draw.among_flagged("hate", 0.8).least
    assert 0.02 == draw.among_flagged("hate", 0.4).least, "lower than what was reckoned with"
    assert 0.02 == draw.among_flagged("spam", 0.5).least
    assert AuditDraw(1000, 100, 100) == AuditDraw(1000, 100, 100).among_flagged("hate", 0.5)


@pytest.mark.slow
def test_over_two_batches_every_flagged_item_is_as_likely_to_be_kept() -> None:
    """300 pairs of audits, the second of what the first left and of newer items."""
    rng = np.random.default_rng(20261126)
    size, half, trials = 1200, 600, 300
    score = np.round(rng.beta(0.4, 2.5, size), 3)
    flagged = score >= THRESHOLD
    joined = np.arange(size) % 2
    pool = Pool([f"i{k:04d}" for k in range(size)], score[:, None])
    aims = (Aim(0, "precision"), Aim(0, "recall"))
    kept_of = np.zeros(size)
    kept_of_all = 0
    for _ in range(trials):
        free = np.ones(size, dtype=bool)
        draws: list[AuditDraw] = []
        rows, batch, chance = [], [], []
        for number in range(2):
            there = np.flatnonzero(free & (joined <= number))
            part = score[there, None]
            worth = influence(part, part >= THRESHOLD, aims)
            made = draw_allocated(pool.take(there), worth, limit=90, floor_share=0.5, rng=rng)
            draws.append(
                AuditDraw(
                    len(there), len(made.rows), len(made.rows),
                    mean=made.expected / len(there), least=made.least(),
                    least_flagged={"any": (THRESHOLD, made.least(flagged[there]))},
                )
            )  # fmt: skip
            rows += there[made.rows].tolist()
            batch += [number] * len(made.rows)
            chance += made.inclusion_probability.tolist()
            free[rows] = False
        at = np.array(rows)
        given = {"batch": np.array(batch), "epoch": joined[at], "chance": np.array(chance)}
        own = levelled(draws, **given)
        among = levelled([one.among_flagged("any", THRESHOLD) for one in draws], **given)
        assert own.weight == pytest.approx(among.weight)
        uniform = rng.random(len(at))
        high = flagged[at]
        weight = 1.0 / own.weight[high]
        kept = thin(weight, uniform[high], least=among.least_chance[high])
        kept_of[at[high][kept]] += 1
        kept_of_all += int(thin(weight, uniform[high], least=own.least_chance[high]).sum())

    # A chi square of what was kept of each fifth of the flagged ones by score, and by age.
    for cut in (np.argsort(np.argsort(score[flagged])) // (flagged.sum() / 5), joined[flagged]):
        found = np.bincount(cut.astype(int), weights=kept_of[flagged])
        wanted = np.bincount(cut.astype(int)) * kept_of.sum() / flagged.sum()
        assert ((found - wanted) ** 2 / wanted).sum() < 20
    assert kept_of.sum() > 2 * kept_of_all
    assert half == joined.sum()


def test_precision_is_tested_on_what_is_flagged_and_blocks_nothing_below() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(300)
    truth = (scores > 0.4).astype(float)
    high = THRESHOLD + rng.random(400) / 2

    alone = certify_band(scores, truth, precision=0.95, recall=None, confidence=0.95)
    band = certify_band(
        scores, truth, precision=0.95, recall=None, confidence=0.95, flagged=(high, np.ones(400))
    )

    assert band.precision is not None
    assert alone.precision is not None
    assert band.precision.n > alone.precision.n
    assert THRESHOLD <= band.block_from < 0.6
    assert band.review_load == pytest.approx(float((scores < band.block_from).mean()))


def test_what_is_missing_is_said_of_what_is_flagged() -> None:
    few = np.full(20, 0.9)
    band = certify_band(
        np.zeros(10), np.zeros(10), precision=0.95, recall=None, confidence=0.95,
        flagged=(few, np.ones(20)),
    )  # fmt: skip

    [missing] = band.missing
    assert ("precision", "flagged", 39) == (missing.metric, missing.kind, missing.more)
    assert "there are 20 of what is flagged: 39 more" in missing.words
