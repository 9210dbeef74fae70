"""What a killed and repeated step must leave equal: the tables, the files, the accounts."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from sqlalchemy import Engine, text

from hitl.policy import Policy
from hitl.reports import accounts, count_loop

_MOMENT = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?")

# Left out is what two runs of the same may differ in: the database's clock, numbers that a rolled
# back transaction uses up, and what Label Studio calls its projects, tasks and annotations.
_TABLES = {
    "items": "SELECT item_id, text, content_hash, language, surface, group_id, created_at"
    " FROM items",
    "decisions": "SELECT item_id, model_version, decided_at, action, probabilities, is_shadow"
    " FROM decisions",
    "conflicts": "SELECT kind, item_id, key, payload_hash, source FROM conflicts",
    "rejects": "SELECT source, line, field, reason FROM rejects",
    "intake_chunks": "SELECT source, kind, chunk, line, rows, is_last FROM intake_chunks",
    "api_requests": "SELECT producer, idempotency_key, body_hash, rows, answer FROM api_requests",
    "twin_forms": "SELECT form_id, pivot_id, signature FROM twin_forms",
    "twin_buckets": "SELECT * FROM twin_buckets",
    "twin_items": "SELECT item_id, form_id FROM twin_items",
    "policies": "SELECT policy_id, body FROM policies",
    "recipes": "SELECT recipe_id, body FROM recipes",
    "batches": "SELECT batch_id, policy_id, recipe_id, model_version, seed, plan,"
    " training_pool_size, measuring_pool_size FROM batches",
    "picks": "SELECT * FROM picks",
    "proposals": "SELECT o.item_id, e.item_id AS of_item, o.similarity, o.audit_probability,"
    " o.is_audited FROM proposals o JOIN entries e USING (entry_id)",
    "stood_aside": "SELECT * FROM stood_aside",
    "entries": "SELECT item_id, batch_id, policy_id, state, priority, votes_wanted, reason,"
    " closed_at IS NULL AS is_open FROM entries",
    "turns": "SELECT e.batch_id, e.item_id, t.lane, t.tier FROM turns t JOIN entries e"
    " USING (entry_id)",
    "open_items": "SELECT o.item_id, e.batch_id FROM open_items o JOIN entries e USING (entry_id)",
    "entry_events": "SELECT e.batch_id, e.item_id, v.from_state, v.to_state FROM entry_events v"
    " JOIN entries e USING (entry_id)",
    "labelling_projects": "SELECT policy_id, stage, interface_hash FROM labelling_projects",
    # Their numbers are drawn anew each time, so they count by what they hold.
    "pushes": "SELECT confirmed_at IS NOT NULL AS is_confirmed, count(t.entry_id)"
    " FROM pushes LEFT JOIN tasks t USING (push_id) GROUP BY push_id, confirmed_at",
    "tasks": "SELECT e.batch_id, e.item_id, t.stage, t.task_id IS NOT NULL AS has_task FROM tasks t"
    " JOIN entries e USING (entry_id)",
    "annotations": "SELECT kind, e.item_id, stage, reviewer, result"
    " FROM annotations JOIN entries e USING (entry_id)",
    "annotation_rejects": "SELECT a.kind, e.item_id, r.reason FROM annotation_rejects r"
    " JOIN annotations a USING (unique_id, updated_at) JOIN entries e USING (entry_id)",
    "votes": "SELECT e.item_id, stage, reviewer, answers, severity"
    " FROM votes JOIN entries e USING (entry_id)",
    "labels": "SELECT item_id, policy_id, category, revision, value, weight, votes_for,"
    " votes_total, decided_by FROM labels",
    "snapshots": "SELECT snapshot_id, policy_id, examples, labels FROM snapshots",
    "model_versions": "SELECT model_version, policy_id, recipe_id, snapshot_id, seed, state,"
    " metrics - 'decisions_upto' AS metrics FROM model_versions",
    "evaluations": "SELECT * FROM evaluations",
    "certificates": "SELECT model_version, category, metric, attempt, evidence, at_least,"
    " confidence, threshold, n, n_errors, shortfall, withdrawn_why FROM certificates",
    "backlogs": "SELECT backlog_id, name, policy_id, category, at_least, rule, items FROM backlogs",
    "backlog_items": "SELECT * FROM backlog_items",
    "backlog_looks": "SELECT backlog_id, look, seed, unreviewed, found_before, drawn, alpha,"
    " violating_in_draw, lost, found_since, found, missed_at_most, recall_at_least, is_certified"
    " FROM backlog_looks",
    "backlog_draws": "SELECT * FROM backlog_draws",
    "alarms": "SELECT model_version, kind, category, slice_name, slice_value, metric, statistic,"
    " bar, p_value, evidence, effect, n_reference, n_window, ended_why FROM alarms",
    "retrain_decisions": "SELECT d.model_version, retrain, new_labels, last_label_id > 0,"
    " w ->> 'rule', w ->> 'fired' FROM retrain_decisions d, jsonb_array_elements(d.reasons) w",
    "verdicts": "SELECT challenger, champion, snapshot_id, decision, reasons FROM verdicts",
    "promotions": "SELECT policy_name, kind, model_version, previous, verdict_id IS NOT NULL,"
    " approved_by, note FROM promotions",
}


def tables(engine: Engine, *, policy: Policy) -> dict[str, str]:
    """Per table its number of rows and an MD5 over them in a fixed order.

    The name of `policy` is read as one word for all: each trial at Label Studio has its own.
    """
    found = {}
    with engine.connect() as connection:
        for table, query in _TABLES.items():
            found[table] = connection.execute(
                text(
                    "SELECT count(*) || ' ' ||"
                    " md5(coalesce(string_agg(line, '|' ORDER BY line), ''))"
                    " FROM (SELECT replace(replace(row::text, :id, 'POLICY'), :name, 'NAME') line"
                    f" FROM ({query}) row) lines"
                ),
                {"id": policy.policy_id, "name": policy.name},
            ).scalar_one()
    return found


def files(folder: Path) -> dict[str, str]:
    """Every file under `folder`, hidden ones too, with the hash of its content.

    A model card says when the model was promoted; that moment is left out.
    """
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            _MOMENT.sub(b"", path.read_bytes()) if path.suffix == ".md" else path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def out_of_balance(engine: Engine, *, policy: Policy) -> list[str]:
    """The accounts of the reconciliation that do not balance; must be none."""
    with engine.connect() as connection:
        counted = accounts(count_loop(connection, policy))
    return [f"{one.name}: {one.left} and {one.right}" for one in counted if not one.balances]
