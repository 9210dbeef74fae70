"""What a chunk says, both kinds together: items from its rows, decisions from its columns."""

from __future__ import annotations

from dataclasses import dataclass

from hitl.decisions.chunks import Chunk, Reject
from hitl.decisions.columns import map_decided
from hitl.decisions.decided import Decided
from hitl.decisions.mapping import Kind, map_contents
from hitl.recipe import Intake
from hitl.records import Decision, Item


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a chunk says. What decisions tell of their items' language and surface is in `decided`.

    `rejected_items` and `rejected_decisions` count rows, `rejected_rows` those of either kind
    once; one row may have several rejects.
    """

    items: list[Item]
    decided: Decided
    rejects: list[Reject]
    rejected_items: int
    rejected_decisions: int
    rejected_rows: int

    @property
    def decisions(self) -> list[Decision]:
        """As records."""
        return self.decided.decisions()

    @property
    def stubs(self) -> list[Item]:
        """The items that decisions speak of, without their text, one a decision."""
        return self.decided.stubs()


def map_chunk(chunk: Chunk, intake: Intake, kind: Kind) -> Mapped:
    """Read every row of a chunk. Rows that the reader set aside count as rejected, too."""
    rejects = list(chunk.rejects)
    items: list[Item] = []
    decided = Decided.of([])
    rejected_items = rejected_decisions = 0
    if kind != "decisions":
        items, bad = map_contents(
            chunk, intake.content, max_text_characters=intake.max_text_characters
        )
        rejects += bad
        rejected_items = chunk.rows - len(items)
    if kind != "content":
        decided, bad = map_decided(
            chunk, intake.decisions, about=intake.content, shadows=intake.shadow_models
        )
        rejects += bad
        rejected_decisions = chunk.rows - len(decided)
    # One bad id in a source of both is one fault.
    once = list({(one.line, one.field): one for one in rejects}.values())
    rows = len({one.line for one in rejects})
    return Mapped(items, decided, once, rejected_items, rejected_decisions, rows)
