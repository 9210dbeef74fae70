"""The queue as people see it: how much waits, since when, and how to free what is stuck."""

from hitl.queue.store import (
    NothingOpen,
    NotInQueue,
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

__all__ = [
    "NotInQueue",
    "NothingOpen",
    "QueueLine",
    "QueueRow",
    "count_batches",
    "count_by_state",
    "count_under_other_versions",
    "list_entries",
    "queue_lines",
    "requeue",
    "withdraw",
    "withdraw_older",
    "withdraw_policy",
]
