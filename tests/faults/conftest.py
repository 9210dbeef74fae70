"""What the kill tests share: databases to copy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.databases import Databases


@pytest.fixture
def databases(postgres_url: str, template_database: str) -> Iterator[Databases]:
    """Databases on the session's Postgres, dropped at the end of the test."""
    made = Databases(postgres_url, empty=template_database)
    yield made
    made.clear()
