CREATE TABLE reaches (
    item_id TEXT NOT NULL,
    views_per_hour DOUBLE PRECISION NOT NULL,
    measured_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_reaches PRIMARY KEY (item_id),
    CONSTRAINT ck_reaches_views_per_hour CHECK (views_per_hour >= 0 AND views_per_hour < 'infinity'),
    CONSTRAINT fk_reaches_item_id FOREIGN KEY(item_id) REFERENCES items (item_id)
)
-- next --
CREATE TABLE overflows (
    batch_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    share TEXT NOT NULL,
    strategy TEXT NOT NULL,
    rank INTEGER NOT NULL,
    inclusion_probability DOUBLE PRECISION,
    lane TEXT NOT NULL,
    reason TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_overflows PRIMARY KEY (batch_id, item_id),
    CONSTRAINT fk_overflows_batch_id FOREIGN KEY(batch_id) REFERENCES batches (batch_id),
    CONSTRAINT fk_overflows_item_id FOREIGN KEY(item_id) REFERENCES items (item_id)
)
-- next --
CREATE TABLE leases (
    lease_id BIGINT GENERATED ALWAYS AS IDENTITY,
    token UUID DEFAULT gen_random_uuid() NOT NULL,
    holder TEXT NOT NULL,
    entry_ids BIGINT[] NOT NULL,
    held INTEGER NOT NULL,
    claimed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_leases PRIMARY KEY (lease_id),
    CONSTRAINT ck_leases_holder CHECK (length(holder) BETWEEN 1 AND 200)
)
-- next --
CREATE INDEX ix_leases_holder_claimed_at ON leases (holder, claimed_at)
-- next --
CREATE INDEX ix_leases_running ON leases (expires_at) WHERE ended_at IS NULL
-- next --
CREATE TABLE handled (
    entry_id BIGINT NOT NULL,
    holder TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    happened_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_handled PRIMARY KEY (entry_id, holder),
    CONSTRAINT ck_handled_outcome CHECK (outcome IN ('skipped', 'answered')),
    CONSTRAINT fk_handled_entry_id FOREIGN KEY(entry_id) REFERENCES entries (entry_id)
)
-- next --
CREATE INDEX ix_handled_holder_happened_at ON handled (holder, happened_at)
-- next --
CREATE TABLE skills (
    holder TEXT NOT NULL,
    lane TEXT NOT NULL,
    tier SMALLINT DEFAULT 1 NOT NULL,
    CONSTRAINT pk_skills PRIMARY KEY (holder, lane),
    CONSTRAINT ck_skills_tier CHECK (tier BETWEEN 1 AND 9)
)
-- next --
CREATE TABLE breaches (
    entry_id BIGINT NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    lane TEXT NOT NULL,
    tier SMALLINT NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_breaches PRIMARY KEY (entry_id, due_at),
    CONSTRAINT fk_breaches_entry_id FOREIGN KEY(entry_id) REFERENCES entries (entry_id)
)
-- next --
ALTER TABLE items ADD COLUMN market text, ADD COLUMN modality text
-- next --
DROP TRIGGER entries_append_only ON entries;
DROP TRIGGER entries_check_move ON entries;
DROP TRIGGER entries_log_move ON entries;
DROP TRIGGER snapshots_append_only ON snapshots;
DROP TRIGGER model_versions_append_only ON model_versions;
DROP FUNCTION check_entry_move();
DROP FUNCTION log_entry_move();
ALTER TABLE entry_events DROP CONSTRAINT fk_entry_events_entry_id;
ALTER TABLE entry_events
    ADD COLUMN lane text NOT NULL DEFAULT 'unrouted',
    ADD COLUMN tier smallint NOT NULL DEFAULT 1,
    ADD COLUMN lease_id bigint,
    ADD COLUMN reason text;
ALTER TABLE entries
    ADD COLUMN lane text NOT NULL DEFAULT 'unrouted',
    ADD COLUMN tier smallint NOT NULL DEFAULT 1,
    ADD COLUMN worth double precision,
    ADD COLUMN due_at timestamptz NOT NULL DEFAULT now() + interval '1 day',
    ADD COLUMN turn_at timestamptz NOT NULL DEFAULT now() + interval '1 day',
    ADD COLUMN lease_id bigint,
    ADD COLUMN failures smallint NOT NULL DEFAULT 0,
    ADD CONSTRAINT ck_entries_tier CHECK (tier BETWEEN 1 AND 9),
    ADD CONSTRAINT ck_entries_leased CHECK (lease_id IS NULL OR state = 'dispatched')
-- next --
-- As the queue's own statement would place them: a day each, an hour sooner for every doubling of
-- the priority that they had. Audits keep the place that they were given beside the others.
UPDATE entries e SET
    worth = CASE WHEN p.share <> 'audit' THEN 1 - p.rank / (2.0 * s.picks) END,
    due_at = e.opened_at + interval '1 day',
    turn_at = e.opened_at + interval '1 day'
              - ln(least(greatest(e.priority, 1.0 / 1024), 1e6)) / ln(2.0) * interval '1 hour'
