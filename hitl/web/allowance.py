"""How much a producer may push: a bucket of rows each, in this process's memory.

In memory and not in Postgres, because what it protects is Postgres: a flood must cost it nothing,
and the answer must stand while it is away. So each process has buckets of its own; several behind
one proxy let through as many times as much.
"""

from __future__ import annotations

import math
from collections.abc import Callable


class Allowance:
    """Rows a second for each producer, with a reserve for bursts.

    A body's rows are known once it is read. So a producer with anything left may push whatever a
    body holds, and what it took too much it waits for afterwards.
    """

    def __init__(self, *, rows_per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rows_per_second
        self._burst = burst
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def wait_seconds(self, producer: str) -> int:
        """How long to wait before the next push; 0 if it may come now."""
        left = self._now(producer)
        return 0 if left > 0 else math.ceil((1 - left) / self._rate)

    def spend(self, producer: str, rows: float) -> None:
        """Take rows out of the bucket."""
        self._left[producer] = (self._now(producer) - rows, self._clock())

    def _now(self, producer: str) -> float:
        now = self._clock()
        left, then = self._left.get(producer, (self._burst, now))
        return min(self._burst, left + (now - then) * self._rate)
