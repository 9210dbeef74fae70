"""Drift on a real database: planted, it is alarmed once; not planted, never; again is the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, insert, text

from flows.watch_drift import DriftReport, confusion_of, watch_drift
from hitl.db import begin, schema
from hitl.evaluation import ShiftKind
from hitl.evaluation.alarms import store as alarms
from hitl.evaluation.alarms.store import UnknownAlarm
from hitl.evaluation.store import Judged
from hitl.evaluation.watching.store import Slice, read_texts, read_traffic
from hitl.policy import Policy
from hitl.recipe import DriftRecipe
from tests.builders import NOON, add_policy, make_policy
from tests.flows.models import crown, train
from tests.flows.traffic import MIDNIGHT, Item, flow_in, steady
from tests.flows.worlds import fill, label_batch

pytestmark = pytest.mark.postgres

RULES = DriftRecipe()
PAST = range(-35, 0)


def policy_of(engine: Engine) -> Policy:
    with begin(engine) as tx:
        return add_policy(tx, make_policy())


def look(engine: Engine, policy: Policy, *, day: int = 0, **changed: Any) -> DriftReport:
    more = {"embeddings": False} | changed
    return watch_drift(
        engine, policy=policy, recipe=RULES, end=MIDNIGHT + timedelta(days=day), **more
    )


def on_record(engine: Engine) -> list[tuple[Any, ...]]:
    with begin(engine) as tx:
        return [tuple(row) for row in tx.execute(text("SELECT * FROM alarms ORDER BY alarm_id"))]


def meaner(rng: np.random.Generator, day: int) -> Item:
    """German posts are hateful from day 0 on."""
    made = steady(rng, day)
    if day >= 0 and made["language"] == "de":
        made["hate"] = float(rng.beta(6, 2))
    return made


def with_portuguese(rng: np.random.Generator, day: int) -> Item:
    made = steady(rng, day)
    return made | ({"language": "pt"} if day >= 0 and rng.random() < 0.1 else {})


def test_traffic_that_does_not_change_raises_nothing(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=range(-35, 20))

    reports = [look(engine, policy, day=day) for day in range(20)]

    assert {0} == {one.raised for one in reports}
    assert [] == on_record(engine)
    kinds = {(one.about.kind, one.about.slice_value) for one in reports[0].shifts}
    assert {(ShiftKind.SCORES, ""), (ShiftKind.SCORES, "de"), (ShiftKind.MIX, "de")} <= kinds
    assert (ShiftKind.MIX, "posts") not in kinds, "there is but one surface"
    assert {"too_few_labels"} == {
        one.code for one in reports[0].shifts if one.about.kind is ShiftKind.LABELS
    }


def test_a_slice_whose_scores_moved_is_alarmed_once_and_named(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=range(-35, 10), make=meaner)

    raised = [look(engine, policy, day=day).raised for day in range(1, 10)]

    assert sum(raised) == len(on_record(engine))
    with begin(engine) as tx:
        found = alarms.list_alarms(tx, policy=policy)
    german = [one for one in found if one.slice_value == "de"]
    assert [("scores", "hate")] == [(one.kind, one.category) for one in german]
    [one] = german
    assert one.effect > 0.1
    assert one.effect_low is not None
    assert one.effect_low > 0.0
    assert one.statistic > one.bar == RULES.psi_bar
    assert "production" == one.model_version
    assert one.window_end - one.window_start == timedelta(days=RULES.window_days)
    assert {"hate"} == {one.category for one in found}
    assert "en" not in {one.slice_value for one in found}


def test_a_new_language_is_seen_in_the_mix_before_it_has_a_reference(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=range(-35, 3), a_day=80, make=with_portuguese)

    report = look(engine, policy, day=3)

    mix = {one.about.slice_value: one for one in report.shifts if one.about.kind is ShiftKind.MIX}
    assert mix["pt"].is_alarm
    assert not mix["de"].is_alarm
    [scores] = [
        one
        for one in report.shifts
        if (one.about.kind, one.about.category, one.about.slice_value)
        == (ShiftKind.SCORES, "hate", "pt")
    ]
    assert scores.code in ("no_reference", "too_few_items")
    assert ["pt"] == [one.slice_value for one in report.standing]
    assert {""} == {one.model_version for one in report.standing}


def test_the_same_window_again_changes_nothing_and_an_earlier_one_neither(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=range(-35, 6), make=meaner)
    for day in (3, 4, 5):
        look(engine, policy, day=day)
    before = on_record(engine)

    again = [look(engine, policy, day=day) for day in (5, 4, 5)]

    assert before
    assert before == on_record(engine)
    assert {(0, 0, 0)} == {(one.raised, one.lasting, one.ended) for one in again}


def test_any_moment_of_a_day_means_its_midnight(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=PAST)

    report = watch_drift(engine, policy=policy, recipe=RULES, end=NOON, embeddings=False)

    assert (MIDNIGHT, MIDNIGHT - timedelta(days=7)) == (report.end, report.middle)


def test_an_alarm_lasts_is_reported_once_so_and_passes_with_its_cause(engine: Engine) -> None:
    policy = policy_of(engine)

    def for_a_while(rng: np.random.Generator, day: int) -> Item:
        return meaner(rng, day) if day < 12 else steady(rng, day)

    # Until the reference, too, holds nothing of it: coming back is a change as well.
    flow_in(engine, days=range(-35, 56), make=for_a_while)

    reports = [look(engine, policy, day=day) for day in range(1, 57)]

    rows = on_record(engine)
    lasting = [day for day, one in enumerate(reports, start=1) if one.lasting]
    begun = [day for day, one in enumerate(reports, start=1) if one.raised]
    assert begun
    assert lasting
    assert min(lasting) >= min(begun) + RULES.window_days
    assert len(rows) == sum(one.raised for one in reports) == sum(one.ended for one in reports)
    assert 0 == len(reports[-1].standing)
    with begin(engine) as tx:
        why = tx.execute(text("SELECT DISTINCT ended_why FROM alarms")).scalars().all()
        windows = tx.execute(text("SELECT max(windows) FROM dashboard.alarms")).scalar_one()
    assert ["passed"] == why
    assert windows >= RULES.windows_in_a_row


def test_a_look_that_is_killed_before_it_ends_leaves_nothing_and_the_next_leaves_all(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=range(-35, 4), make=meaner)

    class Killed(BaseException):
        """As kill -9 between the last row and the commit."""

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(alarms, "list_alarms", die)
        with pytest.raises(Killed):
            look(engine, policy, day=4)
    assert [] == on_record(engine)

    report = look(engine, policy, day=4)

    assert report.raised == len(on_record(engine)) > 0


def test_who_takes_note_is_kept_and_the_alarm_stands_on(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=range(-35, 6), make=meaner)
    first = look(engine, policy, day=4).standing[0]

    with begin(engine) as tx:
        alarms.acknowledge(tx, first.alarm_id, by="ana", note="announced")
    with begin(engine) as tx, pytest.raises(UnknownAlarm, match="was acknowledged before"):
        alarms.acknowledge(tx, first.alarm_id, by="ben", note="")

    later = look(engine, policy, day=5)
    [same] = [one for one in later.standing if one.alarm_id == first.alarm_id]
    assert ("ana", "announced", None) == (same.acknowledged_by, same.note, same.ended_why)


def test_what_a_model_said_that_decides_no_more_is_no_alarm_any_more(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=range(-35, 4), make=meaner)
    flow_in(engine, days=range(4, 14), model="production-2", make=meaner)
    look(engine, policy, day=4)

    report = look(engine, policy, day=13)

    with begin(engine) as tx:
        ended = {one.ended_why for one in alarms.list_alarms(tx, policy=policy, ended=True)}
    assert report.ended
    assert "superseded" in ended
    assert "production" not in {one.model_version for one in report.standing}


def test_another_version_of_the_policy_begins_anew(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=range(-35, 4), make=meaner)
    before = look(engine, policy, day=4)
    with begin(engine) as tx:
        other = add_policy(tx, make_policy(version="2"))

    after = look(engine, other, day=4)

    assert before.raised == after.raised == after.ended == len(after.standing)


def test_only_new_content_counts_and_only_once(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=range(-35, 0))
    with begin(engine) as tx:
        # A new model decides on everything that lay there; the old one decides again on one day.
        for model, since, hate in (("production-2", 35, 0.99), ("production", 1, 0.99)):
            tx.execute(
                text("""
                    INSERT INTO decisions (item_id, model_version, decided_at, probabilities)
                    SELECT item_id, :model, :when, jsonb_build_object('hate', :hate)
                    FROM decisions WHERE decided_at >= :since AND model_version = 'production'
                """),
                {"model": model, "when": MIDNIGHT - timedelta(minutes=1), "hate": hate,
                 "since": MIDNIGHT - timedelta(days=since)},
            )  # fmt: skip
        tx.execute(
            insert(schema.decisions).values(
                item_id="production--1-0", model_version="next", is_shadow=True,
                decided_at=MIDNIGHT - timedelta(hours=2), probabilities={"hate": 0.5},
            )
        )  # fmt: skip
        traffic = read_traffic(
            tx, policy=policy, start=MIDNIGHT - timedelta(days=35),
            middle=MIDNIGHT - timedelta(days=7), end=MIDNIGHT,
        )  # fmt: skip

    then, now = traffic.scores["production", "hate", Slice()]  # type: ignore[index]
    assert (28 * 60, 7 * 60) == (then.n, now.n)
    assert (28 * 60, 7 * 60) == traffic.mix[Slice()]
    # Of the new model's only what had come within the day.
    _, fresh = traffic.scores["production-2", "hate", Slice()]  # type: ignore[index]
    assert 0 < fresh.n <= 60
    assert fresh.n == fresh.flagged


def test_buckets_sums_and_flags_are_those_of_the_rows(engine: Engine) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=PAST)
    with begin(engine) as tx:
        traffic = read_traffic(
            tx, policy=policy, start=MIDNIGHT - timedelta(days=35),
            middle=MIDNIGHT - timedelta(days=7), end=MIDNIGHT,
        )  # fmt: skip
        scores = np.array(
            tx.execute(
                text("""
                    SELECT (probabilities ->> 'spam')::float8 FROM decisions
                    JOIN items USING (item_id)
                    WHERE decided_at >= :middle AND language = 'de'
                """),
                {"middle": MIDNIGHT - timedelta(days=7)},
            ).scalars().all()
        )  # fmt: skip

    _, now = traffic.scores["production", "spam", Slice("language", "de")]  # type: ignore[index]
    odds = np.log(scores / (1 - scores))
    edges = np.linspace(-12, 12, 241)
    assert np.histogram(odds, edges)[0].tolist() == now.counts[1:-1].tolist()
    assert now.total == pytest.approx(scores.sum())
    assert now.squares == pytest.approx((scores**2).sum())
    assert int((scores >= policy.category[1].threshold).sum()) == now.flagged


def test_of_very_many_decisions_a_draw_of_items_is_counted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(engine)
    flow_in(engine, days=PAST)
    monkeypatch.setattr("hitl.evaluation.watching.store.MOST_DECISIONS", 1050)

    report = look(engine, policy)

    [whole] = {
        (one.n_reference, one.n_window)
        for one in report.shifts
        if one.about.kind is ShiftKind.SCORES and not one.about.slice_name
    }
    assert (28 * 60, 7 * 60) == report.decisions
    assert report.drawn == pytest.approx(0.5, abs=0.01)
    assert sum(whole) == pytest.approx(1050, abs=5 * (2100 * 0.25) ** 0.5)


def test_texts_are_drawn_by_a_hash_and_each_item_once(engine: Engine) -> None:
    policy_of(engine)
    flow_in(engine, days=range(-7, 0))
    window = {"start": MIDNIGHT - timedelta(days=7), "end": MIDNIGHT}
    with begin(engine) as tx:
        everything = read_texts(tx, **window, decisions=420, limit=1000)
        some, again = (read_texts(tx, **window, decisions=420, limit=50) for _ in range(2))

    assert 420 == len(set(everything)) == len(everything)
    assert list(some) == list(again)
    assert 50 == len(set(some))
    assert set(some) < set(everything)


def test_embeddings_of_the_champion_see_what_its_scores_do_not(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    champion = crown(engine, policy, tmp_path)
    words = ("walk", "garden", "music", "evening", "grolk", "sneer", "prize", "click", "river")

    def sentence(made: Item, of: tuple[str, ...] = words) -> str:
        rng = np.random.default_rng(int(1e6 * made["hate"]))
        return " ".join(rng.choice(of, size=8))

    flow_in(engine, days=range(-35, -7), text=sentence)
    flow_in(engine, days=range(-7, 0), text=lambda made: sentence(made, words[4:8]))

    due = [
        any(one.about.kind is ShiftKind.EMBEDDINGS for one in look(
            engine, policy, day=day, embeddings=None).shifts)
        for day in range(-6, 1)
    ]  # fmt: skip
    asked = look(engine, policy, embeddings=True)

    assert 1 == sum(due), "once a week, by the calendar"
    [found] = [one for one in asked.shifts if one.about.kind is ShiftKind.EMBEDDINGS]
    assert found.is_alarm
    assert champion == found.about.model_version
    assert not [one for one in asked.shifts if one.about.kind is ShiftKind.SCORES and one.is_alarm]


def make_judged(flagged: list[bool], violates: list[float]) -> Judged:
    n = len(flagged)
    even = np.where(flagged, 0.9, 0.1)
    return Judged(
        item_ids=np.array([f"i{k}" for k in range(n)], dtype=object),
        truth=np.stack([np.array(violates)] * 2, axis=1),
        probabilities=np.stack([even] * 2, axis=1),
        inclusion_probability=np.full(n, 0.2),
        variance_weight=np.full(n, 20.0),
        least_chance=np.full(n, 0.2),
        evenness=np.ones(n),
        least_flagged=np.full((n, 2), 0.2),
        evenness_flagged=np.ones((n, 2)),
        language=np.array(["en", "de"] * (n // 2), dtype=object),
        surface=np.full(n, "posts", dtype=object),
        stands_for=np.ones(n),
        answered_at=np.full(n, datetime.now(), dtype=object),  # noqa: DTZ005 - not looked at
        largest_weight=None,
        market=np.full(n, "unknown", dtype=object),
        views=np.full(n, np.nan),
        largest_flagged=np.zeros(2),
        flagged_from=np.full(2, 0.5),
    )


def test_audited_items_make_the_table_of_flags_and_violations() -> None:
    nan = float("nan")
    judged = make_judged([True, True, True, False, False, False], [1, 1, 0, 1, 0, nan])

    def cells(of: Slice) -> tuple[int, ...]:
        found = confusion_of(judged, 0, of, threshold=0.5, salt="m")
        return (found.hits, found.misses, found.false_alarms, found.passes)

    assert (2, 1, 1, 1) == cells(Slice())
    assert (1, 0, 1, 1) == cells(Slice("language", "en"))
    assert (0, 0, 0, 0) == cells(Slice("market", "br"))
    uneven = replace(
        judged,
        inclusion_probability=np.array([1.0, 0.01, 1.0, 0.01, 1.0, 1.0]),
        least_chance=np.full(6, 0.01),
    )
    thinned = confusion_of(uneven, 0, Slice(), threshold=0.5, salt="m")
    assert (1, 1) == (thinned.hits, thinned.misses), "thinned to an even draw"
