"""What people read: the reconciliation of the loop's books; more pages join later."""

from hitl.reports.reconciliation import (
    Account,
    Counts,
    Here,
    TaskKey,
    There,
    accounts,
    accounts_with_label_studio,
)
from hitl.reports.store import count_loop, held

__all__ = [
    "Account",
    "Counts",
    "Here",
    "TaskKey",
    "There",
    "accounts",
    "accounts_with_label_studio",
    "count_loop",
    "held",
]
