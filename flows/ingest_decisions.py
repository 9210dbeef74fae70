"""Step 1: what a model decided, and the content it decided on, from a source into the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from hitl import datasets, decisions, logs
from hitl.db import begin
from hitl.decisions import Chunk, Counts, EmptySource, Kind, Mapped, map_chunk
from hitl.recipe import Recipe
from hitl.records import Item

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest found and left behind.

    `absent_columns` are optional columns that some source does not have, `empty_sources` those
    without a row among others that have some.
    """

    sources: tuple[str, ...]
    contents: Counts
    decisions: Counts
    absent_columns: tuple[str, ...] = ()
    empty_sources: tuple[str, ...] = ()

    @property
    def rejected(self) -> int:
        """Rows set aside, of either kind."""
        return self.contents.rejected + self.decisions.rejected


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

    Args:
        kind: "content", "decisions", or "both" for a source with the columns of both.
        progress: called after each chunk with the number of rows it covered.

    Raises:
        Refused: nothing there, no rows, missing columns, an unknown category or format.
        Unavailable: Postgres or the source is away; what was committed stays.
    """
    wanted = decisions.wanted_columns(recipe.intake, kind, categories)
    places = decisions.find_sources(source, query=query)
    contents, decided = Counts(), Counts()
    absent: dict[str, None] = {}
    empty: list[str] = []
    for place in places:
        is_empty = True
        chunks = decisions.read_chunks(place, wanted, rows_per_chunk=recipe.intake.rows_per_chunk)
        for chunk in chunks:
            is_empty = False
            absent.update(dict.fromkeys(chunk.absent))
            more_contents, more_decided = _store(engine, chunk, recipe, kind, source=place.name)
            contents, decided = contents + more_contents, decided + more_decided
            if progress is not None:
                progress(chunk.rows)
        if is_empty:
            empty.append(place.name)
            log.warning("source_is_empty", source=place.name)
    if len(empty) == len(places):
        raise EmptySource(decisions.shown(source) if len(places) > 1 else empty[0])
    report = IngestReport(
        tuple(place.name for place in places), contents, decided, tuple(absent), tuple(empty)
    )
    log.info(
        "decisions_ingested",
        sources=len(places),
        new_contents=contents.new,
        new_decisions=decided.new,
        conflicts=contents.conflicts + decided.conflicts,
        rejected=report.rejected,
        absent_columns=list(absent),
    )
    return report


def _store(
    engine: Engine, chunk: Chunk, recipe: Recipe, kind: Kind, *, source: str
) -> tuple[Counts, Counts]:
    mapped: Mapped = map_chunk(chunk, recipe.intake, kind)
    items = [_grouped(one) for one in mapped.items]
    with begin(engine) as tx:
        contents = decisions.merge_items(tx, [*items, *mapped.stubs], source=source)
        decided = decisions.merge_decisions(tx, mapped.decisions, source=source)
        decisions.record_rejects(tx, mapped.rejects, source=source, kind=kind)
    return (
        contents.with_rejected(mapped.rejected_items),
        decided.with_rejected(mapped.rejected_decisions),
    )


def _grouped(item: Item) -> Item:
    """The item with a group: the source's own, else one that near copies share."""
    if item.group_id is not None or item.text is None:
        return item
    return replace(item, group_id=datasets.group_key(item.text))
