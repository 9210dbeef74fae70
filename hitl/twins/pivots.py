"""Which form stands for which: the pivots of a set of forms, the same whatever came first.

Forms are walked by their number, a hash that nobody chooses. A form that is alike to an earlier
pivot goes to the first of these; any other is a pivot. So each cluster is a pivot and forms that
are alike to it: a chain of copies of copies, or one text between two clusters, merges nothing.
And who is whose pivot follows from the set alone, so that any order of arrival ends the same.

Source: CC-Pivot (Ailon, Charikar and Newman, 2008), three times the least possible disagreement in
expectation; that a set which grows one by one moves few pivots: Censor-Hillel, Haramaty and Karnin
(2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitl.twins.compiling import compiled
from hitl.twins.fingerprints import Int64, Scheme, Signatures, buckets

Mask = NDArray[np.bool_]

NONE = np.iinfo(np.int64).max
"""In place of a pivot: the form is new."""


@dataclass(frozen=True, slots=True)
class Region:
    """Forms around those that are new. N rows in the order of their numbers, each once.

    `was` is each one's pivot so far, or NONE. Where `is_open`, it is asked anew of all pivots
    here; else only a pivot that was none before can change it.
    """

    form_ids: Int64
    signatures: Signatures
    was: Int64
    is_open: Mask

    def __len__(self) -> int:
        return len(self.form_ids)


def joined(*parts: Region) -> Region:
    """All of them in order; of one that is in several the first, open if it is in any."""
    form_ids = np.concatenate([one.form_ids for one in parts])
    kept, rows, place = np.unique(form_ids, return_index=True, return_inverse=True)
    is_open = np.zeros(len(kept), dtype=np.bool_)
    is_open[place[np.concatenate([one.is_open for one in parts])]] = True
    signatures = np.concatenate([one.signatures for one in parts])
    was = np.concatenate([one.was for one in parts])
    return Region(kept, signatures[rows], was[rows], is_open)


def pivots(scheme: Scheme, forms: Region) -> Int64:
    """Shape (N,): the number of each form's pivot, its own where it is one."""
    if not len(forms):
        return np.empty(0, dtype=np.int64)
    _, bucket = np.unique(buckets(scheme, forms.signatures), return_inverse=True)
    of: Int64 = _walk(
        forms.form_ids,
        forms.signatures,
        bucket.reshape(len(forms), scheme.bands).astype(np.int64),
        forms.was,
        forms.is_open,
        scheme.least_equal,
    )
    return of


@compiled
def _walk(
    form_ids: Any, signatures: Any, bucket: Any, was: Any, is_open: Any, least_equal: int
) -> Any:
    count, bands = bucket.shape
    # In each bucket its pivots so far, first to last: where the list begins, ends and goes on.
    first = np.full(bucket.max() + 1, -1, dtype=np.int64)
    last = first.copy()
    following = np.full((count, bands), -1, dtype=np.int64)
    compared = np.full(count, -1, dtype=np.int64)
    is_new = np.zeros(count, dtype=np.bool_)
    found = np.empty(count, dtype=np.int64)
    for row in range(count):
        best = -1
        for band in range(bands):
            other = first[bucket[row, band]]
            while other != -1 and (best == -1 or other < best):
                # One that is not open knows all pivots but the new.
                if compared[other] != row and (is_open[row] or is_new[other]):
                    compared[other] = row
                    equal = 0
                    for place in range(signatures.shape[1]):
                        equal += signatures[row, place] == signatures[other, place]
                    if equal >= least_equal:
                        best = other
                other = following[other, band]
        if best == -1:
            found[row] = form_ids[row] if is_open[row] else was[row]
        elif is_open[row] or form_ids[best] < was[row]:
            found[row] = form_ids[best]
        else:
            found[row] = was[row]
        if found[row] == form_ids[row]:
            is_new[row] = was[row] != form_ids[row]
            for band in range(bands):
                one = bucket[row, band]
                if first[one] == -1:
                    first[one] = row
                else:
                    following[last[one], band] = row
                last[one] = row
    return found
