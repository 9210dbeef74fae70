"""Proposals in SQL: what is offered to whom, what is to be checked, and what the checks said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, text

from hitl.db.locks import take_turns
from hitl.recipe import NEVER_TRAINED
from hitl.records import BatchId, EntryId, ItemId, PolicyId
from hitl.twins.fingerprints import Scheme, Signatures
from hitl.twins.proposals.offers import Offer, Pair


@dataclass(frozen=True, slots=True)
class Due:
    """An offer that is to be checked and was not asked about yet."""

    item_id: ItemId
    audit_probability: float


@dataclass(frozen=True, slots=True)
class Checked:
    """One category of a checked offer: what was offered, and what a reviewer said of the item."""

    item_id: ItemId
    entry_id: EntryId
    category: str
    offered: bool
    found: bool
    audit_probability: float


@dataclass(frozen=True, slots=True)
class OfferCounts:
    """Offers that stand, how many of them are to be checked, and of how many that is answered."""

    offers: int
    audited: int
    answered: int


@dataclass(frozen=True, slots=True)
class Proposed:
    """An item with the labels that are proposed for it, and no label of its own."""

    item_id: ItemId
    text: str
    language: str | None
    surface: str | None
    group_id: str
    labels: dict[str, bool]
    weight: float
    batch_id: BatchId


# An audit's answer is for measuring alone, so it is offered to nobody. An item that is asked about
# itself, or to which the labels of another entry are offered that stand, is left alone.
_PAIRS = """
    WITH answered AS (
        SELECT e.entry_id, t.form_id, f.pivot_id
        FROM entries e
        JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
          AND p.share <> ALL(:never_trained)
        JOIN twin_items t ON t.scheme_id = :scheme_id AND t.item_id = e.item_id
        JOIN twin_forms f USING (form_id)
        WHERE e.entry_id IN (
            SELECT entry_id FROM labels_by_policy WHERE for_policy_id = :policy_id)
    )
    SELECT i.item_id, coalesce(i.group_id, i.content_hash) AS group_id, t.form_id, a.entry_id,
           a.form_id AS entry_form_id
    FROM answered a
    JOIN twin_forms f ON f.pivot_id = a.pivot_id
    JOIN twin_items t ON t.scheme_id = :scheme_id AND t.form_id = f.form_id
    JOIN items i ON i.item_id = t.item_id AND i.text IS NOT NULL
    WHERE NOT EXISTS (
        SELECT 1 FROM entries own WHERE own.item_id = i.item_id AND own.state <> 'withdrawn'
          AND (own.state IN ('waiting', 'dispatched', 'adjudicating')
               OR own.policy_id = ANY(ARRAY(SELECT related_id FROM related_policies
                                            WHERE policy_id = :policy_id))))
      AND NOT EXISTS (
        SELECT 1 FROM proposals o JOIN labels_by_policy l USING (entry_id)
        WHERE o.item_id = i.item_id AND l.for_policy_id = :policy_id)
    ORDER BY i.item_id, a.entry_id
"""
_ADD = """
    INSERT INTO proposals (item_id, entry_id, similarity, audit_probability, is_audited)
    SELECT item_id, entry_id, similarity, chance, is_audited
    FROM unnest(CAST(:items AS text[]), CAST(:entries AS bigint[]),
        CAST(:similarities AS float8[]), CAST(:chances AS float8[]), CAST(:audited AS bool[]))
      AS one (item_id, entry_id, similarity, chance, is_audited)
    JOIN items USING (item_id)
    ON CONFLICT DO NOTHING
"""
_DUE = """
    SELECT o.item_id, o.audit_probability FROM proposals o
    WHERE o.is_audited
      AND o.entry_id IN (SELECT entry_id FROM labels_by_policy WHERE for_policy_id = :policy_id)
      AND NOT EXISTS (SELECT 1 FROM entries own
                      WHERE own.item_id = o.item_id AND own.entry_id > o.entry_id
                        AND own.state <> 'withdrawn')
    ORDER BY o.offered_at, o.entry_id, o.item_id
