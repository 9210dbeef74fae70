"""Step 1: what a model decided, and the content it decided on, from a source into the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, Engine

from hitl import datasets, decisions, logs, queue
from hitl.db import begin
from hitl.decisions import (
    Column,
    Counts,
    EmptySource,
    Kind,
    Mapped,
    NoRowsYet,
    Reading,
    Source,
    SourceRefused,
    Staged,
    Taken,
    map_chunk,
)
from hitl.errors import Refused
from hitl.recipe import Recipe
from hitl.records import Item

log = logs.get(__name__)

_LISTED = 20


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest found and left behind.

    `rejected` counts rows set aside, one that is bad content and a bad decision once.
    `absent_columns` are wanted columns that some source does not have and could do without,
    `empty_sources` those without a row among others that have some, `refused_sources` those that
    could not be read, each with what is wrong.
    """

    sources: tuple[str, ...]
    contents: Counts
    decisions: Counts
    rejected: int = 0
    absent_columns: tuple[str, ...] = ()
    empty_sources: tuple[str, ...] = ()
    refused_sources: Mapping[str, str] = field(default_factory=dict)


class SomeSourcesRefused(Refused):
    """Some of several sources could not be taken in; the others were. `report` says how much."""

    def __init__(self, report: IngestReport) -> None:
        said = list(report.refused_sources.values())
        more = [f"and {len(said) - _LISTED} more"] if len(said) > _LISTED else []
        super().__init__(
            f"{len(said)} of {len(report.sources)} sources could not be taken in whole; "
            "the others, and what could be read of these, were\n" + "\n".join(said[:_LISTED] + more)
        )
        self.report = report


