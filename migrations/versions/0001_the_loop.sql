CREATE FUNCTION check_entry_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'waiting' THEN
            RAISE EXCEPTION 'entry for item %: a new entry starts waiting, not %',
                NEW.item_id, NEW.state USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.state IS DISTINCT FROM OLD.state THEN
        IF NOT EXISTS (
            SELECT 1 FROM entry_moves WHERE from_state = OLD.state AND to_state = NEW.state
        ) THEN
            RAISE EXCEPTION 'entry %: no legal move from % to %',
                OLD.entry_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
        END IF;
        NEW.closed_at := CASE
            WHEN NEW.state IN ('done', 'withdrawn', 'dead') THEN clock_timestamp()
        END;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER entries_check_move BEFORE INSERT OR UPDATE ON entries
    FOR EACH ROW EXECUTE FUNCTION check_entry_move();

CREATE FUNCTION log_entry_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO entry_events (entry_id, from_state, to_state)
        VALUES (NEW.entry_id, NULL, NEW.state);
    ELSIF NEW.state IS DISTINCT FROM OLD.state THEN
        INSERT INTO entry_events (entry_id, from_state, to_state)
        VALUES (NEW.entry_id, OLD.state, NEW.state);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER entries_log_move AFTER INSERT OR UPDATE ON entries
    FOR EACH ROW EXECUTE FUNCTION log_entry_move();

-- Its arguments name the columns that may change all the same.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_NARGS > 0 THEN
        IF to_jsonb(NEW) - TG_ARGV = to_jsonb(OLD) - TG_ARGV THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION '% keeps what was written; only % may change',
            TG_TABLE_NAME, array_to_string(TG_ARGV, ', ') USING ERRCODE = 'check_violation';
    END IF;
    RAISE EXCEPTION '% is append-only; add a new row instead', TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END $$;
-- next --
CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE ON decisions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decisions_never_emptied BEFORE TRUNCATE ON decisions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER conflicts_append_only BEFORE UPDATE OR DELETE ON conflicts FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER conflicts_never_emptied BEFORE TRUNCATE ON conflicts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER policies_append_only BEFORE UPDATE OR DELETE ON policies FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policies_never_emptied BEFORE TRUNCATE ON policies FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER policy_categories_append_only BEFORE UPDATE OR DELETE ON policy_categories FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_categories_never_emptied BEFORE TRUNCATE ON policy_categories FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER recipes_append_only BEFORE UPDATE OR DELETE ON recipes FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER recipes_never_emptied BEFORE TRUNCATE ON recipes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER batches_append_only BEFORE UPDATE OR DELETE ON batches FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER batches_never_emptied BEFORE TRUNCATE ON batches FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER picks_append_only BEFORE UPDATE OR DELETE ON picks FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER picks_never_emptied BEFORE TRUNCATE ON picks FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change('state', 'priority', 'reason', 'closed_at');
CREATE TRIGGER entries_never_emptied BEFORE TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER entry_events_append_only BEFORE UPDATE OR DELETE ON entry_events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_events_never_emptied BEFORE TRUNCATE ON entry_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER votes_append_only BEFORE UPDATE OR DELETE ON votes FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER votes_never_emptied BEFORE TRUNCATE ON votes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER labels_append_only BEFORE UPDATE OR DELETE ON labels FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER labels_never_emptied BEFORE TRUNCATE ON labels FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER snapshots_append_only BEFORE UPDATE OR DELETE ON snapshots FOR EACH ROW EXECUTE FUNCTION refuse_change('path', 'last_label_id');
CREATE TRIGGER snapshots_never_emptied BEFORE TRUNCATE ON snapshots FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER model_versions_append_only BEFORE UPDATE OR DELETE ON model_versions FOR EACH ROW EXECUTE FUNCTION refuse_change('state', 'path');
CREATE TRIGGER model_versions_never_emptied BEFORE TRUNCATE ON model_versions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER evaluations_append_only BEFORE UPDATE OR DELETE ON evaluations FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER evaluations_never_emptied BEFORE TRUNCATE ON evaluations FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER verdicts_append_only BEFORE UPDATE OR DELETE ON verdicts FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER verdicts_never_emptied BEFORE TRUNCATE ON verdicts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER promotions_append_only BEFORE UPDATE OR DELETE ON promotions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER promotions_never_emptied BEFORE TRUNCATE ON promotions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
INSERT INTO entry_moves (from_state, to_state) VALUES
    ('waiting', 'dispatched'),
    ('waiting', 'withdrawn'),
    ('waiting', 'dead'),
    ('dispatched', 'done'),
    ('dispatched', 'adjudicating'),
    ('dispatched', 'waiting'),
    ('dispatched', 'withdrawn'),
    ('dispatched', 'dead'),
    ('adjudicating', 'done'),
    ('adjudicating', 'dispatched'),
    ('adjudicating', 'withdrawn'),
    ('adjudicating', 'dead'),
    ('done', 'dispatched'),
    ('done', 'adjudicating'),
    ('dead', 'waiting')
