"""Decisions in SQL: merged by their keys, a chunk a statement, so that any chunk may come twice.

Locks as in hitl/decisions/store.py: items first, then decisions, conflicts, newest decisions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from hitl.db.locks import keep_items
from hitl.db.months import make_months
from hitl.decisions.decided import Decided, Staged, as_json
from hitl.decisions.staging.store import stage, stage_csv
from hitl.decisions.store import Counts
from hitl.records import Decision, ItemId

_STAGE_DECISIONS = """
CREATE TEMP TABLE IF NOT EXISTS intake_decisions (
    leads boolean, begins boolean, item_id text, model_version text, decided_at timestamptz,
    action text, probabilities jsonb, is_shadow boolean,
    language text, surface text, market text, modality text
) ON COMMIT DROP
"""
_INSERT_STUBS = """
INSERT INTO items (item_id, language, surface, market, modality)
SELECT item_id, language, surface, market, modality FROM intake_decisions
WHERE begins ORDER BY item_id
"""
_STUBS_ARE_KNOWN = "ON CONFLICT (item_id) DO NOTHING"
# A log describes an item only where nobody has. OFFSET 0: one look at the key a row.
_TELLS = """
(i.language IS NULL AND s.language IS NOT NULL) OR (i.surface IS NULL AND s.surface IS NOT NULL)
OR (i.market IS NULL AND s.market IS NOT NULL) OR (i.modality IS NULL AND s.modality IS NOT NULL)
"""
_DESCRIBED = f"""
FROM intake_decisions s JOIN LATERAL (
    SELECT item_id FROM items i WHERE i.item_id = s.item_id AND ({_TELLS}) OFFSET 0
) i ON true
WHERE s.begins
"""  # noqa: S608
_LOCK_DESCRIBED = f"""
SELECT count(*) FROM (
    SELECT 1 FROM items
    WHERE item_id = ANY (ARRAY(SELECT s.item_id {_DESCRIBED}))
    ORDER BY item_id FOR NO KEY UPDATE
) held
"""  # noqa: S608
_DESCRIBE = f"""
UPDATE items SET language = coalesce(items.language, told.language),
                 surface = coalesce(items.surface, told.surface),
                 market = coalesce(items.market, told.market),
                 modality = coalesce(items.modality, told.modality)
FROM (SELECT s.item_id, s.language, s.surface, s.market, s.modality {_DESCRIBED}) told
WHERE items.item_id = told.item_id
"""  # noqa: S608
# What was dropped for its age does not come back by the file that brought it.
_INSERT_DECISIONS = """
INSERT INTO decisions (item_id, model_version, decided_at, action, probabilities, is_shadow)
SELECT item_id, model_version, decided_at, action, probabilities, is_shadow
FROM intake_decisions
WHERE leads AND decided_at >= (SELECT coalesce(max(kept_from), '-infinity') FROM retentions)
ORDER BY item_id, decided_at, model_version
"""
_DECISIONS_ARE_KNOWN = "ON CONFLICT (item_id, decided_at, model_version) DO NOTHING"
# A look at about a hundred of a chunk's rows, spread over it. OFFSET 0 as above.
_A_FEW = "hashtext(s.item_id) % 997 = 0"
_ITEM = """
LEFT JOIN LATERAL (
    SELECT item_id, language, surface, market, modality FROM items i
    WHERE i.item_id = s.item_id OFFSET 0
) i ON true
"""
_ITEMS_SAMPLED = f"""
SELECT count(*) AS rows, count(i.item_id) AS known FROM intake_decisions s {_ITEM}
WHERE s.begins AND {_A_FEW}
"""  # noqa: S608
_ITEMS_COMPARED = f"""
SELECT count(i.item_id) AS known, count(*) FILTER (WHERE i.item_id IS NOT NULL AND ({_TELLS}))
FROM intake_decisions s {_ITEM} WHERE s.begins
"""  # noqa: S608
_DIFFERS = "s.action IS DISTINCT FROM d.action OR s.probabilities <> d.probabilities"
# OFFSET 0: one look at the key's index a row, in its month alone, and never all decisions hashed.
_STORED = """
JOIN LATERAL (
    SELECT item_id, action, probabilities FROM decisions d
    WHERE d.item_id = s.item_id AND d.decided_at = s.decided_at
      AND d.model_version = s.model_version OFFSET 0
) d ON true
"""
_DECISIONS_SAMPLED = f"""
SELECT count(*) AS rows, count(d.item_id) AS known FROM intake_decisions s LEFT {_STORED}
WHERE s.leads AND {_A_FEW}
"""  # noqa: S608
_DECISIONS_COMPARED = f"""
SELECT count(d.item_id) AS known,
       count(*) FILTER (WHERE d.item_id IS NOT NULL AND ({_DIFFERS})) AS differing
