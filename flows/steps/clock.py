"""The moment, and what steps reckon from it: the one place where they read a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """By this machine's clock."""
    return datetime.now(UTC)


def midnight() -> datetime:
    """The last one, in UTC."""
    return now().replace(hour=0, minute=0, second=0, microsecond=0)


def window(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """The last 28 full UTC days and today, where nothing else is said."""
    end = end or midnight() + timedelta(days=1)
    return start or end - timedelta(days=29), end
