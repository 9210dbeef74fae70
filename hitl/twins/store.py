"""Forms, their pivots and who has which, in SQL: linked chunk by chunk, in any order the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, text

from hitl.db.locks import take_turns
from hitl.recipe import NEVER_TRAINED
from hitl.records import ItemId, PolicyId
from hitl.twins.filling.store import copy_in
from hitl.twins.fingerprints import Int64, Scheme, Signatures, buckets, form_ids
from hitl.twins.pivots import NONE, Mask, Region, joined, pivots


@dataclass(frozen=True, slots=True)
class Linked:
    """What a call added: `items` that were not linked, `forms` that nobody had, and how many
    forms that stood before have another pivot now."""

    items: int = 0
    forms: int = 0
    moved: int = 0

    def __add__(self, other: Linked) -> Linked:
        return Linked(self.items + other.items, self.forms + other.forms, self.moved + other.moved)


@dataclass(frozen=True, slots=True)
class SchemeLine:
    """What a scheme has found: `items` linked, of `forms` that differ, in `clusters`; `shared` of
    these have more than one item, the largest `largest`."""

    scheme: str
    items: int
    forms: int
    clusters: int
    shared: int
    largest: int


@dataclass(frozen=True, slots=True)
class Clusters:
    """Of each linked item its cluster, and those of which one is asked about, but by an audit."""

    of_item: Mapping[str, int]
    asked: frozenset[int]


_CLUSTERS = """
    SELECT t.item_id, f.pivot_id FROM twin_items t JOIN twin_forms f USING (form_id)
    WHERE t.scheme_id = :scheme_id
"""
# Open anywhere, or done or dead under a version of the policy that asks one question alike: what
# keeps the item itself from being a candidate. An audit is for measuring: a copy may still train.
_ASKED = """
    SELECT DISTINCT f.pivot_id
    FROM entries e
    JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
      AND p.share <> ALL(:never_trained)
    JOIN twin_items t ON t.scheme_id = :scheme_id AND t.item_id = e.item_id
    JOIN twin_forms f USING (form_id)
    WHERE e.state <> 'withdrawn'
      AND (e.state IN ('waiting', 'dispatched', 'adjudicating')
           OR e.policy_id = ANY(ARRAY(SELECT related_id FROM related_policies
                                      WHERE policy_id = :policy_id)))
"""
_UNLINKED = """
    SELECT i.item_id, i.text FROM items i
    WHERE i.text IS NOT NULL AND i.item_id > :after AND NOT EXISTS (
        SELECT 1 FROM twin_items t WHERE t.scheme_id = :scheme_id AND t.item_id = i.item_id)
    ORDER BY i.item_id LIMIT :limit
"""
_ADD_ITEMS = """
    INSERT INTO twin_items (scheme_id, item_id, form_id)
    SELECT :scheme_id, item_id, form_id
    FROM unnest(CAST(:item_ids AS text[]), CAST(:form_ids AS bigint[])) AS one (item_id, form_id)
    JOIN items USING (item_id)
    ON CONFLICT DO NOTHING
"""
_KNOWN = """
    SELECT form_id, pivot_id, signature FROM twin_forms
    WHERE form_id = ANY(CAST(:form_ids AS bigint[]))
"""
_MEMBERS = """
    SELECT form_id, pivot_id, signature FROM twin_forms
    WHERE pivot_id = ANY(CAST(:form_ids AS bigint[]))
"""
# OFFSET 0: each bucket is looked up in the index. Left to itself the planner reads all there are,
# for every chunk.
_PIVOTS_NEAR = """
    SELECT form_id, pivot_id, signature FROM twin_forms JOIN (
        SELECT DISTINCT met.form_id FROM unnest(CAST(:buckets AS bigint[])) w(bucket)
        CROSS JOIN LATERAL (
            SELECT b.form_id FROM twin_buckets b WHERE b.bucket = w.bucket AND b.is_pivot OFFSET 0
        ) met
    ) near USING (form_id)
"""
_MEMBERS_NEAR = """
    SELECT form_id, pivot_id, signature FROM twin_forms JOIN (
        SELECT DISTINCT met.form_id
        FROM unnest(CAST(:buckets AS bigint[]), CAST(:form_ids AS bigint[])) w(bucket, form_id)
        CROSS JOIN LATERAL (
            SELECT b.form_id FROM twin_buckets b
            WHERE b.bucket = w.bucket AND NOT b.is_pivot AND b.form_id > w.form_id OFFSET 0
        ) met
    ) near USING (form_id)
