"""Which items are near copies of each other: texts that came in since become forms with pivots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from hitl import logs, twins
from hitl.db import begin
from hitl.recipe import Recipe
from hitl.twins import Linked

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What was linked, and by which scheme."""

    scheme: str
    items: int
    forms: int
    moved: int


def link_twins(
    engine: Engine, *, recipe: Recipe, progress: Callable[[int], None] | None = None
) -> LinkReport:
    """Link every text that the recipe's scheme does not know yet.

    One transaction a chunk, signatures are made outside. It may be killed anywhere, run again and
    by several at once: the same items end in the same clusters.

    Args:
        progress: called after each chunk with how many texts it had.

    Raises:
        DatabaseUnavailable: Postgres is away; what was committed stays.
    """
    scheme = twins.text_scheme(recipe.twins.least_similarity)
    with begin(engine) as tx:
        scheme_id = twins.keep_scheme(tx, scheme)
    total, after = Linked(), ""
    while True:
        with begin(engine) as tx:
            found = twins.unlinked(tx, scheme_id, after=after, limit=recipe.intake.rows_per_chunk)
        if not found:
            break
        signatures = twins.text_signatures([text for _, text in found])
        with begin(engine) as tx:
            total += twins.link(tx, scheme, [item_id for item_id, _ in found], signatures)
        after = found[-1][0]
        if progress is not None:
            progress(len(found))
    if total.items:
        log.info("twins_linked", items=total.items, forms=total.forms, moved=total.moved)
    return LinkReport(scheme.name, total.items, total.forms, total.moved)
