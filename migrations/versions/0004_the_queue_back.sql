-- What a tool has claimed waits again: there is nobody any more to give it back.
UPDATE entries SET state = 'waiting' WHERE lease_id IS NOT NULL
-- next --
DROP VIEW dashboard.holder_daily
-- next --
DROP VIEW dashboard.lane_overflow_daily
-- next --
DROP VIEW dashboard.lane_sla
-- next --
DROP VIEW dashboard.lane_throughput_hourly
-- next --
DROP VIEW dashboard.lane_age
-- next --
DROP VIEW dashboard.lane_depth
-- next --
CREATE OR REPLACE VIEW dashboard.throughput_hourly AS 
        SELECT e.policy_id, date_trunc('hour', v.happened_at, 'UTC') AS hour,
               count(*) FILTER (WHERE v.from_state IS NULL) AS opened,
               count(*) FILTER (WHERE v.to_state = 'dispatched') AS dispatched,
               count(*) FILTER (WHERE v.to_state = 'done') AS done,
               count(*) FILTER (WHERE v.to_state = 'dead') AS dead
        FROM entry_events v JOIN entries e USING (entry_id)
        GROUP BY e.policy_id, date_trunc('hour', v.happened_at, 'UTC')
-- next --
DROP TRIGGER entries_append_only ON entries;
DROP TRIGGER entries_never_deleted ON entries;
DROP TRIGGER entries_check_start ON entries;
DROP TRIGGER entries_check_move ON entries;
DROP TRIGGER entries_log_start ON entries;
DROP TRIGGER entries_log_move ON entries;
DROP TRIGGER snapshots_append_only ON snapshots;
DROP TRIGGER snapshots_never_deleted ON snapshots;
DROP TRIGGER model_versions_append_only ON model_versions;
DROP TRIGGER model_versions_never_deleted ON model_versions;
DROP FUNCTION check_entry_move();
DROP FUNCTION log_entry_move()
-- next --
DROP TABLE breaches
-- next --
DROP TABLE skills
-- next --
DROP TABLE handled
-- next --
DROP TABLE overflows
-- next --
DROP TABLE reaches
-- next --
DROP TABLE leases
-- next --
DROP INDEX ix_entries_waiting;
DROP INDEX ix_entries_waiting_lane;
DROP INDEX ix_entries_escalated;
ALTER TABLE entries DROP CONSTRAINT ck_entries_leased;
ALTER TABLE entries DROP COLUMN lane, DROP COLUMN tier, DROP COLUMN worth, DROP COLUMN due_at,
    DROP COLUMN turn_at, DROP COLUMN lease_id, DROP COLUMN failures;
ALTER TABLE entry_events DROP COLUMN lane, DROP COLUMN tier, DROP COLUMN lease_id, DROP COLUMN reason;
ALTER TABLE entry_events ADD CONSTRAINT fk_entry_events_entry_id
    FOREIGN KEY (entry_id) REFERENCES entries (entry_id);
ALTER TABLE items DROP COLUMN market, DROP COLUMN modality;
CREATE INDEX ix_entries_waiting ON entries (priority DESC, entry_id) WHERE state = 'waiting'
-- next --
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
-- next --
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change('state', 'priority', 'reason', 'closed_at');
CREATE TRIGGER snapshots_append_only BEFORE UPDATE OR DELETE ON snapshots FOR EACH ROW EXECUTE FUNCTION refuse_change('path', 'last_label_id');
CREATE TRIGGER model_versions_append_only BEFORE UPDATE OR DELETE ON model_versions FOR EACH ROW EXECUTE FUNCTION refuse_change('state', 'path')