"""
_MOVE = """
    UPDATE twin_forms f SET pivot_id = m.pivot_id
    FROM unnest(CAST(:form_ids AS bigint[]), CAST(:pivot_ids AS bigint[])) m(form_id, pivot_id)
    WHERE f.form_id = m.form_id
"""
_TURN = """
    UPDATE twin_buckets b SET is_pivot = NOT b.is_pivot
    FROM unnest(CAST(:buckets AS bigint[]), CAST(:form_ids AS bigint[])) t(bucket, form_id)
    WHERE b.bucket = t.bucket AND b.form_id = t.form_id
"""


def keep_scheme(tx: Connection, scheme: Scheme) -> int:
    """The scheme's number; it is written down if it is new."""
    body = json.dumps(asdict(scheme), sort_keys=True)
    tx.execute(
        text(
            "INSERT INTO twin_schemes (name, body) VALUES (:name, CAST(:body AS jsonb))"
            " ON CONFLICT (name) DO NOTHING"
        ),
        {"name": scheme.name, "body": body},
    )
    found = tx.execute(
        text("SELECT scheme_id FROM twin_schemes WHERE name = :name"), {"name": scheme.name}
    )
    return int(found.scalar_one())


def unlinked(tx: Connection, scheme_id: int, *, after: str, limit: int) -> list[tuple[ItemId, str]]:
    """Items with text that this scheme does not know yet, the next after an id, and their texts."""
    rows = tx.execute(text(_UNLINKED), {"scheme_id": scheme_id, "after": after, "limit": limit})
    return [(ItemId(row.item_id), row.text) for row in rows]


def scheme_lines(tx: Connection) -> list[SchemeLine]:
    """Every scheme, in the order in which they were first used."""
    columns = ", ".join(SchemeLine.__dataclass_fields__)
    rows = tx.execute(
        text(
            f"SELECT {columns} FROM dashboard.twin_clusters"  # noqa: S608
            " JOIN twin_schemes ON name = scheme ORDER BY scheme_id"
        )
    )
    return [SchemeLine(**row) for row in rows.mappings()]


def clusters_of(tx: Connection, scheme: Scheme, item_ids: Sequence[ItemId]) -> dict[str, int]:
    """The cluster of each of these items that is linked."""
    given = {"scheme_id": keep_scheme(tx, scheme), "item_ids": list(item_ids)}
    rows = tx.execute(text(_CLUSTERS + "AND t.item_id = ANY(:item_ids)"), given)
    return {row.item_id: row.pivot_id for row in rows}


def read_clusters(tx: Connection, scheme: Scheme, policy_id: PolicyId) -> Clusters:
    """The clusters as they are now, for who is to choose under a policy that was kept."""
    given = {
        "scheme_id": keep_scheme(tx, scheme),
        "policy_id": policy_id,
        "never_trained": list(NEVER_TRAINED),
    }
    return Clusters(
        of_item={row.item_id: row.pivot_id for row in tx.execute(text(_CLUSTERS), given)},
        asked=frozenset(tx.execute(text(_ASKED), given).scalars()),
    )


def link(
    tx: Connection, scheme: Scheme, item_ids: Sequence[ItemId], signatures: Signatures
) -> Linked:
    """Say of what form items are, and bring all pivots in step.

    An item that has a form keeps it. Calls for one scheme wait for each other until the caller's
    transaction ends; in whatever order they come, the same items end with the same pivots.
    """
    if not len(item_ids):
        return Linked()
    take_turns(tx, f"twins {scheme.name}")
    scheme_id = keep_scheme(tx, scheme)
    of_items = form_ids(scheme, signatures)
    forms, rows = np.unique(of_items, return_index=True)
    known = _read(tx, _KNOWN, scheme, form_ids=forms.tolist()).form_ids
    is_new = ~np.isin(forms, known)
    new = forms[is_new]
    moved = 0
    if len(new):
        moved = _settle(tx, scheme, scheme_id, new, signatures[rows[is_new]])
    named = {"item_ids": list(item_ids), "form_ids": of_items.tolist(), "scheme_id": scheme_id}
    added = tx.execute(text(_ADD_ITEMS), named).rowcount
    return Linked(items=added, forms=len(new), moved=moved)


