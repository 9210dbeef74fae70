"""One measurement in a process of its own: CPU seconds of one thread, and the memory it took."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.sampler_pools import MadePool
from sampling import STRATEGIES, kernels  # noqa: F401  numba is loaded here once, not in every fork

T = TypeVar("T")
IntArray = NDArray[np.intp]

_WARM_UP_ROWS, _WARM_UP_PICKS = 600, 5
_LOOK_EVERY = 0.001  # seconds between looks at a running process's memory


@dataclass(frozen=True, slots=True)
class Contender:
    """One strategy of one library: `build` makes what `choose` reads. Both are timed, apart."""

    name: str
    build: Callable[[MadePool], Any]
    choose: Callable[[Any, int], Any]


def ours(strategy: str, *, exclusive: bool, name: str | None = None) -> Contender:
    """One of our strategies, always with the same seed."""
    return Contender(
        f"ours: {name or strategy}",
        lambda made: made.pool(exclusive=exclusive),
        lambda pool, picks: STRATEGIES[strategy](pool, limit=picks, rng=np.random.default_rng(0)),
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """CPU seconds of one thread; `memory` in MiB above what the caller's arrays take."""

    build: float
    choose: float
    memory: float
    rows: IntArray


def measure(
    contender: Contender,
    made: MadePool,
    *,
    picks: int,
    times: int = 1,
    mapped: Sequence[NDArray[Any]] = (),
) -> Cell:
    """Build and choose in a fork, after a round on a small pool and with every page touched.

    Args:
        times: within the fork, each with a new build; the medians count. For what takes
            milliseconds.
        mapped: files in memory that are read beside the pool's own.
    """

    def work(is_measured: Callable[[], None]) -> tuple[list[float], list[float], IntArray]:
        small = made.first(_WARM_UP_ROWS)
        contender.choose(contender.build(small), _WARM_UP_PICKS)
        for array in (made.embeddings, made.independent, made.exclusive, *mapped):
            _touch(array)
        is_measured()
        builds, chooses, rows = [], [], np.empty(0, dtype=np.intp)
        for _ in range(times):
            gc.collect()
            start = time.process_time()
            built = contender.build(made)
            between = time.process_time()
            rows = np.asarray(contender.choose(built, picks), dtype=np.intp)
            builds.append(between - start)
            chooses.append(time.process_time() - between)
            del built
        return builds, chooses, rows

    (builds, chooses, rows), memory = in_fork(work)
    return Cell(float(np.median(builds)), float(np.median(chooses)), memory, rows)


def _touch(array: NDArray[Any]) -> None:
    """Every page into memory and into this process, so that no timing pays for it."""
    array.reshape(-1)[:: 4096 // array.itemsize].sum()


def in_fork(work: Callable[[Callable[[], None]], T]) -> tuple[T, float]:
    """What `work` returns in a forked process of one thread, and its peak memory in MiB.

    `work` calls its argument once, when what it has so far is the caller's and no longer counts.
    What counts is anonymous memory (RssAnon: what the process made itself; pages of mapped files
    are the page cache's, and any other process may have them): the highest of a look every
    millisecond from outside, and of the kernel's own high-water mark of all resident pages, which
    misses no peak, less those resident before and the pages of files that came since.

    Raises:
        RuntimeError: the work raised, or the process died; what it said is on stderr.
    """
    here, there = multiprocessing.get_context("fork").Pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        _run(work, there)
    there.close()
    try:
        base, looked = _watch(child, here)
        result, marked = here.recv()
    except EOFError:
        raise RuntimeError("the measured process died; see above") from None
    finally:
        os.waitpid(child, 0)
    return result, max(looked - base, marked, 0.0)


def _run(work: Callable[[Callable[[], None]], Any], say: Connection) -> None:
    """The forked process: never returns."""
    before = files = 0.0

    def is_measured() -> None:
        nonlocal before, files
        gc.collect()
        # Memory freed so far goes back, or what is measured could take it again unseen.
        pa.default_memory_pool().release_unused()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
        before, files = _mebibytes("self", "VmHWM"), _mebibytes("self", "RssFile")
        say.send("measured")
        say.recv()

    try:
        torch.set_num_threads(1)
        with threadpool_limits(1), _quiet():
            result = work(is_measured)
        say.send("done")
        more_files = max(_mebibytes("self", "RssFile") - files, 0.0)
        say.send((result, _mebibytes("self", "VmHWM") - before - more_files))
    except BaseException:  # noqa: BLE001  whatever it was, this must not go on as a second parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    """Peers print progress and warnings."""
    import warnings

    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        warnings.simplefilter("ignore")
        yield


def _watch(child: int, here: Connection) -> tuple[float, float]:
    """Anonymous memory of the process when its measured part began, and at its highest."""
    base = highest = 0.0
    while True:
        if here.poll(_LOOK_EVERY):
            if here.recv() == "done":
                return base, highest
            base = highest = _mebibytes(child, "RssAnon")
            here.send("go")
        elif base:
            highest = max(highest, _mebibytes(child, "RssAnon"))


def _mebibytes(process: int | str, entry: str) -> float:
    """From Linux's account of the process; 0 of one that has just ended."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) / 1024
    return 0.0
