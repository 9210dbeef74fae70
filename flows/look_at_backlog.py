"""A look at a backlog: some of what nobody reviewed, drawn evenly, go to reviewers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

import sampling
from flows.backlog_status import expected_left, find_backlog, planned_draw
from flows.select_batch import seed_of
from hitl import datasets, evaluation, logs, queue, selection
from hitl.db import begin, keep_policy, single_flight
from hitl.errors import Refused
from hitl.evaluation import backlogs
from hitl.evaluation.backlogs import Backlog, DrawnItem, DrawState, Look
from hitl.policy import Policy
from hitl.recipe import ELUSION, ELUSION_APART, Recipe
from hitl.records import BatchId, ItemId, Pick, Split

log = logs.get(__name__)

# No secret: who is drawn must only have nothing to do with what the items are.
_KEY = b"hitl backlog looks"
_MOST_UNASKED = 10_000


class CannotLook(Refused):
    """The look cannot be made as asked."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"backlog {name}: {problem}")
        self.name = name


@dataclass(frozen=True, slots=True)
class LookReport:
    """The look that is open. `is_new` is False where it was drawn before.

    Of the `drawn` out of `unreviewed` items this call `asked` about some. `in_queue` are asked
    about by now, those under other shares included; `blocked` are open under another policy and
    can be asked once that is closed; `lost` came back without an answer, or are there no more.
    """

    name: str
    look: int
    is_new: bool
    seed: int
    unreviewed: int
    drawn: int
    asked: int
    in_queue: int
    answered: int
    blocked: int
    lost: int


def look_at_backlog(
    engine: Engine,
    *,
    name: str,
    policy: Policy,
    recipe: Recipe,
    draw: int | None = None,
    seed: int | None = None,
) -> LookReport:
    """Freeze what nobody has reviewed, draw from it, and ask about what was drawn.

    A look that is open is gone on with: what could not be asked before is asked now, and what came
    back without an answer again (but for dead entries, which wait for a person). Entries that
    wait under an earlier version of the policy are withdrawn first. Every look spends some of what
    all may err.

    Args:
        draw: how many; by default as many as would do four times in five if what models, or the
            last look, expect of the rest were right.
        seed: by default it follows from the name and the look's number.

    Raises:
        UnknownBacklog: there is none of this name.
        CannotLook: another draw is open; it is certified; the policy asks another question by
            now; or no size was given and none can be recommended.
        AlreadyRunning: a selection runs.
        DatabaseUnavailable: Postgres is away; nothing was drawn.
    """
    # The lock of selections: an item may be open once.
    with single_flight(engine, "select"), begin(engine) as tx:
        keep_policy(tx, policy)
        backlog = find_backlog(tx, name)
        if not backlogs.asks_alike(tx, backlog, policy):
            raise CannotLook(
                name,
                f"it was opened under policy {backlog.policy_id}, which asks another question than "
                f"{policy.policy_id}; open one under the policy of today",
            )
        queue.withdraw_older(tx, policy)
        looks = backlogs.read_looks(tx, backlog)
        if looks and looks[-1].is_certified:
            raise CannotLook(
                name,
                f"look {looks[-1].look} has certified it; to show more, open another backlog with "
                "a larger --at-least",
            )
        is_new = not looks or not looks[-1].is_open
        if is_new:
            look = _draw(tx, backlog, policy, looks, draw=draw, seed=seed)
        else:
            look = looks[-1]
            _check_same(name, look, draw=draw, seed=seed)
        drawn = backlogs.read_drawn(tx, backlog, look)
        to_ask = [one for one in drawn if one.may_ask]
        if to_ask:
            _ask(tx, backlog, look, to_ask, policy=policy, recipe=recipe)
            drawn = backlogs.read_drawn(tx, backlog, look)
    counts = Counter(one.state for one in drawn)
    log.info("backlog_looked_at", backlog=name, look=look.look, drawn=look.drawn, asked=len(to_ask))
    return LookReport(
        name=name,
        look=look.look,
        is_new=is_new,
        seed=look.seed,
        unreviewed=look.unreviewed,
        drawn=look.drawn,
        asked=len(to_ask),
        in_queue=counts[DrawState.OPEN],
        answered=counts[DrawState.ANSWERED],
        blocked=counts[DrawState.BLOCKED],
        lost=counts[DrawState.LOST],
    )


