"""What dashboards read, the views of the schema `dashboard`, and the role that may read them."""

from __future__ import annotations

# A contract with dashboards: columns are documented in docs/dashboards.md and only ever added to.
DASHBOARD_VIEWS: dict[str, str] = {
    "queue_depth": """
        SELECT policy_id, state, count(*) AS entries, max(priority) AS highest_priority
        FROM entries GROUP BY policy_id, state
    """,
    "queue_age": """
        SELECT policy_id, state,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY age) AS median_seconds,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY age) AS p90_seconds,
               max(age) AS oldest_seconds, count(*) AS entries
        FROM (
            SELECT policy_id, state, extract(epoch FROM now() - opened_at)::float8 AS age
            FROM open_items JOIN entries USING (entry_id)
        ) open_entries GROUP BY policy_id, state
    """,
    "throughput_hourly": """
        SELECT e.policy_id, date_trunc('hour', v.happened_at, 'UTC') AS hour,
               count(*) FILTER (WHERE v.from_state IS NULL) AS opened,
               count(*) FILTER (WHERE v.to_state = 'dispatched') AS dispatched,
               count(*) FILTER (WHERE v.to_state = 'done') AS done,
               count(*) FILTER (WHERE v.to_state = 'dead') AS dead
        FROM entry_events v JOIN entries e USING (entry_id)
        WHERE v.from_state IS DISTINCT FROM v.to_state
        GROUP BY e.policy_id, date_trunc('hour', v.happened_at, 'UTC')
    """,
    "lane_depth": """
        SELECT policy_id, lane, tier, state, count(*) AS entries, min(due_at) AS next_due_at,
               count(*) FILTER (WHERE due_at <= now()
                                  AND state IN ('waiting', 'dispatched', 'adjudicating'))
                   AS overdue
        FROM entries GROUP BY policy_id, lane, tier, state
    """,
    "lane_age": """
        SELECT policy_id, lane, tier, state,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY age) AS median_seconds,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY age) AS p90_seconds,
               percentile_cont(0.99) WITHIN GROUP (ORDER BY age) AS p99_seconds,
               max(age) AS oldest_seconds, count(*) AS entries
        FROM (
            SELECT policy_id, lane, tier, state,
                   extract(epoch FROM now() - opened_at)::float8 AS age
            FROM open_items JOIN entries USING (entry_id)
        ) open_entries GROUP BY policy_id, lane, tier, state
    """,
    "lane_throughput_hourly": """
        SELECT e.policy_id, v.lane, date_trunc('hour', v.happened_at, 'UTC') AS hour,
               count(*) FILTER (WHERE v.from_state IS NULL) AS opened,
               count(*) FILTER (WHERE v.to_state = 'dispatched') AS dispatched,
               count(*) FILTER (WHERE v.to_state = 'done') AS done,
               count(*) FILTER (WHERE v.to_state = 'dead') AS dead
        FROM entry_events v JOIN entries e USING (entry_id)
        WHERE v.from_state IS DISTINCT FROM v.to_state
        GROUP BY e.policy_id, v.lane, date_trunc('hour', v.happened_at, 'UTC')
    """,
    # Closed by an answer, or still open; what was withdrawn or parked keeps no promise.
    "lane_sla": """
        SELECT policy_id, lane, tier,
               count(*) FILTER (WHERE state = 'done' AND closed_at <= due_at) AS in_time,
               count(*) FILTER (WHERE state = 'done' AND closed_at > due_at) AS late,
               count(*) FILTER (WHERE state <> 'done' AND due_at <= now()) AS overdue,
               max(extract(epoch FROM coalesce(closed_at, now()) - due_at))
                   FILTER (WHERE coalesce(closed_at, now()) > due_at)::float8 AS worst_late_seconds
        FROM entries WHERE state IN ('waiting', 'dispatched', 'adjudicating', 'done')
        GROUP BY policy_id, lane, tier
    """,
    "lane_overflow_daily": """
        SELECT b.policy_id, o.lane, date_trunc('day', o.recorded_at, 'UTC') AS day, o.reason,
               count(*) AS picks
        FROM overflows o JOIN batches b USING (batch_id)
        GROUP BY b.policy_id, o.lane, date_trunc('day', o.recorded_at, 'UTC'), o.reason
    """,
    # Tools that pull work; Label Studio's own skips are in reviewer_daily.
    "holder_daily": """
        SELECT holder, day, sum(claimed)::bigint AS claimed, sum(skipped)::bigint AS skipped
        FROM (
            SELECT holder, date_trunc('day', claimed_at, 'UTC') AS day,
                   cardinality(entry_ids) AS claimed, 0 AS skipped
            FROM leases
            UNION ALL
            SELECT holder, date_trunc('day', happened_at, 'UTC'), 0, 1
            FROM handled WHERE outcome = 'skipped'
        ) told GROUP BY holder, day
    """,
    "loop_lag": """
        SELECT p.policy_id,
               (SELECT max(decided_at) FROM newest_decisions) AS newest_decision,
               (SELECT max(created_at) FROM batches b WHERE b.policy_id = p.policy_id)
                   AS newest_batch,
               (SELECT max(resolved_at) FROM labels l WHERE l.policy_id = p.policy_id)
                   AS newest_label,
               (SELECT max(created_at) FROM snapshots s WHERE s.policy_id = p.policy_id)
                   AS newest_snapshot,
               (SELECT max(promoted_at) FROM promotions m WHERE m.policy_name = p.name)
                   AS newest_promotion,
               (SELECT count(DISTINCT l.entry_id) FROM labels_by_policy l
                WHERE l.for_policy_id = p.policy_id AND l.label_id > coalesce(
                    (SELECT max(last_label_id) FROM snapshots s
                     WHERE s.policy_id = p.policy_id), 0)) AS entries_since_snapshot
        FROM policies p
    """,
    "reviewer_daily": """
        SELECT reviewer, stage, date_trunc('day', updated_at, 'UTC') AS day,
               count(*) FILTER (WHERE kind = 'submitted') AS submitted,
               count(*) FILTER (WHERE kind = 'skipped') AS skipped,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY lead_seconds) AS median_seconds
        FROM (
            SELECT DISTINCT ON (unique_id) * FROM annotations
            ORDER BY unique_id, updated_at DESC
        ) newest WHERE kind <> 'deleted'
        GROUP BY reviewer, stage, date_trunc('day', updated_at, 'UTC')
    """,
    "label_counts": """
        SELECT policy_id, category, count(*) AS labels,
               count(*) FILTER (WHERE value) AS violations,
               count(*) FILTER (WHERE decided_by = 'adjudication') AS adjudicated
        FROM current_labels GROUP BY policy_id, category
    """,
    # Share of vote pairs on the same question that agree; raw agreement, first reviews only.
    "agreement": """
        SELECT e.policy_id, a.category, count(*) AS pairs,
               avg((a.answer = b.answer)::int)::float8 AS agreement
        FROM (SELECT v.entry_id, v.reviewer, k.key AS category, k.value AS answer
              FROM current_votes v, jsonb_each(v.answers) k WHERE v.stage = 'review') a
        JOIN (SELECT v.entry_id, v.reviewer, k.key AS category, k.value AS answer
              FROM current_votes v, jsonb_each(v.answers) k WHERE v.stage = 'review') b
          ON a.entry_id = b.entry_id AND a.category = b.category AND a.reviewer < b.reviewer
        JOIN entries e ON e.entry_id = a.entry_id
        GROUP BY e.policy_id, a.category
    """,
    "batch_yield": """
        SELECT e.batch_id, p.share, p.strategy, count(*) AS picks,
               count(*) FILTER (WHERE e.state = 'done') AS done,
               count(*) FILTER (WHERE found.entry_id IS NOT NULL) AS violations
        FROM entries e
        JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
        LEFT JOIN (SELECT DISTINCT entry_id FROM current_labels WHERE value) found USING (entry_id)
        GROUP BY e.batch_id, p.share, p.strategy
    """,
    "online_metrics": """
        SELECT policy_id, model_version, window_start, window_end, metric, category,
               slice_name, slice_value, kind, value, low, high, n, n_effective, unstable,
               code, method, measured_at
        FROM measurements
    """,
    # Near copies: see hitl/twins.
    "twin_clusters": """
        SELECT s.name AS scheme, coalesce(sum(c.items), 0)::bigint AS items,
               coalesce(sum(c.forms), 0)::bigint AS forms, count(c.pivot_id) AS clusters,
               count(*) FILTER (WHERE c.items > 1) AS shared,
               coalesce(max(c.items), 0) AS largest
        FROM twin_schemes s
        LEFT JOIN (
            SELECT f.scheme_id, f.pivot_id, count(*) AS items,
                   count(DISTINCT f.form_id) AS forms
            FROM twin_items t JOIN twin_forms f USING (form_id) GROUP BY f.scheme_id, f.pivot_id
        ) c USING (scheme_id)
        GROUP BY s.name
    """,
    # A shadow's decision beside the newest that was acted on, of the same item.
    "shadow_comparison": """
        SELECT date_trunc('day', s.decided_at, 'UTC') AS day, s.model_version AS shadow_model,
               p.model_version AS production_model, said.key AS category,
               count(*) AS decisions,
               count(*) FILTER (WHERE s.action IS NOT NULL AND p.action IS NOT NULL)
                   AS actions_compared,
               avg((s.action = p.action)::int)::float8 AS action_agreement,
               count(d.difference) AS scores_compared,
               avg(d.difference)::float8 AS mean_difference,
               avg(abs(d.difference))::float8 AS mean_absolute_difference,
               max(abs(d.difference))::float8 AS largest_difference
        FROM decisions s
        JOIN LATERAL (
            SELECT * FROM decisions o WHERE o.item_id = s.item_id AND NOT o.is_shadow
            ORDER BY o.decided_at DESC, o.model_version DESC LIMIT 1
        ) p ON true
        CROSS JOIN LATERAL jsonb_each(s.probabilities) said
        CROSS JOIN LATERAL (
            SELECT said.value::float8 - (p.probabilities ->> said.key)::float8 AS difference
        ) d
        WHERE s.is_shadow
        GROUP BY date_trunc('day', s.decided_at, 'UTC'), s.model_version, p.model_version, said.key
    """,
    "proposals": """
        SELECT policy_id, count(*) AS offers, count(*) FILTER (WHERE is_audited) AS audited,
               count(*) FILTER (WHERE is_audited AND is_answered) AS answered,
               count(*) FILTER (WHERE is_audited AND is_answered AND is_wrong) AS wrong
        FROM checked_proposals GROUP BY policy_id
    """,
    "certificates": """
        SELECT certificate_id, policy_id, model_version, category, slice_name, slice_value, metric,
               attempt, at_least, confidence, threshold, n, n_errors, shortfall, more_labels,
               issued_at, expires_at, withdrawn_at, withdrawn_why,
               threshold IS NOT NULL AND withdrawn_at IS NULL AND expires_at > now() AS stands
        FROM certificates
    """,
    "verdicts": """
        SELECT v.verdict_id, m.policy_name, v.challenger, v.champion, v.decision, v.judged_at,
               v.snapshot_id, v.recipe_id, v.reasons -> 0 ->> 'words' AS decided_by, v.reasons,
               p.promoted_at, p.approved_by, p.note,
               p.promoted_at IS NOT NULL AND v.decision <> 'promote' AS is_forced
        FROM verdicts v
        JOIN model_versions m ON m.model_version = v.challenger
        LEFT JOIN promotions p ON p.verdict_id = v.verdict_id
    """,
    # One row a look; a backlog that nobody has looked at has one with no look.
    "backlog_certificates": """
        SELECT b.name AS backlog, b.policy_id, b.category, b.at_least, b.confidence, b.items,
               b.opened_at, l.look, l.alpha, l.drawn_at, l.unreviewed, l.drawn, l.found_before,
               l.violating_in_draw, l.lost, l.found_since, l.found, l.missed_at_most,
               l.recall_at_least, l.is_certified, l.certified_at
        FROM backlogs b LEFT JOIN backlog_looks l USING (backlog_id)
    """,
    # `windows`: from the first to the newest above it, so many that share no decision.
    "alarms": """
        SELECT alarm_id, policy_id, model_version, kind, category, slice_name, slice_value,
               metric, statistic, bar, p_value, level, evidence, effect, effect_low, effect_high,
               n_reference, n_window, reference_start, window_start, window_end, raised_at,
               last_above,
               CASE WHEN kind = 'certificate' THEN 1 ELSE 1 + floor(
                   extract(epoch FROM last_above - window_end)
                   / extract(epoch FROM window_end - window_start)) END::integer AS windows,
               acknowledged_at, acknowledged_by, note, ended_at, ended_why,
               ended_at IS NULL AS stands
        FROM alarms
    """,
    "retrain_decisions": """
        SELECT d.decision_id, d.policy_id, d.recipe_id, d.model_version, d.decided_at, d.retrain,
               d.new_labels, w.place::integer AS place, w.why ->> 'rule' AS rule,
               (w.why ->> 'fired')::boolean AS fired, (w.why ->> 'value')::float8 AS value,
               (w.why ->> 'bar')::float8 AS bar, (w.why ->> 'low')::float8 AS low,
               (w.why ->> 'high')::float8 AS high, w.why ->> 'code' AS code,
               w.why ->> 'words' AS words
        FROM retrain_decisions d
        CROSS JOIN LATERAL jsonb_array_elements(d.reasons) WITH ORDINALITY w (why, place)
    """,
    "model_versions": """
        SELECT m.model_version, m.policy_name, m.state, m.snapshot_id, m.trained_at,
               s.examples, s.labels,
               (SELECT max(promoted_at) FROM promotions p
                WHERE p.model_version = m.model_version) AS promoted_at
        FROM model_versions m JOIN snapshots s USING (snapshot_id)
    """,
}

DASHBOARD_ROLE = "hitl_dashboard"

# Roles live in the cluster, not in the database: another database may have made it already, or a
# DBA where our own login may not.
CREATE_ROLE = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{DASHBOARD_ROLE}') THEN
        CREATE ROLE {DASHBOARD_ROLE} NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'this login may not create roles; let an administrator run '
            'CREATE ROLE {DASHBOARD_ROLE} NOLOGIN; and migrate again'
            USING ERRCODE = 'insufficient_privilege';
END $$
"""

# The schema public stays as it is, because others may live there: no table of ours is granted to
# PUBLIC, so the role reads its views and nothing else.
GRANTS = (
    f"GRANT USAGE ON SCHEMA dashboard TO {DASHBOARD_ROLE}",
    f"GRANT SELECT ON ALL TABLES IN SCHEMA dashboard TO {DASHBOARD_ROLE}",
)
