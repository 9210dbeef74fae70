"""The inner loops in machine code, kept on disk wherever one may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """`function`, compiled at its first call."""
    try:
        made: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # Neither the package's folder nor a cache folder can be written: compile each time.
        made = numba.njit(nogil=True)(function)
    return cast(F, made)
