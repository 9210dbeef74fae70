"""The command line: `hitl …`. Exit 0 done, 1 refused, 2 wrong usage."""

from __future__ import annotations

import sys

import typer

from flows.cli import (
    backlog,
    certificates,
    demo,
    look,
    loop,
    models,
    monitoring,
    partitioned,
    queue,
    replay,
    report,
    retain,
    serve,
    servers,
    skills,
    strategies,
    stress,
    twins,
)
from flows.cli.output import errors
from hitl import logs
from hitl.errors import HitlError, Unavailable
from hitl.faults import place_of
from hitl.settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold content or secrets
    help="A human-in-the-loop active-learning pipeline for content moderation.",
)
for room in (
    servers.app,
    serve.app,
    loop.app,
    models.app,
    queue.app,
    skills.app,
    look.app,
    retain.app,
    certificates.app,
    backlog.app,
    monitoring.app,
    report.app,
    twins.app,
    strategies.app,
    partitioned.app,
    replay.app,
    stress.app,
    demo.app,
):
    # One flat list of commands; a Typer per file only keeps the files small.
    app.registered_commands += room.registered_commands
    app.registered_groups += room.registered_groups


def main() -> None:
    """Run a command. What we refuse is one clear message and exit 1, never a traceback."""
    is_debug = False
    try:
        settings = load_settings()
        is_debug = settings.debug
        logs.configure(level=settings.log_level, as_json=settings.log_json)
        app()
    except HitlError as refusal:
        kind = "not now" if isinstance(refusal, Unavailable) else "refused"
        errors.print(f"[bold red]{kind}:[/bold red] ", end="")
        errors.print(str(refusal), markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("interrupted")
        sys.exit(130)
    except Exception as error:
        if is_debug:
            raise
        # Its own words are withheld: a driver's or a parser's message may quote a row.
        errors.print("[bold red]broke:[/bold red] ", end="")
        errors.print(
            f"{place_of(error)}. This is a fault of the program; its message is withheld, as it "
            "may quote content. HITL_DEBUG=1 shows it, and where it came from",
            markup=False,
            soft_wrap=True,
        )
        sys.exit(1)