def _draw(
    tx: Connection,
    backlog: Backlog,
    policy: Policy,
    looks: Sequence[Look],
    *,
    draw: int | None,
    seed: int | None,
) -> Look:
    number = len(looks) + 1
    # What is labelled after this moment was unreviewed when the draw was made, and stays so.
    upto = backlogs.newest_label(tx)
    left = backlogs.read_remainder(tx, backlog, upto=upto)
    found = backlogs.read_reviewed(tx, backlog, upto=upto).violating
    if draw is None:
        draw = _recommended(tx, backlog, policy, looks, unreviewed=len(left), found=found)
    seed = seed_of(f"{backlog.name} {number}") if seed is None else seed
    rows = drawn_rows(left, limit=min(draw, len(left)), round_id=f"{backlog.name} {number} {seed}")
    return backlogs.add_look(
        tx,
        backlog,
        look=number,
        seed=seed,
        upto=upto,
        unreviewed=len(left),
        found_before=found,
        alpha=evaluation.alpha_of_look(number, alpha=backlog.alpha),
        drawn=left.take(pa.array(rows)).to_pylist(),
    )


def drawn_rows(item_ids: pa.ChunkedArray, *, limit: int, round_id: str) -> NDArray[np.intp]:
    """Rows of an even draw without replacement, in the order drawn: the lowest keyed numbers.

    The same ids, in whatever order, with the same round give the same items.
    """
    if not len(item_ids):
        return np.empty(0, dtype=np.intp)
    numbers = sampling.keyed_uniforms(item_ids, key=_KEY, round_id=round_id)
    rows: NDArray[np.intp] = np.arange(len(numbers), dtype=np.intp)
    if limit < len(numbers):
        rows = np.argpartition(numbers, limit)[:limit]
    return rows[np.argsort(numbers[rows], kind="stable")]


def _recommended(
    tx: Connection,
    backlog: Backlog,
    policy: Policy,
    looks: Sequence[Look],
    *,
    unreviewed: int,
    found: int,
) -> int:
    if not unreviewed:
        return 0
    forecast = backlogs.forecast(tx, backlog, policy, unreviewed=unreviewed)
    expected = expected_left(forecast, looks, unreviewed=unreviewed)
    if expected is None:
        raise CannotLook(
            backlog.name, "no model has decided on what is left, so nobody can say how large a "
            "draw it takes; name one with --draw, such as 300",
        )  # fmt: skip
    needed = planned_draw(
        backlog, found=found, unreviewed=unreviewed, expected=expected, look=len(looks) + 1
    )
    if needed is None or needed > _MOST_UNASKED:
        raise CannotLook(
            backlog.name, f"about {expected:,.0f} of what is left are expected to violate, and a "
            f"draw would need {needed or unreviewed:,} items; review the likeliest first, or name "
            "a size with --draw",
        )  # fmt: skip
    return needed


def _check_same(name: str, look: Look, *, draw: int | None, seed: int | None) -> None:
    if draw is not None and min(draw, look.unreviewed) != look.drawn:
        raise CannotLook(
            name,
            f"look {look.look} is open with a draw of {look.drawn}; `hitl backlog certify {name}` "
            "ends it, then draw anew",
        )
    if seed is not None and seed != look.seed:
        raise CannotLook(name, f"look {look.look} is open and was drawn with seed {look.seed}")


def _ask(
    tx: Connection,
    backlog: Backlog,
    look: Look,
    items: list[DrawnItem],
    *,
    policy: Policy,
    recipe: Recipe,
) -> None:
    """One entry each, in a batch of their own. Lanes as ever; no quota keeps one out."""
    sides = datasets.sides(
        [one.group_id for one in items], measuring_fraction=recipe.selection.measuring_fraction
    )
    picks = [
        Pick(
            item_id=one.item_id,
            share=ELUSION_APART if side is Split.TEST else ELUSION,
            strategy="random",
            rank=one.rank,
            inclusion_probability=look.drawn / look.unreviewed,
        )
        for one, side in zip(items, sides, strict=True)
    ]
    facts = queue.facts_of(tx, [ItemId(one.item_id) for one in picks])
    prefix = f"backlog:{backlog.name}:{look.look}:"
    batch_id = BatchId(f"{prefix}{queue.count_batches(tx, prefix=prefix) + 1}")
    selection.record_batch(
        tx,
        batch_id=batch_id,
        policy=policy,
        recipe=recipe,
        model_version=None,
        seed=look.seed,
        plan={"backlog": backlog.name, "look": look.look},
        size_wanted=len(picks),
        read_at=look.drawn_at,
        chosen=queue.routed(picks, facts, recipe.queue.lanes, policy_name=policy.name),
        aside={},
        # Both sides were drawn from the same pool: all that nobody had reviewed.
        training_pool_size=look.unreviewed,
        measuring_pool_size=look.unreviewed,
    )
    queue.place(tx, batch_id)
