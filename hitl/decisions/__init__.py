"""Intake: sources become items and decisions; what is malformed is set aside with its reason."""

from hitl.decisions.ahead import one_ahead
from hitl.decisions.chunks import Chunk, Column, Reject
from hitl.decisions.decided import Decided, Staged
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
from hitl.decisions.finished.store import (
    Finished,
    Reading,
    Taken,
    find_finished,
    keep_finished,
)
from hitl.decisions.mapped import Mapped, map_chunk
from hitl.decisions.mapping import (
    Kind,
    map_contents,
    map_decisions,
    wanted_columns,
)
from hitl.decisions.merging.store import (
    merge_decided,
    merge_decisions,
    newly_ranked,
    payload_hash,
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
from hitl.decisions.store import Counts, merge_items
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
    "Finished",
    "Kind",
    "Mapped",
    "MissingColumns",
    "NoProbabilityColumns",
    "NoRowsYet",
    "Pushed",
    "Reading",
    "Reject",
    "ScorableItem",
    "Source",
    "SourceNotFound",
    "SourceRefused",
    "SourceUnavailable",
    "SqlSource",
    "Staged",
    "StoredConflict",
    "StoredReject",
    "Taken",
    "UnknownCategory",
    "UnknownFormat",
    "UnreadableSource",
    "content_hash",
    "count_conflicts",
    "count_rejects",
    "count_scorable",
    "database_clock",
    "find_finished",
    "find_sources",
    "forget_mended",
    "keep_finished",
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
    "one_ahead",
    "payload_hash",
    "read_chunks",
    "read_decided",
    "read_scorable",
    "record_rejects",
    "settled_moment",
    "shown",
    "wanted_columns",
]
