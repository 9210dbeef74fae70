"""Which lane an item belongs to, and which picks a lane's quotas let in. Values in, values out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hitl.recipe import Lane
from hitl.records import ItemId, Pick


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an item without a model. None: nobody has said it."""

    language: str | None = None
    modality: str | None = None
    market: str | None = None
    surface: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """How many entries a lane was given in the last minute, hour and day."""

    minute: int = 0
    hour: int = 0
    day: int = 0


@dataclass(frozen=True, slots=True)
class Overflow:
    """A pick that a quota did not let in, and which."""

    pick: Pick
    reason: str


def lane_of(facts: Facts, lanes: Sequence[Lane], *, policy_name: str) -> Lane | None:
    """The first lane that matches. None: no lane does, and the item goes to `unrouted`."""
    said = {
        "policy": policy_name,
        "language": facts.language,
        "modality": facts.modality or "text",
        "market": facts.market,
        "surface": facts.surface,
    }
    for lane in lanes:
        wanted = lane.match.model_dump()
        if all(not any_of or said[name] in any_of for name, any_of in wanted.items()):
            return lane
    return None


def routed(
    picks: Sequence[Pick], facts: Mapping[ItemId, Facts], lanes: Sequence[Lane], *, policy_name: str
) -> list[Pick]:
    """The picks with their lanes and tiers, in their order."""
    if not lanes:
        return list(picks)
    known: dict[Facts, Lane | None] = {}
    found = []
    for pick in picks:
        of_item = facts.get(pick.item_id, Facts())
        if of_item not in known:
            known[of_item] = lane_of(of_item, lanes, policy_name=policy_name)
        lane = known[of_item]
        found.append(replace(pick, lane=lane.name, tier=lane.tier) if lane else pick)
    return found


def within_quotas(
    picks: Sequence[Pick], lanes: Sequence[Lane], opened: Mapping[str, Opened]
) -> tuple[list[Pick], list[Overflow]]:
    """The picks that come in, in their order, and those that do not.

    Audits (`worth` is None) always do, and are counted first: a figure that a full lane could
    silence would be missing when it is needed most. Of the others, the best come in.
    """
    audits = Counter(pick.lane for pick in picks if pick.worth is None)
    room: dict[str, tuple[int, str]] = {}
    for lane in lanes:
        seen = opened.get(lane.name, Opened())
        quotas = (
            (lane.per_minute, seen.minute, "per_minute"),
            (lane.per_hour, seen.hour, "per_hour"),
            (lane.per_day, seen.day, "per_day"),
        )
        left = [
            (quota - count - audits[lane.name], f"{name} of {quota} is full")
            for quota, count, name in quotas
            if quota is not None
        ]
        if left:
            room[lane.name] = min(left)
    # By what they teach, whichever share they are of; the order of `picks` breaks ties.
    others = sorted(
        (at for at, pick in enumerate(picks) if pick.worth is not None and pick.lane in room),
        key=lambda at: -(picks[at].worth or 0.0),
    )
    taken: Counter[str] = Counter()
    out: set[int] = set()
    for at in others:
        lane_name = picks[at].lane
        if taken[lane_name] >= room[lane_name][0]:
            out.add(at)
        taken[lane_name] += 1
    kept = [pick for at, pick in enumerate(picks) if at not in out]
    return kept, [Overflow(picks[at], room[picks[at].lane][1]) for at in sorted(out)]
