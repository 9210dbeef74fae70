"""Clusters by comparing everything with everything, to hold the quick ones against."""

from __future__ import annotations

import numpy as np

from hitl.twins import Scheme, Signatures
from hitl.twins.fingerprints import buckets, form_ids


def brute_pivots(scheme: Scheme, signatures: Signatures) -> dict[int, int]:
    """Of each form its pivot, by the definition: the first earlier pivot that it is alike to."""
    ids = form_ids(scheme, signatures).tolist()
    meeting = buckets(scheme, signatures)
    rows = {form_id: row for row, form_id in enumerate(ids)}
    pivots: dict[int, int] = {}
    firsts: list[int] = []
    for form_id in sorted(rows):
        row = rows[form_id]
        for pivot in firsts:
            other = rows[pivot]
            meets = bool((meeting[row] == meeting[other]).any())
            equal = int(np.sum(signatures[row] == signatures[other]))
            if meets and equal >= scheme.least_equal:
                pivots[form_id] = pivot
                break
        else:
            pivots[form_id] = form_id
            firsts.append(form_id)
    return pivots
