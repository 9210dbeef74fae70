"""How far a file was taken in: kept with each chunk, so that a reading goes on where it was.

Only an unchanged file read in an unchanged way is gone on with; else it is read from its beginning,
which changes nothing where its rows are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from hitl.db.schema import intake_chunks
from hitl.decisions.mapping import Kind
from hitl.decisions.store import Counts


@dataclass(frozen=True, slots=True)
class Reading:
    """Which file was read, in which way, since when."""

    source: str
    kind: Kind
    fingerprint: str
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """What some chunks of a file came to; `line` is the last one that they cover."""

    line: int = 0
    rows: int = 0
    contents: Counts = field(default_factory=Counts)
    decisions: Counts = field(default_factory=Counts)
    rejected: int = 0
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """How far a reading came before. What was new then is known now."""

    chunks: int
    taken: Taken
    begun_at: datetime | None
    is_whole: bool


def find_finished(tx: Connection, *, source: str, kind: Kind, fingerprint: str) -> Finished:
    """What is finished of this file, read in this way; nothing, if it never was."""
    rows = tx.execute(
        select(intake_chunks)
        .where(
            intake_chunks.c.source == source,
            intake_chunks.c.kind == kind,
            intake_chunks.c.fingerprint == fingerprint,
        )
        .order_by(intake_chunks.c.chunk)
    ).all()
    contents = decisions = Counts()
    absent: dict[str, None] = {}
    for row in rows:
        contents += _known(row.report["contents"])
        decisions += _known(row.report["decisions"])
        absent.update(dict.fromkeys(row.report["absent"]))
    taken = Taken(
        line=max((row.line for row in rows), default=0),
        rows=sum(row.rows for row in rows),
        contents=contents,
        decisions=decisions,
        rejected=sum(row.report["rejected"] for row in rows),
        absent=tuple(absent),
    )
    begun_at = rows[0].begun_at if rows else None
    return Finished(len(rows), taken, begun_at, any(row.is_last for row in rows))


def keep_finished(
    tx: Connection, reading: Reading, *, chunk: int, taken: Taken, is_last: bool = False
) -> None:
    """Write down one more chunk, in the transaction that stores its rows.

    What was known of the file in another shape, or read in another way, is forgotten. Two that
    read one file at once write the same.
    """
    tx.execute(
        delete(intake_chunks).where(
            intake_chunks.c.source == reading.source,
            intake_chunks.c.kind == reading.kind,
            intake_chunks.c.fingerprint != reading.fingerprint,
        )
    )
    tx.execute(
        insert(intake_chunks)
        .values(
            source=reading.source,
            kind=reading.kind,
            fingerprint=reading.fingerprint,
            chunk=chunk,
            begun_at=reading.begun_at,
            line=taken.line,
            rows=taken.rows,
            report=_report(taken),
            is_last=is_last,
        )
        .on_conflict_do_nothing()
    )


def _report(taken: Taken) -> dict[str, Any]:
    absent: Sequence[str] = taken.absent
    return {
        "contents": asdict(taken.contents),
        "decisions": asdict(taken.decisions),
        "rejected": taken.rejected,
        "absent": list(absent),
    }


def _known(said: Mapping[str, int]) -> Counts:
    then = Counts(**said)
    return Counts(then.read, 0, then.known + then.new, then.conflicts, then.rejected)
