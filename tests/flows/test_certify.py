"""Certificates: from audit labels to actions, and back when labels speak against them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from flows.certify import Certified, certify
from flows.monitor import monitor
from flows.rescore import NoChampion, rescore
from hitl import registry
from hitl.db import DatabaseRefused, begin
from hitl.policy import Obligation, Policy
from hitl.recipe import CertifyRecipe
from tests.flows.models import count, crown, train
from tests.flows.worlds import fill, gold, label_batch

pytestmark = pytest.mark.postgres

RULES = CertifyRecipe()
BOTH = Obligation(precision=0.9, recall=0.8, confidence=0.9)


def promising(policy: Policy, **obligations: Obligation) -> Policy:
    """The policy with these obligations and no others."""
    categories = tuple(
        one.model_copy(update={"obligation": obligations.get(one.id)}) for one in policy.category
    )
    return policy.model_copy(update={"category": categories})


def world(
    engine: Engine, folder: Path, *, batches: int = 7, items: int = 1400, **obligations: Obligation
) -> Policy:
    """A champion that has decided on everything, and audit labels."""
    policy = promising(fill(engine, items=items), **(obligations or {"hate": BOTH, "spam": BOTH}))
    for k in range(batches):
        label_batch(engine, policy, batch_id=f"b{k}", seed=k)
    train(engine, policy, folder)
    crown(engine, policy, folder)
    rescore(engine, policy=policy)
    return policy


def only(found: tuple[Certified, ...], category: str) -> Certified:
    [one] = [one for one in found if one.category == category]
    return one


def actions(engine: Engine) -> dict[str, int]:
    """What the champion's newest decisions do, by action."""
    with begin(engine) as tx:
        rows = tx.execute(
            text("""
                SELECT action, count(*) FROM (
                    SELECT DISTINCT ON (item_id) action FROM decisions
                    WHERE model_version <> 'production' ORDER BY item_id, decided_at DESC
                ) newest GROUP BY 1
            """)
        )
        return dict(rows.tuples().all())


def test_what_is_certified_is_decided_without_a_person(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path)
    assert {"review"} == set(actions(engine))

    report = certify(engine, policy=policy, recipe=RULES)
    rescore(engine, policy=policy)

    hate = only(report.found, "hate")
    assert hate.block_from is not None
    assert hate.allow_below is not None
    assert (1, True) == (hate.attempt, hate.is_new)
    done = actions(engine)
    assert {"allow", "block"} <= set(done)
    with begin(engine) as tx:
        blocked = tx.execute(
            text("SELECT DISTINCT item_id FROM decisions WHERE action = 'block'")
        ).scalars()
        right = [any(gold(one).values()) for one in blocked]
    assert sum(right) >= 0.9 * len(right)
    before = count(engine, "SELECT count(*) FROM decisions")
    rescore(engine, policy=policy)
    assert before == count(engine, "SELECT count(*) FROM decisions")
    assert 0 == count(engine, "SELECT count(*) FROM conflicts")


def test_the_same_labels_again_are_no_attempt(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path)
    first = certify(engine, policy=policy, recipe=RULES)

    again = certify(engine, policy=policy, recipe=RULES)

    assert [False] * len(again.found) == [one.is_new for one in again.found]
    assert [(one.block_from, one.allow_below) for one in first.found] == [
        (one.block_from, one.allow_below) for one in again.found
    ]
    assert {1} == {one.attempt for one in again.found}


def test_another_attempt_may_err_less(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path, batches=6)
    certify(engine, policy=policy, recipe=RULES)
    label_batch(engine, policy, batch_id="later", seed=99)
    rescore(engine, policy=policy)

    second = certify(engine, policy=policy, recipe=RULES)

    assert {2} == {one.attempt for one in second.found}
    with begin(engine) as tx:
        asked = tx.execute(
            text("SELECT DISTINCT attempt, confidence FROM certificates ORDER BY 1")
        ).all()
    # 6 / pi^2 of a tenth, by halves; the second a quarter of that.
    assert [(1, pytest.approx(0.969604)), (2, pytest.approx(0.992401))] == [
        (row.attempt, row.confidence) for row in asked
    ]


