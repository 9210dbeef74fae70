"""What the gate weighs beside the snapshot: standing certificates, and what was decided live."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from flows.certify import even_draw
from flows.judging.examples import largest
from flows.measuring.window import judged_since
from hitl import decisions, evaluation, registry, training
from hitl.evaluation.store import Judged, read_audit, read_judged
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import Example, ModelVersion


@dataclass(frozen=True, slots=True)
class Evidence:
    """Read in one transaction, so that its parts agree.

    `champion` and `shadow` hold audited items with the newest decision of each; `standing` are
    the champion's certificates; `look` says which challenger beside this champion it is.
    """

    standing: dict[registry.Subject, dict[str, registry.Certificate]] = field(default_factory=dict)
    champion: Judged | None = None
    shadow: Judged | None = None
    look: int = 1


def read_evidence(
    tx: Connection,
    *,
    policy: Policy,
    recipe: Recipe,
    champion: ModelVersion | None,
    challenger: ModelVersion,
) -> Evidence:
    """Of the champion's and the challenger's decisions of the last `certify.window_days`."""
    if champion is None:
        return Evidence()
    now = decisions.database_clock(tx)
    window = {"start": now - timedelta(days=recipe.certify.window_days), "end": now}
    return Evidence(
        standing={
            subject: by_metric
            for subject, by_metric in registry.standing_certificates(
                tx, policy=policy, model_version=champion
            ).items()
            if subject.slice_name == recipe.certify.by
        },
        champion=judged_since(tx, policy=policy, model_version=champion, **window),
        shadow=read_judged(
            tx,
            policy=policy,
            audit=read_audit(tx, policy=policy),
            model_version=challenger,
            as_shadow=True,
            **window,
        ),
        look=registry.judged_before(tx, challenger, champion=champion) + 1,
    )


def weigh(
    evidence: Evidence,
    model: training.Model,
    test: Sequence[Example],
    *,
    policy: Policy,
    recipe: Recipe,
    challenger: ModelVersion,
) -> tuple[list[evaluation.Reason], str]:
    """The reasons that follow, and a digest of what they rest on ("": of nothing)."""
    if evidence.champion is None or evidence.shadow is None:
        return [], ""
    digest = hashlib.sha256()
    found = list(
        evaluation.certificates_kept(
            promises(evidence, model, test, policy=policy, challenger=challenger, digest=digest),
            look=evidence.look,
            starts=recipe.certify.starts,
        )
    )
    live = _live(evidence.champion, evidence.shadow, test, policy, recipe, digest)
    rests_on_something = bool(found) or bool(len(evidence.shadow))
    return [*found, *live], digest.hexdigest() if rests_on_something else ""


def promises(
    evidence: Evidence,
    model: training.Model,
    test: Sequence[Example],
    *,
    policy: Policy,
    challenger: ModelVersion,
    digest: hashlib._Hash,
) -> list[evaluation.Promise]:
    """What stands for the champion, with the labels by which a challenger could keep it.

    Those labels are the audit's that certificates rest on, of items that are in the challenger's
    snapshot: drawn evenly, whatever any model thinks, and on the side that neither trained on. The
    challenger's thinning is the one that its own certificates will have.
    """
    judged = evidence.champion
    if judged is None or not evidence.standing:
        return []
    texts = {one.item_id: one.text for one in test}
    in_test = np.array([one in texts for one in judged.item_ids], dtype=bool)
    said = np.full(judged.truth.shape, np.nan)
    if in_test.any():
        said[in_test] = training.probabilities_for(
            model, [texts[one] for one in judged.item_ids[in_test]], policy.category_ids
        )
    found = []
    for subject, by_metric in evidence.standing.items():
        category = next(one for one in policy.category if one.id == subject.category)
        if category.obligation is None:
            continue
        column = policy.category_ids.index(subject.category)
        known = ~np.isnan(judged.truth[:, column] + judged.probabilities[:, column])
        rows = in_test & known & _in_slice(judged, subject)
        kept = even_draw(judged, rows, salt=challenger)
        for metric, one in sorted(by_metric.items()):
            digest.update(f"{metric} {one.certificate_id} {evidence.look}\0".encode())
        digest.update("\0".join(map(str, judged.item_ids[kept])).encode())
        digest.update(judged.truth[kept, column].tobytes())
        found.append(
            evaluation.Promise(
                subject.category,
                subject.slice_name,
                subject.slice_value,
                category.obligation.precision,
                category.obligation.recall,
                category.obligation.confidence,
                {
                    metric: threshold
                    for metric in evaluation.RATES
                    if metric in by_metric
                    and (threshold := by_metric[metric].finding.threshold) is not None
                },
                judged.probabilities[kept, column],
                said[kept, column],
                judged.truth[kept, column],
            )
        )
    return found


def _in_slice(judged: Judged, subject: registry.Subject) -> NDArray[np.bool_]:
    if not subject.slice_name:
        return np.ones(len(judged), dtype=bool)
    values: NDArray[np.bool_] = getattr(judged, subject.slice_name) == subject.slice_value
    return values


def _live(
    champion: Judged,
    shadow: Judged,
    test: Sequence[Example],
    policy: Policy,
    recipe: Recipe,
    digest: hashlib._Hash,
) -> list[evaluation.Reason]:
    if not len(shadow):
        why = "the challenger has decided on no audited item as a shadow; run `hitl shadow`"
        return [evaluation.no_live_reason(why)]
    places = {one: row for row, one in enumerate(champion.item_ids.tolist())}
    rows = [row for row, one in enumerate(shadow.item_ids.tolist()) if one in places]
    if not rows:
        why = "the champion has decided on none of the challenger's items; run `hitl rescore`"
        return [evaluation.no_live_reason(why)]
    beside = [places[one] for one in shadow.item_ids[rows].tolist()]
    digest.update("\0".join(map(str, shadow.item_ids[rows])).encode())
    for array in (shadow.probabilities[rows], champion.probabilities[beside], shadow.truth[rows]):
        digest.update(np.ascontiguousarray(array).tobytes())
    groups = {one.item_id: one.group_id for one in test}
    return list(
        evaluation.live_reasons(
            champion.probabilities[beside],
            shadow.probabilities[rows],
            shadow.truth[rows],
            policy.category_ids,
            inclusion_probability=shadow.inclusion_probability[rows],
            rules=evaluation.GateRules(**recipe.gate.model_dump()),
            thresholds=[one.threshold for one in policy.category],
            groups=[groups.get(one, one) for one in shadow.item_ids[rows].tolist()],
            slices={
                "language": largest(shadow.language[rows].tolist()),
                "surface": largest(shadow.surface[rows].tolist()),
            },
        )
    )