"""
_COUNTS = """
    SELECT count(*) AS offers, count(*) FILTER (WHERE is_audited) AS audited,
           count(*) FILTER (WHERE is_audited AND is_answered) AS answered
    FROM checked_proposals WHERE policy_id = :policy_id
"""
_CHECKED = """
    SELECT c.item_id, c.entry_id, c.category, c.offered, c.found, p.audit_probability
    FROM proposal_answers c JOIN proposals p USING (item_id, entry_id)
    WHERE c.policy_id = :policy_id AND p.is_audited AND c.found IS NOT NULL
    ORDER BY c.item_id, c.category
"""
_PROPOSED = """
    SELECT a.item_id, i.text, i.language, i.surface, e.batch_id,
           coalesce(i.group_id, i.content_hash, i.item_id) AS group_id,
           jsonb_object_agg(a.category, a.offered) AS labels, min(a.weight) AS weight
    FROM proposal_answers a
    JOIN entries e USING (entry_id)
    JOIN items i ON i.item_id = a.item_id AND i.text IS NOT NULL
    WHERE a.policy_id = :policy_id AND a.label_id <= :upto
      AND NOT EXISTS (SELECT 1 FROM labels_by_policy own
                      WHERE own.item_id = a.item_id AND own.for_policy_id = :policy_id)
    GROUP BY a.item_id, a.entry_id, i.text, i.language, i.surface, e.batch_id, i.group_id,
             i.content_hash, i.item_id
    ORDER BY a.item_id, a.entry_id
"""


def read_pairs(tx: Connection, scheme_id: int, policy_id: PolicyId) -> list[Pair]:
    """Every item of a cluster with an answer that counts, and no answer or offer of its own.

    Calls for one policy wait for each other until the caller's transaction ends.
    """
    take_turns(tx, f"offers {policy_id}")
    given = {"scheme_id": scheme_id, "policy_id": policy_id, "never_trained": list(NEVER_TRAINED)}
    return [
        Pair(
            ItemId(row.item_id),
            row.group_id,
            row.form_id,
            EntryId(row.entry_id),
            row.entry_form_id,
        )
        for row in tx.execute(text(_PAIRS), given)
    ]


def read_signatures(
    tx: Connection, scheme: Scheme, form_ids: Sequence[int]
) -> dict[int, Signatures]:
    """The signatures (places,) of forms."""
    rows = tx.execute(
        text("SELECT form_id, signature FROM twin_forms WHERE form_id = ANY(:forms)"),
        {"forms": list(form_ids)},
    )
    return {
        row.form_id: np.frombuffer(bytes(row.signature), dtype=np.uint8, count=scheme.places)
        for row in rows
    }


def add_offers(tx: Connection, made: Sequence[Offer]) -> int:
    """Write them down; how many were not there yet."""
    if not made:
        return 0
    return tx.execute(
        text(_ADD),
        {
            "items": [one.item_id for one in made],
            "entries": [one.entry_id for one in made],
            "similarities": [one.similarity for one in made],
            "chances": [one.audit_probability for one in made],
            "audited": [one.is_audited for one in made],
        },
    ).rowcount


def read_due(tx: Connection, policy_id: PolicyId) -> list[Due]:
    """Offers to check, the oldest first."""
    rows = tx.execute(text(_DUE), {"policy_id": policy_id})
    return [Due(ItemId(row.item_id), row.audit_probability) for row in rows]


def count_offers(tx: Connection, policy_id: PolicyId) -> OfferCounts:
    """How the offers of a policy stand."""
    row = tx.execute(text(_COUNTS), {"policy_id": policy_id}).one()
    return OfferCounts(row.offers, row.audited, row.answered)


def read_checked(tx: Connection, policy_id: PolicyId) -> list[Checked]:
    """Every category of every checked offer that was answered for the item itself."""
    rows = tx.execute(text(_CHECKED), {"policy_id": policy_id})
    return [Checked(**row) for row in rows.mappings()]


def read_proposed(tx: Connection, policy_id: PolicyId, *, upto: int) -> list[Proposed]:
    """Items that have proposed labels and none of their own, by labels up to `upto`."""
    rows = tx.execute(text(_PROPOSED), {"policy_id": policy_id, "upto": upto})
    return [Proposed(**row) for row in rows.mappings()]
