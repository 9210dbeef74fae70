"""Has what comes in changed? Scores, kinds of items, violations, embeddings: before and since."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Connection, Engine

from flows.certify import even_draw
from flows.deciding.bundles import load_registered
from flows.measuring.window import judged_since
from hitl import evaluation, logs, registry
from hitl.db import begin, keep_policy, single_flight
from hitl.evaluation import About, Confusion, Scores, Shift, ShiftKind
from hitl.evaluation.alarms import store as alarms
from hitl.evaluation.store import Judged
from hitl.evaluation.watching import store as watching
from hitl.policy import Policy
from hitl.recipe import DriftRecipe

log = logs.get(__name__)

DAYS_A_YEAR = 365
_NOBODY = Scores(np.zeros(1), 0.0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A look at the window [middle, end) beside the reference [start, middle).

    `decisions` lie there, (before, since), of which `drawn` were counted: a draw of items where
    they are very many. `shifts`: every question with its answer or code. `raised` alarms are new,
    `ended` no more; `lasting` have now gone on for as many windows as the recipe asks before they
    are a reason to train. `standing`: all that stand, of this look or not.
    """

    start: datetime
    middle: datetime
    end: datetime
    decisions: tuple[int, int]
    drawn: float
    shifts: tuple[Shift, ...]
    raised: int
    lasting: int
    ended: int
    standing: tuple[alarms.Alarm, ...]


def watch_drift(
    engine: Engine,
    *,
    policy: Policy,
    recipe: DriftRecipe,
    end: datetime,
    embeddings: bool | None = None,
) -> DriftReport:
    """Compare the days before `end` (a UTC midnight; else the one before it) with those before.

    Safe to repeat: the same window again changes nothing, and is no other look. `embeddings`: ask
    of them too, or not; None: every so many days as the recipe says.

    Without drift, one false alarm or more comes in a year of daily looks with chance `alpha` at
    most: each look may err by a 365th of it, over all its questions (Holm); where embeddings are
    compared, they have one half of `alpha` and everything else the other.

    Raises:
        BundleLost: the champion, whose embeddings are compared, cannot be read.
        AlreadyRunning: another look for this policy runs.
        DatabaseUnavailable: Postgres is away; nothing was kept.
    """
    end = end.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    middle = end - timedelta(days=recipe.window_days)
    start = middle - timedelta(days=recipe.reference_days)
    with single_flight(engine, f"drift {policy.name}"):
        with begin(engine) as tx:
            keep_policy(tx, policy)
            champion = registry.champion(tx, policy.name)
            traffic = watching.read_traffic(tx, policy=policy, start=start, middle=middle, end=end)
            asked = list(_questions(tx, traffic, policy, recipe, start=start, middle=middle))
        half = 2.0 if recipe.embeddings_every_days else 1.0
        shifts = evaluation.together(asked, alpha=recipe.alpha / half / DAYS_A_YEAR)
        if champion and (_is_due(recipe, end) if embeddings is None else embeddings):
            shifts += _of_embeddings(
                engine, champion, traffic, recipe, start=start, middle=middle, end=end
            )
        with begin(engine) as tx:
            report = _record(
                tx, traffic, shifts, policy, recipe, champion, start=start, middle=middle, end=end
            )
    log.info(
        "drift_watched",
        end=end.isoformat(),
        questions=len(shifts),
        raised=report.raised,
        standing=len(report.standing),
    )
    return report


def _record(
    tx: Connection,
    traffic: watching.Traffic,
    shifts: list[Shift],
    policy: Policy,
    recipe: DriftRecipe,
    champion: registry.ModelRecord | None,
    *,
    start: datetime,
    middle: datetime,
    end: datetime,
) -> DriftReport:
    deciding = {*traffic.models, *([champion.model_version] if champion else [])}
    superseded = alarms.end_superseded(
        tx, policy=policy, kinds=[one.value for one in ShiftKind], deciding=deciding
    )
    followed = alarms.record_look(
        tx, shifts, policy_id=policy.policy_id, start=start, middle=middle, end=end
    )
    wanted = recipe.windows_in_a_row
    lasting = [
        one
        for one in followed.above
        if one.windows < wanted <= evaluation.windows_between(one.window_start, one.window_end, end)
    ]
    return DriftReport(
        start,
        middle,
        end,
        traffic.decisions,
        traffic.drawn,
        tuple(shifts),
        raised=len(followed.begun),
        lasting=len(lasting) + (len(followed.begun) if wanted == 1 else 0),
        ended=superseded + len(followed.passed),
        standing=tuple(alarms.list_alarms(tx, policy=policy)),
    )


