"""The queue's busiest moves as functions: one call each, and Postgres keeps how to do them.

`hitl.queue` says what they mean and calls them; nothing else does.
"""

from __future__ import annotations

# What this holder may have of what waits. Whose task Label Studio has or is about to have is its.
_FREE = """e.state = 'waiting'
          AND NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = e.entry_id AND t.stage = 'review')
          AND NOT EXISTS (SELECT FROM handled h
                          WHERE h.entry_id = e.entry_id AND h.holder = claimant)"""
# Of several stretches of the index Postgres would sort all that waits. So it is shown the first of
# each, `ahead` of them: more than are taken, for others may hold some.
_FIRST = f"""CROSS JOIN LATERAL (
                SELECT w.entry_id, w.turn_at, w.due_at FROM turns w JOIN entries e USING (entry_id)
                WHERE {{where}} AND {_FREE}
                ORDER BY w.turn_at, w.due_at, w.entry_id LIMIT most * ahead
            ) one"""  # noqa: S608
_CHOOSE = f"""SELECT array_agg(f.entry_id), array_agg(f.item_id), array_agg(f.lane),
               array_agg(f.tier), array_agg(f.due_at)
        INTO chosen, of_items, in_lanes, in_tiers, due
        FROM (
            SELECT e.entry_id, e.item_id, e.lane, e.tier, e.due_at
            FROM {{first}} w JOIN entries e USING (entry_id)
            WHERE {{where}} AND {_FREE}
            ORDER BY w.turn_at, w.due_at, w.entry_id
            LIMIT most FOR NO KEY UPDATE OF e SKIP LOCKED
        ) f"""  # noqa: S608
_OF_ALL = _CHOOSE.format(first="turns", where="w.tier = whole_tiers[1]")
_OF_ONE = _CHOOSE.format(first="turns", where="w.tier = pair_tiers[1] AND w.lane = pair_lanes[1]")
_OF_SEVERAL = _CHOOSE.format(
    first=f"""(
                SELECT one.* FROM unnest(whole_tiers) AS s (tier)
                {_FIRST.format(where="w.tier = s.tier")}
                UNION ALL
                SELECT one.* FROM unnest(pair_tiers, pair_lanes) AS s (tier, lane)
                {_FIRST.format(where="w.tier = s.tier AND w.lane = s.lane")}
                ORDER BY turn_at, due_at, entry_id LIMIT most * ahead
            )""",  # noqa: S608
    where="true",
)

CLAIMS = f"""
-- Takes back what leases that ran out hold, a hundred at a time; how many entries. `now()`, which
-- stands still, so that the index is used; it is never too early.
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

-- One row if the claimant may take anything of what was asked for (`lanes`; NULL: every lane); its
-- lease is NULL if nothing of that is free. What another holds is passed over.
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
        whole_tiers := '{{}}';
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
        {_OF_ALL};
    ELSIF cardinality(whole_tiers) = 0 AND cardinality(pair_lanes) = 1 THEN
        {_OF_ONE};
    ELSE
        FOR ahead IN 2..100 BY 98 LOOP
            {_OF_SEVERAL};
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

-- Those of these entries that were in the lease and are answered now. One that wants several
-- answers waits for somebody else until it has them all, and is not closed: the check of moves
-- sees to that.
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
    SELECT coalesce(array_agg(entry_id), '{{}}'),
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
"""  # noqa: S608