-- next --
CREATE VIEW current_votes AS 
        SELECT DISTINCT ON (v.entry_id, v.stage, v.reviewer) v.*
        FROM (
            SELECT DISTINCT ON (unique_id) unique_id, updated_at, kind
            FROM annotations ORDER BY unique_id, updated_at DESC
        ) newest
        JOIN votes v USING (unique_id, updated_at)
        WHERE newest.kind = 'submitted'
        ORDER BY v.entry_id, v.stage, v.reviewer, v.updated_at DESC
-- next --
CREATE VIEW current_labels AS 
        SELECT newest.* FROM (
            SELECT DISTINCT ON (entry_id, category) * FROM labels
            ORDER BY entry_id, category, revision DESC
        ) newest WHERE newest.value IS NOT NULL
-- next --
CREATE VIEW labels_by_policy AS 
        SELECT asking.policy_id AS for_policy_id, l.*
        FROM current_labels l
        JOIN policy_categories asked
          ON asked.policy_id = l.policy_id AND asked.category = l.category
        JOIN policy_categories asking
          ON asking.category = asked.category AND asking.meaning = asked.meaning
-- next --
CREATE VIEW related_policies AS 
        SELECT DISTINCT a.policy_id, b.policy_id AS related_id
        FROM policy_categories a
        JOIN policy_categories b ON b.category = a.category AND b.meaning = a.meaning
-- next --
CREATE VIEW examples AS 
        SELECT DISTINCT ON (item_id, policy_id) * FROM (
            SELECT l.item_id, l.for_policy_id AS policy_id, l.entry_id, e.batch_id,
                   i.text, i.language, i.surface,
                   coalesce(i.group_id, i.content_hash, i.item_id) AS group_id,
                   jsonb_object_agg(l.category, l.value ORDER BY l.category) AS labels,
                   min(l.weight) AS example_weight,
                   p.inclusion_probability, p.share, p.strategy,
                   max(l.label_id) AS last_label_id
            FROM labels_by_policy l
            JOIN entries e USING (entry_id)
            JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
            JOIN items i ON i.item_id = l.item_id
            WHERE i.text IS NOT NULL
            GROUP BY l.item_id, l.for_policy_id, l.entry_id, e.batch_id, i.text, i.language,
                     i.surface, i.group_id, i.content_hash, i.item_id,
                     p.inclusion_probability, p.share, p.strategy
        ) every ORDER BY item_id, policy_id, entry_id DESC
-- next --
CREATE SCHEMA dashboard
-- next --
CREATE VIEW dashboard.queue_depth AS 
        SELECT policy_id, state, count(*) AS entries, max(priority) AS highest_priority
        FROM entries GROUP BY policy_id, state
-- next --
CREATE VIEW dashboard.queue_age AS 
        SELECT policy_id, state,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY age) AS median_seconds,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY age) AS p90_seconds,
               max(age) AS oldest_seconds, count(*) AS entries
        FROM (
            SELECT policy_id, state, extract(epoch FROM now() - opened_at)::float8 AS age
            FROM entries WHERE state IN ('waiting', 'dispatched', 'adjudicating')
        ) open_entries GROUP BY policy_id, state