def ingest_decisions(
    engine: Engine,
    *,
    source: str,
    kind: Kind,
    recipe: Recipe,
    categories: Sequence[str],
    query: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> IngestReport:
    """Take in a file, folder, glob, fsspec URL, or the answer to a query.

    One transaction a chunk. It may be killed anywhere and run again, by several at once: every
    row has a key, and the first of a key stands. Content and decisions may come in either order.
    An unchanged file goes on after the last chunk that was stored; one that was read to its end is
    not read again, and its rows are counted as known.

    Args:
        kind: "content", "decisions", or "both" for a source with the columns of both.
        progress: called after each chunk with the number of rows it covered.

    Raises:
        Refused: nothing there, no rows, missing columns, an unknown category or format.
        SomeSourcesRefused: of several sources some; raised at the end, the others were taken in.
        NotYet: a query gave no rows.
        Unavailable: Postgres or the source is away; what was committed stays.
    """
    wanted = decisions.wanted_columns(recipe.intake, kind, categories)
    places = decisions.find_sources(source, query=query)
    found = _Found()
    empty: list[str] = []
    refused: dict[str, str] = {}
    for place in places:
        rows_before = found.rows
        try:
            _take_in(engine, place, wanted, recipe, kind, found=found, progress=progress or _untold)
        except SourceRefused as refusal:
            if len(places) == 1:
                raise
            refused[place.name] = str(refusal)
            log.warning("source_refused", source=place.name, error=type(refusal).__name__)
            continue
        if found.rows == rows_before:
            empty.append(place.name)
            log.warning("source_is_empty", source=place.name)
    if len(empty) == len(places):
        if query is not None:
            raise NoRowsYet(empty[0])
        raise EmptySource(decisions.shown(source) if len(places) > 1 else empty[0])
    report = IngestReport(
        tuple(place.name for place in places),
        found.contents,
        found.decisions,
        found.rejected,
        tuple(found.absent),
        tuple(empty),
        refused,
    )
    log.info(
        "decisions_ingested",
        sources=len(places),
        new_contents=report.contents.new,
        new_decisions=report.decisions.new,
        conflicts=report.contents.conflicts + report.decisions.conflicts,
        rejected=report.rejected,
        absent_columns=list(report.absent_columns),
        refused_sources=len(refused),
    )
    if refused:
        raise SomeSourcesRefused(report)
    return report


def _untold(rows: int) -> None:
    """Progress that nobody watches."""


@dataclass
class _Found:
    """What was counted so far, over all sources."""

    contents: Counts = field(default_factory=Counts)
    decisions: Counts = field(default_factory=Counts)
    rejected: int = 0
    rows: int = 0
    absent: dict[str, None] = field(default_factory=dict)

    def add(self, taken: Taken) -> None:
        self.contents += taken.contents
        self.decisions += taken.decisions
        self.rejected += taken.rejected
        self.rows += taken.rows
        self.absent.update(dict.fromkeys(taken.absent))


def _take_in(
    engine: Engine,
    place: Source,
    wanted: Sequence[Column],
    recipe: Recipe,
    kind: Kind,
    *,
    found: _Found,
    progress: Callable[[int], None],
) -> None:
    file = place.fingerprint()
    mark = file and _mark(file, wanted, recipe)
    with begin(engine) as tx:
        begun_at = decisions.database_clock(tx)
        done = None
        if mark is not None:
            done = decisions.find_finished(tx, source=place.name, kind=kind, fingerprint=mark)
    # Rejects of a reading that goes on are those of all of it.
    begun_at = done.begun_at or begun_at if done else begun_at
    reading = mark and Reading(place.name, kind, mark, begun_at)
    number = line = 0
    if done is not None and done.chunks:
        log.info("intake_goes_on", source=place.name, after_line=done.taken.line)
        found.add(done.taken)
        progress(done.taken.rows)
        number, line = done.chunks, done.taken.line
        if done.is_whole:
            return
    for ready in decisions.one_ahead(_ready(place, wanted, recipe, kind, after_line=line)):
        with begin(engine) as tx:
            contents, decided = take_in(
                tx, ready.mapped, ready.staged, source=place.name, kind=kind
            )
            taken = Taken(
                line=ready.line,
                rows=ready.rows,
                contents=contents,
                decisions=decided,
                rejected=ready.mapped.rejected_rows,
                absent=ready.absent,
            )
            if reading:
                decisions.keep_finished(tx, reading, chunk=number, taken=taken)
        number += 1
        line = ready.line
        found.add(taken)
        if ready.rows:
            progress(ready.rows)
    with begin(engine) as tx:
        # Read to its end: what was set aside of it before and is no longer was mended.
        decisions.forget_mended(tx, source=place.name, kind=kind, before=begun_at)
        if reading:
            last = Taken(line=line)
            decisions.keep_finished(tx, reading, chunk=number, taken=last, is_last=True)


# Part of a reading's mark: raise it when the same bytes come to mean something else.
_READ_BY = 1


def _mark(file: str, wanted: Sequence[Column], recipe: Recipe) -> str:
    """Tells one way of reading one file from all others."""
    said = recipe.intake.model_dump_json()
    return hashlib.sha256(f"{_READ_BY} {file} {list(wanted)} {said}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Ready:
    """A chunk that has only to be stored."""

    line: int
    rows: int
    absent: tuple[str, ...]
    mapped: Mapped
    staged: Staged


def _ready(
    place: Source, wanted: Sequence[Column], recipe: Recipe, kind: Kind, *, after_line: int
) -> Generator[_Ready, None, None]:
    for chunk in decisions.read_chunks(
        place, wanted, rows_per_chunk=recipe.intake.rows_per_chunk, after_line=after_line
    ):
        mapped = map_chunk(chunk, recipe.intake, kind)
        line = max(after_line, chunk.last_line)
        yield _Ready(line, chunk.rows, chunk.absent, mapped, mapped.decided.staged())


def take_in(
    tx: Connection, mapped: Mapped, staged: Staged, *, source: str, kind: Kind
) -> tuple[Counts, Counts]:
    """Store what rows say, whichever way they came; the counts of contents and of decisions."""
    items = [_grouped(one) for one in mapped.items]
    contents = decisions.merge_items(tx, items, source=source)
    decided = decisions.merge_decided(tx, staged, source=source)
    decisions.record_rejects(tx, mapped.rejects, source=source, kind=kind)
    queue.keep_reach(tx, mapped.decided.reaches())
    if decided.new:
        queue.rescore(tx, decisions.newly_ranked(tx))
    return (
        contents.with_rejected(mapped.rejected_items),
        decided.with_rejected(mapped.rejected_decisions),
    )


def _grouped(item: Item) -> Item:
    """The item with a group: the source's own, else one that near copies share."""
    if item.group_id is not None or item.text is None:
        return item
    return replace(item, group_id=datasets.group_key(item.text))
