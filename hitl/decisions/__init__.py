"""Intake: sources become items and decisions; what is malformed is set aside with its reason."""

from hitl.decisions.chunks import Chunk, Column, Reject
from hitl.decisions.decided import Decided
from hitl.decisions.errors import (
    BadQuery,
    BadValue,
    EmptySource,
    MissingColumns,
    NoProbabilityColumns,
    NoRowsYet,
    SourceNotFound,
    SourceRefused,
    SourceUnavailable,
    UnknownCategory,
    UnknownFormat,
    UnreadableSource,
)
from hitl.decisions.mapped import Mapped, map_chunk
from hitl.decisions.mapping import (
    Kind,
    map_contents,
    map_decisions,
    wanted_columns,
)
from hitl.decisions.pushed import Pushed, map_pushed
from hitl.decisions.scoring.store import (
    DecidedItem,
    ScorableItem,
    count_scorable,
    read_decided,
    read_scorable,
    settled_moment,
)
from hitl.decisions.set_aside.store import (
    StoredConflict,
    StoredReject,
    count_conflicts,
    count_rejects,
    database_clock,
    forget_mended,
    list_conflicts,
    list_rejects,
    record_rejects,
)
from hitl.decisions.sources import FORMATS, FileSource, Source, find_sources, read_chunks, shown
from hitl.decisions.sql_source.store import SqlSource
from hitl.decisions.store import (
    Counts,
    merge_decided,
    merge_decisions,
    merge_items,
    newly_ranked,
    payload_hash,
)
from hitl.decisions.values import content_hash

__all__ = [
    "FORMATS",
    "BadQuery",
    "BadValue",
    "Chunk",
    "Column",
    "Counts",
    "Decided",
    "DecidedItem",
    "EmptySource",
    "FileSource",
    "Kind",
    "Mapped",
    "MissingColumns",
    "NoProbabilityColumns",
    "NoRowsYet",
    "Pushed",
    "Reject",
    "ScorableItem",
    "Source",
    "SourceNotFound",
    "SourceRefused",
    "SourceUnavailable",
    "SqlSource",
    "StoredConflict",
    "StoredReject",
    "UnknownCategory",
    "UnknownFormat",
    "UnreadableSource",
    "content_hash",
    "count_conflicts",
    "count_rejects",
    "count_scorable",
    "database_clock",
    "find_sources",
    "forget_mended",
    "list_conflicts",
    "list_rejects",
    "map_chunk",
    "map_contents",
    "map_decisions",
    "map_pushed",
    "merge_decided",
    "merge_decisions",
    "merge_items",
    "newly_ranked",
    "payload_hash",
    "read_chunks",
    "read_decided",
    "read_scorable",
    "record_rejects",
    "settled_moment",
    "shown",
    "wanted_columns",
]
