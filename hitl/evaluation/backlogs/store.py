"""Backlogs in SQL: who is in, said once; what review has found there; what nobody reviewed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
from sqlalchemy import Connection, func, insert, select, text

from hitl.db.copying import copy_out
from hitl.db.locks import take_turns
from hitl.db.schema import backlogs
from hitl.evaluation.backlogs.records import ANY, Backlog, Facts, Forecast, Reviewed, Rule
from hitl.policy import Policy


def answers_to(name: str, upto: str | None = None, *, mark: str = ":{}") -> str:
    """CTEs that give, as `name`, each item with an answer to the backlog's question.

    By labels up to the id that `upto` names. Of a question that was asked twice the newest answer
    counts. `any` is answered by a yes to one category, or by a no to each of the policy's.
    """
    policy_id, category = mark.format("policy_id"), mark.format("category")
    bound = f"AND l.label_id <= {mark.format(upto)}" if upto else ""
    return f"""
    {name}_standing AS (
        SELECT DISTINCT ON (l.entry_id, l.category) l.entry_id, l.item_id, l.category, l.value
        FROM labels l
        JOIN policy_categories asked USING (policy_id, category)
        JOIN policy_categories asking
          ON asking.category = asked.category AND asking.meaning = asked.meaning
        WHERE asking.policy_id = {policy_id}
          AND ({category} = 'any' OR asking.category = {category}) {bound}
        ORDER BY l.entry_id, l.category, l.revision DESC
    ), {name}_newest AS (
        SELECT DISTINCT ON (item_id, category) item_id, category, value FROM {name}_standing
        WHERE value IS NOT NULL ORDER BY item_id, category, entry_id DESC
    ), {name} AS (
        SELECT item_id, bool_or(value) AS violates FROM {name}_newest GROUP BY item_id
        HAVING bool_or(value) OR count(*) = (
            SELECT count(*) FROM policy_categories
            WHERE policy_id = {policy_id} AND ({category} = 'any' OR category = {category}))
    )"""  # noqa: S608


# Every category that is asked, with the same meaning.
ASKERS = """
    askers AS (
        SELECT b.policy_id FROM policy_categories a
        JOIN policy_categories b ON b.category = a.category AND b.meaning = a.meaning
        WHERE a.policy_id = :policy_id AND (:category = 'any' OR a.category = :category)
        GROUP BY b.policy_id HAVING count(*) = (
            SELECT count(*) FROM policy_categories
            WHERE policy_id = :policy_id AND (:category = 'any' OR category = :category))
    )
"""
_FILL = """
    INSERT INTO backlog_items (backlog_id, item_id)
    SELECT :backlog_id, i.item_id FROM items i
    WHERE i.text IS NOT NULL
      AND (cardinality(CAST(:surfaces AS text[])) = 0 OR i.surface = ANY(:surfaces))
      AND (cardinality(CAST(:languages AS text[])) = 0 OR i.language = ANY(:languages))
      AND (CAST(:since AS timestamptz) IS NULL OR i.content_at >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR i.content_at < :until)
      AND (:every_lane OR (coalesce(i.language, ''), coalesce(i.modality, ''),
                           coalesce(i.market, ''), coalesce(i.surface, '')) IN (
           SELECT * FROM unnest(CAST(:lane_languages AS text[]), CAST(:lane_modalities AS text[]),
                                CAST(:lane_markets AS text[]), CAST(:lane_surfaces AS text[]))))
"""
_REVIEWED = """
    WITH {answers}
    SELECT count(*) AS reviewed, count(*) FILTER (WHERE a.violates) AS violating
    FROM answers a JOIN backlog_items b ON b.backlog_id = :backlog_id AND b.item_id = a.item_id
"""
_REMAINDER = f"""
    WITH {answers_to("answers", "upto", mark="%({})s")}
    SELECT b.item_id FROM backlog_items b
    WHERE b.backlog_id = %(backlog_id)s
      AND NOT EXISTS (SELECT 1 FROM answers a WHERE a.item_id = b.item_id)
"""  # noqa: S608
# Categories as if they were independent; a model that knows none of them says nothing.
_FORECAST = f"""
    WITH {answers_to("answers")}
    SELECT count(*) AS looked_at, count(said.p) AS decided, sum(said.p) AS violating
    FROM backlog_items b
    LEFT JOIN LATERAL (
        SELECT d.probabilities FROM decisions d WHERE d.item_id = b.item_id AND NOT d.is_shadow
        ORDER BY d.decided_at DESC, d.model_version DESC LIMIT 1
    ) newest ON true
    CROSS JOIN LATERAL (
        SELECT 1 - exp(sum(ln(greatest(1 - CAST(x.value AS float8), 1e-12)))) AS p
        FROM jsonb_each_text(newest.probabilities) x WHERE x.key = ANY(:categories)
    ) said
    WHERE b.backlog_id = :backlog_id AND (hashtextextended(b.item_id, 0) & :mask) = 0
      AND NOT EXISTS (SELECT 1 FROM answers a WHERE a.item_id = b.item_id)
