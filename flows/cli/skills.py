"""`hitl queue allow|disallow|skills`: who may take which lanes, by tools that pull work."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import say, show_json, show_table
from flows.cli.queue import AsJson, queue
from flows.wiring import open_world
from hitl.db import begin

app = typer.Typer()  # nothing of its own: these commands are some of `hitl queue`

Holder = Annotated[str, typer.Argument(help="A person, as their tool names them.")]
LaneName = Annotated[str, typer.Option(help="A lane of the recipe; * is every lane.")]


@queue.command("allow")
def queue_allow(
    reviewer: Holder,
    lane: LaneName,
    tier: Annotated[int, typer.Option(min=1, max=9, help="Up to this tier.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Let somebody take a lane's entries by tools that pull work.

    Example: hitl queue allow ana --lane german --tier 2
    """
    from hitl import queue as room

    with open_world() as world, begin(world.engine) as tx:
        room.allow(tx, reviewer, lane, tier=tier)
    if as_json:
        show_json({"holder": reviewer, "lane": lane, "tier": tier})
        return
    say(f"{reviewer} may take lane {lane} up to tier {tier}")


@queue.command("disallow")
def queue_disallow(reviewer: Holder, lane: LaneName, as_json: AsJson = False) -> None:
    """No longer let somebody take a lane's entries. What they hold stays theirs.

    Example: hitl queue disallow ana --lane german
    """
    from hitl import queue as room

    with open_world() as world, begin(world.engine) as tx:
        was_allowed = room.disallow(tx, reviewer, lane)
    if as_json:
        show_json({"holder": reviewer, "lane": lane, "was_allowed": was_allowed})
        return
    say(f"{reviewer} may not take lane {lane}{'' if was_allowed else ', nor could before'}")


@queue.command("skills")
def queue_skills(as_json: AsJson = False) -> None:
    """Who may take which lanes.

    Example: hitl queue skills
    """
    from hitl import queue as room

    with open_world() as world, begin(world.engine) as tx:
        rows = room.skills_of(tx)
    if as_json:
        show_json(rows)
        return
    show_table(
        "skills", ("reviewer", "lane", "up to tier"), [(r.holder, r.lane, r.tier) for r in rows]
    )