def test_too_few_labels_are_said_and_everything_stays_with_people(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path, batches=1)

    report = certify(engine, policy=policy, recipe=RULES)
    rescore(engine, policy=policy)

    hate = only(report.found, "hate")
    assert (None, None, 1.0) == (hate.block_from, hate.allow_below, hate.review_load)
    assert 2 == len(hate.missing)
    assert {"review"} == set(actions(engine))


def test_nothing_is_allowed_while_a_category_has_no_threshold(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path, hate=BOTH)

    report = certify(engine, policy=policy, recipe=RULES)
    rescore(engine, policy=policy)

    assert ["hate"] == [one.category for one in report.found]
    assert only(report.found, "hate").allow_below is not None
    assert "allow" not in actions(engine)
    assert "block" in actions(engine)


def test_thresholds_by_language_are_each_their_own(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path)

    report = certify(engine, policy=policy, recipe=CertifyRecipe(by="language"))

    assert {"language"} == {one.slice_name for one in report.found}
    # They say nothing of thresholds for all, nor the other way round.
    rescore(engine, policy=policy)
    assert {"review"} == set(actions(engine))


def test_without_a_champion_there_is_nothing_to_certify(engine: Engine) -> None:
    policy = promising(fill(engine), hate=BOTH)

    with pytest.raises(NoChampion):
        certify(engine, policy=policy, recipe=RULES)
    with pytest.raises(NoChampion):
        monitor(engine, policy=policy)


def harmless_now(item_id: str) -> dict[str, bool]:
    """What reviewers of a changed world say: what was hate is none any more."""
    return gold(item_id) | {"hate": False}


def test_a_promise_that_no_longer_holds_is_withdrawn_and_review_comes_back(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path, batches=6, items=2400)
    certify(engine, policy=policy, recipe=RULES)
    rescore(engine, policy=policy)
    quiet = monitor(engine, policy=policy)
    for k in range(4):
        label_batch(engine, policy, batch_id=f"changed{k}", seed=k, answer=harmless_now)

    report = monitor(engine, policy=policy)
    rescore(engine, policy=policy)

    assert 0 == quiet.withdrawn
    assert {0} == {one.labels for one in quiet.watched}, "the labels it rests on do not watch it"
    gone = [(one.category, one.metric) for one in report.watched if one.is_withdrawn]
    assert [("hate", "precision")] == gone
    with begin(engine) as tx:
        [why] = tx.execute(
            text("SELECT withdrawn_why FROM certificates WHERE withdrawn_at IS NOT NULL")
        ).scalars()
        standing = registry.standing_certificates(
            tx, policy=policy, model_version=report.model_version
        )
    assert "audit labels since its issue kept it" in why
    assert "precision" not in {
        metric for subject, by in standing.items() if subject.category == "hate" for metric in by
    }
    again = monitor(engine, policy=policy)
    assert 0 == again.withdrawn
    assert len(report.watched) - 1 == len(again.watched)


def test_a_certificate_cannot_be_changed(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path)
    certify(engine, policy=policy, recipe=RULES)

    for change in ("SET threshold = 0", "SET expires_at = now() + interval '1 year'"):
        with (
            pytest.raises(DatabaseRefused, match="only withdrawn_at, withdrawn_why may change"),
            begin(engine) as tx,
        ):
            tx.execute(text(f"UPDATE certificates {change}"))
    with pytest.raises(DatabaseRefused), begin(engine) as tx:
        tx.execute(text("DELETE FROM certificates"))


def test_an_expired_certificate_decides_nothing(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path)
    report = certify(engine, policy=policy, recipe=RULES)
    with begin(engine) as tx:
        tx.execute(text("ALTER TABLE certificates DISABLE TRIGGER certificates_append_only"))
        tx.execute(text("UPDATE certificates SET expires_at = now()"))
        tx.execute(text("ALTER TABLE certificates ENABLE TRIGGER certificates_append_only"))

    rescore(engine, policy=policy)

    with begin(engine) as tx:
        assert {} == registry.standing_certificates(
            tx, policy=policy, model_version=report.model_version
        )
    assert {"review"} == set(actions(engine))