FROM picks p JOIN (SELECT batch_id, share, count(*) AS picks FROM picks GROUP BY 1, 2) s
  USING (batch_id, share)
WHERE p.batch_id = e.batch_id AND p.item_id = e.item_id
-- next --
DROP INDEX ix_entries_waiting
-- next --
CREATE INDEX ix_entries_escalated ON entries (tier, turn_at, due_at, entry_id) WHERE state = 'waiting' AND tier > 1
-- next --
CREATE INDEX ix_entries_waiting ON entries (turn_at, due_at, entry_id) WHERE state = 'waiting' AND tier = 1
-- next --
CREATE INDEX ix_entries_waiting_lane ON entries (lane, turn_at, due_at, entry_id) WHERE state = 'waiting' AND tier = 1
-- next --
CREATE FUNCTION check_entry_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION 'entry for item %: a new entry starts waiting, not %',
            NEW.item_id, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM entry_moves WHERE from_state = OLD.state AND to_state = NEW.state
    ) THEN
        RAISE EXCEPTION 'entry %: no legal move from % to %',
            OLD.entry_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> 'dispatched' THEN
        NEW.lease_id := NULL;
    END IF;
    IF OLD.state = 'dead' THEN
        NEW.failures := 0;
    END IF;
    NEW.closed_at := CASE
        WHEN NEW.state IN ('done', 'withdrawn', 'dead') THEN clock_timestamp()
    END;
    RETURN NEW;
END $$;

CREATE TRIGGER entries_check_start BEFORE INSERT ON entries
    FOR EACH ROW WHEN (NEW.state <> 'waiting') EXECUTE FUNCTION check_entry_move();
CREATE TRIGGER entries_check_move BEFORE UPDATE ON entries
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_entry_move();

-- Once a statement, not once a row: it halves what a move costs.
CREATE FUNCTION log_entry_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO entry_events (entry_id, from_state, to_state, lane, tier)
        SELECT entry_id, NULL, state, lane, tier FROM made;
    ELSE
        INSERT INTO entry_events (entry_id, from_state, to_state, lane, tier, lease_id, reason)
        SELECT a.entry_id, b.state, a.state, a.lane, a.tier,
               coalesce(a.lease_id, b.lease_id), a.reason
        FROM after_it a JOIN before_it b USING (entry_id)
        WHERE (a.state, a.lane, a.tier) IS DISTINCT FROM (b.state, b.lane, b.tier);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER entries_log_start AFTER INSERT ON entries
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION log_entry_move();
CREATE TRIGGER entries_log_move AFTER UPDATE ON entries
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION log_entry_move();

-- Its arguments name the columns that may change all the same; the trigger's WHEN sees to it.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_NARGS > 0 THEN
        RAISE EXCEPTION '% keeps what was written; only % may change',
            TG_TABLE_NAME, array_to_string(TG_ARGV, ', ') USING ERRCODE = 'check_violation';
    END IF;
    RAISE EXCEPTION '% is append-only; add a new row instead', TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END $$;
-- next --
CREATE TRIGGER entries_append_only BEFORE UPDATE ON entries FOR EACH ROW WHEN ((OLD.entry_id, OLD.item_id, OLD.batch_id, OLD.policy_id, OLD.worth, OLD.votes_wanted, OLD.opened_at) IS DISTINCT FROM (NEW.entry_id, NEW.item_id, NEW.batch_id, NEW.policy_id, NEW.worth, NEW.votes_wanted, NEW.opened_at)) EXECUTE FUNCTION refuse_change('state', 'lane', 'tier', 'priority', 'due_at', 'turn_at', 'lease_id', 'failures', 'reason', 'closed_at');
CREATE TRIGGER entries_never_deleted BEFORE DELETE ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER snapshots_append_only BEFORE UPDATE ON snapshots FOR EACH ROW WHEN ((OLD.snapshot_id, OLD.policy_id, OLD.examples, OLD.labels, OLD.created_at) IS DISTINCT FROM (NEW.snapshot_id, NEW.policy_id, NEW.examples, NEW.labels, NEW.created_at)) EXECUTE FUNCTION refuse_change('path', 'last_label_id');
CREATE TRIGGER snapshots_never_deleted BEFORE DELETE ON snapshots FOR EACH ROW EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER model_versions_append_only BEFORE UPDATE ON model_versions FOR EACH ROW WHEN ((OLD.model_version, OLD.policy_name, OLD.policy_id, OLD.recipe_id, OLD.snapshot_id, OLD.seed, OLD.digest, OLD.metrics, OLD.data_note, OLD.trained_at) IS DISTINCT FROM (NEW.model_version, NEW.policy_name, NEW.policy_id, NEW.recipe_id, NEW.snapshot_id, NEW.seed, NEW.digest, NEW.metrics, NEW.data_note, NEW.trained_at)) EXECUTE FUNCTION refuse_change('state', 'path');
CREATE TRIGGER model_versions_never_deleted BEFORE DELETE ON model_versions FOR EACH ROW EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER overflows_append_only BEFORE UPDATE OR DELETE ON overflows FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER overflows_never_emptied BEFORE TRUNCATE ON overflows FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER leases_append_only BEFORE UPDATE ON leases FOR EACH ROW WHEN ((OLD.lease_id, OLD.token, OLD.holder, OLD.entry_ids, OLD.claimed_at) IS DISTINCT FROM (NEW.lease_id, NEW.token, NEW.holder, NEW.entry_ids, NEW.claimed_at)) EXECUTE FUNCTION refuse_change('expires_at', 'held', 'ended_at');
CREATE TRIGGER leases_never_deleted BEFORE DELETE ON leases FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER leases_never_emptied BEFORE TRUNCATE ON leases FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER handled_append_only BEFORE UPDATE OR DELETE ON handled FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER handled_never_emptied BEFORE TRUNCATE ON handled FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER breaches_append_only BEFORE UPDATE OR DELETE ON breaches FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER breaches_never_emptied BEFORE TRUNCATE ON breaches FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE OR REPLACE VIEW dashboard.throughput_hourly AS 
        SELECT e.policy_id, date_trunc('hour', v.happened_at, 'UTC') AS hour,
               count(*) FILTER (WHERE v.from_state IS NULL) AS opened,
               count(*) FILTER (WHERE v.to_state = 'dispatched') AS dispatched,
               count(*) FILTER (WHERE v.to_state = 'done') AS done,
               count(*) FILTER (WHERE v.to_state = 'dead') AS dead
        FROM entry_events v JOIN entries e USING (entry_id)
        WHERE v.from_state IS DISTINCT FROM v.to_state
        GROUP BY e.policy_id, date_trunc('hour', v.happened_at, 'UTC')