"""  # noqa: S608
_ASKS_ALIKE = f"WITH {ASKERS} SELECT :asking IN (SELECT policy_id FROM askers)"  # noqa: S608


def find(tx: Connection, name: str) -> Backlog | None:
    """A backlog by its name, or None."""
    row = tx.execute(select(backlogs).where(backlogs.c.name == name)).one_or_none()
    return None if row is None else _backlog(row)


def list_all(tx: Connection) -> list[Backlog]:
    """Every backlog, in the order in which they were opened."""
    return [_backlog(row) for row in tx.execute(select(backlogs).order_by(backlogs.c.backlog_id))]


def distinct_facts(tx: Connection) -> list[Facts]:
    """Every combination of what items with content are, by which lanes go."""
    rows = tx.execute(
        text(
            "SELECT DISTINCT language, modality, market, surface FROM items WHERE text IS NOT NULL"
        )
    )
    return [tuple(row) for row in rows]


def open_backlog(
    tx: Connection,
    *,
    name: str,
    policy: Policy,
    category: str,
    at_least: float,
    confidence: float,
    rule: Rule,
    in_lane: Sequence[Facts] | None,
) -> Backlog:
    """Fix who is in: items with content that the rule takes, as they are now. May have none.

    `in_lane`: what the items of the rule's lane are; None where it names none. The policy must have
    been kept.
    """
    take_turns(tx, "backlogs")
    tx.execute(text("SET LOCAL statement_timeout = 0"))
    newest = select(func.coalesce(func.max(backlogs.c.backlog_id), 0))
    backlog_id = int(tx.execute(newest).scalar_one()) + 1
    lane = list(zip(*(in_lane or ()), strict=True)) or [(), (), (), ()]
    filled = tx.execute(
        text(_FILL),
        {
            "backlog_id": backlog_id,
            "surfaces": list(rule.surfaces),
            "languages": list(rule.languages),
            "since": rule.since,
            "until": rule.until,
            "every_lane": in_lane is None,
        }
        | {
            f"lane_{one}": [value or "" for value in values]
            for one, values in zip(
                ("languages", "modalities", "markets", "surfaces"), lane, strict=True
            )
        },
    )
    made = (
        insert(backlogs)
        .values(
            backlog_id=backlog_id,
            name=name,
            policy_id=policy.policy_id,
            category=category,
            at_least=at_least,
            confidence=confidence,
            rule=rule.body,
            items=filled.rowcount,
        )
        .returning(backlogs)
    )
    return _backlog(tx.execute(made).one())


def asks_alike(tx: Connection, backlog: Backlog, policy: Policy) -> bool:
    """Whether answers under this policy, which was kept, answer the backlog's question.

    Of `any`, a policy with one category more asks another question.
    """
    given = question_of(backlog) | {"asking": policy.policy_id}
    same = bool(tx.execute(text(_ASKS_ALIKE), given).scalar_one())
    count = text("SELECT count(*) FROM policy_categories WHERE policy_id = :policy_id")
    asked, asking = (
        tx.execute(count, {"policy_id": one}).scalar_one()
        for one in (backlog.policy_id, policy.policy_id)
    )
    return same and (backlog.category != ANY or asked == asking)


def newest_label(tx: Connection) -> int:
    """The id of the newest label there is, 0 without any."""
    return int(tx.execute(text("SELECT coalesce(max(label_id), 0) FROM labels")).scalar_one())


def read_reviewed(tx: Connection, backlog: Backlog, *, upto: int | None = None) -> Reviewed:
    """What review has found by now, or by labels up to an id."""
    bound = {} if upto is None else {"upto": upto}
    query = _REVIEWED.format(answers=answers_to("answers", *bound))
    row = tx.execute(text(query), question_of(backlog) | bound).one()
    return Reviewed(row.reviewed, row.violating)


def read_remainder(tx: Connection, backlog: Backlog, *, upto: int) -> pa.ChunkedArray:
    """The ids of what nobody had reviewed when `upto` was the newest label, in no order."""
    tx.execute(text("SET LOCAL statement_timeout = 0"))
    with tempfile.TemporaryFile() as file:
        copy_out(tx, _REMAINDER, question_of(backlog) | {"upto": upto}, file)
        file.seek(0)
        found = pacsv.read_csv(
            file,
            pacsv.ReadOptions(use_threads=False),
            pacsv.ParseOptions(newlines_in_values=True),
            pacsv.ConvertOptions(column_types={"item_id": pa.string()}),
        )
    return found.column("item_id")


def forecast(
    tx: Connection, backlog: Backlog, policy: Policy, *, unreviewed: int, at_most: int = 200_000
) -> Forecast | None:
    """What the newest decisions expect among the unreviewed, from some `at_most` of them.

    None: no decision says anything of them.
    """
    tx.execute(text("SET LOCAL statement_timeout = 0"))
    mask = 0
    while unreviewed > (mask + 1) * at_most:
        mask = 2 * mask + 1
    categories = policy.category_ids if backlog.category == ANY else (backlog.category,)
    row = tx.execute(
        text(_FORECAST), question_of(backlog) | {"mask": mask, "categories": list(categories)}
    ).one()
    if not row.decided:
        return None
    return Forecast(unreviewed * row.violating / row.decided, row.decided, row.looked_at)


def question_of(backlog: Backlog) -> dict[str, Any]:
    """The values of `answers_to` and `ASKERS`."""
    return {
        "backlog_id": backlog.backlog_id,
        "policy_id": backlog.policy_id,
        "category": backlog.category,
    }


def _backlog(row: Any) -> Backlog:
    return Backlog(**{name: getattr(row, name) for name in Backlog.__dataclass_fields__})
