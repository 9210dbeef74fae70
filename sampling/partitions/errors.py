"""What a pool in parts says no with. Trying again without a change will not help."""

from __future__ import annotations

from typing import Any

from sampling.errors import SamplingError


class BadShard(SamplingError):
    """A shard cannot be used as it is."""

    def __init__(self, shard: str, problem: str) -> None:
        super().__init__(f"shard {shard}: {problem}")
        self.shard = shard
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        # It travels from a worker to whoever asked.
        return (type(self), (self.shard, self.problem))


class TooAlike(SamplingError):
    """So many candidates are near-duplicates that the batch cannot be filled from its core-sets."""

    def __init__(self, share: str, *, limit: int, looked_at: int) -> None:
        super().__init__(
            f"share {share!r}: among its first {looked_at:,} candidates fewer than {limit} differ; "
            "leave near-copies out of the pool or give them one group each, or ask for less"
        )
        self.share = share
