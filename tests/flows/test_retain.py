"""Retention: what is too old goes, what a number rests on stays, and it may be killed anywhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from flows.cli import app
from flows.retain import KeptForEver, RetainReport, months_back, retain
from hitl import decisions
from hitl.db import AlreadyRunning, begin, single_flight
from hitl.decisions import DecisionsInUse, merge_decisions, merge_items
from hitl.decisions.retention import store as room
from hitl.recipe import Recipe, RetentionRecipe, SelectionRecipe
from hitl.records import Decision, Item, ItemId, ModelVersion
from tests.builders import add_entries, add_items, add_policy, make_policy

NOW = datetime(2026, 11, 26, 4, tzinfo=UTC)
MAY, JUNE, OCTOBER = (datetime(2026, month, 9, tzinfo=UTC) for month in (5, 6, 10))
RECIPE = Recipe(selection=SelectionRecipe(within_days=28), retention=RetentionRecipe(keep_months=4))


def decide(engine: Engine, item_id: str, *moments: datetime) -> None:
    with begin(engine) as tx:
        merge_decisions(
            tx,
            [
                Decision(ItemId(item_id), ModelVersion("m"), at, None, {"hate": 0.5})
                for at in moments
            ],
            source="s",
        )


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Old and picked, old and not, old with a new decision, and new; all content is old."""
    with begin(engine) as tx:
        policy = add_policy(tx)
        add_items(tx, {name: f"words of {name}" for name in ("asked", "old", "both", "new")})
        tx.execute(text("UPDATE items SET ingested_at = :at, content_at = :at"), {"at": MAY})
        add_entries(tx, ["asked"], policy=policy)
    decide(engine, "asked", MAY, JUNE, OCTOBER)
    decide(engine, "old", MAY, JUNE)
    decide(engine, "both", MAY, OCTOBER)
    with begin(engine) as tx:
        tx.execute(text("UPDATE items SET content_at = :at WHERE item_id = 'new'"), {"at": OCTOBER})
    return engine


def left(engine: Engine) -> list[tuple[str, datetime]]:
    with begin(engine) as tx:
        rows = tx.execute(text("SELECT item_id, decided_at FROM decisions ORDER BY 1, 2"))
        return [(row.item_id, row.decided_at) for row in rows]


def items(engine: Engine) -> list[str]:
    with begin(engine) as tx:
        return list(tx.execute(text("SELECT item_id FROM items ORDER BY 1")).scalars())


LEFT = [("asked", MAY), ("asked", JUNE), ("asked", OCTOBER), ("both", OCTOBER)]


@pytest.mark.postgres
def test_old_months_keep_what_was_picked_and_old_items_go_with_their_last_decision(
    filled: Engine,
) -> None:
    report = retain(filled, recipe=RECIPE, now=NOW)

    assert RetainReport(datetime(2026, 7, 1, tzinfo=UTC), 2, 3, 2, 1) == report
    assert LEFT == left(filled)
    assert ["asked", "both", "new"] == items(filled)


@pytest.mark.postgres
def test_again_there_is_nothing_to_do(filled: Engine) -> None:
    retain(filled, recipe=RECIPE, now=NOW)

    again = retain(filled, recipe=RECIPE, now=NOW)

    assert (0, 0, 0) == (again.months, again.decisions_dropped, again.items_forgotten)
    assert LEFT == left(filled)


@pytest.mark.postgres
def test_a_dry_run_says_the_same_and_changes_nothing(filled: Engine) -> None:
    before = left(filled), items(filled)

    told = retain(filled, recipe=RECIPE, now=NOW, dry_run=True)

    assert before == (left(filled), items(filled))
    assert told == retain(filled, recipe=RECIPE, now=NOW)


@pytest.mark.postgres
def test_what_was_dropped_does_not_come_back_by_its_file(filled: Engine) -> None:
    retain(filled, recipe=RECIPE, now=NOW)

    decide(filled, "old", MAY)
    decide(filled, "both", JUNE, OCTOBER + timedelta(hours=1))

    assert [*LEFT, ("both", OCTOBER + timedelta(hours=1))] == left(filled)


@pytest.mark.postgres
def test_a_dropped_month_is_as_append_only_as_before_and_finds_its_rows_by_key(
    filled: Engine,
) -> None:
    retain(filled, recipe=RECIPE, now=NOW)

    for statement in (
        "DELETE FROM decisions",
        "UPDATE decisions SET action = 'allow'",
        "TRUNCATE decisions",
        "TRUNCATE months.decisions_2026_05",
        "DELETE FROM retentions",
        "UPDATE retentions SET kept_from = '1990-01-01'",
    ):
        with pytest.raises(Exception, match=r"append-only|keeps what was written|check_violation"):
            with filled.begin() as tx:
                tx.execute(text(statement))
    with begin(filled) as tx:
        tx.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(
            tx.execute(
                text(
                    "EXPLAIN SELECT * FROM decisions WHERE item_id = 'asked' AND decided_at = :at"
                ),
                {"at": MAY},
            ).scalars()
        )
    assert "Index Scan" in plan


@pytest.mark.postgres
def test_history_from_before_any_partition_goes_too(filled: Engine) -> None:
    decide(filled, "old", datetime(1999, 3, 3, tzinfo=UTC))
    decide(filled, "asked", datetime(1999, 3, 3, tzinfo=UTC))

    report = retain(filled, recipe=RECIPE, now=NOW)

    assert 3 == report.months
    assert [("asked", datetime(1999, 3, 3, tzinfo=UTC)), *LEFT] == left(filled)


