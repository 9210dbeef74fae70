LOCK TABLE entries IN ACCESS EXCLUSIVE MODE
-- next --
DROP FUNCTION claim_entries
-- next --
DROP FUNCTION complete_entries
-- next --
DROP FUNCTION expire_leases
-- next --
DROP TRIGGER entries_place_start ON entries
-- next --
DROP TRIGGER entries_place_move ON entries
-- next --
DROP FUNCTION place_entries
-- next --
DROP TRIGGER entries_check_move ON entries
-- next --
CREATE TRIGGER entries_check_move BEFORE UPDATE ON entries
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_entry_move()
-- next --
CREATE OR REPLACE VIEW dashboard.queue_age AS SELECT policy_id, state,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY age) AS median_seconds,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY age) AS p90_seconds,
               max(age) AS oldest_seconds, count(*) AS entries
        FROM (
            SELECT policy_id, state, extract(epoch FROM now() - opened_at)::float8 AS age
            FROM entries WHERE state IN ('waiting', 'dispatched', 'adjudicating')
        ) open_entries GROUP BY policy_id, state
-- next --
CREATE OR REPLACE VIEW dashboard.lane_age AS SELECT policy_id, lane, tier, state,
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
DROP TABLE turns
-- next --
DROP TABLE open_items
-- next --
ALTER TABLE entries RESET (fillfactor)
-- next --
CREATE UNIQUE INDEX uq_entries_one_open_an_item ON entries (item_id) WHERE state IN ('waiting', 'dispatched', 'adjudicating')
-- next --
CREATE INDEX ix_entries_waiting ON entries (turn_at, due_at, entry_id) WHERE state = 'waiting' AND tier = 1
-- next --
CREATE INDEX ix_entries_waiting_lane ON entries (lane, turn_at, due_at, entry_id) WHERE state = 'waiting' AND tier = 1
-- next --
CREATE INDEX ix_entries_escalated ON entries (tier, turn_at, due_at, entry_id) WHERE state = 'waiting' AND tier > 1
