-- Whoever writes entries waits until all of this is done.
LOCK TABLE entries IN ACCESS EXCLUSIVE MODE
-- next --
CREATE TABLE open_items (
    item_id TEXT NOT NULL,
    entry_id BIGINT NOT NULL,
    CONSTRAINT pk_open_items PRIMARY KEY (item_id)
)
-- next --
CREATE TABLE turns (
    entry_id BIGINT NOT NULL,
    lane TEXT NOT NULL,
    tier SMALLINT NOT NULL,
    turn_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_turns PRIMARY KEY (entry_id)
)
-- next --
INSERT INTO open_items (item_id, entry_id)
SELECT item_id, entry_id FROM entries WHERE state IN ('waiting', 'dispatched', 'adjudicating')
-- next --
INSERT INTO turns (entry_id, lane, tier, turn_at, due_at)
SELECT entry_id, lane, tier, turn_at, due_at FROM entries WHERE state = 'waiting'
-- next --
CREATE INDEX ix_turns_tier_turn_at ON turns (tier, turn_at, due_at, entry_id)
-- next --
CREATE INDEX ix_turns_tier_lane_turn_at ON turns (tier, lane, turn_at, due_at, entry_id)
-- next --
CREATE OR REPLACE VIEW dashboard.queue_age AS SELECT policy_id, state,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY age) AS median_seconds,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY age) AS p90_seconds,
               max(age) AS oldest_seconds, count(*) AS entries
        FROM (
            SELECT policy_id, state, extract(epoch FROM now() - opened_at)::float8 AS age
            FROM open_items JOIN entries USING (entry_id)
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
            FROM open_items JOIN entries USING (entry_id)
        ) open_entries GROUP BY policy_id, lane, tier, state
-- next --
DROP INDEX uq_entries_one_open_an_item, ix_entries_waiting, ix_entries_waiting_lane, ix_entries_escalated
-- next --
ALTER TABLE entries SET (fillfactor = 80);
ALTER TABLE turns SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
-- next --
DROP TRIGGER entries_check_move ON entries
-- next --
CREATE TRIGGER entries_check_move BEFORE UPDATE ON entries
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state AND NOT (
        OLD.state = 'waiting' AND NEW.state = 'dispatched' AND NEW.closed_at IS NULL
        OR OLD.state = 'dispatched' AND NEW.state = 'done' AND NEW.closed_at IS NOT NULL
           AND NEW.lease_id IS NULL
    )) EXECUTE FUNCTION check_entry_move();
-- next --
CREATE FUNCTION place_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    waited bigint[];
    was_closed boolean;
    closed bigint[];
    closed_items text[];
    waits boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO open_items (item_id, entry_id) SELECT item_id, entry_id FROM made;
        INSERT INTO turns (entry_id, lane, tier, turn_at, due_at)
        SELECT entry_id, lane, tier, turn_at, due_at FROM made;
        RETURN NULL;
    END IF;
    SELECT array_agg(entry_id) FILTER (WHERE state = 'waiting'),
           bool_or(closed_at IS NOT NULL)
    INTO waited, was_closed FROM before_it;
    SELECT array_agg(entry_id) FILTER (WHERE closed_at IS NOT NULL),
           array_agg(item_id) FILTER (WHERE closed_at IS NOT NULL), bool_or(state = 'waiting')
    INTO closed, closed_items, waits FROM after_it;
    IF waited IS NOT NULL THEN
        DELETE FROM turns WHERE entry_id = ANY(waited);
    END IF;
    IF waits THEN
        INSERT INTO turns (entry_id, lane, tier, turn_at, due_at)
        SELECT entry_id, lane, tier, turn_at, due_at FROM after_it WHERE state = 'waiting';
    END IF;
    IF closed IS NOT NULL THEN
        DELETE FROM open_items WHERE item_id = ANY(closed_items) AND entry_id = ANY(closed);
    END IF;
    IF was_closed THEN
        INSERT INTO open_items (item_id, entry_id)
        SELECT a.item_id, a.entry_id FROM after_it a JOIN before_it b USING (entry_id)
        WHERE a.closed_at IS NULL AND b.closed_at IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;
