"""Looks in SQL: a draw written down once, how far it has come, and once what it showed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from hitl.db.schema import backlog_looks
from hitl.evaluation.backlog import BacklogCertificate
from hitl.evaluation.backlogs.records import Backlog, DrawnItem, DrawState, Look, Standing
from hitl.evaluation.backlogs.store import ASKERS, answers_to, question_of
from hitl.records import EntryState, ItemId

# Whatever was closed since the draw without an answer that counts has lost its item.
_DRAWN = f"""
    WITH {answers_to("answers")}, {ASKERS}
    SELECT d.item_id, d.rank, coalesce(i.group_id, i.content_hash, d.item_id) AS group_id,
           i.text IS NOT NULL AS is_there, a.violates, o.entry_id IS NOT NULL AS is_open,
           coalesce(o.policy_id IN (SELECT policy_id FROM askers), false) AS is_asked, ended.state
    FROM backlog_draws d
    JOIN backlog_looks l USING (backlog_id, look)
    LEFT JOIN items i ON i.item_id = d.item_id
    LEFT JOIN answers a ON a.item_id = d.item_id
    LEFT JOIN (open_items JOIN entries o USING (entry_id)) ON open_items.item_id = d.item_id
    LEFT JOIN LATERAL (
        SELECT e.state FROM picks p JOIN entries e USING (batch_id, item_id)
        WHERE p.item_id = d.item_id AND e.policy_id IN (SELECT policy_id FROM askers)
          AND e.closed_at >= l.drawn_at
        ORDER BY e.entry_id DESC LIMIT 1
    ) ended ON true
    WHERE d.backlog_id = :backlog_id AND d.look = :look
    ORDER BY d.rank
"""  # noqa: S608
# A drawn item was unreviewed then, whatever a label says that was committed late.
_STANDING = f"""
    WITH {answers_to("now")}, {answers_to("known", "upto")},
    drawn AS (SELECT item_id FROM backlog_draws WHERE backlog_id = :backlog_id AND look = :look),
    before AS (SELECT item_id FROM known WHERE item_id NOT IN (SELECT item_id FROM drawn))
    SELECT count(*) FILTER (WHERE n.violates AND t.item_id IS NOT NULL) AS found_before,
           count(*) FILTER (WHERE n.violates AND t.item_id IS NULL AND d.item_id IS NULL)
               AS found_since,
           count(*) FILTER (WHERE n.item_id IS NULL) AS taken_back,
           count(*) FILTER (WHERE t.item_id IS NULL) AS answered_since
    FROM now n
    FULL JOIN before t ON t.item_id = n.item_id
    JOIN backlog_items b
      ON b.backlog_id = :backlog_id AND b.item_id = coalesce(n.item_id, t.item_id)
    LEFT JOIN drawn d ON d.item_id = b.item_id
"""  # noqa: S608


def read_one_moment(tx: Connection) -> None:
    """Whatever this transaction reads is of one moment. Call it first."""
    tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def add_look(
    tx: Connection,
    backlog: Backlog,
    *,
    look: int,
    seed: int,
    upto: int,
    unreviewed: int,
    found_before: int,
    alpha: float,
    drawn: Sequence[str],
) -> Look:
    """Write a draw down, in the order drawn. One look of a backlog is open at a time."""
    made = (
        insert(backlog_looks)
        .values(
            backlog_id=backlog.backlog_id,
            look=look,
            seed=seed,
            upto_label_id=upto,
            unreviewed=unreviewed,
            found_before=found_before,
            drawn=len(drawn),
            alpha=alpha,
        )
        .returning(backlog_looks)
    )
    row = tx.execute(made).one()
    tx.execute(
        text(
            "INSERT INTO backlog_draws (backlog_id, look, item_id, rank)"
            " SELECT :backlog_id, :look, item_id, place - 1"
            " FROM unnest(CAST(:drawn AS text[])) WITH ORDINALITY one (item_id, place)"
        ),
        {"backlog_id": backlog.backlog_id, "look": look, "drawn": list(drawn)},
    )
    return _look(row)


def read_looks(tx: Connection, backlog: Backlog) -> list[Look]:
    """Every look, oldest first. The last one may be open."""
    rows = tx.execute(
        select(backlog_looks)
        .where(backlog_looks.c.backlog_id == backlog.backlog_id)
        .order_by(backlog_looks.c.look)
    )
    return [_look(row) for row in rows]


def read_drawn(tx: Connection, backlog: Backlog, look: Look) -> list[DrawnItem]:
    """How far each drawn item has come, in the order drawn."""
    rows = tx.execute(text(_DRAWN), question_of(backlog) | {"look": look.look})
    return [
        DrawnItem(ItemId(row.item_id), row.rank, row.group_id, row.violates, *_state(row))
        for row in rows
    ]


def _state(row: Any) -> tuple[DrawState, bool]:
    """Where a drawn item is, and whether asking may help: not where a person must look first."""
    if row.violates is not None:
        return DrawState.ANSWERED, False
    if row.is_open:
        return DrawState.OPEN if row.is_asked else DrawState.BLOCKED, False
    if not row.is_there:
        return DrawState.LOST, False
    if row.state is None:
        return DrawState.UNASKED, True
    return DrawState.LOST, row.state != EntryState.DEAD


def read_standing(tx: Connection, backlog: Backlog, look: Look) -> Standing:
    """What was found in the backlog by now, seen from this look."""
    given = question_of(backlog) | {"look": look.look, "upto": look.upto_label_id}
    row = tx.execute(text(_STANDING), given).one()
    return Standing(
        found_before=row.found_before,
        found_since=row.found_since,
        taken_back=row.taken_back,
        unanswered=look.unreviewed - row.answered_since,
    )


def close_look(
    tx: Connection,
    backlog: Backlog,
    look: Look,
    found: BacklogCertificate,
    *,
    violating_in_draw: int,
    lost: int,
    found_since: int,
) -> Look:
    """Write down what a look showed, once. A look that has been closed stays as it is."""
    tx.execute(
        update(backlog_looks)
        .where(
            backlog_looks.c.backlog_id == backlog.backlog_id,
            backlog_looks.c.look == look.look,
            backlog_looks.c.certified_at.is_(None),
        )
        .values(
            violating_in_draw=violating_in_draw,
            lost=lost,
            found_since=found_since,
            found=found.found,
            missed_at_most=found.missed_at_most,
            recall_at_least=found.recall_at_least,
            is_certified=found.is_certified,
            certified_at=func.clock_timestamp(),
        )
    )
    return read_looks(tx, backlog)[look.look - 1]


def _look(row: Any) -> Look:
    return Look(**{name: getattr(row, name) for name in Look.__dataclass_fields__})
