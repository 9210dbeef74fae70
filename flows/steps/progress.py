"""How far a step is, told to whoever watches."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int | None], None]


def silent(done: int, total: int | None = None) -> None:
    """Progress that nobody watches."""


def in_all(progress: Progress) -> Callable[[int], None]:
    """Tell how many there were in all, where a step tells how many more."""
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        progress(done, None)

    return told
