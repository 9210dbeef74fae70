"""Which side a group is on: decided once by a hash, so that no later label can move it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from hitl.records import Split

# Changing this tears every group from its side: a champion would be judged on what it learned.
SALT = "hitl-split-1"

# The 53 leading bits are what a double holds exactly, so the comparison never rounds.
_BITS = 53


def side(group_id: str, *, measuring_fraction: float, salt: str = SALT) -> Split:
    """The side of one group, the same in every process, version and year.

    Raising `measuring_fraction` (in [0, 1]) moves groups from training to measuring only.

    Raises:
        ValueError: the fraction is not in [0, 1].
    """
    return sides([group_id], measuring_fraction=measuring_fraction, salt=salt)[0]


def sides(group_ids: Iterable[str], *, measuring_fraction: float, salt: str = SALT) -> list[Split]:
    """`side` of many groups, in their order."""
    if not 0.0 <= measuring_fraction <= 1.0:
        raise ValueError(f"measuring_fraction {measuring_fraction} is not in [0, 1]")
    boundary = measuring_fraction * 2.0**_BITS
    start = hashlib.sha256(salt.encode() + b"\0")
    train, test = Split.TRAIN, Split.TEST
    made = []
    for group_id in group_ids:
        hashed = start.copy()
        hashed.update(group_id.encode("utf-8", "surrogatepass"))
        place = int.from_bytes(hashed.digest()[:8]) >> (64 - _BITS)
        made.append(test if place < boundary else train)
    return made
