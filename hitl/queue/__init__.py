"""The queue: lanes, turns, leases, and how much waits since when.

`claim` and what follows it are for tools that pull work. Label Studio is filled by a dispatch, in
the same order; neither takes what the other has.
"""

from hitl.queue.endings.store import complete, escalate, escalate_waiting, release, skip
from hitl.queue.errors import LeaseLost, NoSkill, NothingOpen, NotInQueue, SkipsUsedUp
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
    skills_of,
)
from hitl.queue.store import (
    QueueLine,
    QueueRow,
    count_batches,
    count_by_state,
    count_under_other_versions,
    list_entries,
    queue_lines,
    requeue,
    withdraw,
    withdraw_older,
    withdraw_policy,
)
from hitl.queue.turns.store import keep_reach, place, rescore

__all__ = [
    "Facts",
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
    "keep_reach",
    "lane_of",
    "list_entries",
    "opened_lately",
    "place",
    "queue_lines",
    "record_overflow",
    "release",
    "requeue",
    "rescore",
    "routed",
    "skills_of",
    "skip",
    "withdraw",
    "withdraw_older",
    "withdraw_policy",
    "within_quotas",
]
