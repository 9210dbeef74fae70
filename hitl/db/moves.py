"""The queue's legal moves, as rows and a trigger: the database refuses the rest, whoever asks."""

from __future__ import annotations

from hitl.records import EntryState as S

LEGAL_MOVES: tuple[tuple[S, S], ...] = (
    (S.WAITING, S.DISPATCHED),  # its task exists in Label Studio
    (S.WAITING, S.WITHDRAWN),
    (S.WAITING, S.DEAD),
    (S.DISPATCHED, S.DONE),  # resolved
    (S.DISPATCHED, S.ADJUDICATING),  # reviewers disagree, or nobody could tell
    (S.DISPATCHED, S.WAITING),  # its task is gone from Label Studio; push again
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

TRIGGERS = """
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
"""

# A published number must be computable again, so the rows behind it may not change, but for the
# columns named here. Not in this list: `items` and `annotations`, which an erasure must reach;
# what speaks of a Label Studio project, which goes with it; `rejects`, `measurements` and
# `collect_cursors`, which say how things stand now.
APPEND_ONLY: dict[str, tuple[str, ...]] = {
    "decisions": (),
    "conflicts": (),
    "policies": (),
    "policy_categories": (),
    "recipes": (),
    "batches": (),
    "picks": (),
    "entries": ("state", "priority", "reason", "closed_at"),
    "entry_events": (),
    "votes": (),
    "labels": (),
    "snapshots": ("path", "last_label_id"),
    "model_versions": ("state", "path"),
    "evaluations": (),
    "verdicts": (),
    "promotions": (),
}


def append_only_trigger(table: str) -> str:
    """The statements that make one table refuse DELETE, TRUNCATE and what may not be updated."""
    mutable = ", ".join(f"'{column}'" for column in APPEND_ONLY[table])
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION refuse_change({mutable});\n"
        f"CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
