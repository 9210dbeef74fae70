"""What a person sees of intake: taken in, set aside, in conflict; and whose labels count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

from flows.cli import app
from hitl.db import begin, schema
from hitl.decisions import Reject, record_rejects
from hitl.errors import Refused
from tests.builders import NOON, add_entries, add_items, add_policy
from tests.flows.intake import make_row, write_rows
from tests.labels.builders import annotate

pytestmark = pytest.mark.postgres

POLICY = """
name = "community"
version = "1"
title = "Rules"
[[category]]
id = "hate"
title = "Hate"
definition = "Attacks a group."
hotkey = "h"
[[category]]
id = "spam"
title = "Spam"
definition = "Unwanted selling."
hotkey = "s"
"""
RECIPE = """
[intake.decisions.probabilities]
hate = "score_hate"
spam = "score_spam"
"""


@pytest.fixture(autouse=True)
def _a_world_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    for name, body in (("policy", POLICY), ("recipe", RECIPE)):
        path = tmp_path / f"{name}.toml"
        path.write_text(body, encoding="utf-8")
        monkeypatch.setenv(f"HITL_{name.upper()}", str(path))
    monkeypatch.setenv("HITL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HITL_DATABASE_URL", database_url)
    (tmp_path / "in").mkdir()


def run(*arguments: str) -> str:
    shown = CliRunner().invoke(app, list(arguments))
    assert 0 == shown.exit_code, shown.output
    return shown.stdout


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_what_was_set_aside_is_counted_by_source_and_listed_to_a_limit(
    engine: Engine, tmp_path: Path
) -> None:
    with begin(engine) as tx:
        faults = [Reject(line, "text", "is blank") for line in range(1, 61)]
        record_rejects(tx, faults, source="/in/a.csv", kind="content")
        record_rejects(tx, faults[:1], source="/in/b.csv", kind="content")

    shown = run("rejects")

    assert "50 of 61" in shown
    assert "--limit lists more" in shown
    assert {"/in/a.csv": 60, "/in/b.csv": 1} == run_json("rejects")["rows_by_source"]
    assert "61 of 61" in run("rejects", "--limit", "100")
    assert "1 of 1" in run("rejects", "--source", "b.csv")


def test_conflicts_are_listed(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in" / "log.jsonl", make_row(), make_row(text="canary"))

    assert "`hitl conflicts` lists what differs" in run("ingest", str(path))

    found = run_json("conflicts")
    assert {str(path): 1} == found["conflicts_by_source"]
    assert [("content", "i1")] == [(one["kind"], one["item_id"]) for one in found["conflicts"]]
    assert "1 of 1, newest first" in run("conflicts")
    assert "canary" not in run("conflicts") + json.dumps(found)


def test_annotations_that_could_not_be_counted_are_listed_without_content(engine: Engine) -> None:
    with begin(engine) as tx:
        add_items(tx, {"i1": "canary"})
        [entry_id] = add_entries(tx, ["i1"], policy=add_policy(tx))
        annotate(tx, entry_id, counted=False)
        tx.execute(
            insert(schema.annotation_rejects).from_select(
                ["unique_id", "updated_at", "reason"],
                schema.annotations.select().with_only_columns(
                    schema.annotations.c.unique_id,
                    schema.annotations.c.updated_at,
                    schema.annotations.c.kind,
                ),
            )
        )

    found = run_json("rejects", "--annotations")

    assert 1 == found["annotations"]
    [reject] = found["rejects"]
    assert ("ana", entry_id, 1, entry_id) == tuple(
        reject[name] for name in ("reviewer", "entry_id", "project_id", "task_id")
    )
    assert NOON.isoformat() == reject["updated_at"]
    assert "annotations set aside, 1 of 1" in run("rejects", "--annotations")


def test_a_folder_with_one_bad_file_is_taken_in_told_and_exits_with_1(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_rows(folder / "a.jsonl", make_row())
    (folder / "b.csv").write_text("id\n1\n", encoding="utf-8")

    for more in ([], ["--json"]):
        shown = CliRunner().invoke(app, ["ingest", str(folder), *more])
        assert isinstance(shown.exception, Refused)
        assert "1 of 2 sources could not be taken in whole" in str(shown.exception)
    report = json.loads(shown.stdout)
    assert 1 == report["contents"]["known"]
    assert [str(folder / "b.csv")] == list(report["refused_sources"])


def test_the_source_is_shown_without_what_may_be_a_secret(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/l.db"
    query = "SELECT 'i1' AS content_id, 'x' AS text"

    shown = run("ingest", f"{database}?timeout=7", "--kind", "content", "--query", query)

    assert f"read {database}\n" in shown
    assert "timeout" not in shown


def test_policies_say_what_an_edit_would_leave(engine: Engine) -> None:
    with begin(engine) as tx:
        policy = add_policy(tx)

    found = run_json("policies")

    assert [policy.policy_id] == [one["policy_id"] for one in found["versions"]]
    assert f"labels that count for {found['policy_id']}" in run("policies")
