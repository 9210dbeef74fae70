"""What people read: the reconciliation of the loop's books; more pages join later."""

from hitl.reports.reconciliation import Account, Counts, accounts
from hitl.reports.store import count_loop

__all__ = ["Account", "Counts", "accounts", "count_loop"]
