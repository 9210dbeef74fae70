"""`hitl up`, `down`, `status`, `doctor`, `migrate`, `deploy`: the servers and the schema."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from flows.cli.output import progress, say, show_json, show_table, stages
from flows.demo.place import demo_folders
from flows.wiring import NotRunning, open_database, stack_of
from hitl.settings import Settings, load_settings

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def up(
    prefect: Annotated[bool, typer.Option(help="Also start a Prefect server.")] = True,
    as_json: AsJson = False,
) -> None:
    """Start Postgres, Label Studio and Prefect on this machine, and bring the schema up to date.

    The first time takes some minutes (Label Studio is installed beside us). Repeating it is quick.
    The database begins empty: what a demo made is in a world of its own.

    Example: hitl up --no-prefect
    """
    settings = load_settings()
    stack = stack_of(settings, prefect=prefect)
    with stages("starting…") as show:
        stack.up(progress=show)
    from hitl.db import migrate

    with open_database(settings) as engine:
        migrate(engine)
    status(password=False, as_json=as_json)


@app.command()
def down(
    purge: Annotated[
        bool, typer.Option(help="Also delete the embedded Postgres with both its databases.")
    ] = False,
) -> None:
    """Stop everything that `hitl up` and the demos beside it started. No process is left.

    Data stays.

    Example: hitl down
    """
    own = load_settings()
    _stop(own, purge=purge)
    for folder in demo_folders(own.state_folder):
        _stop(own.model_copy(update={"state": folder}), purge=purge, is_demo=True)


def _stop(settings: Settings, *, purge: bool, is_demo: bool = False) -> None:
    stack = stack_of(settings)
    folder = stack.state.path
    with stages("stopping…") as show:
        ran = stack.down(show)
        deleted = stack.remove(show) if purge else None
    if is_demo and not ran and deleted is None:
        return  # most people have no demo at hand, and want no word about it
    if not purge:
        say(f"stopped; all data stays in {folder}" if ran else f"nothing of {folder} was running")
        return
    if deleted is None:
        say(f"stopped; {folder} has no database to delete")
    else:
        say(f"stopped, and deleted {deleted}: the databases of the loop and of Label Studio")
    if folder.exists():
        say(f"models, snapshots, logs and whatever else lies in {folder} stay")


@app.command()
def status(
    password: Annotated[
        bool, typer.Option("--password", help="Also show how to log in to Label Studio.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Which servers run, and where.

    Example: hitl status --password
    """
    stack = stack_of(load_settings())
    found = stack.status()
    login = stack.endpoints()
    secret = login.label_studio_password if password else None
    if as_json:
        shown: dict[str, Any] = {"state_folder": stack.state.path, "servers": found}
        if secret is not None:
            shown["label_studio_login"] = {
                "email": login.label_studio_email,
                "password": secret.get_secret_value(),
            }
        show_json(shown)
        return
    say(f"state folder {stack.state.path}")
    show_table(
        "servers",
        ("server", "state", "address", "pid", "MB", "note"),
        [(s.name, s.state, s.url, s.pid, s.rss and round(s.rss / 2**20), s.detail) for s in found],
    )
    if secret is not None:
        say(f"Label Studio: {login.label_studio_email}  {secret.get_secret_value()}")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What is wrong with this installation, and what to do about it.

    Exit 1 if something must be mended.

    Example: hitl doctor
    """
    settings = load_settings()
    findings = stack_of(settings).doctor()
    if as_json:
        show_json(findings)
    else:
        show_table(
            "findings",
            ("", "what", "what to do"),
            [(f.level, f.what, f.mend) for f in findings],
        )
    if any(f.level == "fail" for f in findings):
        raise typer.Exit(1)


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema. Safe to repeat.

    Example: HITL_DATABASE_URL=postgresql+psycopg2://… hitl migrate
    """
    from hitl.db import migrate as upgrade

    with open_database() as engine:
        say(f"schema {upgrade(engine)}")


@app.command()
def deploy(
    serve: Annotated[
        bool, typer.Option(help="Stay and run the flows when they are due. Ctrl-C ends it.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=64, help="Runs at a time, with --serve.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Register all fourteen flows with the Prefect server: schedules, parameters, triggers.

    Safe to repeat, and from any folder.

    Example: hitl deploy --serve
    """
    settings = load_settings()
    _enter_prefect(settings, stack_of(settings).endpoints().prefect_api_url)
    from flows import deployments

    if serve:
        if as_json:
            raise typer.BadParameter("--serve has no end to report", param_hint="--json")
        say("serving the fourteen flows; Ctrl-C ends it")
        deployments.serve_all(limit=limit)
        return
    with progress("registering", quiet=as_json):
        names = deployments.register()
    if as_json:
        show_json(names)
        return
    for name in names:
        say(name)
    say("registered; run `hitl deploy --serve` where the flows should run")


def _enter_prefect(settings: Settings, api_url: str | None) -> None:
    """Put what Prefect must find into the environment, for us and for the runs we start."""
    if api_url is None:
        raise NotRunning("Prefect server", "HITL_PREFECT_API_URL")
    # Prefect reads its environment once, at import: set before it is imported at all.
    os.environ["PREFECT_API_URL"] = api_url
    os.environ["HITL_STATE"] = str(settings.state_folder)
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    # Seconds. The default of 10 would be most of the way from an event to its run.
    os.environ.setdefault("PREFECT_RUNNER_POLL_FREQUENCY", "2")
    if settings.prefect_api_url is None:
        # A profile made for another server must not speak for ours.
        os.environ.setdefault("PREFECT_HOME", str(settings.state_folder / "prefect-client"))