@pytest.mark.postgres
@pytest.mark.parametrize("place", ["_wait_for_readers", "forget_items"])
def test_killed_on_the_way_it_goes_on_where_it_was(
    filled: Engine, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    home = room if place == "_wait_for_readers" else decisions
    with monkeypatch.context() as patched:
        patched.setattr(home, place, die)
        with pytest.raises(Killed):
            retain(filled, recipe=RECIPE, now=NOW)
    # Closed or done, the month takes nothing in any more.
    decide(filled, "both", MAY + timedelta(days=1))

    retain(filled, recipe=RECIPE, now=NOW)

    assert LEFT == left(filled)
    assert ["asked", "both", "new"] == items(filled)
    with begin(filled) as tx:
        told = tx.execute(text("SELECT month, dropped, kept FROM retentions ORDER BY 1")).all()
    assert [(date(2026, 5, 1), 2, 1), (date(2026, 6, 1), 1, 1)] == [tuple(one) for one in told]


@contextmanager
def in_the_way(engine: Engine, statement: str) -> Iterator[Any]:
    with engine.connect() as other:
        other.execute(text(statement))
        yield other
        other.rollback()


@pytest.mark.postgres
def test_a_reader_that_never_ends_is_told_of_and_loses_nothing(
    filled: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_TRIES", 1)
    before = left(filled)

    with in_the_way(filled, "SELECT count(*) FROM decisions"):
        with pytest.raises(DecisionsInUse, match="2026-05 could not be dropped"):
            retain(filled, recipe=RECIPE, now=NOW)

        assert before == left(filled)


@pytest.mark.postgres
def test_a_reader_that_ends_is_waited_for(filled: Engine) -> None:
    with in_the_way(filled, "SELECT count(*) FROM decisions") as reader:
        threading.Timer(2.5, reader.rollback).start()

        retain(filled, recipe=RECIPE, now=NOW)

    assert LEFT == left(filled)


@pytest.mark.postgres
def test_an_item_that_is_being_brought_again_is_not_forgotten_under_its_decision(
    filled: Engine,
) -> None:
    retain(filled, recipe=RECIPE, now=NOW, dry_run=True)
    started = time.monotonic()
    with filled.connect() as intake:
        merge_items(intake, [Item(ItemId("old"), text="words of old")], source="s")
        merge_decisions(
            intake,
            [Decision(ItemId("old"), ModelVersion("m"), OCTOBER, None, {"hate": 0.5})],
            source="s",
        )
        threading.Timer(1.0, intake.commit).start()

        retain(filled, recipe=RECIPE, now=NOW)

    assert time.monotonic() - started >= 1.0
    assert "old" in items(filled)
    assert ("old", OCTOBER) in left(filled)


@pytest.mark.postgres
def test_while_a_selection_runs_nothing_goes(filled: Engine) -> None:
    with single_flight(filled, "select"), pytest.raises(AlreadyRunning):
        retain(filled, recipe=RECIPE, now=NOW)


@pytest.mark.postgres
def test_without_a_limit_everything_is_kept(filled: Engine) -> None:
    with pytest.raises(KeptForEver, match=r"retention\.keep_months"):
        retain(filled, recipe=Recipe(), now=NOW)


@pytest.mark.parametrize("days", [None, 113.0])
def test_a_recipe_that_drops_what_it_could_choose_is_refused(days: float | None) -> None:
    with pytest.raises(ValidationError, match=r"set selection\.within_days to at most 112"):
        Recipe(
            selection=SelectionRecipe(within_days=days), retention=RetentionRecipe(keep_months=4)
        )


@pytest.mark.parametrize(
    ("now", "months", "first"),
    [
        (NOW, 4, datetime(2026, 7, 1, tzinfo=UTC)),
        (NOW, 11, datetime(2025, 12, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1, tzinfo=UTC), 1, datetime(2025, 12, 1, tzinfo=UTC)),
        (
            datetime.fromisoformat("2026-03-01T01:00:00+02:00"),
            1,
            datetime(2026, 1, 1, tzinfo=UTC),
        ),
    ],
)
def test_months_are_counted_in_utc(now: datetime, months: int, first: datetime) -> None:
    assert first == months_back(now, months)


@pytest.mark.postgres
def test_what_is_no_candidate_any_more_is_not_scored_again(filled: Engine) -> None:
    policy = make_policy()
    asked = {"policy_id": policy.policy_id, "since": OCTOBER - timedelta(days=1)}
    with begin(filled) as tx:
        found = decisions.read_scorable(tx, **asked, after="", limit=9)

        assert ["asked", "new"] == [one.item_id for one in found]
        assert 2 == decisions.count_scorable(tx, **asked)
        assert 4 == decisions.count_scorable(tx, policy_id=policy.policy_id)


@pytest.mark.postgres
def test_the_command_looks_first_and_then_lets_go(
    filled: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipe.toml"
    monkeypatch.setenv("HITL_DATABASE_URL", database_url)
    monkeypatch.setenv("HITL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HITL_RECIPE", str(recipe))
    recipe.write_text('name = "kept"\n')
    forever = CliRunner().invoke(app, ["retain"])
    recipe.write_text("[selection]\nwithin_days = 28\n[retention]\nkeep_months = 1\n")

    looked = CliRunner().invoke(app, ["retain", "--dry-run"])
    before = left(filled)
    done = CliRunner().invoke(app, ["retain", "--json"])

    assert isinstance(forever.exception, KeptForEver)
    assert (0, 0) == (looked.exit_code, done.exit_code), looked.output + done.output
    assert "would go" in looked.output
    assert "decisions dropped" in looked.output
    assert 7 == len(before)
    assert json.loads(done.stdout)["decisions_dropped"] >= 3
    assert len(left(filled)) <= 4
