"""Candidates become arrays to choose from, and a choice becomes a batch in the ledger."""

from hitl.selection.candidates import (
    Candidates,
    fill_unknown,
    known_columns,
    reading_seconds,
    worth_by_rank,
)
from hitl.selection.store import (
    Batch,
    BatchExists,
    find_batch,
    read_candidates,
    record_batch,
    texts_of,
)

__all__ = [
    "Batch",
    "BatchExists",
    "Candidates",
    "fill_unknown",
    "find_batch",
    "known_columns",
    "read_candidates",
    "reading_seconds",
    "record_batch",
    "texts_of",
    "worth_by_rank",
]
