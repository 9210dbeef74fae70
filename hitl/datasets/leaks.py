"""What may not be learned from because something like it measures, and the other way round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hitl.datasets.examples import SourcedExample
from hitl.datasets.groups import group_key
from hitl.recipe import AUDIT, ELUSION_APART
from hitl.records import Split


def on_one_side(
    rows: Iterable[SourcedExample], clusters: Mapping[str, int] | None = None
) -> list[SourcedExample]:
    """The rows that either measure or train, in their order.

    Only the audit measures, and it never trains: a row is left out where its side has changed
    since it was picked (a moved `measuring_fraction`). What a look at a backlog found on the
    measuring side does neither. So is a training row whose text is a near
    copy of one that measures; their groups may differ where the source names groups itself, as
    one author's posts.

    By `clusters`, of items by id, copies are known that differ in some words. Of these the one that
    would measure is left out, if another trains: of a wave some copy is audited soon, and left out
    of training it could never be learned. Its answer still counts for what was decided.
    """
    clusters = clusters or {}
    kept = [
        row
        for row in rows
        if row.share != ELUSION_APART and (row.share == AUDIT) == (row.example.split is Split.TEST)
    ]
    measuring = {group_key(row.example.text) for row in kept if row.share == AUDIT}
    apart = [
        row for row in kept if row.share == AUDIT or group_key(row.example.text) not in measuring
    ]
    learned = {clusters.get(row.example.item_id) for row in apart if row.share != AUDIT} - {None}
    return [
        row
        for row in apart
        if row.share != AUDIT or clusters.get(row.example.item_id) not in learned
    ]
