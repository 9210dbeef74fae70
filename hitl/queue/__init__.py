"""The queue as people see it: how much waits, since when, and how to free what is stuck."""

from hitl.queue.store import (
    NotInQueue,
    QueueLine,
    QueueRow,
    count_batches,
    count_by_state,
    list_entries,
    queue_lines,
    requeue,
    withdraw,
)

__all__ = [
    "NotInQueue",
    "QueueLine",
    "QueueRow",
    "count_batches",
    "count_by_state",
    "list_entries",
    "queue_lines",
    "requeue",
    "withdraw",
]
