"""A batch from candidates past one machine: shards in, picks with their chances as a file out.

Such candidates are not in Postgres, and need not be: only what is picked goes on from here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hitl.errors import Refused, Unavailable
from sampling import DEFAULT_PLAN, BadPool, Labelled, Plan, SamplingError, Selection, Share
from sampling.partition import choose_partitioned
from sampling.partitions.finding import find_shards
from sampling.partitions.parts import Part, parts_of
from sampling.partitions.reading import shown
from sampling.partitions.work import fingerprint

_NOTE = b"hitl"


class CannotPick(Refused):
    """The shards or the plan cannot be used as they are."""

    def __init__(self, cause: SamplingError) -> None:
        super().__init__(f"selection: {cause}")


class AnotherBatch(Refused):
    """The file holds picks, and not those of this question."""

    def __init__(self, out: str, problem: str) -> None:
        super().__init__(f"{shown(out)} {problem}; name another file, or move this one away")


class StoreAway(Unavailable):
    """A store does not answer."""

    def __init__(self, place: str, cause: OSError) -> None:
        kind = type(cause).__name__
        super().__init__(f"{shown(place)} cannot be reached ({kind}); try again, or check the path")


class SchedulerAway(Unavailable):
    """No Dask scheduler answers there."""

    def __init__(self, scheduler: str) -> None:
        super().__init__(
            f"no Dask scheduler answers at {scheduler}; start one (`dask scheduler`), or leave "
            "the address out to work in this process"
        )


class NoDask(Refused):
    """A scheduler was named, and nothing here speaks to one."""

    def __init__(self) -> None:
        super().__init__("Dask is not installed; pip install 'hitl[dask]'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which batch of which candidates.

    Args:
        place: a folder, a glob or an fsspec URL of shards; `columns` as `find_shards` takes them.
        out: where the picks go, a Parquet file on any store.
        shares: of the batch; none: the default plan.
        labelled: a Parquet file of what is labelled already, with a column of embeddings named
            as the shards' own and, if known, a column `labels` of lists of 0, 1 and NaN.
        work: a folder of this machine, to go on from after a crash; None: none is kept.
    """

    place: str
    out: str
    limit: int
    seed: int
    columns: Mapping[str, Any] = field(default_factory=dict)
    shares: tuple[Share, ...] = ()
    exclusive: bool = False
    thresholds: tuple[float, ...] | None = None
    labelled: str | None = None
    work: Path | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class PicksReport:
    """What was written. `is_new` is False where the file held this batch already."""

    file: str
    shards: int
    items: int
    picks_by_share: dict[str, int]
    is_new: bool


def select_partitioned(
    wanted: Wanted, *, client: Any = None, on_step: Callable[[int], None] | None = None
) -> PicksReport:
    """Choose a batch and write it down. Repeating it gives back the file that it made.

    Args:
        client, on_step: as `choose_partitioned` takes them.

    Raises:
        CannotPick: names the shard or share, says what is wrong and what to do.
        AnotherBatch: the file is taken.
        StoreAway: try again; with a folder for work it goes on where it was.
    """
    try:
        plan = Plan(wanted.shares) if wanted.shares else DEFAULT_PLAN
        parts = parts_of(find_shards(wanted.place, **wanted.columns))
        labelled = _labelled(wanted, parts)
        question = _question(wanted, plan, parts, labelled)
        known = _read(wanted.out)
        if known is None:
            shards = list({part.shard.name: part.shard for part in parts}.values())
            chosen = choose_partitioned(
                plan,
                shards,
                limit=wanted.limit,
                seed=wanted.seed,
                client=client,
                exclusive=wanted.exclusive,
                thresholds=wanted.thresholds,
                labelled=labelled,
                work=wanted.work,
                threads=wanted.threads,
                on_step=on_step,
            )
            _write(wanted.out, chosen, parts, note={"question": question, **_said(wanted, plan)})
    except SamplingError as cause:
        raise CannotPick(cause) from cause
    except OSError as cause:
        raise StoreAway(wanted.place, cause) from cause
    picks = known or _read(wanted.out)
    assert picks is not None  # noqa: S101 - it was there, or was written just now
    if json.loads(picks.schema.metadata[_NOTE])["question"] != question:
        raise AnotherBatch(wanted.out, "holds another batch, or the same of shards since changed")
    return PicksReport(
        file=shown(wanted.out),
        shards=len({part.shard.name for part in parts}),
        items=sum(part.rows for part in parts),
        picks_by_share=dict(Counter(picks.column("share").to_pylist())),
        is_new=known is None,
    )


