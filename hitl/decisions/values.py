"""What one value of a source means, or why it cannot be used. A reason never repeats the value."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from hitl.decisions.errors import BadValue
from hitl.records import Action

LONGEST_ID = 200
LONGEST_WORD = 100

_A_DATE = "write ISO 8601 such as 2026-06-01T12:00:00Z"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that the reader of its source could not make; `reason` as in `BadValue`."""

    reason: str


def _not(value: Any, field: str, wanted: str) -> BadValue:
    """A value of no kind that we can use."""
    if isinstance(value, Unreadable):
        return BadValue(field, value.reason)
    return BadValue(field, f"is a {type(value).__name__}{wanted}")


def read_id(value: Any, field: str) -> str:
    """An id, byte for byte. Whole numbers become their digits.

    Raises:
        BadValue: missing, not text, over 200 characters, or not storable.
    """
    if isinstance(value, str):
        found = value
    elif isinstance(value, int | UUID) and not isinstance(value, bool):
        found = str(value)
    elif value is None or (isinstance(value, float) and math.isnan(value)):
        raise BadValue(field, "is missing")
    else:
        raise _not(value, field, "; write ids as text or whole numbers")
    if not found.strip():
        raise BadValue(field, "is missing")
    return _storable(found, field, longest=LONGEST_ID)


def read_word(value: Any, field: str) -> str | None:
    """An optional short text such as a language; blank is None.

    Raises:
        BadValue: not text, over 100 characters, or not storable.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str):
        raise _not(value, field, ", not text")
    return _storable(value, field, longest=LONGEST_WORD) if value.strip() else None


def read_text(value: Any, field: str, *, longest: int) -> str:
    """Content, exactly as it came: markup, scripts and odd characters are content too.

    Raises:
        BadValue: missing, blank, not text, longer than `longest` characters, or not storable.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise BadValue(field, "is missing")
    if not isinstance(value, str):
        raise _not(value, field, ", not text")
    if not value or value.isspace():
        raise BadValue(field, "is blank")
    if len(value) > longest:
        raise BadValue(
            field,
            f"is {len(value):,} characters long, {longest:,} at most "
            "(recipe.toml [intake] max_text_characters)",
        )
    return _storable(value, field, longest=longest)


def _storable(value: str, field: str, *, longest: int) -> str:
    if len(value) > longest:
        raise BadValue(field, f"is {len(value):,} characters long, {longest:,} at most")
    if "\x00" in value:
        raise BadValue(field, f"holds a NUL character at position {value.index(chr(0))}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as cause:
            why = f"is not valid Unicode at position {cause.start}; write the source as UTF-8"
            raise BadValue(field, why) from None
    return value


def read_moment(value: Any, field: str) -> datetime:
    """A moment in UTC. One without a zone counts as UTC; a date counts as its midnight.

    Raises:
        BadValue: missing, a bare number (seconds? milliseconds?), or not ISO 8601.
    """
    found = optional_moment(value, field)
    if found is None:
        raise BadValue(field, f"is missing; {_A_DATE}")
    return found


def optional_moment(value: Any, field: str) -> datetime | None:
    """As `read_moment`; None where the source says nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            raise BadValue(field, f"is not a date; {_A_DATE}") from None
    elif isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime.combine(value, time())
    else:
        raise _not(value, field, f", not a date; {_A_DATE}")
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise BadValue(field, f"lies outside the years 1 to 9999; {_A_DATE}") from None


def read_probability(value: Any, field: str) -> float | None:
    """A probability; None where there is none (NULL, NaN, blank): unknown is never zero.

    Raises:
        BadValue: not a number, infinite, or outside [0, 1].
    """
    if type(value) is float and 0.0 < value <= 1.0:  # nearly every value; the rest takes longer
        return value
    number = _number(value, field, too_large="is not between 0 and 1")
    if number is None:
        return None
    if not 0.0 <= number <= 1.0:
        raise BadValue(field, f"is {number:g}; a probability lies between 0 and 1")
    return number + 0.0  # -0.0 and 0.0 are one payload


def read_rate(value: Any, field: str) -> float | None:
    """So many an hour; None where the source says nothing (NULL, NaN, blank).

    Raises:
        BadValue: not a number, negative or infinite.
    """
    wrong = "is not a finite number from 0 on"
    number = _number(value, field, too_large=wrong)
    if number is not None and not 0.0 <= number < math.inf:
        raise BadValue(field, wrong)
    return number


def _number(value: Any, field: str, *, too_large: str) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            raise BadValue(field, "is not a number") from None
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            raise BadValue(field, too_large) from None
        except ValueError:  # a Decimal's NaN that signals
            return None
    else:
        raise _not(value, field, ", not a number")
    return None if math.isnan(number) else number


def read_action(value: Any, field: str, *, actions: Mapping[str, Action]) -> Action | None:
    """What was done, by our words; None where the source says nothing.

    Raises:
        BadValue: a word that the recipe does not map.
    """
    word = read_word(value, field)
    if word is None:
        return None
    found = actions.get(word) or actions.get(word.strip())
    if found is None:
        known = ", ".join(sorted(actions)) or "none"
        why = f"is a word that recipe.toml [intake.decisions.actions] does not have ({known})"
        raise BadValue(field, why)
    return found


def content_hash(text: str) -> str:
    """SHA-256 (hex) of the NFC-normalised text: equal to a reader, equal here."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode()).hexdigest()