-- next --
CREATE TRIGGER entries_place_start AFTER INSERT ON entries
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION place_entries();
-- next --
CREATE TRIGGER entries_place_move AFTER UPDATE ON entries
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION place_entries();
-- next --
CREATE FUNCTION expire_leases(failures_before_dead int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    taken bigint;
BEGIN
    WITH over AS (
        SELECT lease_id, entry_ids FROM leases
        WHERE ended_at IS NULL AND expires_at <= now()
        ORDER BY lease_id LIMIT 100 FOR UPDATE SKIP LOCKED
    ),
    held AS (
        SELECT e.entry_id FROM over JOIN entries e
          ON e.entry_id = ANY(over.entry_ids) AND e.lease_id = over.lease_id
        ORDER BY e.entry_id FOR NO KEY UPDATE OF e
    ),
    back AS (
        UPDATE entries e
        SET state = CASE WHEN e.failures + 1 >= failures_before_dead THEN 'dead' ELSE 'waiting' END,
            reason = CASE WHEN e.failures + 1 >= failures_before_dead
                          THEN 'no answer in ' || (e.failures + 1) || ' leases' END,
            lease_id = NULL, failures = e.failures + 1
        FROM held WHERE e.entry_id = held.entry_id
        RETURNING e.entry_id
    ),
    ended AS (
        UPDATE leases l SET ended_at = clock_timestamp(), held = 0 FROM over
        WHERE l.lease_id = over.lease_id
    )
    SELECT count(*) FROM back INTO taken;
    RETURN taken;
END $$;
-- next --
CREATE FUNCTION claim_entries(
    claimant text, lanes_asked text[], most int, seconds float8, failures_before_dead int
) RETURNS TABLE (
    lease_id bigint, token uuid, expires_at timestamptz, entry_ids bigint[], item_ids text[],
    lanes text[], tiers smallint[], due_ats timestamptz[]
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    every_lane_to int;
    whole_tiers int[];
    pair_lanes text[];
    pair_tiers int[];
    new_lease bigint;
    new_token uuid;
    until timestamptz;
    chosen bigint[];
    of_items text[];
    in_lanes text[];
    in_tiers smallint[];
    due timestamptz[];
BEGIN
    SELECT coalesce(max(s.tier), 0) INTO every_lane_to
    FROM skills s WHERE s.holder = claimant AND s.lane = '*';
    IF lanes_asked IS NULL THEN
        whole_tiers := ARRAY(SELECT generate_series(1, every_lane_to));
        SELECT array_agg(s.lane), array_agg(up.tier) INTO pair_lanes, pair_tiers
        FROM skills s CROSS JOIN generate_series(every_lane_to + 1, s.tier) AS up (tier)
        WHERE s.holder = claimant AND s.lane <> '*';
    ELSE
        whole_tiers := '{}';
        SELECT array_agg(asked.lane), array_agg(up.tier) INTO pair_lanes, pair_tiers
        FROM (SELECT DISTINCT unnest(lanes_asked) AS lane) asked
        LEFT JOIN skills s ON s.holder = claimant AND s.lane = asked.lane AND s.lane <> '*'
        CROSS JOIN generate_series(1, greatest(every_lane_to, coalesce(s.tier, 0)))
            AS up (tier);
    END IF;
    IF cardinality(whole_tiers) + coalesce(cardinality(pair_lanes), 0) = 0 THEN
        RETURN;
    END IF;

    IF EXISTS (SELECT FROM leases l WHERE l.ended_at IS NULL AND l.expires_at <= now()) THEN
        PERFORM expire_leases(failures_before_dead);
    END IF;

    -- Locked in the order of turns; what moved in the meantime fails the state.
    IF pair_lanes IS NULL AND cardinality(whole_tiers) = 1 THEN
        SELECT array_agg(f.entry_id), array_agg(f.item_id), array_agg(f.lane),
               array_agg(f.tier), array_agg(f.due_at)
        INTO chosen, of_items, in_lanes, in_tiers, due
        FROM (
            SELECT e.entry_id, e.item_id, e.lane, e.tier, e.due_at
            FROM turns w JOIN entries e USING (entry_id)
            WHERE w.tier = whole_tiers[1] AND e.state = 'waiting'
          AND NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = e.entry_id AND t.stage = 'review')
          AND NOT EXISTS (SELECT FROM handled h
                          WHERE h.entry_id = e.entry_id AND h.holder = claimant)
            ORDER BY w.turn_at, w.due_at, w.entry_id
            LIMIT most FOR NO KEY UPDATE OF e SKIP LOCKED
        ) f;
    ELSIF cardinality(whole_tiers) = 0 AND cardinality(pair_lanes) = 1 THEN
        SELECT array_agg(f.entry_id), array_agg(f.item_id), array_agg(f.lane),
               array_agg(f.tier), array_agg(f.due_at)
        INTO chosen, of_items, in_lanes, in_tiers, due
        FROM (
            SELECT e.entry_id, e.item_id, e.lane, e.tier, e.due_at
            FROM turns w JOIN entries e USING (entry_id)
            WHERE w.tier = pair_tiers[1] AND w.lane = pair_lanes[1] AND e.state = 'waiting'
          AND NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = e.entry_id AND t.stage = 'review')
          AND NOT EXISTS (SELECT FROM handled h
                          WHERE h.entry_id = e.entry_id AND h.holder = claimant)
            ORDER BY w.turn_at, w.due_at, w.entry_id
            LIMIT most FOR NO KEY UPDATE OF e SKIP LOCKED
        ) f;
    ELSE
        FOR ahead IN 2..100 BY 98 LOOP
            SELECT array_agg(f.entry_id), array_agg(f.item_id), array_agg(f.lane),
               array_agg(f.tier), array_agg(f.due_at)
        INTO chosen, of_items, in_lanes, in_tiers, due
        FROM (
            SELECT e.entry_id, e.item_id, e.lane, e.tier, e.due_at
            FROM (
                SELECT one.* FROM unnest(whole_tiers) AS s (tier)
                CROSS JOIN LATERAL (
                SELECT w.entry_id, w.turn_at, w.due_at FROM turns w JOIN entries e USING (entry_id)
                WHERE w.tier = s.tier AND e.state = 'waiting'
          AND NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = e.entry_id AND t.stage = 'review')
          AND NOT EXISTS (SELECT FROM handled h
                          WHERE h.entry_id = e.entry_id AND h.holder = claimant)
                ORDER BY w.turn_at, w.due_at, w.entry_id LIMIT most * ahead
            ) one
                UNION ALL
                SELECT one.* FROM unnest(pair_tiers, pair_lanes) AS s (tier, lane)
                CROSS JOIN LATERAL (
                SELECT w.entry_id, w.turn_at, w.due_at FROM turns w JOIN entries e USING (entry_id)
                WHERE w.tier = s.tier AND w.lane = s.lane AND e.state = 'waiting'
          AND NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = e.entry_id AND t.stage = 'review')
          AND NOT EXISTS (SELECT FROM handled h
                          WHERE h.entry_id = e.entry_id AND h.holder = claimant)
                ORDER BY w.turn_at, w.due_at, w.entry_id LIMIT most * ahead
            ) one
                ORDER BY turn_at, due_at, entry_id LIMIT most * ahead
            ) w JOIN entries e USING (entry_id)
            WHERE true AND e.state = 'waiting'
          AND NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = e.entry_id AND t.stage = 'review')
          AND NOT EXISTS (SELECT FROM handled h
                          WHERE h.entry_id = e.entry_id AND h.holder = claimant)
            ORDER BY w.turn_at, w.due_at, w.entry_id
            LIMIT most FOR NO KEY UPDATE OF e SKIP LOCKED
        ) f;
            EXIT WHEN cardinality(chosen) = most;
        END LOOP;
    END IF;

    -- A statement of its own: only now, with the rows locked, are the intents of a dispatch that
    -- held them before us seen.
    IF EXISTS (SELECT FROM tasks t WHERE t.entry_id = ANY(chosen) AND t.stage = 'review') THEN
        SELECT array_agg(c.a), array_agg(c.b), array_agg(c.c), array_agg(c.d), array_agg(c.e)
        INTO chosen, of_items, in_lanes, in_tiers, due
        FROM unnest(chosen, of_items, in_lanes, in_tiers, due) AS c (a, b, c, d, e)
        WHERE NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = c.a AND t.stage = 'review');
    END IF;
    IF chosen IS NOT NULL THEN
        INSERT INTO leases AS l (holder, entry_ids, held, expires_at)
        VALUES (claimant, chosen, cardinality(chosen),
                clock_timestamp() + seconds * interval '1 second')
        RETURNING l.lease_id, l.token, l.expires_at INTO new_lease, new_token, until;
        UPDATE entries e SET state = 'dispatched', lease_id = new_lease
        WHERE e.entry_id = ANY(chosen);
    END IF;
    RETURN QUERY SELECT new_lease, new_token, until, chosen, of_items, in_lanes, in_tiers, due;
