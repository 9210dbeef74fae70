"""The whole demo: servers up, content in, rounds round, and what a person wants to see of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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

from flows.cli.output import console, errors, stages
from flows.demo import place, show
from flows.demo.answers import SimulatedReviewer, invent_reviewers
from flows.demo.real_log import real_scene
from flows.demo.reviewers import seated
from flows.demo.rounds import Round, RunStep, figures_of, play_round, rounds_played
from flows.demo.scene import Scene
from flows.demo.steps_on_prefect import CtrlC, StepsOnPrefect
from flows.demo.stream import make_scene
from flows.wiring import (
    NotRunning,
    World,
    open_database,
    open_world,
    read_policy,
    read_recipe,
    stack_of,
)
from hitl.db import migrate
from hitl.errors import Refused
from hitl.faults import place_of
from hitl.reports import Account
from hitl.services import Stack
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


class DemoFellShort(Refused):
    """The demo came to its end, but not all of it is as it should be."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(f"the demo came to its end, but {' and '.join(faults)}")
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a demo has to show, for programs. Figures are those of the held-out items.

    `faults` says what fell short; empty where all is as it should be.
    """

    title: str
    is_synthetic: bool
    state: Path
    rounds: tuple[Round, ...]
    before: show.Figures
    books: tuple[Account, ...]
    pictures: tuple[Path, ...]
    label_studio_url: str | None
    prefect_api_url: str | None
    faults: tuple[str, ...]


def play(wanted: Wanted) -> Outcome:
    """Run the demo to its end. Servers stay up for a look around; Ctrl-C stops them all.

    Raises:
        ServersOfYours: the environment names servers that the demo must not touch.
    """
    own = load_settings()
    settings = place.demo_settings(own, is_log=wanted.data is not None)
    with CtrlC() as ctrl_c:
        stack = stack_of(settings)
        try:
            with stages("starting the servers…") as told:
                venv = place.shared_label_studio(own, told)
                settings = settings.model_copy(update={"label_studio_venv": venv})
                stack = stack_of(settings)
                endpoints = stack.up(progress=told)
            place.enter_environment(settings, endpoints)
            return _play(wanted, own, settings, stack, StepsOnPrefect(ctrl_c))
        except KeyboardInterrupt:
            ctrl_c.deafen()
            errors.print("\ninterrupted; stopping the servers")
            stack.down()
            raise
        except Exception:
            if stack.endpoints().database_url is not None:
                errors.print(
                    "the demo's servers still run; `make down`, or `hitl down`, stops them"
                )
            raise


def _play(wanted: Wanted, own: Settings, settings: Settings, stack: Stack, run: RunStep) -> Outcome:
    with open_database(settings) as engine:
        migrate(engine)
    with open_world(settings) as world:
        with errors.status("making the content…"):
            scene = _scene(wanted, settings)
        console.rule(f"[bold]{escape(scene.title)}[/bold]")
        if scene.is_synthetic:
            console.print("Everything in it is invented: posts, people, groups and answers.\n")
        for kind, source in (("content", scene.content), ("decisions", scene.decisions)):
            with errors.status(f"reading {kind}…"):
                show.intake(kind, run("ingest_decisions", source=str(source), kind=kind))

        before = figures_of(scene.test.production, scene.test, scene, seed=SEED)
        people = _reviewers(stack, wanted.reviewers)
        played = _rounds(wanted, world, scene, people, run)

        show.rounds(scene, before, played)
        show.before_and_after(scene, before, played[-1] if played else None)
        faults = []
        books = show.books(world)
        if not all(account.balances for account in books):
            faults.append("the books do not balance (the table says where)")
        with errors.status("laying out some tasks for you…"):
            run("select_batch", batch_id=f"hand-{rounds_played(world)}", limit=FOR_YOU)
            run("dispatch_batch")
        drawn: list[Path] = []
        try:
            folder = settings.state_folder / place.MATERIAL
            if played and played[-1].figures:
                drawn.append(show.before_after_picture(scene, before, played[-1], folder))
            if wanted.curve_seeds:
                drawn += show.curve(
                    scene,
                    folder,
                    batch=wanted.labels,
                    rounds=wanted.rounds,
                    seeds=wanted.curve_seeds,
                )
        except Exception as error:  # noqa: BLE001 - a picture is not worth the addresses
            faults.append(f"a picture could not be drawn ({place_of(error)})")
        show.where_to_look(world, people, drawn, exports=place.exports(own, settings))
    return Outcome(
        title=scene.title,
        is_synthetic=scene.is_synthetic,
        state=settings.state_folder,
        rounds=tuple(played),
        before=before,
        books=tuple(books),
        pictures=tuple(drawn),
        label_studio_url=world.endpoints.label_studio_url,
        prefect_api_url=world.endpoints.prefect_api_url,
        faults=tuple(faults),
    )


def _scene(wanted: Wanted, settings: Settings) -> Scene:
    folder = settings.state_folder / place.MATERIAL
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
    run: RunStep,
) -> list[Round]:
    url, token = world.endpoints.label_studio_url, world.endpoints.label_studio_token
    if url is None or token is None:
        raise NotRunning("Label Studio", "HITL_LABEL_STUDIO_URL and HITL_LABEL_STUDIO_TOKEN")
    played: list[Round] = []
    first = rounds_played(world) + 1
    with seated(url, token, people) as crew, _bar() as bar:
        for number in range(first, first + wanted.rounds):
            line = bar.add_task("", total=wanted.labels, round=f"round {number}")

            def counted(count: int, line: TaskID = line) -> None:
                bar.update(line, completed=count)

            def staged(stage: str, line: TaskID = line) -> None:
                bar.update(line, description=stage)

            done = play_round(
                world,
                scene,
                crew,
                number=number,
                labels=wanted.labels,
                run=run,
                on_label=counted,
                on_stage=staged,
            )
            if done is None:
                bar.update(line, description="nothing is left to ask")
                break
            played.append(done)
            bar.update(line, description=f"done: {done.verdict}", completed=done.answers)
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
