"""Which near copies a reviewed one's labels are offered to, and which offers are checked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hitl.records import EntryId, ItemId
from hitl.twins.fingerprints import Scheme, Signatures

_BITS = 53


@dataclass(frozen=True, slots=True)
class Pair:
    """An item without an answer, and an answered entry of one of its cluster; their forms."""

    item_id: ItemId
    group_id: str
    form_id: int
    entry_id: EntryId
    entry_form_id: int


@dataclass(frozen=True, slots=True)
class Offer:
    """An entry's labels, offered to an item. `similarity` is estimated; `audit_probability` is
    how likely it was that the offer `is_audited`."""

    item_id: ItemId
    entry_id: EntryId
    similarity: float
    audit_probability: float
    is_audited: bool


def offers(
    pairs: Iterable[Pair],
    signatures: Mapping[int, Signatures],
    scheme: Scheme,
    *,
    audit_fraction: float,
    audits_an_entry: int,
) -> list[Offer]:
    """To each item the labels of the entry that it is most like, if they are near copies.

    That both are alike to one pivot does not make them so. Of the offers from one entry each is
    checked with one chance: `audit_fraction`, or less where that would be more than
    `audits_an_entry` on average, so that a wave stays cheap. Who is, follows from the two ids.
    """
    best: dict[ItemId, tuple[int, EntryId]] = {}
    for pair in pairs:
        equal = _equal(signatures[pair.form_id], signatures[pair.entry_form_id])
        # Of equals the older entry: the newer may be a check of what that one said.
        found = (-equal, pair.entry_id)
        if equal >= scheme.least_equal and found < best.get(pair.item_id, (1, pair.entry_id)):
            best[pair.item_id] = found
    from_entry = Counter(entry_id for _, entry_id in best.values())
    made = []
    for item_id, (less, entry_id) in sorted(best.items()):
        chance = min(audit_fraction, audits_an_entry / from_entry[entry_id])
        is_audited = _number(item_id, entry_id) < chance
        made.append(Offer(item_id, entry_id, similarity(-less, scheme), chance, is_audited))
    return made


def similarity(equal: int, scheme: Scheme) -> float:
    """The estimate of so many equal places, without those that a byte is equal in by chance."""
    chance = 1.0 / 256.0
    return max(0.0, (equal / scheme.places - chance) / (1.0 - chance))


def _equal(one: Signatures, other: Signatures) -> int:
    return int(np.count_nonzero(one == other))


def _number(item_id: ItemId, entry_id: EntryId) -> float:
    """In [0, 1): for an offer always the same, so that making it twice draws once."""
    digest = hashlib.blake2b(f"{entry_id}:{item_id}".encode(), digest_size=8, person=b"hitl-offer")
    return float((int.from_bytes(digest.digest()) >> (64 - _BITS)) / 2.0**_BITS)


def forms_of(pairs: Sequence[Pair]) -> list[int]:
    """Every form that stands in one of the pairs, once."""
    return sorted({form for pair in pairs for form in (pair.form_id, pair.entry_form_id)})
