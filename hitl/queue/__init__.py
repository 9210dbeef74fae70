"""The queue: lanes, turns, leases, and how much waits since when.

`claim` and what follows it are for tools that pull work. Label Studio is filled by a dispatch, in
the same order; neither takes what the other has.
"""

from hitl.queue.endings.store import complete, escalate, escalate_waiting, release, skip
from hitl.queue.errors import LeaseLost, NoSkill, NothingOpen, NotInQueue, SkipsUsedUp
from hitl.queue.figures.store import (
    Breach,
    HolderLine,
    LaneLine,
    holder_lines,
    lane_lines,
    tell_breaches,
)
from hitl.queue.lanes import Facts, Opened, Overflow, lane_of, routed, within_quotas
from hitl.queue.leases.store import Lease, LeasedEntry, claim, expire, heartbeat
from hitl.queue.routing.store import (
    Skill,
    allow,
    count_overflow,
    disallow,
    facts_of,
    opened_lately,
    record_overflow,
    reroute,
    skills_of,
)
from hitl.queue.store import (
    QueueLine,
    QueueRow,
    count_batches,
    count_by_state,
    count_under_other_versions,
    list_entries,
    make_way,
    queue_lines,
    requeue,
    requeue_where,
    withdraw,
    withdraw_older,
    withdraw_policy,
)
from hitl.queue.turns.store import keep_reach, place, rescore

__all__ = [
    "Breach",
    "Facts",
    "HolderLine",
    "LaneLine",
    "Lease",
    "LeaseLost",
    "LeasedEntry",
    "NoSkill",
    "NotInQueue",
    "NothingOpen",
    "Opened",
    "Overflow",
    "QueueLine",
    "QueueRow",
    "Skill",
    "SkipsUsedUp",
    "allow",
    "claim",
    "complete",
    "count_batches",
    "count_by_state",
    "count_overflow",
    "count_under_other_versions",
    "disallow",
    "escalate",
    "escalate_waiting",
    "expire",
    "facts_of",
    "heartbeat",
    "holder_lines",
    "keep_reach",
    "lane_lines",
    "lane_of",
    "list_entries",
    "make_way",
    "opened_lately",
    "place",
    "queue_lines",
    "record_overflow",
    "release",
    "requeue",
    "requeue_where",
    "reroute",
    "rescore",
    "routed",
    "skills_of",
    "skip",
    "tell_breaches",
    "withdraw",
    "withdraw_older",
    "withdraw_policy",
    "within_quotas",
]
