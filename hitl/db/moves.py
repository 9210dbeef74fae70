"""The queue's legal moves, as rows and a trigger: the database refuses the rest, whoever asks."""

from __future__ import annotations

from hitl.db.schema import metadata
from hitl.records import EntryState as S

LEGAL_MOVES: tuple[tuple[S, S], ...] = (
    (S.WAITING, S.DISPATCHED),  # its task exists in Label Studio, or a tool has leased it
    (S.WAITING, S.WITHDRAWN),
    (S.WAITING, S.DEAD),
    (S.DISPATCHED, S.DONE),  # resolved
    (S.DISPATCHED, S.ADJUDICATING),  # reviewers disagree, or nobody could tell
    # Its task is gone from Label Studio; or its lease ran out, was given back, skipped, escalated.
    (S.DISPATCHED, S.WAITING),
    (S.DISPATCHED, S.WITHDRAWN),
    (S.DISPATCHED, S.DEAD),
    (S.ADJUDICATING, S.DONE),
    (S.ADJUDICATING, S.DISPATCHED),  # the disagreement was edited away
    (S.ADJUDICATING, S.WITHDRAWN),
    (S.ADJUDICATING, S.DEAD),
    (S.DONE, S.DISPATCHED),  # the deciding annotation was taken back; the question is open again
    (S.DONE, S.ADJUDICATING),
    (S.DEAD, S.WAITING),  # requeued by a person
)

INSERT_MOVES = "INSERT INTO entry_moves (from_state, to_state) VALUES (:from_state, :to_state)"

MOVES_AS_ROWS = [{"from_state": a.value, "to_state": b.value} for a, b in LEGAL_MOVES]


def _onward() -> str:
    """Of each state, where to: a constant in the trigger, which is asked for every row."""
    states = dict.fromkeys(before.value for before, _ in LEGAL_MOVES)
    return "\n        ".join(
        f"WHEN '{one}' THEN ARRAY["
        + ", ".join(f"'{after.value}'" for before, after in LEGAL_MOVES if before.value == one)
        + "]"
        for one in states
    )


TRIGGERS = """
CREATE FUNCTION check_entry_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION 'entry for item %: a new entry starts waiting, not %',
            NEW.item_id, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> ALL (CASE OLD.state
        __ONWARD__
        ELSE '{}' END
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
-- Not for the two moves that every answered entry makes, where nothing is left to set.
CREATE TRIGGER entries_check_move BEFORE UPDATE ON entries
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state AND NOT (
        OLD.state = 'waiting' AND NEW.state = 'dispatched' AND NEW.closed_at IS NULL
        OR OLD.state = 'dispatched' AND NEW.state = 'done' AND NEW.closed_at IS NOT NULL
           AND NEW.lease_id IS NULL
    )) EXECUTE FUNCTION check_entry_move();

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

-- What is open and what waits, in tables of their own: were an index over states, each move would
-- have to be written to all of them. By arrays: what Postgres keeps of how to do this must suit one
-- entry and a million.
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

CREATE TRIGGER entries_place_start AFTER INSERT ON entries
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION place_entries();
CREATE TRIGGER entries_place_move AFTER UPDATE ON entries
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION place_entries();

-- A row that moves stays on its page where there is room. What waits is taken from the front: that
-- is vacuumed long before a fifth of all is gone.
ALTER TABLE entries SET (fillfactor = 80);
ALTER TABLE turns SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);

-- Its arguments name the columns that may change all the same; the trigger's WHEN sees to it.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_NARGS > 0 THEN
        RAISE EXCEPTION '% keeps what was written; only % may change',
            TG_TABLE_NAME, array_to_string(TG_ARGV, ', ') USING ERRCODE = 'check_violation';
    END IF;
    RAISE EXCEPTION '% is append-only; add a new row instead', TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END $$;
""".replace("__ONWARD__", _onward())

# A published number must be computable again, so the rows behind it may not change, but for the
# columns named here. Not in this list: `items` and `annotations`, which an erasure must reach;
# what speaks of a Label Studio project, which goes with it; `rejects`, `intake_chunks`,
# `measurements` and `collect_cursors`, which say how things stand now.
APPEND_ONLY: dict[str, tuple[str, ...]] = {
    "decisions": (),
    "retentions": ("dropped", "kept", "done_at"),
    "conflicts": (),
    "policies": (),
    "policy_categories": (),
    "recipes": (),
    "batches": (),
    "picks": (),
    "stood_aside": (),
    "overflows": (),
    "entries": (
        "state",
        "lane",
        "tier",
        "priority",
        "due_at",
        "turn_at",
        "lease_id",
        "failures",
        "reason",
        "closed_at",
    ),
    "entry_events": (),
    "leases": ("expires_at", "held", "ended_at"),
    "handled": (),
    "breaches": (),
    "votes": (),
    "labels": (),
    "proposals": (),
    "snapshots": ("path", "last_label_id"),
    "model_versions": ("state", "path"),
    "evaluations": (),
    "verdicts": (),
    "promotions": (),
    "certificates": ("withdrawn_at", "withdrawn_why"),
    "backlogs": (),
    "backlog_items": (),
    "backlog_looks": (
        "violating_in_draw",
        "lost",
        "found_since",
        "found",
        "missed_at_most",
        "recall_at_least",
        "is_certified",
        "certified_at",
    ),
    "backlog_draws": (),
    "alarms": (
        "last_above",
        "watched_until",
        "acknowledged_at",
        "acknowledged_by",
        "note",
        "ended_at",
        "ended_why",
    ),
    "retrain_decisions": (),
}


def append_only_trigger(table: str) -> str:
    """The statements that make one table refuse DELETE, TRUNCATE and what may not be updated."""
    never = (
        f"CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    if not APPEND_ONLY[table]:
        return (
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION refuse_change();\n{never}"
        )
    mutable = ", ".join(f"'{column}'" for column in APPEND_ONLY[table])
    fixed = [
        one.name for one in metadata.tables[table].columns if one.name not in APPEND_ONLY[table]
    ]
    old, new = (", ".join(f"{row}.{name}" for name in fixed) for row in ("OLD", "NEW"))
    # Compared by the trigger's own condition: a row whose fixed columns stay costs no call.
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} FOR EACH ROW "
        f"WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION refuse_change({mutable});\n"
        f"CREATE TRIGGER {table}_never_deleted BEFORE DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION refuse_change();\n{never}"
    )
