"""Offered load: work that falls due at a steady rate, whether or not the last of it is done."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

Ended = Literal["done", "dropped", "idle"]


@dataclass
class Timings:
    """How long one kind of work took, in seconds; written by many threads."""

    name: str
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Pace:
    """When work falls due: from `begun` on, for `seconds`. What nobody has begun within `patience`
    of it is dropped."""

    begun: float
    seconds: float
    patience: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass
class Offered:
    """What became of the work that fell due. `idle`: there was nothing to do it on."""

    stage: Timings
    due: int = 0
    done: int = 0
    dropped: int = 0
    idle: int = 0


def offer(
    name: str,
    work: Callable[[int, float], Ended],
    *,
    every: float,
    workers: int,
    pace: Pace,
) -> Offered:
    """Let `work(number, due)` fall due `every` so many seconds.

    Latency counts from when work was due, not from when a worker had time for it: a stall makes
    everything behind it late, as it does to whoever waits.
    """
    clock = pace.clock
    found = Offered(Timings(name))
    numbers = itertools.count()
    lock = threading.Lock()

    def one_worker() -> None:
        while True:
            with lock:
                number = next(numbers)
            due = pace.begun + number * every
            if due >= pace.begun + pace.seconds:
                return
            pace.sleep(max(0.0, due - clock()))
            ended: Ended = "dropped" if clock() - due > pace.patience else work(number, due)
            with lock:
                found.due += 1
                match ended:
                    case "done":
                        found.done += 1
                        found.stage.seconds.append(clock() - due)
                    case "dropped":
                        found.dropped += 1
                    case "idle":
                        found.idle += 1

    with ThreadPoolExecutor(workers) as pool:
        for running in [pool.submit(one_worker) for _ in range(workers)]:
            running.result()
    return found