def _questions(
    tx: Connection,
    traffic: watching.Traffic,
    policy: Policy,
    recipe: DriftRecipe,
    *,
    start: datetime,
    middle: datetime,
) -> Iterator[Shift]:
    """Everything that is asked daily: the mix, and of each model its scores and violations."""
    least, slices = recipe.least_items, traffic.slices
    then, now = traffic.mix.get(watching.Slice(), (0, 0))
    for of in slices:
        if of.name:
            some, late = traffic.mix[of]
            about = About(ShiftKind.MIX, "", of.name, of.value)
            yield evaluation.mix_shift(
                about, (some, then), (late, now), least=least, psi_bar=recipe.psi_bar
            )
    for model in traffic.models:
        judged = judged_since(tx, policy=policy, model_version=model, start=start, end=middle)
        for k, category in enumerate(policy.category):
            for of in slices:
                before, since = traffic.scores.get((model, category.id, of), (_NOBODY, _NOBODY))
                if not before.n and not since.n:
                    continue  # the model does not know the category, or nothing of the kind came
                about = About(ShiftKind.SCORES, category.id, of.name, of.value, model)
                yield evaluation.score_shift(
                    about, before, since, least=least, psi_bar=recipe.psi_bar
                )
                about = About(ShiftKind.LABELS, category.id, of.name, of.value, model)
                yield evaluation.label_shift(
                    about,
                    confusion_of(judged, k, of, threshold=category.threshold, salt=model),
                    before,
                    since,
                    least=least,
                    seed=int(middle.timestamp()),
                )


def confusion_of(
    judged: Judged, k: int, of: watching.Slice, *, threshold: float, salt: str
) -> Confusion:
    """How the flags for category `k` fared on even draws of audited items of a slice."""
    scores, truth = judged.probabilities[:, k], judged.truth[:, k]
    rows = ~np.isnan(scores) & ~np.isnan(truth)
    if of.name:
        rows &= getattr(judged, of.name) == of.value
    kept = even_draw(judged, rows, salt=salt)
    flagged, violates = scores[kept] >= threshold, truth[kept] == 1.0
    return Confusion(
        int((violates & flagged).sum()),
        int((violates & ~flagged).sum()),
        int((~violates & flagged).sum()),
        int((~violates & ~flagged).sum()),
    )


def _is_due(recipe: DriftRecipe, end: datetime) -> bool:
    # By the calendar and not by the last time: the same window is asked the same, always.
    every = recipe.embeddings_every_days
    return every > 0 and end.toordinal() % every == 0


def _of_embeddings(
    engine: Engine,
    champion: registry.ModelRecord,
    traffic: watching.Traffic,
    recipe: DriftRecipe,
    *,
    start: datetime,
    middle: datetime,
    end: datetime,
) -> list[Shift]:
    model = load_registered(champion)
    sides = []
    for since, until, there in (
        (start, middle, traffic.decisions[0]),
        (middle, end, traffic.decisions[1]),
    ):
        with begin(engine) as tx:
            texts = watching.read_texts(
                tx, start=since, end=until, decisions=there, limit=recipe.embedding_items
            )
        sides.append(model.embed(list(texts)))
    level = recipe.alpha / 2.0 * max(recipe.embeddings_every_days, 1) / DAYS_A_YEAR
    asked = evaluation.embedding_shift(
        About(ShiftKind.EMBEDDINGS, model_version=champion.model_version),
        *sides,
        least=recipe.least_items,
        seed=int(end.timestamp()),
        # So many that the least chance they can show is half of what it has to be at most.
        permutations=math.ceil(2.0 / level),
    )
    return evaluation.together([asked], alpha=level)
