"""Which thresholds have earned it to decide without a person, shown on audit labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

import sampling
from flows.measuring.window import judged_since
from flows.rescore import champion_of
from hitl import decisions, evaluation, logs, registry
from hitl.db import begin, single_flight
from hitl.evaluation.store import Judged
from hitl.policy import Obligation, Policy
from hitl.recipe import CertifyRecipe
from hitl.records import ModelVersion

log = logs.get(__name__)

# No secret: who is kept when uneven draws are thinned must only have nothing to do with answers.
_KEY = b"hitl certificates"


@dataclass(frozen=True, slots=True)
class Certified:
    """What one attempt found: below `allow_below` allowed, from `block_from` on blocked, else
    review. None: that side has no certificate, and `missing` says what it takes.

    `labels` even draws carried it; `review_load` is the share of them between the thresholds.
    `flagged` even draws of what is flagged alone carried its precision; None: those of all did.
    `is_new`: False where nothing was asked that had not been answered before.
    """

    category: str
    slice_name: str
    slice_value: str
    allow_below: float | None
    block_from: float | None
    review_load: float
    labels: int
    flagged: int | None
    attempt: int
    is_new: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CertifyReport:
    """The champion's thresholds, an obligation each. Empty: the policy promises nothing yet."""

    model_version: ModelVersion
    labels: int
    found: tuple[Certified, ...]


@dataclass(frozen=True, slots=True)
class _Question:
    """The even draws that answer for one subject; and those of what is flagged alone, where
    thinning these among themselves keeps more of them."""

    subject: registry.Subject
    obligation: Obligation
    scores: NDArray[np.float64]
    truth: NDArray[np.float64]
    flagged: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    evidence: str


def certify(engine: Engine, *, policy: Policy, recipe: CertifyRecipe) -> CertifyReport:
    """Try every obligation of the policy on the audit labels of the champion's decisions.

    Audit labels never train, and their chances are known. Where these differ (some answers narrow
    a promise more, items that waited longer had more draws, and some are answered more often than
    others) they are thinned to an even draw, if need be of the items that had waited for some
    draws; of near copies one counts. What is flagged is mostly drawn more often than the rest: for
    precision it is thinned to an even draw of its own, where that keeps more.

    The k-th attempt for a model may err by 6 / (pi k)^2 of what the policy allows, so that all
    attempts together err no more; the same labels again are no new attempt.

    Raises:
        NoChampion: nothing was promoted yet.
        AlreadyRunning: another certification of this policy runs.
        DatabaseUnavailable: Postgres is away; nothing was issued.
    """
    with single_flight(engine, f"certify {policy.name}"), begin(engine) as tx:
        champion = champion_of(tx, policy)
        now = decisions.database_clock(tx)
        judged = judged_since(
            tx,
            policy=policy,
            model_version=champion.model_version,
            start=now - timedelta(days=recipe.window_days),
            end=now,
        )
        before = registry.attempts(tx, policy=policy, model_version=champion.model_version)
        found = []
        for question in questions(judged, policy, by=recipe.by, salt=champion.model_version):
            earlier = before.get(question.subject, [])
            found.append(_attempt(tx, question, earlier, policy, champion.model_version, recipe))
    for one in found:
        log.info(
            "certified",
            model_version=champion.model_version,
            category=one.category,
            slice=one.slice_value,
            attempt=one.attempt,
            is_new=one.is_new,
            obligations_missed=len(one.missing),
        )
    return CertifyReport(champion.model_version, len(judged), tuple(found))


def even_draw(
    judged: Judged,
    rows: NDArray[np.bool_],
    *,
    salt: str,
    least: NDArray[np.float64] | None = None,
) -> NDArray[np.intp]:
    """Of these rows, those of an even draw of questions.

    `least` (N,): the least chance of any item of the kind that all these rows are of; default: of
    any item.
    """
    at = np.flatnonzero(rows)
    if not len(at):
        return at
    numbers = keyed(judged, at, salt=salt)
    chance = judged.inclusion_probability[at] * judged.stands_for[at]
    floor = judged.least_chance if least is None else least
    return at[evaluation.thin(chance, numbers, least=floor[at])]


