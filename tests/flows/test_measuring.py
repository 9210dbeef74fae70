"""What measuring reads beside the labels: counted flags, views, who answers, whose words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, insert, text, update

from flows.certify import even_draw
from flows.measure import MeasureReport, measure
from flows.measuring.window import Slicing, Window, by_response, known_counts, read_window
from flows.select_batch import select_batch
from hitl.db import begin, schema
from hitl.evaluation import METRICS, Rate, without_reviewer_error
from hitl.evaluation.audit import AuditDraw
from hitl.evaluation.measurements import Measurement
from hitl.evaluation.store import Audit, Judged, read_audit, read_judged
from hitl.evaluation.window import FlagCounts, count_flags, respond
from hitl.labels import resolve_entries
from hitl.policy import Policy
from hitl.recipe import KnownAnswers, MeasureRecipe
from hitl.records import BatchId, EntryId, EntryState, ModelVersion
from tests.builders import NOON, make_policy
from tests.flows.judged import make_judged
from tests.flows.worlds import RECIPE, fill, gold, label_batch
from tests.labels.builders import annotate, move

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)
PRODUCTION = ModelVersion("production")
GIVEN: dict[str, Any] = {"model_version": PRODUCTION, "start": NOON - DAY, "end": NOON + DAY}


def of_june(engine: Engine, policy: Policy, rules: MeasureRecipe | None = None) -> MeasureReport:
    return measure(engine, policy=policy, rules=rules, start=NOON - DAY, end=NOON + DAY)


def figures(report: MeasureReport, **wanted: str) -> list[Measurement]:
    return [
        one
        for one in report.by_model[PRODUCTION]
        if all(getattr(one, name) == value for name, value in wanted.items())
    ]


def audit_of(engine: Engine, policy: Policy) -> Audit:
    with begin(engine) as tx:
        return read_audit(tx, policy=policy)


def window_of(engine: Engine, policy: Policy, **terms: Sequence[str]) -> Window:
    with begin(engine) as tx:
        audit = read_audit(tx, policy=policy)
        return read_window(tx, policy=policy, audit=audit, identity_terms=terms, **GIVEN)


def counted(engine: Engine, policy: Policy, **more: Any) -> FlagCounts:
    audit = audit_of(engine, policy)
    with begin(engine) as tx:
        found = count_flags(tx, policy=policy, audit=audit, **GIVEN, **more)
    assert found is not None
    return found


def decide(
    engine: Engine, item_ids: Sequence[str], probabilities: dict[str, float], **more: Any
) -> None:
    with begin(engine) as tx:
        tx.execute(
            insert(schema.decisions),
            [
                {
                    "item_id": one,
                    "model_version": PRODUCTION,
                    "decided_at": NOON + timedelta(hours=1),
                    "probabilities": probabilities,
                }
                | more
                for one in item_ids
            ],
        )


def test_every_metric_is_stored_with_both_kinds_of_interval(engine: Engine) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")

    of_june(engine, policy)

    with begin(engine) as tx:
        rows = tx.execute(
            text(
                "SELECT metric, kind, count(*) FROM dashboard.online_metrics "
                "WHERE slice_name = '' GROUP BY 1, 2"
            )
        ).all()
    expected = {(metric, kind) for metric in METRICS for kind in ("descriptive", "certified")}
    expected |= {("prevalence_views", "descriptive"), ("prevalence_views", "certified")}
    expected |= {("prevalence_corrected", "descriptive"), ("response", "descriptive")}
    assert expected == {(row.metric, row.kind) for row in rows}
    assert {1, 3} == {row.count for row in rows}, (
        "hate, spam and any; who answers is of no category"
    )


def test_flags_are_counted_by_the_newest_decision_of_what_could_be_drawn(engine: Engine) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    decide(engine, ["i0", "i1"], {"hate": 0.99, "spam": 0.0})  # newer: of one flagged, one not
    decide(engine, ["i2"], {"hate": 0.99, "spam": 0.99}, model_version="shadow", is_shadow=True)
    decide(engine, ["i3"], {"spam": 0.99}, decided_at=NOON + 3 * DAY)  # after the window
    decide(engine, ["i4"], {"spam": 0.0})  # no longer knows hate
    with begin(engine) as tx:
        late = {"item_id": "late", "text": "late", "content_hash": "h", "created_at": NOON}
        moment = tx.execute(text("SELECT max(read_at) FROM batches")).scalar_one() + DAY
        tx.execute(insert(schema.items).values(late | {"content_at": moment}))
        tx.execute(update(schema.items).where(schema.items.c.item_id == "i5").values(market="BR"))
    decide(engine, ["late"], {"hate": 0.99, "spam": 0.99})

    found = counted(engine, policy)

    with begin(engine) as tx:
        moment = {"until": NOON + timedelta(minutes=30)}
        first = {
            row.item_id: row.probabilities
            for row in tx.execute(text("SELECT * FROM decisions WHERE decided_at < :until"), moment)
        }
    newest = (
        first | {one: {"hate": 0.99, "spam": 0.0} for one in ("i0", "i1")} | {"i4": {"spam": 0}}
    )
    for k, category in enumerate(policy.category):
        says = {one: scores[category.id] >= category.threshold
                for one, scores in newest.items() if category.id in scores}  # fmt: skip
        assert (sum(says.values()), len(says) - sum(says.values())) == tuple(
            found.items[found.flags[:, k] == flag].sum() for flag in (1.0, 0.0)
        )
    assert 400 == found.items.sum()
    assert 1 == found.items[found.columns["market"] == "BR"].sum()
    assert 1 == found.counted_one_in


def test_of_many_decisions_an_even_draw_is_counted(engine: Engine) -> None:
    policy = fill(engine, items=4000)
    label_batch(engine, policy, batch_id="b1")

    found, everything = counted(engine, policy, enough=500), counted(engine, policy)

    assert 8 == found.counted_one_in
    assert found.items.sum() == pytest.approx(4000, abs=8 * 4 * np.sqrt(500))
    for k in range(2):
        share = everything.items[everything.flags[:, k] == 1.0].sum() / 4000
        drawn = found.items[found.flags[:, k] == 1.0].sum() / found.items.sum()
        assert drawn == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 500))


def test_descriptive_figures_are_weighed_up_to_what_all_decisions_flag(engine: Engine) -> None:
    policy = fill(engine)
    # Ten violating ones and more, or the certified figure stands in for it.
    for batch_id in ("b1", "b2"):
        label_batch(engine, policy, batch_id=batch_id)

    report = of_june(engine, policy)

    window, flags = window_of(engine, policy), counted(engine, policy)
    judged, k = window.judged, 0
    flagged = judged.probabilities[:, k] >= policy.category[k].threshold
    truth, weight = judged.truth[:, k], 1.0 / judged.inclusion_probability
    of_flag = [
        np.average(truth[flagged == flag], weights=weight[flagged == flag]) for flag in (0, 1)
    ]
    items = [flags.items[flags.flags[:, k] == flag].sum() for flag in (0, 1)]
    [found] = figures(
        report, metric="prevalence", category="hate", kind="descriptive", slice_name=""
    )
    assert found.value == pytest.approx(np.average(of_flag, weights=items))
    assert "wilson-neff, post-stratified" == found.method
    [certified] = figures(
        report, metric="prevalence", category="hate", kind="certified", slice_name=""
    )
    assert certified.value == pytest.approx(np.average(truth, weights=weight))
    assert "gmover" == certified.method


def test_a_stratum_of_few_labels_is_not_weighed_up(engine: Engine) -> None:
    policy = fill(engine)
    # Ten violating ones and more, or the certified figure stands in for it.
    for batch_id in ("b1", "b2"):
        label_batch(engine, policy, batch_id=batch_id)
    with begin(engine) as tx:
        # One language of three labels, and of some flagged items that nobody was asked about.
        ids = tx.execute(text("SELECT item_id FROM picks WHERE share = 'audit' LIMIT 3")).scalars()
        tx.execute(text("UPDATE items SET language = 'tr' WHERE item_id = ANY(:ids)"),
                   {"ids": [*ids, "i1", "i2"]})  # fmt: skip

    report = of_june(engine, policy)

    by_language = {
        one.slice_value: one.method
        for one in figures(
            report, metric="prevalence", category="hate", kind="descriptive", slice_name="language"
        )
    }
    assert {"en": "wilson-neff, post-stratified", "tr": "wilson-neff"} == by_language


def test_without_views_there_is_a_code_and_with_them_their_share(engine: Engine) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    wanted = {"metric": "prevalence_views", "category": "hate", "slice_name": ""}

    before = figures(of_june(engine, policy), **wanted)
    with begin(engine) as tx:
        tx.execute(
            text(
                "INSERT INTO reaches SELECT item_id, CASE WHEN substr(item_id, 2)::int % 5 = 0 "
                "THEN 1 ELSE 9 END, :noon FROM items"
            ),
            {"noon": NOON},
        )
    after = figures(of_june(engine, policy), **wanted)

    judged = window_of(engine, policy).judged
    views = np.where(judged.truth[:, 0] == 1, 1.0, 9.0)
    share = np.average(judged.truth[:, 0], weights=views / judged.inclusion_probability)
    assert {"no_views"} == {one.code for one in before}
    assert [pytest.approx(share)] * 2 == [one.value for one in after]
    width = {one.kind: (one.low, one.high) for one in after}
    assert width["certified"][0] < share < width["certified"][1]  # type: ignore[operator]


def test_who_is_skipped_by_score_is_weighed_up(engine: Engine) -> None:
    policy = fill(engine, items=1400)
    audited = RECIPE.model_copy(
        update={
            "selection": RECIPE.selection.model_copy(
                update={"batch_size": 400, "audit_fraction": 0.8}
            )
        }
    )
    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=audited, seed=1)
    with begin(engine) as tx:
        rows = tx.execute(
            text(
                "SELECT e.entry_id, e.item_id, p.share, "
                "(SELECT max(value::float8) FROM jsonb_each_text(d.probabilities)) AS score "
                "FROM entries e JOIN picks p USING (batch_id, item_id) JOIN decisions d "
                "USING (item_id) ORDER BY e.entry_id"
            )
        ).all()
        lost = [EntryId(row.entry_id) for k, row in enumerate(rows) if row.score >= 0.6 and k % 3]
        kept = [row for row in rows if row.entry_id not in lost]
        answered = [EntryId(row.entry_id) for row in kept]
        move(tx, [EntryId(row.entry_id) for row in rows], EntryState.DISPATCHED)
        move(tx, lost, EntryState.DEAD)
        for row in kept:
            annotate(tx, EntryId(row.entry_id), gold(row.item_id))
        resolve_entries(tx, answered, policy)

    report = of_june(engine, policy)

    audit = audit_of(engine, policy)
    window = window_of(engine, policy)
    with begin(engine) as tx:
        raw = read_judged(tx, policy=policy, audit=audit, **GIVEN)
    audits = [row for row in rows if row.share == "audit"]
    high = [row for row in audits if row.score >= 0.6]
    came = [row for row in high if row.entry_id not in lost]
    rate = len([row for row in audits if row.entry_id not in lost]) / len(audits)
    cells = report.responses[PRODUCTION]
    assert (len(audits), len(high), len(came)) == (
        sum(one.asked for one in cells),
        sum(one.asked for one in cells if one.low >= 0.6),
        sum(one.answered for one in cells if one.low >= 0.6),
    )
    # As many as were asked: each that answered stands for those of its cell that did not.
    score = np.max(window.judged.probabilities, axis=1)
    by_chance = raw.inclusion_probability / window.judged.inclusion_probability
    assert by_chance[score >= 0.6].sum() == pytest.approx(len(high) * rate)
    assert by_chance.mean() == pytest.approx(1.0)
    assert window.judged.largest_weight is not None
    assert raw.largest_weight is not None
    assert window.judged.largest_weight > raw.largest_weight
    chance = window.judged.inclusion_probability
    assert window.judged.variance_weight == pytest.approx((1.0 - chance) / chance**2)
    heaviest = (1.0 / chance).max()
    assert heaviest == pytest.approx(window.judged.largest_weight)
    [told] = figures(report, metric="response", slice_name="")
    assert (pytest.approx(rate), len(audits)) == (told.value, told.n)


def test_prevalence_is_corrected_by_known_answers_and_says_where_there_are_none(
    engine: Engine,
) -> None:
    policy = fill(engine)
    for name in ("b1", "b2"):
        label_batch(engine, policy, batch_id=name)
    rules = MeasureRecipe(
        known_answers=(
            KnownAnswers(category="hate", violating=200, found=190, innocent=500, cleared=480),
        )
    )

    report = of_june(engine, policy, rules)

    by_category = {one.category: one for one in figures(report, metric="prevalence_corrected")}
    [apparent] = figures(
        report, metric="prevalence", category="hate", kind="descriptive", slice_name=""
    )
    assert apparent.value is not None
    assert apparent.n_effective is not None
    expected = without_reviewer_error(
        Rate(apparent.value, apparent.n_effective),
        sensitivity=Rate(0.95, 200),
        specificity=Rate(0.96, 500),
    )
    found = by_category["hate"]
    assert (expected.value, expected.low, expected.high) == (found.value, found.low, found.high)
    assert "rogan-gladen" == found.method
    assert {"spam": "no_gold", "any": "no_gold"} == {
        name: one.code for name, one in by_category.items() if name != "hate"
    }


def test_refused_corrections_are_codes(engine: Engine) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    rules = MeasureRecipe(
        known_answers=(
            KnownAnswers(category="hate", violating=100, found=50, innocent=100, cleared=50),
        )
    )

    [found] = figures(
        of_june(engine, policy, rules), metric="prevalence_corrected", category="hate"
    )

    assert (None, "reviewers_cannot_tell") == (found.value, found.code)


def test_identity_terms_are_slices_and_their_texts_are_nowhere(engine: Engine) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    terms = {"gardeners": ("GARDEN",), "walkers": ("walk", "river walk")}

    report = of_june(engine, policy, MeasureRecipe(identity_terms=terms))

    judged = window_of(engine, policy).judged
    with begin(engine) as tx:
        texts = dict(tx.execute(text("SELECT item_id, text FROM items")).tuples().all())
        stored = tx.execute(
            text("SELECT string_agg(m::text, ' ') FROM measurements m")
        ).scalar_one()
    for name, word in (("gardeners", "garden"), ("walkers", "walk")):
        [found] = figures(
            report, metric="prevalence", category="any", kind="certified",
            slice_name="identity_term", slice_value=name,
        )  # fmt: skip
        assert sum(word in texts[one].split() for one in judged.item_ids) == found.n
    assert "identity_term" in stored
    assert not any(body in stored for body in texts.values())


def test_only_what_joined_when_a_batch_that_counts_could_draw_it_is_counted(
    engine: Engine,
) -> None:
    policy = fill(engine)
    with begin(engine) as tx:
        tx.execute(text("UPDATE items SET content_at = :noon + interval '1 minute' * "
                        "substr(item_id, 2)::int"), {"noon": NOON})  # fmt: skip
    at = [NOON + timedelta(minutes=k) for k in (100, 200, 300)]
    few, enough = AuditDraw(100, 10, 1), AuditDraw(100, 10, 10)

    def items(*draws: AuditDraw) -> float:
        # The first draws what came until minute 100; the second of 100 to 200; then 200 to 300.
        audit = Audit(
            batch_ids=(BatchId("a"), BatchId("b"), BatchId("c")), moments=tuple(at),
            epochs=(range(1), range(1, 2), range(2, 3)), draws=draws, waiting=0, lost=0,
        )  # fmt: skip
        with begin(engine) as tx:
            found = count_flags(tx, policy=policy, audit=audit, **GIVEN)
        return 0 if found is None else float(found.items.sum())

    assert [301, 201, 201, 0] == [
        items(enough, enough, enough),
        items(enough, enough, few),
        items(enough, few, enough),
        items(few, few, few),
    ]


def test_what_reviewers_leave_open_on_one_surface_is_not_weighed_up_to_counts_of_both() -> None:
    """40 labels of each surface; `spam` is answered on the first alone, where less is flagged."""
    policy = make_policy()
    surface = np.repeat([0, 1], 40)
    flagged = np.tile(np.repeat([True, False], 20), 2)
    truth = np.ones(80)
    counts = FlagCounts(
        items=np.array([100.0, 900.0, 700.0, 300.0]),
        flags=np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]),
        columns={"surface": np.array(["a", "a", "b", "b"], dtype=object)},
        counted_one_in=1,
    )
    asked = [
        ("hate", truth, flagged),
        ("spam", np.where(surface == 0, truth, np.nan), flagged),
    ]
    rows = np.ones(80, dtype=bool)

    everything = known_counts(counts, Slicing("", ("",), np.zeros(80, int), rows), asked, policy)
    apart = known_counts(counts, Slicing("surface", ("a", "b"), surface, rows), asked, policy)

    assert everything is not None
    assert apart is not None
    assert [1200.0, 800.0] == everything[0, 0].tolist()
    assert np.isnan(everything[0, 1]).all()
    assert [900.0, 100.0] == apart[0, 1].tolist()
    assert np.isnan(apart[1, 1]).all()


def test_an_even_draw_is_even_among_all_that_were_asked_whoever_answers() -> None:
    """Of what scores high one in three is answered, of the rest nearly all."""
    rng = np.random.default_rng(5)
    size = 6000
    scores = rng.random(size)
    came = rng.random(size) < np.where(scores > 0.7, 0.35, 0.95)
    found = respond(
        scores, np.full(size, "en"), np.full(size, "posts"),
        expected=np.full(size, came.mean()), is_answered=came,
    )  # fmt: skip
    asked = make_judged(scores[:, None], np.zeros((size, 1)))
    answered = replace(
        asked,
        **{
            one.name: getattr(asked, one.name)[came]
            for one in fields(asked)
            if np.shape(getattr(asked, one.name))[:1] == (len(asked),)
        },
    )
    factor = dict(zip(asked.item_ids.tolist(), found.factor.tolist(), strict=True))

    def high(judged: Judged) -> float:
        kept = even_draw(judged, np.ones(len(judged), dtype=bool), salt="any")
        return float((judged.probabilities[kept, 0] > 0.7).mean())

    assert high(answered) < 0.2
    assert high(by_response(answered, factor)) == pytest.approx(0.3, abs=0.03)
