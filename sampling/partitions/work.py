"""Who works on the parts, and what of their answers is kept: so that nothing is asked twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from sampling.partitions.parts import Part
from sampling.partitions.tasks import Task

_FORM = "1"
"""Answers kept in another form, or by another way of choosing, are not taken for ours."""

_TRIES = 3


class Workers(Protocol):
    """Who carries out tasks, in any order, anywhere."""

    def each(
        self, task: Task, calls: Sequence[tuple[Part, Any]], common: Any
    ) -> Iterator[tuple[int, pa.Table]]:
        """(place of the call, answer) as they come. `common` is the same for all calls."""
        ...


class Here:
    """One call after the other, in this process."""

    def each(
        self, task: Task, calls: Sequence[tuple[Part, Any]], common: Any
    ) -> Iterator[tuple[int, pa.Table]]:
        for place, (part, own) in enumerate(calls):
            yield place, task(part, own, common)


class OnDask:
    """The workers of a Dask cluster.

    A call whose worker dies is carried out again by another one (Dask's own doing), and one that
    fails because its store was away up to three times. Few calls are under way beyond what
    workers can hold, so that answers do not pile up in their memory.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def each(
        self, task: Task, calls: Sequence[tuple[Part, Any]], common: Any
    ) -> Iterator[tuple[int, pa.Table]]:
        from distributed import as_completed as first_come

        client = self._client
        # As the answer of a task, and not scattered: what a dead worker held is then made again.
        shared = client.submit(_given, common, pure=False, key=_name("given"))
        waiting = iter(enumerate(calls))
        places: dict[str, int] = {}

        def send(count: int) -> list[Any]:
            sent = []
            for place, (part, own) in _first(waiting, count):
                future = client.submit(
                    task, part, own, shared, pure=False, retries=_TRIES, key=_name(task.__name__)
                )
                places[future.key] = place
                sent.append(future)
            return sent

        room = 2 * max(1, sum(client.nthreads().values()))
        running: Any = first_come(send(room))  # type: ignore[no-untyped-call]
        for future in running:
            table = future.result()
            place = places.pop(future.key)
            future.release()
            running.update(send(1))
            yield place, table


class Kept:
    """Answers in a folder of this machine, by what was asked: a run that broke goes on from them.

    Each is an Arrow file, written beside its place and then moved there, so that none is ever half.
    """

    def __init__(
        self, folder: Path, workers: Workers, on_step: Callable[[int], None] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._workers = workers
        self._on_step = on_step
        self._answers = 0

    def ask(
        self, task: Task, calls: Sequence[tuple[Part, Any]], common: Any = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """As `Workers.each`; those kept already come first."""
        shared = fingerprint(common)
        paths = [self._path(task, part, own, shared) for part, own in calls]
        missing: list[int] = []
        for place, path in enumerate(paths):
            table = _load(path)
            if table is None:
                missing.append(place)
            else:
                self._count()
                yield place, table
        if not missing:
            return
        for at, table in self._workers.each(task, [calls[place] for place in missing], common):
            path = paths[missing[at]]
            _save(path, table)
            self._count()
            kept = _load(path)  # read where it is wanted, and else out of memory
            yield missing[at], table if kept is None else kept

    def _count(self) -> None:
        self._answers += 1
        if self._on_step is not None:
            self._on_step(self._answers)

    def _path(self, task: Task, part: Part, own: Any, shared: str) -> Path:
        asked = (_FORM, task.__name__, part.fingerprint, own, shared)
        return self._folder / f"{task.__name__}-{fingerprint(asked)[:32]}.arrow"


def fingerprint(value: Any) -> str:
    """The same for equal values, in every process."""
    digest = hashlib.sha256()
    _feed(digest.update, value)
    return digest.hexdigest()


def _feed(add: Callable[[bytes], None], value: Any) -> None:
    add(f"<{type(value).__name__}".encode())
    if isinstance(value, np.ndarray):
        add(f"{value.dtype}{value.shape}".encode())
        add(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            add(one.name.encode())
            _feed(add, getattr(value, one.name))
    elif isinstance(value, list | tuple):
        for one in value:
            _feed(add, one)
    elif isinstance(value, bytes):
        add(value)
    elif value is None or isinstance(value, str | int | float | bool):
        add(repr(value).encode())
    else:
        raise TypeError(f"{type(value).__name__} has no fingerprint")
    add(b">")


def _given(value: Any) -> Any:
    return value


def _name(task: str) -> str:
    """A name for a task on the scheduler that no other has."""
    return f"{task}-{os.urandom(8).hex()}"


def _first(waiting: Iterator[Any], count: int) -> Iterator[Any]:
    for _ in range(count):
        try:
            yield next(waiting)
        except StopIteration:
            return


def _save(path: Path, table: pa.Table) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    with beside.open("wb") as handle:
        with pa.ipc.new_file(handle, table.schema) as writer:
            writer.write_table(table)
        handle.flush()
        os.fsync(handle.fileno())
    beside.replace(path)


def _load(path: Path) -> pa.Table | None:
    """Mapped into memory. None where there is none, or none that can be read."""
    try:
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
