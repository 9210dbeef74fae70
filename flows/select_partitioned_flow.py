"""`select_partitioned` as a Prefect flow whose parts are tasks, on whatever runs its tasks.

    from prefect_dask import DaskTaskRunner
    on_dask = select_partitioned.with_options(task_runner=DaskTaskRunner(address="tcp://…:8786"))
    on_dask(place="s3://pool/", out="s3://picks/b1.parquet", limit=1000, seed=1, columns={…})

With `scheduler` the parts go to that Dask cluster without Prefect in between: its workers then need
neither Prefect nor a way to its server. What Prefect keeps of a run are counts and paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed

from flows import select_partitioned as step
from flows.plain import plain
from sampling import SamplingError, Share
from sampling.partitions.parts import Part
from sampling.partitions.tasks import Task


class _Call:
    """A task and what it is given. No dataclass: Prefect looks through those for futures, array by
    array."""

    def __init__(self, task: Task, part: Part, own: Any, common: Any) -> None:
        self.task, self.part, self.own, self.common = task, part, own, common


async def _may_pass(_task: Any, _run: Any, state: State[Any]) -> bool:
    """A shard that was refused stays refused; a store that was away may be back."""
    return not isinstance(await state.aresult(raise_on_failure=False), SamplingError)


@task(
    task_run_name="{name}",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_may_pass,
    # Answers are kept by the step itself, in its folder for work.
    cache_policy=NO_CACHE,
    persist_result=False,
)
def ask_part(name: str, call: _Call) -> pa.Table:
    """What one part answers."""
    return call.task(call.part, call.own, call.common)


class OnPrefect:
    """The task runner of the flow that is running, as workers for parts."""

    def __init__(self, *, at_once: int) -> None:
        self._at_once = at_once

    def each(
        self, asked: Task, calls: Sequence[tuple[Part, Any]], common: Any
    ) -> Iterator[tuple[int, pa.Table]]:
        """As `Workers.each`; at most `at_once` are under way, so that answers do not pile up."""
        waiting = iter(enumerate(calls))
        running: dict[PrefectFuture[pa.Table], int] = {}
        while True:
            while len(running) < self._at_once and (one := next(waiting, None)) is not None:
                place, (part, own) = one
                name = f"{asked.__name__} {part.first}"
                running[ask_part.submit(name, _Call(asked, part, own, common))] = place
            if not running:
                return
            done = next(as_completed(list(running)))
            yield running.pop(done), done.result()


@flow(name="select-partitioned")
def select_partitioned(
    place: str,
    out: str,
    limit: int,
    seed: int,
    columns: dict[str, Any] | None = None,
    shares: list[dict[str, Any]] | None = None,
    exclusive: bool = False,
    thresholds: list[float] | None = None,
    labelled: str | None = None,
    work: str | None = None,
    scheduler: str | None = None,
    at_once: int = 8,
) -> dict[str, Any]:
    """Choose a batch from shards and write the picks to `out`. Safe to run again.

    Args:
        shares: each a name, a strategy and a fraction; None: the default plan.
        work: a folder of the machine that runs the flow, from which a flow run that died goes on.
        scheduler: the address of a Dask scheduler to use past the task runner.
        at_once: parts under way at a time; twice the number of workers keeps them busy.
    """
    wanted = step.Wanted(
        place=place,
        out=out,
        limit=limit,
        seed=seed,
        columns={name: _columns(value) for name, value in (columns or {}).items()},
        shares=tuple(Share(**one) for one in shares or ()),
        exclusive=exclusive,
        thresholds=None if thresholds is None else tuple(thresholds),
        labelled=labelled,
        work=None if work is None else Path(work),
    )
    with step.client_of(scheduler) as client:
        workers = OnPrefect(at_once=at_once) if client is None else client
        return dict(plain(step.select_partitioned(wanted, client=workers)))


def _columns(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