-- next --
CREATE VIEW dashboard.throughput_hourly AS 
        SELECT e.policy_id, date_trunc('hour', v.happened_at, 'UTC') AS hour,
               count(*) FILTER (WHERE v.from_state IS NULL) AS opened,
               count(*) FILTER (WHERE v.to_state = 'dispatched') AS dispatched,
               count(*) FILTER (WHERE v.to_state = 'done') AS done,
               count(*) FILTER (WHERE v.to_state = 'dead') AS dead
        FROM entry_events v JOIN entries e USING (entry_id)
        GROUP BY e.policy_id, date_trunc('hour', v.happened_at, 'UTC')
-- next --
CREATE VIEW dashboard.loop_lag AS 
        SELECT p.policy_id,
               (SELECT max(decided_at) FROM decisions) AS newest_decision,
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
-- next --
CREATE VIEW dashboard.reviewer_daily AS 
        SELECT reviewer, stage, date_trunc('day', updated_at, 'UTC') AS day,
               count(*) FILTER (WHERE kind = 'submitted') AS submitted,
               count(*) FILTER (WHERE kind = 'skipped') AS skipped,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY lead_seconds) AS median_seconds
        FROM (
            SELECT DISTINCT ON (unique_id) * FROM annotations
            ORDER BY unique_id, updated_at DESC
        ) newest WHERE kind <> 'deleted'
        GROUP BY reviewer, stage, date_trunc('day', updated_at, 'UTC')
-- next --
CREATE VIEW dashboard.label_counts AS 
        SELECT policy_id, category, count(*) AS labels,
               count(*) FILTER (WHERE value) AS violations,
               count(*) FILTER (WHERE decided_by = 'adjudication') AS adjudicated
        FROM current_labels GROUP BY policy_id, category
-- next --
CREATE VIEW dashboard.agreement AS 
        SELECT e.policy_id, a.category, count(*) AS pairs,
               avg((a.answer = b.answer)::int)::float8 AS agreement
        FROM (SELECT v.entry_id, v.reviewer, k.key AS category, k.value AS answer
              FROM current_votes v, jsonb_each(v.answers) k WHERE v.stage = 'review') a
        JOIN (SELECT v.entry_id, v.reviewer, k.key AS category, k.value AS answer
              FROM current_votes v, jsonb_each(v.answers) k WHERE v.stage = 'review') b
          ON a.entry_id = b.entry_id AND a.category = b.category AND a.reviewer < b.reviewer
        JOIN entries e ON e.entry_id = a.entry_id
        GROUP BY e.policy_id, a.category
-- next --
CREATE VIEW dashboard.batch_yield AS 
        SELECT e.batch_id, p.share, p.strategy, count(*) AS picks,
               count(*) FILTER (WHERE e.state = 'done') AS done,
               count(*) FILTER (WHERE found.entry_id IS NOT NULL) AS violations
        FROM entries e
        JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
        LEFT JOIN (SELECT DISTINCT entry_id FROM current_labels WHERE value) found USING (entry_id)
        GROUP BY e.batch_id, p.share, p.strategy
-- next --
CREATE VIEW dashboard.online_metrics AS 
        SELECT policy_id, model_version, window_start, window_end, metric, category,
               slice_name, slice_value, kind, value, low, high, n, n_effective, unstable,
               code, method, measured_at
        FROM measurements
-- next --
CREATE VIEW dashboard.model_versions AS 
        SELECT m.model_version, m.policy_name, m.state, m.snapshot_id, m.trained_at,
               s.examples, s.labels,
               (SELECT max(promoted_at) FROM promotions p
                WHERE p.model_version = m.model_version) AS promoted_at
        FROM model_versions m JOIN snapshots s USING (snapshot_id)
-- next --
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hitl_dashboard') THEN
        CREATE ROLE hitl_dashboard NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'this login may not create roles; let an administrator run '
            'CREATE ROLE hitl_dashboard NOLOGIN; and migrate again'
            USING ERRCODE = 'insufficient_privilege';
END $$
-- next --
GRANT USAGE ON SCHEMA dashboard TO hitl_dashboard
-- next --
GRANT SELECT ON ALL TABLES IN SCHEMA dashboard TO hitl_dashboard
