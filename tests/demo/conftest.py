"""What the demo's tests share: one small stream."""

from __future__ import annotations

import pytest

from flows.demo.stream import Stream, make_stream


@pytest.fixture(scope="session")
def stream() -> Stream:
    """A stream of 3,000 synthetic posts and 1,500 held out."""
    return make_stream(items=3_000, test_items=1_500, seed=7)