def keyed(judged: Judged, at: NDArray[np.intp], *, salt: str) -> NDArray[np.float64]:
    """A number in [0, 1) of each of these items' own, the same each time."""
    names = [str(one) for one in judged.item_ids[at]]
    return sampling.keyed_uniforms(names, key=_KEY, round_id=salt).astype(np.float64)


def slices(judged: Judged, by: str) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each value of the column that thresholds go by, and its rows; all rows where they do not."""
    if not by:
        yield "", np.ones(len(judged), dtype=bool)
        return
    values: NDArray[Any] = getattr(judged, by)
    for value in sorted(set(values.tolist())):
        yield value, values == value


def questions(judged: Judged, policy: Policy, *, by: str, salt: str) -> Iterator[_Question]:
    """One for each category with an obligation, and each slice."""
    for k, category in enumerate(policy.category):
        if category.obligation is None:
            continue
        known = ~np.isnan(judged.truth[:, k]) & ~np.isnan(judged.probabilities[:, k])
        for value, rows in slices(judged, by):
            kept = even_draw(judged, known & rows, salt=salt)
            scores, truth = judged.probabilities[kept, k], judged.truth[kept, k]
            high = known & rows & (judged.probabilities[:, k] >= category.threshold)
            own = even_draw(judged, high, salt=salt, least=judged.least_flagged[:, k])
            flagged = None
            if len(own) > np.count_nonzero(scores >= category.threshold):
                flagged = judged.probabilities[own, k], judged.truth[own, k]
            digest = hashlib.sha256(repr(category.obligation).encode())
            digest.update("\0".join(map(str, judged.item_ids[kept])).encode())
            digest.update(scores.tobytes() + truth.tobytes())
            if flagged:
                digest.update("\0".join(map(str, judged.item_ids[own])).encode())
                digest.update(flagged[0].tobytes() + flagged[1].tobytes())
            yield _Question(
                registry.Subject(category.id, by, value), category.obligation, scores, truth,
                flagged, digest.hexdigest(),
            )  # fmt: skip


def _attempt(
    tx: Connection,
    question: _Question,
    earlier: list[registry.Certificate],
    policy: Policy,
    model_version: ModelVersion,
    recipe: CertifyRecipe,
) -> Certified:
    obligation = question.obligation
    last = earlier[-1] if earlier else None
    is_new = last is None or last.evidence != question.evidence
    attempt = (last.attempt if last else 0) + is_new
    band = evaluation.certify_band(
        question.scores,
        question.truth,
        precision=obligation.precision,
        recall=obligation.recall,
        confidence=evaluation.confidence_of_attempt(obligation.confidence, attempt),
        starts=recipe.starts,
        flagged=question.flagged,
    )
    flagged = len(question.flagged[0]) if question.flagged else None
    if is_new:
        registry.issue(
            tx,
            question.subject,
            list(_findings(band, obligation, labels=len(question.scores), flagged=flagged)),
            policy=policy,
            model_version=model_version,
            attempt=attempt,
            evidence=question.evidence,
            valid=timedelta(days=recipe.valid_days),
        )
    subject = question.subject
    return Certified(
        subject.category,
        subject.slice_name,
        subject.slice_value,
        band.allow_below if band.recall else None,
        band.block_from if band.precision else None,
        band.review_load,
        len(question.scores),
        flagged,
        attempt,
        is_new,
        tuple(map(str, band.missing)),
    )


def _findings(
    band: evaluation.Band, obligation: Obligation, *, labels: int, flagged: int | None
) -> Iterator[registry.Finding]:
    missing = {one.metric: one for one in band.missing}
    for metric, at_least, found, value, tried_on in (
        ("precision", obligation.precision, band.precision, band.block_from, flagged or labels),
        ("recall", obligation.recall, band.recall, band.allow_below, labels),
    ):
        if at_least is None:
            continue
        gap = missing.get(metric)  # type: ignore[call-overload]
        yield registry.Finding(
            metric=metric,
            at_least=at_least,
            confidence=band.confidence,
            threshold=value if found else None,
            n=found.n if found else tried_on,
            n_errors=found.n_errors if found else 0,
            shortfall=str(gap) if gap else None,
            more_labels=gap.more if gap else None,
        )