@contextmanager
def client_of(scheduler: str | None) -> Iterator[Any]:
    """A Dask client of that scheduler; None without one.

    Raises:
        SchedulerAway, NoDask.
    """
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as cause:
        raise NoDask from cause
    try:
        client = Client(scheduler)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as cause:
        raise SchedulerAway(scheduler) from cause
    with client:
        yield client


def _said(wanted: Wanted, plan: Plan) -> dict[str, Any]:
    """What made the picks, for whoever reads the file."""
    return {
        "place": shown(wanted.place),
        "limit": wanted.limit,
        "seed": wanted.seed,
        "shares": [asdict(share) for share in plan.shares],
    }


def _question(wanted: Wanted, plan: Plan, parts: Sequence[Part], labelled: Labelled | None) -> str:
    of_shards = [part.fingerprint for part in parts]
    terms = (wanted.exclusive, wanted.thresholds, labelled)
    return fingerprint((plan, of_shards, wanted.limit, wanted.seed, terms))


def _labelled(wanted: Wanted, parts: Sequence[Part]) -> Labelled | None:
    column = wanted.columns.get("embeddings")
    if wanted.labelled is None or column is None or not parts:
        return None
    with fsspec.open(wanted.labelled, "rb") as handle:
        table = pq.read_table(handle)
    if column not in table.column_names:
        raise BadPool(
            f"{shown(wanted.labelled)} has no column {column!r} of embeddings; name it as the "
            "shards' own is named"
        )
    points = np.array(table.column(column).to_pylist(), dtype=np.float32)
    if "labels" in table.column_names:
        return Labelled(points, np.array(table.column("labels").to_pylist(), dtype=np.float64))
    return Labelled(points, np.full((len(points), parts[0].form.categories), np.nan))


def _read(out: str) -> pa.Table | None:
    """The picks that the file holds; None where there is none.

    Raises:
        AnotherBatch: it holds something else.
    """
    store, path = fsspec.core.url_to_fs(out)
    if not store.exists(path):
        return None
    try:
        with store.open(path, "rb") as handle:
            table = pq.read_table(handle)
    except pa.ArrowInvalid as cause:
        raise AnotherBatch(out, "is no Parquet file") from cause
    if _NOTE not in (table.schema.metadata or {}):
        raise AnotherBatch(out, "holds no picks")
    return table


def _write(out: str, chosen: Selection, parts: Sequence[Part], *, note: dict[str, Any]) -> None:
    """One line a pick, in order; whole or not at all."""
    ends = np.cumsum([part.rows for part in parts])
    owner = [parts[at] for at in np.searchsorted(ends, chosen.rows, side="right")]
    table = pa.table(
        {
            "item_id": pa.array(chosen.item_ids, pa.string()),
            "share": pa.array(chosen.share, pa.string()),
            "strategy": pa.array(chosen.strategy, pa.string()),
            "rank": pa.array(chosen.rank, pa.int64()),
            "inclusion_probability": pa.array(
                chosen.inclusion_probability,
                pa.float64(),
                mask=np.isnan(chosen.inclusion_probability),
            ),
            "shard": pa.array([part.shard.name for part in owner], pa.string()),
            "row": pa.array(
                [
                    row - part.first + part.start
                    for row, part in zip(chosen.rows, owner, strict=True)
                ],
                pa.int64(),
            ),
        }
    ).replace_schema_metadata({_NOTE: json.dumps(note)})
    store, path = fsspec.core.url_to_fs(out)
    store.makedirs(store._parent(path), exist_ok=True)
    with store.transaction, store.open(path, "wb") as handle:
        pq.write_table(table, handle)
