"""The whole demo: servers up, content in, rounds round, and what a person wants to see of it."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from flows.cli.output import console, errors
from flows.demo import show
from flows.demo.answers import SimulatedReviewer, invent_reviewers
from flows.demo.real_log import real_scene
from flows.demo.reviewers import seated
from flows.demo.rounds import Round, figures_of, play_round, rounds_played
from flows.demo.scene import Scene
from flows.demo.stream import make_scene
from flows.wiring import World, open_world, read_policy, read_recipe, stack_of
from hitl.db import migrate
from hitl.services import Endpoints, Stack
from hitl.settings import Settings, load_settings

SEED = 20260101
FOR_YOU = 20
"""Tasks that wait in Label Studio at the end, to be labelled by hand."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line. `data` None: the synthetic stream."""

    data: Path | None
    rounds: int
    labels: int
    reviewers: int
    curve_seeds: int
    items: int


def play(wanted: Wanted) -> None:
    """Run the demo to its end. Servers stay up for a look around; Ctrl-C stops them all."""
    settings = _settings(wanted)
    stack = stack_of(settings)
    try:
        endpoints = _bring_up(stack)
        _enter_environment(settings, endpoints, wanted)
        _play(wanted, settings, stack, endpoints)
    except KeyboardInterrupt:
        errors.print("\ninterrupted; stopping the servers")
        stack.down()
        raise


def _settings(wanted: Wanted) -> Settings:
    settings = load_settings()
    if wanted.data is None:
        return settings
    # A real log is another world: its items may not mix with the synthetic ones.
    venv = settings.label_studio_venv or settings.state_folder / "label-studio" / "venv"
    folder = settings.state_folder
    return settings.model_copy(
        update={"state": folder.with_name(folder.name + "-log"), "label_studio_venv": venv}
    )


def _bring_up(stack: Stack) -> Endpoints:
    with errors.status("starting the servers…") as shown:
        return stack.up(progress=lambda line: shown.update(escape(line)))


def _enter_environment(settings: Settings, endpoints: Endpoints, wanted: Wanted) -> None:
    """What Prefect's flows read, in this process and in the ones they start."""
    here = Path(__file__).parent
    os.environ["HITL_STATE"] = str(settings.state_folder)
    if settings.label_studio_venv is not None:
        os.environ["HITL_LABEL_STUDIO_VENV"] = str(settings.label_studio_venv)
    if wanted.data is not None:
        os.environ["HITL_POLICY"] = str(here / "decisions_policy.toml")
        os.environ["HITL_RECIPE"] = str(here / "decisions_recipe.toml")
    if endpoints.prefect_api_url:
        os.environ["PREFECT_API_URL"] = endpoints.prefect_api_url
    os.environ.setdefault("PREFECT_HOME", str(settings.state_folder / "prefect-client"))
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("DO_NOT_TRACK", "1")


def _run_flow(name: str, /, **parameters: Any) -> dict[str, Any]:
    """Run a step as a flow on the Prefect server, and give its report."""
    from flows import deployed  # Prefect reads its environment at import, so not before now

    result = asyncio.run(getattr(deployed, name)(**parameters))
    report: dict[str, Any] = result["report"]
    return report


def _play(wanted: Wanted, settings: Settings, stack: Stack, endpoints: Endpoints) -> None:
    settings = load_settings().model_copy(
        update={"label_studio_venv": settings.label_studio_venv, "state": settings.state}
    )
    with open_world(settings, needs_schema=False) as world:
        migrate(world.engine)
        with errors.status("making the content…"):
            scene = _scene(wanted, settings)
        console.rule(f"[bold]{escape(scene.title)}[/bold]")
        if scene.is_synthetic:
            console.print("Everything in it is invented: posts, people, groups and answers.\n")
        for kind, source in (("content", scene.content), ("decisions", scene.decisions)):
            with errors.status(f"reading {kind}…"):
                show.intake(kind, _run_flow("ingest_decisions", source=str(source), kind=kind))

        before = figures_of(scene.test.production, scene.test, scene, seed=SEED)
        people = _reviewers(stack, wanted.reviewers)
        played = _rounds(wanted, world, scene, people, endpoints)

        show.rounds(scene, before, played)
        show.before_and_after(scene, before, played[-1] if played else None)
        pictures = show.pictures(
            scene,
            before,
            played,
            folder=settings.state_folder / "demo",
            batch=wanted.labels,
            rounds=wanted.rounds,
            seeds=wanted.curve_seeds,
        )
        show.books(world)
        with errors.status("laying out some tasks for you…"):
            _run_flow("select_batch", batch_id=f"hand-{rounds_played(world)}", limit=FOR_YOU)
            _run_flow("dispatch_batch")
        show.where_to_look(world, endpoints, people, pictures, settings, wanted.data is not None)


def _scene(wanted: Wanted, settings: Settings) -> Scene:
    folder = settings.state_folder / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    if wanted.data is not None:
        return real_scene(wanted.data, folder)
    return make_scene(
        folder,
        policy=read_policy(settings),
        recipe=read_recipe(settings),
        items=wanted.items,
        seed=SEED,
    )


def _reviewers(stack: Stack, count: int) -> tuple[SimulatedReviewer, ...]:
    """The same people with the same passwords in every demo on this state folder."""
    passwords = [
        SecretStr(stack.state.secret(f"demo_reviewer_{k}", lambda: secrets.token_urlsafe(9)))
        for k in range(count)
    ]
    return invent_reviewers(passwords, seed=SEED)


def _rounds(
    wanted: Wanted,
    world: World,
    scene: Scene,
    people: Sequence[SimulatedReviewer],
    endpoints: Endpoints,
) -> list[Round]:
    assert endpoints.label_studio_url is not None  # noqa: S101 - up() has just started it
    assert endpoints.label_studio_token is not None  # noqa: S101
    played: list[Round] = []
    first = rounds_played(world) + 1
    with (
        seated(endpoints.label_studio_url, endpoints.label_studio_token, people) as crew,
        _bar() as bar,
    ):
        for number in range(first, first + wanted.rounds):
            line = bar.add_task("", total=wanted.labels, round=f"round {number}")

            def counted(count: int, line: TaskID = line) -> None:
                bar.update(line, completed=count)

            def staged(stage: str, line: TaskID = line) -> None:
                bar.update(line, description=stage)

            played.append(
                play_round(
                    world,
                    scene,
                    crew,
                    number=number,
                    labels=wanted.labels,
                    run=_run_flow,
                    on_label=counted,
                    on_stage=staged,
                )
            )
            bar.update(line, description=f"done: {played[-1].verdict}", completed=wanted.labels)
    return played


@contextmanager
def _bar() -> Iterator[Progress]:
    with Progress(
        TextColumn("{task.fields[round]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("answers"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=errors,
    ) as bar:
        yield bar