-- next --
CREATE VIEW dashboard.lane_depth AS 
        SELECT policy_id, lane, tier, state, count(*) AS entries, min(due_at) AS next_due_at,
               count(*) FILTER (WHERE due_at <= now()
                                  AND state IN ('waiting', 'dispatched', 'adjudicating'))
                   AS overdue
        FROM entries GROUP BY policy_id, lane, tier, state
-- next --
CREATE VIEW dashboard.lane_age AS 
        SELECT policy_id, lane, tier, state,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY age) AS median_seconds,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY age) AS p90_seconds,
               percentile_cont(0.99) WITHIN GROUP (ORDER BY age) AS p99_seconds,
               max(age) AS oldest_seconds, count(*) AS entries
        FROM (
            SELECT policy_id, lane, tier, state,
                   extract(epoch FROM now() - opened_at)::float8 AS age
            FROM entries WHERE state IN ('waiting', 'dispatched', 'adjudicating')
        ) open_entries GROUP BY policy_id, lane, tier, state
-- next --
CREATE VIEW dashboard.lane_throughput_hourly AS 
        SELECT e.policy_id, v.lane, date_trunc('hour', v.happened_at, 'UTC') AS hour,
               count(*) FILTER (WHERE v.from_state IS NULL) AS opened,
               count(*) FILTER (WHERE v.to_state = 'dispatched') AS dispatched,
               count(*) FILTER (WHERE v.to_state = 'done') AS done,
               count(*) FILTER (WHERE v.to_state = 'dead') AS dead
        FROM entry_events v JOIN entries e USING (entry_id)
        WHERE v.from_state IS DISTINCT FROM v.to_state
        GROUP BY e.policy_id, v.lane, date_trunc('hour', v.happened_at, 'UTC')
-- next --
CREATE VIEW dashboard.lane_sla AS 
        SELECT policy_id, lane, tier,
               count(*) FILTER (WHERE state = 'done' AND closed_at <= due_at) AS in_time,
               count(*) FILTER (WHERE state = 'done' AND closed_at > due_at) AS late,
               count(*) FILTER (WHERE state <> 'done' AND due_at <= now()) AS overdue,
               max(extract(epoch FROM coalesce(closed_at, now()) - due_at))
                   FILTER (WHERE coalesce(closed_at, now()) > due_at)::float8 AS worst_late_seconds
        FROM entries WHERE state IN ('waiting', 'dispatched', 'adjudicating', 'done')
        GROUP BY policy_id, lane, tier
-- next --
CREATE VIEW dashboard.lane_overflow_daily AS 
        SELECT b.policy_id, o.lane, date_trunc('day', o.recorded_at, 'UTC') AS day, o.reason,
               count(*) AS picks
        FROM overflows o JOIN batches b USING (batch_id)
        GROUP BY b.policy_id, o.lane, date_trunc('day', o.recorded_at, 'UTC'), o.reason
-- next --
CREATE VIEW dashboard.holder_daily AS 
        SELECT holder, day, sum(claimed)::bigint AS claimed, sum(skipped)::bigint AS skipped
        FROM (
            SELECT holder, date_trunc('day', claimed_at, 'UTC') AS day,
                   cardinality(entry_ids) AS claimed, 0 AS skipped
            FROM leases
            UNION ALL
            SELECT holder, date_trunc('day', happened_at, 'UTC'), 0, 1
            FROM handled WHERE outcome = 'skipped'
        ) told GROUP BY holder, day
-- next --
GRANT SELECT ON ALL TABLES IN SCHEMA dashboard TO hitl_dashboard
