"""Items in SQL: merged by their keys, so that any chunk may come twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, text

from hitl.db.locks import keep_items
from hitl.decisions.staging.store import stage
from hitl.decisions.values import content_hash
from hitl.records import Item


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of one kind: `read` = `new` + `known` + `conflicts` + `rejected`."""

    read: int = 0
    new: int = 0
    known: int = 0
    conflicts: int = 0
    rejected: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.read + other.read,
            self.new + other.new,
            self.known + other.known,
            self.conflicts + other.conflicts,
            self.rejected + other.rejected,
        )

    def with_rejected(self, rejected: int) -> Counts:
        """The same, with rows that never reached the store."""
        return replace(self, read=self.read + rejected, rejected=self.rejected + rejected)


_BESIDE_TEXT = ("language", "surface", "market", "modality", "group_id", "created_at")

# Locks are taken in one order everywhere: new items, held items, decisions, conflicts, rejects,
# each sorted by its key. So two ingests of one file wait for each other and never deadlock.

_STAGE_ITEMS = """
CREATE TEMP TABLE IF NOT EXISTS intake_items (
    leads boolean, item_id text, text text, content_hash text, language text, surface text,
    market text, modality text, group_id text, created_at timestamptz
) ON COMMIT DROP
"""
_INSERT_ITEMS = """
WITH made AS (
    INSERT INTO items
        (item_id, text, content_hash, content_at, language, surface, market, modality, group_id,
         created_at)
    SELECT item_id, text, content_hash, CASE WHEN text IS NOT NULL THEN clock_timestamp() END,
           language, surface, market, modality, group_id, created_at
    FROM intake_items WHERE leads ORDER BY item_id
    ON CONFLICT (item_id) DO NOTHING
    RETURNING text IS NOT NULL AS has_text
) SELECT count(*) FILTER (WHERE has_text) FROM made
"""
# An item with another text is a conflict, and nothing of a conflicting row is used. NO KEY: foreign
# keys onto the item need not wait.
_NEWS = """
    (i.text IS NULL AND s.text IS NOT NULL)
    OR ((s.content_hash IS NULL OR i.content_hash IS NOT DISTINCT FROM s.content_hash) AND (
        (i.language IS NULL AND s.language IS NOT NULL)
        OR (i.surface IS NULL AND s.surface IS NOT NULL)
        OR (i.market IS NULL AND s.market IS NOT NULL)
        OR (i.modality IS NULL AND s.modality IS NOT NULL)
        OR (i.group_id IS NULL AND s.group_id IS NOT NULL)
        OR (i.created_at IS NULL AND s.created_at IS NOT NULL)))
"""
_LOCK_ITEMS = f"""
SELECT count(*) FROM (
    SELECT 1 FROM items i JOIN intake_items s USING (item_id)
    WHERE s.leads AND ({_NEWS}) ORDER BY i.item_id FOR NO KEY UPDATE OF i
) held
"""  # noqa: S608
# What came with the content goes before what a decision log said of it, in either order of arrival.
_FILL_STUBS = """
UPDATE items i SET
    text = s.text, content_hash = s.content_hash, content_at = clock_timestamp(),
    language = coalesce(s.language, i.language), surface = coalesce(s.surface, i.surface),
    market = coalesce(s.market, i.market), modality = coalesce(s.modality, i.modality),
    group_id = coalesce(s.group_id, i.group_id), created_at = coalesce(s.created_at, i.created_at)
FROM intake_items s
WHERE s.item_id = i.item_id AND s.leads AND i.text IS NULL AND s.text IS NOT NULL
"""
_FILL_GAPS = f"""
UPDATE items i SET
    language = coalesce(i.language, s.language), surface = coalesce(i.surface, s.surface),
    market = coalesce(i.market, s.market), modality = coalesce(i.modality, s.modality),
    group_id = coalesce(i.group_id, s.group_id), created_at = coalesce(i.created_at, s.created_at)
FROM intake_items s WHERE s.item_id = i.item_id AND s.leads AND ({_NEWS})
"""  # noqa: S608
_COUNT_CONTENT_CONFLICTS = """
SELECT count(*) FROM intake_items s JOIN items i USING (item_id)
WHERE i.content_hash <> s.content_hash
"""
_KEEP_CONTENT_CONFLICTS = """
INSERT INTO conflicts (kind, item_id, key, payload_hash, source)
SELECT DISTINCT 'content', item_id, 'text', s.content_hash, CAST(:source AS text)
FROM intake_items s JOIN items i USING (item_id) WHERE i.content_hash <> s.content_hash
ORDER BY 2, 4 ON CONFLICT DO NOTHING
"""


def merge_items(tx: Connection, items: Sequence[Item], *, source: str) -> Counts:
    """Store items by id: the first text of an item stands, and gaps beside it are filled.

    Items without text are stubs: they make room for decisions, add language and the like where
    nobody has said them, and are not counted. Another text under a known id is kept as a
    conflict. Merging the same items again changes nothing.
    """
    if not items:
        return Counts()
    leads, others = _fold(items)
    keep_items(tx)
    stage(tx, _STAGE_ITEMS, "intake_items", _item_fields(leads, others))
    new = int(tx.execute(text(_INSERT_ITEMS)).scalar_one())
    tx.execute(text(_LOCK_ITEMS))
    new += tx.execute(text(_FILL_STUBS)).rowcount
    tx.execute(text(_FILL_GAPS))
    conflicts = int(tx.execute(text(_COUNT_CONTENT_CONFLICTS)).scalar_one())
    if conflicts:
        tx.execute(text(_KEEP_CONTENT_CONFLICTS), {"source": source})
    read = sum(item.text is not None for item in items)
    return Counts(read=read, new=new, known=read - new - conflicts, conflicts=conflicts)


def _fold(items: Iterable[Item]) -> tuple[list[Item], list[tuple[str, str]]]:
    """One row an item, the first content of it leading, sorted; and (id, hash) of other contents.

    Content goes before stubs whatever their order, as it does between two chunks.
    """
    leads: dict[str, Item] = {}
    others: list[tuple[str, str]] = []
    for item in sorted(items, key=lambda one: one.text is None):
        if item.text is not None and item.content_hash is None:
            item = replace(item, content_hash=content_hash(item.text))
        first = leads.get(item.item_id)
        if first is None:
            leads[item.item_id] = item
        elif item.content_hash is not None and item.content_hash != first.content_hash:
            others.append((item.item_id, item.content_hash))
        else:
            gaps = [name for name in _BESIDE_TEXT if getattr(first, name) is None]
            told = {name: getattr(item, name) for name in gaps}
            if any(value is not None for value in told.values()):
                leads[item.item_id] = replace(first, **told)
    return sorted(leads.values(), key=lambda one: one.item_id), others


def _item_fields(
    leads: Iterable[Item], others: Iterable[tuple[str, str]]
) -> Iterator[tuple[Any, ...]]:
    for one in leads:
        yield (
            True, one.item_id, one.text, one.content_hash, one.language, one.surface,
            one.market, one.modality, one.group_id, one.created_at,
        )  # fmt: skip
    for item_id, other in others:
        yield (False, item_id, None, other, *[None] * 6)