FROM intake_decisions s LEFT {_STORED}
"""  # noqa: S608
_DECISIONS_IN_CONFLICT = f"""
SELECT s.item_id, s.action, s.probabilities, s.model_version || ' @ '
       || to_char(s.decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS key
FROM intake_decisions s {_STORED} WHERE {_DIFFERS}
"""  # noqa: S608
# Last, and only where it moves: who writes it holds up whoever has the same model.
_MOVE_NEWEST = """
INSERT INTO newest_decisions AS n (model_version, decided_at)
SELECT s.model_version, s.decided_at
FROM (SELECT model_version, max(decided_at) AS decided_at FROM intake_decisions GROUP BY 1) s
WHERE NOT EXISTS (SELECT FROM newest_decisions o
                  WHERE o.model_version = s.model_version AND o.decided_at >= s.decided_at)
ORDER BY 1
ON CONFLICT (model_version) DO UPDATE SET decided_at = greatest(n.decided_at, excluded.decided_at)
"""
_ASKED_ABOUT = """
SELECT DISTINCT item_id FROM open_items JOIN intake_decisions USING (item_id) ORDER BY item_id
"""
_STAGE_CONFLICTS = """
CREATE TEMP TABLE IF NOT EXISTS intake_conflicts (item_id text, key text, payload_hash text)
ON COMMIT DROP
"""
_KEEP_DECISION_CONFLICTS = """
INSERT INTO conflicts (kind, item_id, key, payload_hash, source)
SELECT DISTINCT 'decision', item_id, key, payload_hash, CAST(:source AS text)
FROM intake_conflicts ORDER BY 2, 3, 4 ON CONFLICT DO NOTHING
"""


def merge_decisions(tx: Connection, decisions: Sequence[Decision], *, source: str) -> Counts:
    """As `merge_decided`, from records."""
    return merge_decided(tx, Decided.of(decisions).staged(), source=source)


def merge_decided(tx: Connection, decided: Staged, *, source: str) -> Counts:
    """Store decisions by (item, moment, model version); the first of a key stands.

    Items that are not known yet are made without text; language, surface, market and modality are
    added where nobody has said them. Another payload under a known key is kept as a conflict.
    What lies before `retentions.kept_from` counts as known. Merging the same again changes nothing.
    """
    if not decided.rows:
        return Counts()
    keep_items(tx)
    make_months(tx, decided.months)
    stage_csv(tx, _STAGE_DECISIONS, "intake_decisions", decided.lines)
    is_large = decided.rows >= _WORTH_A_TRY
    # No look at decisions before: it would hold up whoever has an item and makes a month.
    _make_items(tx, decided, is_large=is_large)
    read, has_known = decided.rows, True
    if is_large:
        sampled = tx.execute(text(_DECISIONS_SAMPLED)).one()
        has_known = sampled.known > 0
        if has_known and sampled.known == sampled.rows:
            # All of it, perhaps: then there is nothing to insert.
            known, differing = tx.execute(text(_DECISIONS_COMPARED)).one()
            if known == read:
                conflicts = _keep_conflicts(tx, source=source) if differing else 0
                return Counts(read=read, known=read - conflicts, conflicts=conflicts)
    new = _insert(tx, _INSERT_DECISIONS, _DECISIONS_ARE_KNOWN, has_known=has_known)
    conflicts = _keep_conflicts(tx, source=source) if new < read else 0
    if new:
        tx.execute(text(_MOVE_NEWEST))
    return Counts(read=read, new=new, known=read - new - conflicts, conflicts=conflicts)


def _make_items(tx: Connection, decided: Staged, *, is_large: bool) -> None:
    """Make what is not there, and describe what nobody has described."""
    has_known = True
    if is_large:
        sampled = tx.execute(text(_ITEMS_SAMPLED)).one()
        has_known = sampled.known > 0
        if has_known and sampled.known == sampled.rows:
            known, told = tx.execute(text(_ITEMS_COMPARED)).one()
            if known == decided.items:
                if told:
                    _describe(tx)
                return
    made = _insert(tx, _INSERT_STUBS, _STUBS_ARE_KNOWN, has_known=has_known)
    if decided.describes and made < decided.items:
        _describe(tx)


_WORTH_A_TRY = 5_000
_UNIQUE_VIOLATION = "23505"


def _describe(tx: Connection) -> None:
    if tx.execute(text(_LOCK_DESCRIBED)).scalar():
        tx.execute(text(_DESCRIBE))


def _insert(tx: Connection, insert: str, are_known: str, *, has_known: bool) -> int:
    """Insert what is not there; how many rows.

    ON CONFLICT nearly doubles what a row costs Postgres. Where a look finds nothing known, all is
    inserted as new, and only where that was wrong again with ON CONFLICT.
    """
    if not has_known:
        try:
            with tx.begin_nested():
                return tx.execute(text(insert)).rowcount
        except IntegrityError as cause:
            if getattr(cause.orig, "pgcode", None) != _UNIQUE_VIOLATION:
                raise
    return tx.execute(text(insert + are_known)).rowcount


def newly_ranked(tx: Connection) -> list[ItemId]:
    """Of the decisions merged last in this transaction, the items that are being asked about."""
    return [ItemId(one) for one in tx.execute(text(_ASKED_ABOUT)).scalars()]


def _keep_conflicts(tx: Connection, *, source: str) -> int:
    differing = tx.execute(text(_DECISIONS_IN_CONFLICT)).all()
    if differing:
        rows = (
            (one.item_id, one.key, _payload_hash(one.action, one.probabilities))
            for one in differing
        )
        stage(tx, _STAGE_CONFLICTS, "intake_conflicts", rows)
        tx.execute(text(_KEEP_DECISION_CONFLICTS), {"source": source})
    return len(differing)


def payload_hash(decision: Decision) -> str:
    """SHA-256 (hex) of what a decision says: its action and probabilities."""
    return _payload_hash(decision.action, decision.probabilities)


def _payload_hash(action: str | None, probabilities: Mapping[str, float]) -> str:
    # A number that Postgres gives back without its point is the same number.
    said = as_json({category: float(value) for category, value in probabilities.items()})
    return hashlib.sha256(f"{action or ''} {said}".encode()).hexdigest()