END $$;
-- next --
CREATE FUNCTION complete_entries(lease bigint, proof uuid, answered bigint[])
RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    who text;
    moved bigint[];
    of_several bigint[];
BEGIN
    SELECT l.holder INTO who FROM leases l
    WHERE l.lease_id = lease AND l.token = proof AND l.ended_at IS NULL FOR UPDATE;
    WITH left_it AS (
        UPDATE entries e
        SET lease_id = NULL, failures = 0, closed_at = clock_timestamp(), state = CASE
            WHEN votes_wanted <= 1 OR votes_wanted <= 1 + (
                SELECT count(*) FROM handled h
                WHERE h.entry_id = e.entry_id AND h.outcome = 'answered')
            THEN 'done' ELSE 'waiting' END
        WHERE who IS NOT NULL AND e.entry_id = ANY(answered) AND e.lease_id = lease
        RETURNING e.entry_id, e.votes_wanted
    )
    SELECT coalesce(array_agg(entry_id), '{}'),
           array_agg(entry_id) FILTER (WHERE votes_wanted > 1)
    INTO moved, of_several FROM left_it;
    IF of_several IS NOT NULL THEN
        INSERT INTO handled (entry_id, holder, outcome)
        SELECT one, who, 'answered' FROM unnest(of_several) one;
    END IF;
    UPDATE leases l
    SET held = greatest(held - cardinality(moved), 0),
        ended_at = CASE WHEN held <= cardinality(moved) THEN clock_timestamp() END
    WHERE who IS NOT NULL AND l.lease_id = lease;
    RETURN moved;
END $$;
-- next --
ANALYZE open_items, turns
