"""COPY in binary: arrays go in as they are, with no text made of them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from sqlalchemy import Connection

from hitl.db import copying


def copy_in(tx: Connection, into: str, columns: Iterable[tuple[Any, str]]) -> None:
    """COPY columns of one length, each of one width, in binary; "" is bytes, a row an item."""
    fields: list[tuple[str, Any]] = [("fields", ">i2")]
    given = list(columns)
    for k, (values, kind) in enumerate(given):
        fields += [(f"size_{k}", ">i4"), (f"value_{k}", kind or f"V{values.shape[1]}")]
    rows = np.empty(len(given[0][0]), dtype=fields)
    rows["fields"] = len(given)
    for k, (values, kind) in enumerate(given):
        rows[f"size_{k}"] = rows.dtype[f"value_{k}"].itemsize
        rows[f"value_{k}"] = values if kind else values.view(f"V{values.shape[1]}").ravel()
    whole = b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff"
    copying.copy_in(tx, f"COPY {into} FROM STDIN (FORMAT binary)", io.BytesIO(whole))
