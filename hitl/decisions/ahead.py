"""The next chunk is read and mapped while Postgres still merges this one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_END = object()


def one_ahead(chunks: Generator[T, None, None]) -> Iterator[T]:
    """The same, each made in a thread of its own while the one before is in use.

    What making one raises is raised where it would be used.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="intake") as pool:
        try:
            following = pool.submit(next, chunks, _END)
            while (one := following.result()) is not _END:
                following = pool.submit(next, chunks, _END)
                yield one  # type: ignore[misc]
        finally:
            pool.shutdown(wait=True)
            chunks.close()