def _settle(
    tx: Connection, scheme: Scheme, scheme_id: int, new: Int64, signatures: Signatures
) -> int:
    """Write new forms with their pivots, and what they change for others; how many these are."""
    fresh = Region(
        new, signatures, np.full(len(new), NONE, dtype=np.int64), np.ones(len(new), dtype=np.bool_)
    )
    around = joined(fresh, _pivots_near(tx, scheme, fresh))
    met: Int64 = np.empty(0, dtype=np.int64)  # became a pivot; its later neighbours are here
    left: Int64 = np.empty(0, dtype=np.int64)  # is none any more; its members are here, open
    while True:
        found = pivots(scheme, around)
        is_pivot, was_pivot = found == around.form_ids, around.was == around.form_ids
        raised = is_pivot & ~was_pivot & ~np.isin(around.form_ids, met)
        fallen = was_pivot & ~is_pivot & ~np.isin(around.form_ids, left)
        more = []
        if raised.any():
            met = np.concatenate([met, around.form_ids[raised]])
            more.append(_members_near(tx, scheme, around, raised))
        if fallen.any():
            gone = around.form_ids[fallen]
            left = np.concatenate([left, gone])
            orphans = _opened(_read(tx, _MEMBERS, scheme, form_ids=gone.tolist()))
            more += [orphans, _pivots_near(tx, scheme, orphans)]
        if not any(len(one) for one in more):
            break
        around = joined(around, *more)
    _write(tx, scheme, scheme_id, around, found)
    return int(((found != around.was) & (around.was != NONE)).sum())


def _opened(forms: Region) -> Region:
    return Region(forms.form_ids, forms.signatures, forms.was, np.ones(len(forms), dtype=np.bool_))


def _pivots_near(tx: Connection, scheme: Scheme, forms: Region) -> Region:
    """Every pivot that shares a bucket with one of these."""
    asked = np.unique(buckets(scheme, forms.signatures))
    return _read(tx, _PIVOTS_NEAR, scheme, buckets=asked.tolist())


def _members_near(tx: Connection, scheme: Scheme, around: Region, rows: Mask) -> Region:
    """Every form after one of these rows that shares a bucket with it and is no pivot."""
    asked = buckets(scheme, around.signatures[rows])
    owners = np.repeat(around.form_ids[rows], scheme.bands)
    return _read(
        tx, _MEMBERS_NEAR, scheme, buckets=asked.ravel().tolist(), form_ids=owners.tolist()
    )


def _read(tx: Connection, query: str, scheme: Scheme, **named: list[int]) -> Region:
    asked = next(iter(named.values()))
    rows: Sequence[Row[Any]] = tx.execute(text(query), named).all() if asked else []
    signatures = b"".join([bytes(row.signature) for row in rows])
    return Region(
        np.array([row.form_id for row in rows], dtype=np.int64),
        np.frombuffer(signatures, dtype=np.uint8).reshape(len(rows), scheme.places),
        np.array([row.pivot_id for row in rows], dtype=np.int64),
        np.zeros(len(rows), dtype=np.bool_),
    )


def _write(tx: Connection, scheme: Scheme, scheme_id: int, around: Region, found: Int64) -> None:
    is_new = around.was == NONE
    ids, signatures, now = around.form_ids[is_new], around.signatures[is_new], found[is_new]
    copy_in(
        tx,
        "twin_forms (form_id, scheme_id, pivot_id, signature)",
        [(ids, ">i8"), (np.full(len(ids), scheme_id), ">i2"), (now, ">i8"), (signatures, "")],
    )
    in_buckets = buckets(scheme, signatures)
    copy_in(
        tx,
        "twin_buckets (bucket, is_pivot, form_id)",
        [
            (in_buckets.ravel(), ">i8"),
            (np.repeat(now == ids, scheme.bands), ">i1"),
            (np.repeat(ids, scheme.bands), ">i8"),
        ],
    )
    moves = (found != around.was) & ~is_new
    if moves.any():
        moved = {"form_ids": around.form_ids[moves].tolist(), "pivot_ids": found[moves].tolist()}
        tx.execute(text(_MOVE), moved)
    turns = ~is_new & ((around.was == around.form_ids) != (found == around.form_ids))
    if turns.any():
        turned = {
            "buckets": buckets(scheme, around.signatures[turns]).ravel().tolist(),
            "form_ids": np.repeat(around.form_ids[turns], scheme.bands).tolist(),
        }
        tx.execute(text(_TURN), turned)
